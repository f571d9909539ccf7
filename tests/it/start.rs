//! Taking a task, and being refused.

use std::time::Duration;

use chrono::TimeDelta;
use dynamo_tracker::{Clock, ErrorKind, LockToken, NewTask, Refusal, StartOptions, Status, StatusSet};
use serde_json::{Value, json};

use crate::bed::Bed;

crate::tests![
    a_new_task_is_made_and_taken,
    a_locked_task_says_who_and_until_when,
    a_lapsed_lease_is_taken_over,
    a_takeover_waits_for_the_skew,
    an_abandoned_last_attempt_is_exhausted,
    a_held_lock_may_be_taken_again,
    a_reentrant_owner_may_go_on_at_once,
    a_lock_may_be_ignored,
    a_final_task_may_be_forced,
    only_an_existing_task_may_be_asked_for,
    a_stage_follows_the_one_before,
    a_start_keeps_data_and_errors,
    a_start_takes_the_time_from_outside,
    a_start_in_the_past_has_less_time_left,
    bad_options_are_refused,
    data_that_cannot_be_read_is_a_failed_attempt,
    an_interrupted_task_is_not_run_at_most_once_again,
];

async fn a_new_task_is_made_and_taken(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start_with("t", StartOptions::new().owner("host:1")).await.unwrap();
    let record = client.load("t").await.unwrap().unwrap();
    let now = bed.clock.now();
    assert_eq!((record.status, record.attempts, record.generation), (Status::InProgress, 1, 1));
    assert_eq!((record.lock, record.last_lock, record.step), (Some(lease.token()), None, 0));
    assert_eq!((record.create_time, record.update_time, record.lock_time), (now, now, Some(now)));
    assert_eq!(record.lock_expire_time, Some(now + TimeDelta::seconds(60)));
    assert_eq!((record.lock_owner.as_deref(), record.max_attempts), (Some("host:1"), 3));
    assert_eq!(lease.tracker(), record);
    assert_eq!(lease.time_left(), Duration::from_secs(60));
}

async fn a_locked_task_says_who_and_until_when(bed: Bed) {
    let client = bed.client::<Value>();
    client.create(NewTask::new("t").data(json!("theirs"))).await.unwrap();
    let lease = client.start_with("t", StartOptions::new().owner("host:1")).await.unwrap();
    let error = client.start("t").await.unwrap_err();
    // The lease and the skew: before that, no start would take it over.
    let until = bed.clock.now() + TimeDelta::seconds(61);
    assert_eq!(error.refusal(), Some(&Refusal::Locked { owner: Some("host:1".to_owned()), until }));
    assert_eq!(error.to_string(), r#"task "test#t": locked by host:1 until 2100-01-01T00:01:01.000Z; try again then"#);
    let shown = error.tracker_as::<Value>().unwrap().unwrap();
    assert_eq!((shown.lock, shown.data), (Some(lease.token()), json!("theirs")));
    assert!(!format!("{error:?}").contains("theirs"), "{error:?}");
}

async fn a_lapsed_lease_is_taken_over(bed: Bed) {
    let client = bed.client::<()>();
    let first = client.start("t").await.unwrap();
    bed.clock.advance(Duration::from_secs(61));
    let second = client.start("t").await.unwrap();
    assert_eq!((second.attempt(), second.generation()), (2, 2));
    let error = first.succeed().await.unwrap_err();
    assert!(error.is_lease_lost());
    assert_eq!(error.tracker().unwrap().lock, Some(second.token()));
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.lock), (Status::InProgress, Some(second.token())), "nothing was changed");
}

async fn a_takeover_waits_for_the_skew(bed: Bed) {
    let client = bed.builder::<()>().skew(Duration::from_secs(5)).build().unwrap();
    let _first = client.start("t").await.unwrap();
    bed.clock.advance(Duration::from_millis(64_999));
    assert!(client.start("t").await.unwrap_err().is_locked());
    bed.clock.advance(Duration::from_millis(1));
    assert_eq!(client.start("t").await.unwrap().attempt(), 2);
}

