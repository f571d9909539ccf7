//! Recording outcomes, checkpoints, and what a worker without a lease can't do.

use std::time::Duration;

use chrono::TimeDelta;
use dynamo_tracker::{Clock, NewTask, Status};
use serde_json::{Value, json};

use crate::bed::Bed;

crate::tests![
    a_success_keeps_the_data_and_frees_the_task,
    a_failure_may_be_tried_again_until_exhausted,
    a_failure_drops_the_data_but_not_a_checkpoint,
    a_release_does_not_count,
    the_mark_as_family_sets_each_status,
    in_progress_extends_the_lease,
    the_history_is_bounded,
    an_outcome_after_the_lease_counts_if_nobody_came,
    a_lost_lease_changes_nothing,
    unknown_attributes_are_left_alone,
    a_retention_is_for_what_is_over,
    a_lease_is_taken_up_again_by_its_token,
    two_processes_extend_one_lease,
];

async fn a_success_keeps_the_data_and_frees_the_task(bed: Bed) {
    let client = bed.client::<Value>();
    let mut lease = client.start("t").await.unwrap();
    let token = lease.token();
    lease.set_data(json!({"rows": 3})).unwrap();
    bed.clock.advance(Duration::from_secs(5));
    let done = lease.succeed().await.unwrap();
    assert_eq!(done, client.load("t").await.unwrap().unwrap());
    assert_eq!((done.status, done.attempts, &done.data), (Status::Succeeded, 1, &json!({"rows": 3})));
    assert_eq!((done.lock, done.last_lock), (None, Some(token)));
    assert_eq!((done.lock_owner, done.lock_time, done.lock_expire_time), (None, None, None));
    assert_eq!(done.update_time, bed.clock.now());
}

async fn a_failure_may_be_tried_again_until_exhausted(bed: Bed) {
    let client = bed.client::<()>();
    for (attempt, status) in [(1, Status::Failed), (2, Status::Failed), (3, Status::Exhausted)] {
        let lease = client.start("t").await.unwrap();
        assert_eq!(lease.attempt(), attempt);
        let record = lease.fail(std::io::Error::other(format!("try {attempt}"))).await.unwrap();
        assert_eq!(record.status, status);
    }
    let record = client.load("t").await.unwrap().unwrap();
    let messages: Vec<_> = record.errors.iter().map(|error| (error.attempt, error.message.as_str())).collect();
    assert_eq!(messages, [(1, "try 1"), (2, "try 2"), (3, "try 3")]);
    assert!(client.start("t").await.unwrap_err().is_exhausted());
}

async fn a_failure_drops_the_data_but_not_a_checkpoint(bed: Bed) {
    let client = bed.client::<Value>();
    client.create(NewTask::new("t").data(json!(0))).await.unwrap();
    let mut lease = client.start("t").await.unwrap();
    lease.checkpoint(json!(1)).await.unwrap();
    assert_eq!(lease.tracker().step, 1);
    lease.set_data(json!(2)).unwrap();
    lease.fail("no").await.unwrap();
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.data, record.step), (json!(1), 1));
}

async fn a_release_does_not_count(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    for generation in 1..4 {
        let lease = client.start("t").await.unwrap();
        assert_eq!((lease.attempt(), lease.generation()), (1, generation));
        let record = lease.release().await.unwrap();
        assert_eq!((record.status, record.attempts), (Status::Pending, 0));
    }
    assert_eq!(client.load("t").await.unwrap().unwrap().errors, []);
}

