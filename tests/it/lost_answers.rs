//! The network loses requests and answers, and delivers copies late. The SDK sends again; nothing may happen twice.

use std::time::Duration;

use dynamo_tracker::{Clock, ErrorKind, NewTask, RequestPolicy, RunError, StartOptions, Status, WorkError};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::bed::http::Fault;

crate::tests![
    a_start_whose_answer_is_lost_holds_the_task,
    a_success_whose_answer_is_lost_is_recorded,
    a_failure_whose_answer_is_lost_is_recorded_once,
    every_other_write_survives_a_lost_answer,
    every_fault_is_retried_quickly,
    a_late_copy_of_a_start_takes_nothing,
    a_late_copy_of_an_extension_or_checkpoint_brings_nothing_back,
    a_success_that_cannot_be_recorded_is_no_failure,
    an_answer_after_the_lease_is_renewed_before_work,
    a_start_that_was_ended_while_its_answer_was_lost_begins_again,
    the_clients_own_retries_may_be_kept,
    a_step_that_failed_is_not_taken_for_another,
    a_late_copy_of_a_reentrant_start_takes_nothing,
    a_failure_that_was_followed_by_a_start_was_recorded,
    a_late_delete_does_not_delete_the_successor,
    an_extension_counts_from_before_its_request,
    a_holder_that_extends_just_in_time_is_not_exhausted,
    an_expired_record_that_changed_is_not_replaced,
];

const LOST: [Fault; 2] = [Fault::LostAnswer, Fault::DoneButFailed];

async fn a_start_whose_answer_is_lost_holds_the_task(bed: Bed) {
    let client = bed.client::<()>();
    for (number, fault) in LOST.into_iter().enumerate() {
        let id = format!("t{number}");
        bed.http.forget();
        bed.http.plan([fault, fault, Fault::None]);
        let lease = client.start(&id).await.unwrap();
        assert_eq!(bed.http.sent().len(), 3);
        assert_eq!((lease.attempt(), lease.generation()), (1, 1), "counted once");
        assert!(client.start(&id).await.unwrap_err().is_locked());
        lease.succeed().await.unwrap();
    }
}

async fn a_success_whose_answer_is_lost_is_recorded(bed: Bed) {
    let client = bed.client::<Value>();
    for (number, fault) in LOST.into_iter().enumerate() {
        let id = format!("t{number}");
        let mut lease = client.start(&id).await.unwrap();
        lease.set_data(json!("done")).unwrap();
        bed.http.plan([fault]);
        let done = lease.succeed().await.unwrap();
        assert_eq!(client.load(&id).await.unwrap().unwrap(), done);
        assert_eq!((done.status, done.data), (Status::Succeeded, json!("done")));
    }
}

async fn a_failure_whose_answer_is_lost_is_recorded_once(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(2).build().unwrap();
    for status in [Status::Failed, Status::Exhausted] {
        let lease = client.start("t").await.unwrap();
        bed.http.plan(LOST);
        assert_eq!(lease.fail("no").await.unwrap().status, status);
    }
    assert_eq!(client.load("t").await.unwrap().unwrap().errors.len(), 2);
}

async fn every_other_write_survives_a_lost_answer(bed: Bed) {
    let client = bed.builder::<Value>().max_attempts(1).build().unwrap();
    let lost = || bed.http.plan([Fault::LostAnswer]);
    lost();
    let created = client.create(NewTask::new("t").data(json!(1.50))).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap(), created);
    let mut lease = client.start("t").await.unwrap();
    lost();
    lease.checkpoint(json!(2)).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().data, json!(2));
    bed.clock.advance(Duration::from_secs(9));
    lost();
    lease.mark_as_in_progress().await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().lock_expire_time, lease.expires());
    lost();
    lease.release().await.unwrap();
    client.start("t").await.unwrap().mark_as_exhausted("x").await.unwrap();
    lost();
    let pending = client.redrive(&client.load("t").await.unwrap().unwrap()).await.unwrap();
    assert_eq!(pending.status, Status::Pending);
    let _lease = client.start("t").await.unwrap();
    lost();
    client.unlock(&client.load("t").await.unwrap().unwrap()).await.map(|record| assert_eq!(record.lock, None)).unwrap();
    lost();
    let mut ignored = client.ignore(&client.load("t").await.unwrap().unwrap()).await.unwrap();
    bed.clock.advance(Duration::from_secs(1));
    lost();
    client.dump(&mut ignored).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap(), ignored);
    lost();
    client.delete(&ignored).await.unwrap();
    assert_eq!(client.load("t").await.unwrap(), None);
}