async fn an_abandoned_last_attempt_is_exhausted(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    let abandoned = client.start("t").await.unwrap();
    bed.clock.advance(Duration::from_secs(61));
    let error = client.start("t").await.unwrap_err();
    assert!(error.is_exhausted());
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.lock, record.attempts), (Status::Exhausted, None, 1));
    assert_eq!((record.errors.len(), record.errors[0].error_type.as_str()), (1, "LeaseExpired"));
    assert_eq!((record.errors[0].attempt, record.errors[0].time), (1, bed.clock.now()));
    assert_eq!(error.tracker_as::<()>().unwrap().unwrap(), record);
    // The one who was late wanted the same status, but this was not its write, and its own error is not in the record.
    assert!(abandoned.fail("too late").await.unwrap_err().is_lease_lost());
    assert!(client.start("t").await.unwrap_err().is_exhausted());
}

async fn a_held_lock_may_be_taken_again(bed: Bed) {
    let client = bed.client::<()>();
    let first = client.start("t").await.unwrap();
    assert!(client.start_with("t", StartOptions::new().lock(LockToken::random())).await.unwrap_err().is_locked());
    let second = client.start_with("t", StartOptions::new().lock(first.token())).await.unwrap();
    assert_ne!(first.token(), second.token(), "the new lock is always fresh");
    assert_eq!((second.attempt(), second.generation()), (2, 2));
    assert!(first.succeed().await.unwrap_err().is_lease_lost());
}

async fn a_reentrant_owner_may_go_on_at_once(bed: Bed) {
    let client = bed.client::<()>();
    let _crashed = client.start_with("t", StartOptions::new().reentrant_owner("execution-1")).await.unwrap();
    assert!(client.start_with("t", StartOptions::new().owner("execution-1")).await.unwrap_err().is_locked());
    let other = StartOptions::new().reentrant_owner("execution-2");
    assert!(client.start_with("t", other).await.unwrap_err().is_locked());
    let again = client.start_with("t", StartOptions::new().reentrant_owner("execution-1")).await.unwrap();
    assert_eq!(again.attempt(), 2);
}

async fn a_lock_may_be_ignored(bed: Bed) {
    let client = bed.client::<()>();
    let first = client.start("t").await.unwrap();
    let second = client.start_with("t", StartOptions::new().ignore_lock()).await.unwrap();
    assert_eq!(second.attempt(), 2);
    assert!(first.fail("late").await.unwrap_err().is_lease_lost());
    second.succeed().await.unwrap();
}

async fn a_final_task_may_be_forced(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    let force = StartOptions::new().force_execution();
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert!(client.start("t").await.unwrap_err().is_already_succeeded());
    client.start_with("t", force.clone()).await.unwrap().fail("no").await.unwrap();
    assert!(client.start("t").await.unwrap_err().is_exhausted());
    client.start_with("t", force.clone()).await.unwrap().mark_as_ignored().await.unwrap();
    assert!(client.start("t").await.unwrap_err().is_ignored());
    let lease = client.start_with("t", force.clone()).await.unwrap();
    assert_eq!(lease.attempt(), 4);
    assert!(client.start_with("t", force).await.unwrap_err().is_locked(), "force does not ignore a lock");
}

async fn only_an_existing_task_may_be_asked_for(bed: Bed) {
    let client = bed.client::<()>();
    let only_existing = StartOptions::new().only_existing();
    let error = client.start_with("t", only_existing.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.refusal()), (ErrorKind::NotFound, Some(&Refusal::NotFound)));
    assert_eq!(client.load("t").await.unwrap(), None);
    client.create("t").await.unwrap();
    client.start_with("t", only_existing).await.unwrap().succeed().await.unwrap();
}