async fn the_mark_as_family_sets_each_status(bed: Bed) {
    let client = bed.builder::<Value>().max_attempts(2).build().unwrap();
    let status_of = async |id: &str| client.load(id).await.unwrap().unwrap().status;
    client.start("succeeded").await.unwrap().mark_as_succeeded().await.unwrap();
    client.start("failed").await.unwrap().mark_as_failed("x").await.unwrap();
    client.start("exhausted").await.unwrap().mark_as_exhausted("x").await.unwrap();
    client.start("either").await.unwrap().mark_as_failed_or_exhausted("x").await.unwrap();
    client.start("ignored").await.unwrap().mark_as_ignored().await.unwrap();
    client.start("pending").await.unwrap().mark_as_pending().await.unwrap();
    assert_eq!(status_of("succeeded").await, Status::Succeeded);
    assert_eq!(status_of("failed").await, Status::Failed);
    assert_eq!(status_of("exhausted").await, Status::Exhausted);
    assert_eq!(status_of("either").await, Status::Failed);
    assert_eq!(status_of("ignored").await, Status::Ignored);
    assert_eq!(status_of("pending").await, Status::Pending);
    client.start("either").await.unwrap().mark_as_failed_or_exhausted("x").await.unwrap();
    assert_eq!(status_of("either").await, Status::Exhausted);
    // Failed although no attempts are left: refused, unless the limit is higher or the start is forced.
    client.start("failed").await.unwrap().mark_as_failed("x").await.unwrap();
    assert!(client.start("failed").await.unwrap_err().is_exhausted());
    assert_eq!(client.load("pending").await.unwrap().unwrap().attempts, 1, "pending leaves the attempt counted");
}

async fn in_progress_extends_the_lease(bed: Bed) {
    let client = bed.client::<()>();
    let mut lease = client.start("t").await.unwrap();
    bed.clock.advance(Duration::from_secs(50));
    assert_eq!(lease.time_left(), Duration::from_secs(10));
    lease.mark_as_in_progress().await.unwrap();
    assert_eq!(lease.time_left(), Duration::from_secs(60));
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!(record.lock_expire_time, Some(bed.clock.now() + TimeDelta::seconds(60)));
    assert_eq!((record.step, record.attempts), (1, 1));
    bed.clock.advance(Duration::from_secs(59));
    assert!(client.start("t").await.unwrap_err().is_locked());
    lease.succeed().await.unwrap();
}

async fn the_history_is_bounded(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(100).error_history(4).build().unwrap();
    for attempt in 1..=7 {
        client.start("t").await.unwrap().fail(format!("{attempt}{}", "x".repeat(5000))).await.unwrap();
    }
    let errors = client.load("t").await.unwrap().unwrap().errors;
    assert_eq!(errors.iter().map(|error| error.attempt).collect::<Vec<_>>(), [4, 5, 6, 7]);
    assert!(errors.iter().all(|error| error.message.len() <= dynamo_tracker::MAX_MESSAGE_BYTES));
}

async fn an_outcome_after_the_lease_counts_if_nobody_came(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    bed.clock.advance(Duration::from_secs(3600));
    assert_eq!(lease.succeed().await.unwrap().status, Status::Succeeded);
}

async fn a_lost_lease_changes_nothing(bed: Bed) {
    let client = bed.client::<Value>();
    for (number, outcome) in (0..8).enumerate() {
        let id = format!("t{number}");
        let mut lost = client.start(&id).await.unwrap();
        bed.clock.advance(Duration::from_secs(61));
        let mut holder = client.start(&id).await.unwrap();
        holder.checkpoint(json!("holder")).await.unwrap();
        let before = client.load(&id).await.unwrap().unwrap();
        let error = match outcome {
            0 => lost.succeed().await.err(),
            1 => lost.fail("late").await.err(),
            2 => lost.release().await.err(),
            3 => lost.mark_as_exhausted("late").await.err(),
            4 => lost.mark_as_ignored().await.err(),
            5 => lost.mark_as_pending().await.err(),
            6 => lost.mark_as_in_progress().await.err(),
            _ => lost.checkpoint(json!("late")).await.err(),
        };
        let error = error.expect("the lease is lost");
        assert!(error.is_lease_lost(), "{error}");
        assert_eq!(error.tracker_as::<Value>().unwrap().unwrap(), before);
        assert_eq!(client.load(&id).await.unwrap().unwrap(), before);
        // Nor does anything else of a lease that is known to be lost reach the table.
        holder.succeed().await.unwrap();
    }
}

