//! What people do to tasks without a lock.

use std::time::Duration;

use dynamo_tracker::{Error, ErrorKind, Status, Tracker, TrackerClient};

use crate::bed::Bed;

crate::tests![
    an_exhausted_task_is_redriven,
    an_ignored_task_is_redriven,
    ignoring_takes_the_lease_away,
    unlocking_takes_the_lease_away_and_counts_the_attempt,
    an_operation_needs_a_record_that_fits,
    an_operation_fails_if_the_item_changed,
    deleting_takes_the_lease_away,
    an_operators_write_is_not_taken_for_the_workers,
    what_has_no_attempts_left_can_be_redriven,
    a_record_of_another_namespace_is_refused,
    the_generation_grows_over_everything,
];

async fn load(client: &TrackerClient<()>, id: &str) -> Tracker<()> {
    client.load(id).await.unwrap().unwrap()
}

async fn an_exhausted_task_is_redriven(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    client.start("t").await.unwrap().fail("x").await.unwrap();
    let exhausted = load(&client, "t").await;
    let pending = client.redrive(&exhausted).await.unwrap();
    assert_eq!(pending, load(&client, "t").await);
    assert_eq!((pending.status, pending.attempts, pending.errors.len()), (Status::Pending, 0, 1));
    let lease = client.start("t").await.unwrap();
    assert_eq!((lease.attempt(), lease.generation()), (1, 2));
}

async fn an_ignored_task_is_redriven(bed: Bed) {
    let client = bed.client::<()>();
    client.create("t").await.unwrap();
    let ignored = client.ignore(&load(&client, "t").await).await.unwrap();
    assert_eq!(ignored.status, Status::Ignored);
    assert!(client.start("t").await.unwrap_err().is_ignored());
    assert_eq!(client.redrive(&ignored).await.unwrap().status, Status::Pending);
}

async fn ignoring_takes_the_lease_away(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    let token = lease.token();
    let ignored = client.ignore(&load(&client, "t").await).await.unwrap();
    assert_eq!((ignored.lock, ignored.last_lock), (None, Some(token)));
    assert!(lease.succeed().await.unwrap_err().is_lease_lost());
    assert_eq!(load(&client, "t").await, ignored);
}

async fn unlocking_takes_the_lease_away_and_counts_the_attempt(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(2).build().unwrap();
    let lease = client.start("t").await.unwrap();
    let unlocked = client.unlock(&load(&client, "t").await).await.unwrap();
    assert_eq!((unlocked.status, unlocked.lock, unlocked.attempts), (Status::InProgress, None, 1));
    assert!(lease.fail("late").await.unwrap_err().is_lease_lost());
    let second = client.start("t").await.unwrap();
    assert_eq!((second.attempt(), second.generation()), (2, 2));
    client.unlock(&load(&client, "t").await).await.unwrap();
    assert!(client.start("t").await.unwrap_err().is_exhausted());
    let record = load(&client, "t").await;
    assert_eq!(record.errors[0].message, "the task was unlocked with no outcome");
}

async fn an_operation_needs_a_record_that_fits(bed: Bed) {
    let client = bed.client::<()>();
    client.create("t").await.unwrap();
    let pending = load(&client, "t").await;
    bed.http.forget();
    let error = client.redrive(&pending).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed);
    let message = "task \"test#t\": can't redrive it: that is for an exhausted or ignored task, and it is pending";
    assert_eq!(error.to_string(), message);
    assert_eq!(client.unlock(&pending).await.unwrap_err().kind(), ErrorKind::Changed);
    assert_eq!(bed.http.sent(), Vec::<String>::new());
    let done = client.start("t").await.unwrap().succeed().await.unwrap();
    assert_eq!(client.ignore(&done).await.unwrap_err().kind(), ErrorKind::Changed);
}

