//! Many tasks at once: created, redriven, ignored, deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dynamo_tracker::{Data, ErrorKind, NewTask, Query, Status, SystemClock, TrackerClient};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::bed::http::Fault;
use crate::bed::{Bed, SHARDS};

crate::tests![
    a_batch_is_created_and_begun_again,
    the_stream_is_read_no_faster_than_tasks_are_created,
    throttling_slows_it_down_and_loses_nothing,
    what_befalls_one_task_is_in_the_report,
    what_befalls_all_ends_it,
    a_query_is_operated_on,
    one_that_cannot_be_read_does_not_keep_the_others,
];

fn client<D: Data>(bed: &Bed) -> TrackerClient<D> {
    bed.http.forget();
    bed.builder().index(SHARDS).clock(SystemClock).build().unwrap()
}

fn tasks(count: usize) -> impl Iterator<Item = NewTask<Value>> {
    (0..count).map(|number| NewTask::new(format!("task-{number}")).data(json!(number)))
}

async fn a_batch_is_created_and_begun_again(bed: Bed) {
    let client = client::<Value>(&bed);
    let mut lease = {
        client.create(NewTask::new("task-7").data(json!("mine"))).await.unwrap();
        client.start("task-7").await.unwrap()
    };
    lease.set_data(json!("done")).unwrap();
    lease.succeed().await.unwrap();
    let report = client.create_many(stream::iter(tasks(100)), 16).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (99, 1, 0));
    let report = client.create_many(stream::iter(tasks(150)), 16).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (50, 100, 0));
    assert_eq!(client.stats().await.unwrap().pending, 149);
    assert_eq!(client.load("task-7").await.unwrap().unwrap().data, json!("done"), "it is never overwritten");
    assert_eq!(client.load("task-149").await.unwrap().unwrap().data, json!(149));
}

async fn the_stream_is_read_no_faster_than_tasks_are_created(bed: Bed) {
    let client = client::<Value>(&bed);
    let (given, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (given_too, most_too, http) = (Arc::clone(&given), Arc::clone(&most), bed.http.clone());
    let stream = stream::iter(tasks(200)).inspect(move |_| {
        let ahead = given_too.fetch_add(1, Ordering::SeqCst) + 1 - http.sent().len();
        most_too.fetch_max(ahead, Ordering::SeqCst);
    });
    client.create_many(stream, 8).await.unwrap();
    assert_eq!(given.load(Ordering::SeqCst), 200);
    assert!(most.load(Ordering::SeqCst) <= 9, "{most:?} tasks were taken from the stream ahead of their requests");
}

async fn throttling_slows_it_down_and_loses_nothing(bed: Bed) {
    let client = client::<Value>(&bed);
    bed.http.chance(7, &[(Fault::Throttled, 0.3), (Fault::DoneButFailed, 0.1)]);
    let report = client.create_many(stream::iter(tasks(200)), 32).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (200, 0, 0), "{:?}", report.errors);
    bed.http.forget();
    assert_eq!(client.stats().await.unwrap().pending, 200);
}

async fn what_befalls_one_task_is_in_the_report(bed: Bed) {
    let client = client::<Value>(&bed);
    let bad = [NewTask::new(""), NewTask::new("large").data(json!("x".repeat(500_000)))];
    let report = client.create_many(stream::iter(bad.into_iter().chain(tasks(3))), 4).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (3, 0, 2));
    let kinds: Vec<_> = report.errors.iter().map(dynamo_tracker::Error::kind).collect();
    assert_eq!(kinds, [ErrorKind::InvalidArgument, ErrorKind::ItemTooLarge]);
}

async fn what_befalls_all_ends_it(bed: Bed) {
    let client = bed.builder::<Value>().index(SHARDS).table("no-such-table").build().unwrap();
    let error = client.create_many(stream::iter(tasks(1_000_000)), 4).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TableNotFound);
    assert!(bed.http.sent().len() < 20);
}

async fn a_query_is_operated_on(bed: Bed) {
    let client = client::<Value>(&bed);
    for number in 0..120 {
        let lease = client.start(format!("task-{number}")).await.unwrap();
        match number % 4 {
            0 => drop(lease.mark_as_exhausted("x").await.unwrap()),
            1 => drop(lease.mark_as_ignored().await.unwrap()),
            _ => drop(lease.fail("x").await.unwrap()),
        }
    }
    let report = client.redrive_many(Query::new().status(Status::Exhausted), 8).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (30, 0, 0));
    let report = client.ignore_many(Query::new().status(Status::Failed).limit(10), 8).await.unwrap();
    assert_eq!(report.done, 10);
    let stats = client.stats().await.unwrap();
    assert_eq!([stats.pending, stats.failed, stats.exhausted, stats.ignored], [30, 50, 0, 40]);
    // What makes no sense is left alone; and what has changed since is not done again.
    let report = client.redrive_many(Query::new().status(Status::Failed), 8).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (0, 50, 0));
    let report = client.delete_many(Query::new().status(Status::Ignored).status(Status::Pending), 8).await.unwrap();
    assert_eq!(report.done, 70);
    assert_eq!(client.scan_stats(2).await.unwrap().open(), 50);
}

async fn one_that_cannot_be_read_does_not_keep_the_others(bed: Bed) {
    let client = client::<Value>(&bed);
    client.create_many(stream::iter(tasks(5)), 4).await.unwrap();
    bed.set("task-3", "attempts", aws_sdk_dynamodb::types::AttributeValue::S("many".to_owned())).await;
    let report = client.ignore_many(Query::new().status(Status::Pending), 4).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (4, 0, 1));
    assert_eq!((report.errors[0].kind(), report.errors[0].task().unwrap().as_str()), (ErrorKind::Unreadable, "task-3"));
}