async fn unknown_attributes_are_left_alone(bed: Bed) {
    let client = bed.client::<()>();
    client.create("t").await.unwrap();
    let theirs = Bed::key("theirs");
    bed.set("t", "note", theirs.clone()).await;
    let mut lease = client.start("t").await.unwrap();
    lease.checkpoint(()).await.unwrap();
    lease.mark_as_exhausted("x").await.unwrap();
    let exhausted = client.load("t").await.unwrap().unwrap();
    let mut pending = client.redrive(&exhausted).await.unwrap();
    client.dump(&mut pending).await.unwrap();
    let get = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key("t"));
    let item = get.send().await.unwrap().item.unwrap();
    assert_eq!(item.get("note"), Some(&theirs));
}

async fn a_retention_is_for_what_is_over(bed: Bed) {
    let client = bed.builder::<()>().retention(Duration::from_millis(1500)).max_attempts(2).build().unwrap();
    let over = Some(bed.clock.now() + TimeDelta::seconds(2));
    assert_eq!(client.start("a").await.unwrap().succeed().await.unwrap().expire_at, over, "whole seconds, never early");
    assert_eq!(client.start("b").await.unwrap().mark_as_ignored().await.unwrap().expire_at, over);
    assert_eq!(client.start("c").await.unwrap().fail("x").await.unwrap().expire_at, None, "it is still to be done");
    assert_eq!(client.start("c").await.unwrap().fail("x").await.unwrap().expire_at, over);
    assert_eq!(client.load("c").await.unwrap().unwrap().expire_at, over);
    assert_eq!(client.start("d").await.unwrap().release().await.unwrap().expire_at, None);
    for _ in 0..2 {
        let _abandoned = client.start("e").await.unwrap();
        bed.clock.advance(Duration::from_secs(61));
    }
    assert!(client.start("e").await.unwrap_err().is_exhausted());
    let abandoned = client.load("e").await.unwrap().unwrap();
    assert_eq!(abandoned.expire_at, Some(bed.clock.now() + TimeDelta::seconds(2)));
}

async fn a_lease_is_taken_up_again_by_its_token(bed: Bed) {
    let client = bed.client::<u32>();
    let token = client.start("t").await.unwrap().token();
    bed.clock.advance(Duration::from_secs(20));
    let mut lease = client.resume("t", token).await.unwrap();
    assert_eq!((lease.attempt(), lease.token(), lease.time_left()), (1, token, Duration::from_secs(40)));
    lease.mark_as_in_progress().await.unwrap();
    assert_eq!(lease.time_left(), Duration::from_secs(60));
    lease.checkpoint(7).await.unwrap();
    let lease = client.resume("t", token).await.unwrap();
    assert_eq!((*lease.data(), lease.tracker().step), (7, 2));
    // Its time is over, and nobody has taken the task.
    bed.clock.advance(Duration::from_secs(100));
    let mut lease = client.resume("t", token).await.unwrap();
    lease.set_data(8).unwrap();
    assert_eq!(lease.succeed().await.unwrap().data, 8);
    let lost = client.resume("t", token).await.unwrap_err();
    assert!(lost.is_lease_lost() && lost.to_string().contains("it was unlocked and is succeeded now"), "{lost}");
    assert_eq!(lost.tracker_as::<u32>().unwrap().unwrap().data, 8);
    assert!(client.resume("nobody", token).await.unwrap_err().is_not_found());
}

async fn two_processes_extend_one_lease(bed: Bed) {
    let client = bed.client::<u32>();
    let mut one = client.start("t").await.unwrap();
    let mut other = client.resume("t", one.token()).await.unwrap();
    for is_one in [false, true, false, false, true] {
        let lease = if is_one { &mut one } else { &mut other };
        bed.clock.advance(Duration::from_secs(10));
        lease.mark_as_in_progress().await.unwrap();
        let stored = client.load("t").await.unwrap().unwrap();
        assert_eq!(stored.lock_expire_time, Some(bed.clock.now() + TimeDelta::seconds(60)));
        assert_eq!(lease.expires(), stored.lock_expire_time);
    }
    one.checkpoint(7).await.unwrap();
    other.checkpoint(8).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().data, 8);
    one.succeed().await.unwrap();
    assert!(other.mark_as_in_progress().await.unwrap_err().is_lease_lost());
}