async fn an_operation_fails_if_the_item_changed(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    client.start("t").await.unwrap().fail("x").await.unwrap();
    let seen = load(&client, "t").await;
    client.redrive(&seen).await.unwrap();
    let is_changed = |result: Result<Tracker<()>, Error>| result.unwrap_err().kind() == ErrorKind::Changed;
    assert!(is_changed(client.redrive(&seen).await));
    assert!(is_changed(client.ignore(&seen).await));
    let _lease = client.start("t").await.unwrap();
    let locked = load(&client, "t").await;
    client.unlock(&locked).await.unwrap();
    assert!(is_changed(client.unlock(&locked).await));
    bed.wipe("t").await;
    assert_eq!(client.redrive(&seen).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn deleting_takes_the_lease_away(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    client.delete(&load(&client, "t").await).await.unwrap();
    let error = lease.succeed().await.unwrap_err();
    assert!(error.is_lease_lost() && error.to_string().contains("it was deleted"), "{error}");
    assert_eq!(client.load("t").await.unwrap(), None, "and it stays deleted");
}

async fn an_operators_write_is_not_taken_for_the_workers(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    client.ignore(&load(&client, "t").await).await.unwrap();
    bed.clock.advance(Duration::from_millis(1));
    assert!(lease.mark_as_ignored().await.unwrap_err().is_lease_lost());
}

async fn what_has_no_attempts_left_can_be_redriven(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(2).build().unwrap();
    let strict = bed.builder::<()>().max_attempts(1).build().unwrap();
    client.start("t").await.unwrap().fail("x").await.unwrap();
    assert!(strict.start("t").await.unwrap_err().is_exhausted());
    let exhausted = load(&client, "t").await;
    assert_eq!((exhausted.status, exhausted.errors.len()), (Status::Exhausted, 1), "no attempt was abandoned");
    client.redrive(&exhausted).await.unwrap();
    strict.start("t").await.unwrap().succeed().await.unwrap();
}

async fn a_record_of_another_namespace_is_refused(bed: Bed) {
    let client = bed.client::<()>();
    let other = bed.builder::<()>().namespace("other").build().unwrap();
    let mut record = client.create("t").await.unwrap();
    assert_eq!(other.ignore(&record).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(other.delete(&record).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(other.dump(&mut record).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

async fn the_generation_grows_over_everything(bed: Bed) {
    let codes = [(100, "new"), (110, "busy"), (120, "failed"), (130, "dead"), (140, "done"), (150, "skipped")];
    let stage = dynamo_tracker::StatusSet::new(codes).unwrap().after(&Default::default()).unwrap();
    let retention = Duration::from_secs(100);
    let client = bed.builder::<()>().max_attempts(2).retention(retention).build().unwrap();
    let second = bed.builder::<()>().statuses(stage).build().unwrap();
    let mut generations = Vec::new();
    let mut start = async |client: &TrackerClient<()>| {
        let lease = client.start("t").await.unwrap();
        generations.push(lease.generation());
        lease
    };
    start(&client).await.fail("failure").await.unwrap();
    drop(start(&client).await);
    client.unlock(&load(&client, "t").await).await.unwrap();
    client.start("t").await.unwrap_err(); // exhausted
    client.redrive(&load(&client, "t").await).await.unwrap();
    drop(start(&client).await);
    bed.clock.advance(Duration::from_secs(61));
    drop(start(&client).await); // takeover
    client.ignore(&load(&client, "t").await).await.unwrap();
    client.redrive(&load(&client, "t").await).await.unwrap();
    start(&client).await.release().await.unwrap();
    start(&client).await.succeed().await.unwrap();
    start(&second).await.succeed().await.unwrap(); // the next stage
    let expired = bed.builder::<()>().retention(retention).build().unwrap();
    client.start("u").await.unwrap().succeed().await.unwrap();
    bed.clock.advance(retention);
    assert_eq!(expired.start("u").await.unwrap().generation(), 2, "an expired record is replaced");
    assert!(generations.is_sorted_by(|a, b| a < b), "{generations:?}");
    assert_eq!(generations, [1, 2, 3, 4, 5, 6, 7]);
}