async fn every_fault_is_retried_quickly(bed: Bed) {
    let client = bed.client::<()>();
    let faults = [
        Fault::LostRequest,
        Fault::LostAnswer,
        Fault::DoneButFailed,
        Fault::Failed,
        Fault::Throttled,
        Fault::Throttled,
    ];
    bed.http.plan(faults);
    let begun = std::time::Instant::now();
    let lease = client.start("t").await.unwrap();
    bed.http.plan(faults);
    lease.succeed().await.unwrap();
    // The backoffs are 25, 50, 100, 200, 400 and 800 ms at the most, twice. The SDK's own begin with a second each.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(client.load("t").await.unwrap().unwrap().attempts, 1);
}

async fn a_late_copy_of_a_start_takes_nothing(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    let held = client.load("t").await.unwrap();
    bed.http.repeat(0).await;
    assert_eq!(client.load("t").await.unwrap(), held, "while it is held");
    lease.release().await.unwrap();
    let released = client.load("t").await.unwrap();
    bed.http.repeat(0).await;
    assert_eq!(client.load("t").await.unwrap(), released, "after it was released");
}

async fn a_late_copy_of_an_extension_or_checkpoint_brings_nothing_back(bed: Bed) {
    let client = bed.client::<Value>();
    let mut lease = client.start("t").await.unwrap();
    bed.http.forget();
    lease.mark_as_in_progress().await.unwrap();
    lease.checkpoint(json!("old")).await.unwrap();
    bed.clock.advance(Duration::from_secs(30));
    lease.mark_as_in_progress().await.unwrap();
    lease.checkpoint(json!("new")).await.unwrap();
    let record = client.load("t").await.unwrap();
    for copy in 0..4 {
        bed.http.repeat(copy).await;
        assert_eq!(client.load("t").await.unwrap(), record, "copy {copy}");
    }
    lease.succeed().await.unwrap();
}

async fn a_success_that_cannot_be_recorded_is_no_failure(bed: Bed) {
    let policy = RequestPolicy::patient_for(Duration::from_millis(500));
    let client = bed.builder::<()>().requests(policy).outcome_patience(Duration::ZERO).build().unwrap();
    for (fault, kind) in [(Fault::Throttled, ErrorKind::Throttled), (Fault::LostRequest, ErrorKind::Unreachable)] {
        let (http, id) = (bed.http.clone(), format!("{kind:?}"));
        let result = client.run(&id, StartOptions::new(), |_| async move {
            http.plan(vec![fault; 1000]);
            Ok("effect")
        });
        let error = result.await.unwrap_err();
        bed.http.plan([]);
        assert!(error.to_string().contains("the work is done, and will be run again"), "{error}");
        let RunError::NotRecorded { outcome, error } = error else { panic!("{error}") };
        assert_eq!((outcome.ok(), error.kind()), (Some("effect"), kind));
        let record = client.load(&id).await.unwrap().unwrap();
        assert_eq!((record.status, record.errors.len()), (Status::InProgress, 0));
    }
}

async fn an_answer_after_the_lease_is_renewed_before_work(bed: Bed) {
    // The clock moves while the answer is under way: the lease is over when it arrives.
    let client = bed.client::<()>();
    bed.http.before_answer({
        let clock = bed.clock.clone();
        move || async move { clock.advance(Duration::from_secs(100)) }
    });
    let lease = client.start("t").await.unwrap();
    assert_eq!(bed.http.sent(), ["UpdateItem", "UpdateItem"]);
    assert_eq!((lease.attempt(), lease.tracker().step), (1, 1));
    assert_eq!(lease.time_left(), Duration::from_secs(60));
    assert!(client.start("t").await.unwrap_err().is_locked());
}

async fn a_start_that_was_ended_while_its_answer_was_lost_begins_again(bed: Bed) {
    // The first copy is in; before the second is sent, an operator takes the lock away.
    let client = bed.client::<()>();
    let operator = bed.client::<()>();
    bed.http.plan([Fault::LostAnswer]);
    bed.http.after_fault(move || {
        let operator = operator.clone();
        async move {
            let record = operator.load("t").await.unwrap().unwrap();
            operator.unlock(&record).await.unwrap();
        }
    });
    let lease = client.start("t").await.unwrap();
    assert_eq!((lease.attempt(), lease.generation()), (2, 2));
    let record = client.load("t").await.unwrap().unwrap();
    assert_ne!(record.last_lock, Some(lease.token()));
    lease.succeed().await.unwrap();
}

async fn the_clients_own_retries_may_be_kept(bed: Bed) {
    use aws_sdk_dynamodb::config::retry::RetryConfig;
    let config = bed.sdk_config().retry_config(RetryConfig::disabled()).build();
    let builder = dynamo_tracker::TrackerClient::<()>::builder(aws_sdk_dynamodb::Client::from_conf(config));
    let builder = builder.table(&bed.table).namespace("test").requests(RequestPolicy::of_the_client());
    let client = builder.build().unwrap();
    bed.http.plan([Fault::Throttled]);
    let error = client.run("t", StartOptions::new(), |_| async { Ok::<_, WorkError>(()) }).await.unwrap_err();
    assert!(matches!(&error, RunError::NotStarted(error) if error.kind() == ErrorKind::Throttled), "{error:?}");
    assert_eq!(bed.http.sent().len(), 1);
}