async fn a_stage_follows_the_one_before(bed: Bed) {
    let codes = [(100, "new"), (110, "busy"), (120, "failed"), (130, "dead"), (140, "done"), (150, "skipped")];
    let stage = StatusSet::new(codes).unwrap().after(&StatusSet::default()).unwrap();
    let first = bed.client::<Value>();
    let second = bed.builder::<Value>().statuses(stage).build().unwrap();

    first.start("t").await.unwrap().fail("once").await.unwrap();
    let error = second.start("t").await.unwrap_err();
    assert_eq!(error.refusal(), Some(&Refusal::NotReady { status: Status::Other(20) }));
    let mut lease = first.start("t").await.unwrap();
    lease.set_data(json!("downloaded")).unwrap();
    lease.succeed().await.unwrap();

    assert!(second.start("never-downloaded").await.unwrap_err().is_not_found());
    let lease = second.start("t").await.unwrap();
    assert_eq!((lease.attempt(), lease.generation()), (1, 3), "attempts begin again, the generation does not");
    assert_eq!(lease.data(), &json!("downloaded"));
    assert_eq!(first.start("t").await.unwrap_err().kind(), ErrorKind::Locked);
    lease.succeed().await.unwrap();
    assert!(second.start("t").await.unwrap_err().is_already_succeeded());
    assert!(first.start("t").await.unwrap_err().is_not_ready());
}

async fn a_start_keeps_data_and_errors(bed: Bed) {
    let client = bed.client::<Value>();
    client.create(NewTask::new("t").data(json!({"n": 1}))).await.unwrap();
    client.start("t").await.unwrap().fail("first").await.unwrap();
    let lease = client.start("t").await.unwrap();
    assert_eq!(lease.data(), &json!({"n": 1}));
    assert_eq!(lease.tracker().errors[0].message, "first");
}

async fn a_start_takes_the_time_from_outside(bed: Bed) {
    let client = bed.client::<()>();
    let _first = client.start("t").await.unwrap();
    let later = bed.clock.now() + TimeDelta::seconds(61);
    let options = StartOptions::new().now(later).expire(Duration::from_secs(10));
    let lease = client.start_with("t", options).await.unwrap();
    assert_eq!(lease.tracker().lock_time, Some(later));
    assert_eq!(lease.expires(), Some(later + TimeDelta::seconds(10)));
}

async fn a_start_in_the_past_has_less_time_left(bed: Bed) {
    let client = bed.client::<()>();
    let past = bed.clock.now() - TimeDelta::seconds(50);
    let lease = client.start_with("t", StartOptions::new().now(past)).await.unwrap();
    assert_eq!(lease.time_left(), Duration::from_secs(10));
    let future = bed.clock.now() + TimeDelta::seconds(50);
    let lease = client.start_with("u", StartOptions::new().now(future)).await.unwrap();
    assert_eq!(lease.time_left(), Duration::from_secs(60));
}

async fn bad_options_are_refused(bed: Bed) {
    let client = bed.client::<()>();
    let bad = [StartOptions::new().expire(Duration::from_secs(1)), StartOptions::new().max_attempts(0)];
    for options in bad {
        let error = client.start_with("t", options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(bed.http.sent(), Vec::<String>::new());
}

async fn data_that_cannot_be_read_is_a_failed_attempt(bed: Bed) {
    bed.client::<String>().create(NewTask::new("t").data("text".to_owned())).await.unwrap();
    let client = bed.builder::<u64>().max_attempts(1).build().unwrap();
    let error = client.start("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    assert!(!format!("{error} {error:?}").contains("\"text\""), "{error:?}");
    let record = bed.client::<String>().load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.data.as_str(), record.errors.len()), (Status::Exhausted, "text", 1));
}

async fn an_interrupted_task_is_not_run_at_most_once_again(bed: Bed) {
    let client = bed.client::<()>();
    let once = StartOptions::new().at_most_once();
    client.start_with("t", once.clone()).await.unwrap().fail("recorded, so it may be tried again").await.unwrap();
    let _dies = client.start_with("t", once.clone()).await.unwrap();
    assert!(client.start_with("t", once.clone()).await.unwrap_err().is_locked());
    bed.clock.advance(Duration::from_secs(61));
    let error = client.start_with("t", once.clone()).await.unwrap_err();
    assert!(error.is_interrupted() && !error.is_temporary());
    assert_eq!(error.tracker().unwrap().attempts, 2);
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::InProgress, "nothing was changed");
    client.start_with("t", once.clone().force_execution()).await.unwrap().succeed().await.unwrap();
    assert!(client.start_with("t", once).await.unwrap_err().is_already_succeeded());
}