/// A client that gives up at once, so that a write can fail although it is in.
fn impatient<D: dynamo_tracker::Data>(bed: &Bed) -> dynamo_tracker::TrackerClient<D> {
    bed.builder().requests(RequestPolicy::patient_for(Duration::ZERO)).build().unwrap()
}

/// Faults for all the tries of one request.
fn always(fault: Fault) -> Vec<Fault> {
    vec![fault; 20]
}

async fn a_step_that_failed_is_not_taken_for_another(bed: Bed) {
    let client = impatient::<Value>(&bed);
    let mut lease = client.start("t").await.unwrap();
    bed.http.plan(always(Fault::DoneButFailed));
    lease.checkpoint(json!(1)).await.unwrap_err();
    bed.http.plan([]);
    lease.checkpoint(json!(2)).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().data, json!(2));

    bed.http.plan(always(Fault::DoneButFailed));
    lease.mark_as_in_progress().await.unwrap_err();
    bed.http.plan([]);
    bed.clock.advance(Duration::from_secs(30));
    lease.mark_as_in_progress().await.unwrap();
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!(record.lock_expire_time, Some(bed.clock.now() + chrono::TimeDelta::seconds(60)));
    lease.succeed().await.unwrap();
}

async fn a_late_copy_of_a_reentrant_start_takes_nothing(bed: Bed) {
    let client = bed.client::<()>();
    let options = StartOptions::new().reentrant_owner("execution-1");
    let _crashed = client.start_with("t", options.clone()).await.unwrap();
    let lease = client.start_with("t", options).await.unwrap();
    let held = client.load("t").await.unwrap();
    bed.http.repeat(0).await;
    assert_eq!(client.load("t").await.unwrap(), held);
    lease.succeed().await.unwrap();
}

async fn a_failure_that_was_followed_by_a_start_was_recorded(bed: Bed) {
    let client = bed.client::<()>();
    let other = client.clone();
    let lease = client.start("t").await.unwrap();
    bed.http.plan([Fault::LostAnswer]);
    bed.http.after_fault(move || async move { drop(other.start("t").await.unwrap()) });
    let record = lease.fail("no").await.unwrap();
    assert_eq!(record.status, Status::Failed);
    let stored = client.load("t").await.unwrap().unwrap();
    assert_eq!((stored.attempts, stored.errors), (2, record.errors));
}

async fn a_late_delete_does_not_delete_the_successor(bed: Bed) {
    let client = bed.client::<()>();
    let seen = client.create("t").await.unwrap();
    let other = client.clone();
    bed.http.plan([Fault::LostAnswer]);
    bed.http.after_fault(move || async move { drop(other.start("t").await.unwrap()) });
    assert_eq!(client.delete(&seen).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::InProgress);
}

async fn an_extension_counts_from_before_its_request(bed: Bed) {
    let client = bed.client::<()>();
    let mut lease = client.start("t").await.unwrap();
    let clock = bed.clock.clone();
    bed.http.before_answer(move || async move { clock.advance(Duration::from_secs(20)) });
    lease.mark_as_in_progress().await.unwrap();
    assert_eq!(lease.time_left(), Duration::from_secs(40));
}

async fn a_holder_that_extends_just_in_time_is_not_exhausted(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    let mut holder = client.start("t").await.unwrap();
    bed.clock.advance(Duration::from_secs(61));
    // The contender has seen a lease that ran out; before it says so, the holder extends it.
    let (send, receive) = tokio::sync::oneshot::channel();
    bed.http.before_answer(move || async move {
        holder.mark_as_in_progress().await.unwrap();
        let _ = send.send(holder);
    });
    assert!(client.start("t").await.unwrap_err().is_locked());
    receive.await.unwrap().succeed().await.unwrap();
}

async fn an_expired_record_that_changed_is_not_replaced(bed: Bed) {
    let client = bed.builder::<()>().retention(Duration::from_secs(10)).max_attempts(1).build().unwrap();
    client.start("t").await.unwrap().mark_as_ignored().await.unwrap();
    bed.clock.advance(Duration::from_secs(10));
    // Two find it expired; the other is first, and its lease is not taken from it.
    let other = client.clone();
    let (send, receive) = tokio::sync::oneshot::channel();
    bed.http.before_answer(move || async move {
        let _ = send.send(other.start("t").await.unwrap());
    });
    assert!(client.start("t").await.unwrap_err().is_locked());
    let winner = receive.await.unwrap();
    assert_eq!(winner.generation(), 2);
    winner.succeed().await.unwrap();
}
