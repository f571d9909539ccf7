//! Groups of tasks: each end is counted once, and what waits for the last one becomes due once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dynamo_tracker::{Batch, ErrorKind, NewTask, StartOptions, Status, SystemClock, TrackerClient, WorkError};
use futures_util::future::join_all;
use futures_util::stream;

use crate::bed::http::Fault;
use crate::bed::{Bed, SHARDS};

crate::tests![
    every_way_to_end_is_counted,
    a_dependent_is_due_when_the_last_one_ends,
    an_attempt_that_does_not_end_the_task_is_not_counted,
    an_empty_batch_is_complete_when_it_is_closed,
    a_redriven_task_is_open_again_until_the_batch_is_complete,
    a_forced_start_of_an_ended_task_is_not_counted_twice,
    tasks_that_exist_are_left_alone_and_not_counted_twice,
    a_closed_batch_takes_no_more,
    a_batch_that_is_complete_makes_its_dependents_due_at_once,
    a_dependent_that_does_not_wait_any_more_is_no_hindrance,
    dependents_have_a_limit,
    an_outcome_is_one_request,
    lost_answers_are_not_counted_twice,
    the_caller_s_own_writes_go_with_it,
    a_deleted_batch_counts_nobody,
    a_batch_that_is_opened_again_is_another,
    transactions_in_each_other_s_way_are_sent_again,
    a_dependent_that_cannot_be_read_is_passed_over,
    of_two_outcomes_under_one_lock_the_first_counts,
    the_last_task_has_room_for_few_writes,
    a_dump_does_not_end_a_counted_task,
    a_stale_view_of_the_batch_changes_nothing,
    one_task_that_is_refused_does_not_keep_the_others,
    an_expired_record_is_made_anew,
    workers_on_one_batch_complete_it_once,
    what_cannot_be_is_refused,
];

const PARTS: u16 = 3;

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("task-{number}")).collect()
}

async fn open(client: &TrackerClient<u32>, tasks: usize) -> Batch<u32> {
    let batch = client.open_batch("import", PARTS).await.unwrap();
    let new = ids(tasks).into_iter().map(NewTask::new);
    let report = batch.create_many(stream::iter(new), 4).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (tasks as u64, 0, 0), "{:?}", report.errors);
    batch
}

async fn open_tasks(batch: &Batch<u32>) -> u64 {
    batch.status().await.unwrap().open_tasks
}

async fn is_due(bed: &Bed, client: &TrackerClient<u32>, id: &str) -> bool {
    use dynamo_tracker::Clock;
    client.load(id).await.unwrap().unwrap().due_time.is_none_or(|due| due <= bed.clock.now())
}

async fn every_way_to_end_is_counted(bed: Bed) {
    let client = bed.builder::<u32>().max_attempts(1).build().unwrap();
    let batch = open(&client, 9).await;
    assert_eq!(open_tasks(&batch).await, 9);
    let lease = client.start("task-0").await.unwrap();
    assert_eq!(lease.tracker().batch().unwrap().batch(), "import");
    let done = lease.succeed().await.unwrap();
    assert_eq!((done.batch(), done.last_batch().unwrap().batch()), (None, "import"));
    client.start("task-1").await.unwrap().fail("no").await.unwrap();
    client.start("task-2").await.unwrap().mark_as_ignored().await.unwrap();
    client.run("task-3", StartOptions::new(), |_| async { Ok(()) }).await.unwrap();
    let load = async |id| client.load(id).await.unwrap().unwrap();
    let ignored = client.ignore(&load("task-4").await).await.unwrap();
    assert_eq!((ignored.status, ignored.batch().is_some()), (Status::Ignored, false));
    client.delete(&load("task-5").await).await.unwrap();
    assert_eq!(open_tasks(&batch).await, 3);
    // Ended already: its deletion is no second end.
    client.delete(&load("task-4").await).await.unwrap();
    assert_eq!(open_tasks(&batch).await, 3);
    // An abandoned last attempt is ended by whoever starts it next.
    drop(client.start("task-6").await.unwrap());
    bed.clock.advance(Duration::from_secs(62));
    assert!(client.start("task-6").await.unwrap_err().is_exhausted());
    assert_eq!(open_tasks(&batch).await, 2);
    assert!(load("task-6").await.batch().is_none());
    let mut lease = client.start("task-7").await.unwrap();
    lease.fail_with(WorkError::fatal("no"), Vec::new()).await.unwrap();
    batch.close().await.unwrap();
    assert_eq!(batch.status().await.unwrap().complete_time, None);
    let token = client.start("task-8").await.unwrap().token();
    client.resume("task-8", token).await.unwrap().succeed().await.unwrap();
    let status = batch.status().await.unwrap();
    assert_eq!((status.tasks, status.open_tasks, status.closed), (9, 0, true));
    assert!(status.complete_time.is_some());
}

async fn a_dependent_is_due_when_the_last_one_ends(bed: Bed) {
    let client = bed.builder::<u32>().index(SHARDS).build().unwrap();
    let batch = open(&client, 7).await;
    batch.then(NewTask::new("report").data(7)).await.unwrap();
    batch.then("mail").await.unwrap();
    assert!(client.start("report").await.unwrap_err().is_not_due());
    for (number, id) in ids(7).iter().enumerate() {
        if number == 3 {
            batch.close().await.unwrap();
        }
        assert!(!is_due(&bed, &client, "report").await, "after {number}");
        client.start(id).await.unwrap().succeed().await.unwrap();
    }
    assert!(is_due(&bed, &client, "report").await && is_due(&bed, &client, "mail").await);
    let lease = client.start("report").await.unwrap();
    assert_eq!(*lease.data(), 7);
    lease.succeed().await.unwrap();
    // What comes later changes nothing.
    batch.close().await.unwrap();
    assert!(client.start("report").await.unwrap_err().is_already_succeeded());
}

async fn an_attempt_that_does_not_end_the_task_is_not_counted(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 2).await;
    client.start("task-0").await.unwrap().fail("once more").await.unwrap();
    client.start("task-0").await.unwrap().release().await.unwrap();
    let lease = client.start("task-0").await.unwrap();
    client.unlock(&client.load("task-0").await.unwrap().unwrap()).await.unwrap();
    lease.succeed().await.unwrap_err();
    assert_eq!(open_tasks(&batch).await, 2);
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    assert_eq!(open_tasks(&batch).await, 1);
}

async fn an_empty_batch_is_complete_when_it_is_closed(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 0).await;
    batch.then("report").await.unwrap();
    assert!(!is_due(&bed, &client, "report").await);
    batch.close().await.unwrap();
    assert!(is_due(&bed, &client, "report").await);
    assert!(batch.status().await.unwrap().complete_time.is_some());
}

async fn a_redriven_task_is_open_again_until_the_batch_is_complete(bed: Bed) {
    let client = bed.builder::<u32>().max_attempts(1).build().unwrap();
    let batch = open(&client, 12).await;
    batch.then("report").await.unwrap();
    batch.close().await.unwrap();
    let members = join_all((0..12).map(|number| client.load(format!("task-{number}"))));
    let members = members.await.into_iter().map(|task| task.unwrap().unwrap());
    let part_of = |task: &dynamo_tracker::Tracker<u32>| task.batch().unwrap().part();
    let mut by_part = vec![Vec::new(); usize::from(PARTS)];
    members.for_each(|task| by_part[usize::from(part_of(&task))].push(task.id.as_str().to_owned()));
    let first = by_part[0][0].clone();
    assert!(by_part[0].len() > 1, "{by_part:?}");
    let exhausted = client.start(&first).await.unwrap().fail("no").await.unwrap();
    assert_eq!(exhausted.status, Status::Exhausted);
    let redriven = client.redrive(&client.load(&first).await.unwrap().unwrap()).await.unwrap();
    assert!(redriven.batch().is_some() && redriven.last_batch().is_none());
    assert_eq!(open_tasks(&batch).await, 12);
    // One of a part that has ended opens it again.
    for id in &by_part[0] {
        client.start(id).await.unwrap().fail("no").await.unwrap();
    }
    client.redrive(&client.load(&first).await.unwrap().unwrap()).await.unwrap();
    assert_eq!(open_tasks(&batch).await, 12 - by_part[0].len() as u64 + 1);
    for id in by_part[1..].iter().flatten().chain([&first]) {
        assert!(!is_due(&bed, &client, "report").await);
        client.start(id).await.unwrap().fail("no").await.unwrap();
    }
    assert!(is_due(&bed, &client, "report").await);
    let late = client.redrive(&client.load(&first).await.unwrap().unwrap()).await.unwrap();
    assert_eq!((late.status, late.batch(), late.last_batch()), (Status::Pending, None, None));
    client.start(&first).await.unwrap().succeed().await.unwrap();
    assert_eq!(open_tasks(&batch).await, 0);
}

async fn a_forced_start_of_an_ended_task_is_not_counted_twice(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 3).await;
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    let again = client.start_with("task-0", StartOptions::new().force_execution()).await.unwrap();
    again.succeed().await.unwrap();
    assert_eq!(open_tasks(&batch).await, 2);
}

async fn tasks_that_exist_are_left_alone_and_not_counted_twice(bed: Bed) {
    let client = bed.client::<u32>();
    client.create(NewTask::new("task-1").data(99)).await.unwrap();
    let batch = client.open_batch("import", PARTS).await.unwrap();
    let twice = || stream::iter(ids(250).into_iter().chain(ids(4)).map(|id| NewTask::new(id).data(1)));
    let report = batch.create_many(twice(), 4).await.unwrap();
    assert_eq!((report.done, report.skipped, report.failed), (249, 5, 0), "{:?}", report.errors);
    // Begun again, by another process that opens the same batch with another number of parts.
    let batch = client.open_batch("import", 7).await.unwrap();
    let report = batch.create_many(twice(), 4).await.unwrap();
    assert_eq!((report.done, report.skipped), (0, 254));
    assert_eq!((batch.status().await.unwrap().tasks, open_tasks(&batch).await), (249, 249));
    let other = client.load("task-1").await.unwrap().unwrap();
    assert_eq!((other.data, other.batch()), (99, None));
}

async fn a_closed_batch_takes_no_more(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 4).await;
    batch.close().await.unwrap();
    let error = batch.create_many(stream::iter([NewTask::new("late")]), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert_eq!(client.load("late").await.unwrap(), None);
}

async fn a_batch_that_is_complete_makes_its_dependents_due_at_once(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 0).await;
    batch.close().await.unwrap();
    batch.then("report").await.unwrap();
    assert!(is_due(&bed, &client, "report").await);
    let error = batch.then("report").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

async fn a_dependent_that_does_not_wait_any_more_is_no_hindrance(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 1).await;
    for id in ["ignored", "deleted", "forced", "waiting"] {
        batch.then(id).await.unwrap();
    }
    batch.close().await.unwrap();
    client.ignore(&client.load("ignored").await.unwrap().unwrap()).await.unwrap();
    client.delete(&client.load("deleted").await.unwrap().unwrap()).await.unwrap();
    let forced = client.start_with("forced", StartOptions::new().force_execution()).await.unwrap();
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    assert!(is_due(&bed, &client, "waiting").await);
    assert_eq!(client.load("deleted").await.unwrap(), None);
    forced.succeed().await.unwrap();
}

async fn dependents_have_a_limit(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 1).await;
    for number in 0..80 {
        batch.then(format!("then-{number}")).await.unwrap();
    }
    let error = batch.then("one-more").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    batch.close().await.unwrap();
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    assert!(is_due(&bed, &client, "then-0").await && is_due(&bed, &client, "then-79").await);
}

async fn an_outcome_is_one_request(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 40).await;
    batch.close().await.unwrap();
    let lease = client.start("task-0").await.unwrap();
    bed.http.forget();
    lease.succeed().await.unwrap();
    assert_eq!(bed.http.sent().len(), 1);
    // A task of no batch is not charged for it.
    let lease = client.start("other").await.unwrap();
    bed.http.forget();
    lease.succeed().await.unwrap();
    assert_eq!(bed.http.sent().len(), 1);
}

async fn lost_answers_are_not_counted_twice(bed: Bed) {
    let client = bed.client::<u32>();
    bed.http.plan([Fault::None, Fault::LostAnswer, Fault::None, Fault::DoneButFailed]);
    let batch = open(&client, 10).await;
    bed.http.forget();
    assert_eq!(batch.status().await.unwrap().tasks, 10);
    bed.http.plan([Fault::LostAnswer, Fault::DoneButFailed]);
    batch.then("report").await.unwrap();
    bed.http.chance(3, &[(Fault::LostAnswer, 0.3), (Fault::DoneButFailed, 0.2), (Fault::Throttled, 0.1)]);
    batch.close().await.unwrap();
    for id in ids(10) {
        let lease = client.start(&id).await.unwrap();
        assert!(!is_due(&bed, &client, "report").await);
        lease.succeed().await.unwrap();
    }
    bed.http.forget();
    let status = batch.status().await.unwrap();
    assert_eq!((status.open_tasks, status.complete_time.is_some()), (0, true));
    assert!(is_due(&bed, &client, "report").await);
}

async fn the_caller_s_own_writes_go_with_it(bed: Bed) {
    use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
    let client = bed.client::<u32>();
    let batch = open(&client, 1).await;
    batch.then("report").await.unwrap();
    batch.close().await.unwrap();
    let receipt = |condition: &str| {
        let put = Put::builder().table_name(&bed.table).item("id", AttributeValue::S("receipt".to_owned()));
        TransactWriteItem::builder().put(put.condition_expression(condition).build().unwrap()).build()
    };
    let mut lease = client.start("task-0").await.unwrap();
    // It is the last of the batch, so the counters are looked at before the caller's own write is known to be refused.
    let error = lease.succeed_with(vec![receipt("attribute_exists(id)")]).await.unwrap_err();
    assert_eq!((error.kind(), error.action()), (ErrorKind::ActionRefused, Some(0)));
    assert_eq!(open_tasks(&batch).await, 1);
    lease.succeed_with(vec![receipt("attribute_not_exists(id)")]).await.unwrap();
    assert_eq!(open_tasks(&batch).await, 0);
    assert!(is_due(&bed, &client, "report").await);
}

async fn a_deleted_batch_counts_nobody(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 2).await;
    let handle = client.open_batch("import", PARTS).await.unwrap();
    batch.delete().await.unwrap();
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    assert_eq!(client.load("task-0").await.unwrap().unwrap().status, Status::Succeeded);
    for error in [handle.status().await.map(drop), handle.close().await, handle.then("x").await.map(drop)] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    }
}

async fn an_expired_record_is_made_anew(bed: Bed) {
    let client = bed.builder::<u32>().retention(Duration::from_secs(3600)).build().unwrap();
    client.start("task-1").await.unwrap().succeed().await.unwrap();
    bed.clock.advance(Duration::from_secs(3601));
    let batch = open(&client, 3).await;
    assert_eq!(client.load("task-1").await.unwrap().unwrap().status, Status::Pending);
    assert_eq!(open_tasks(&batch).await, 3);
}

/// Several workers, of which some die, with fewer parts than outcomes at a time, so that they are in each other's way.
async fn workers_on_one_batch_complete_it_once(bed: Bed) {
    bed.http.forget();
    let builder = bed.builder::<u32>().index(SHARDS).clock(SystemClock).max_attempts(50);
    let client = builder.skew(Duration::from_millis(50)).lease(Duration::from_secs(2)).build().unwrap();
    let batch = open(&client, 150).await;
    let reports = Arc::new(AtomicUsize::new(0));
    batch.then("report").await.unwrap();
    batch.close().await.unwrap();
    let work = || {
        let (reports, batch) = (Arc::clone(&reports), client.open_batch("import", PARTS));
        let worker = client.worker().concurrency(8).until_empty();
        async move {
            let batch = Arc::new(batch.await.unwrap());
            worker
                .run(move |lease| {
                    let (batch, reports) = (Arc::clone(&batch), Arc::clone(&reports));
                    async move {
                        if lease.id().as_str() == "report" {
                            reports.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(batch.status().await?.open_tasks, 0);
                        }
                        Ok(())
                    }
                })
                .await
                .unwrap()
        }
    };
    let killed = || tokio::time::timeout(Duration::from_millis(300), work());
    futures_util::future::join(join_all((0..2).map(|_| killed())), join_all((0..3).map(|_| work()))).await;
    let status = batch.status().await.unwrap();
    assert_eq!((status.tasks, status.open_tasks, status.complete_time.is_some()), (150, 0, true));
    assert_eq!(reports.load(Ordering::SeqCst), 1);
    assert_eq!(client.stats().await.unwrap().open(), 0);
}

async fn what_cannot_be_is_refused(bed: Bed) {
    let client = bed.client::<u32>();
    for (name, parts) in [("", 1), ("x", 0), ("x", 257)] {
        let error = client.open_batch(name, parts).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?} {parts}");
    }
    let long = client.open_batch("x".repeat(2100), 1).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::InvalidArgument);
    let batch = client.open_batch("a#b", 1).await.unwrap();
    let bad = stream::iter([NewTask::new(""), NewTask::new("good")]);
    let report = batch.create_many(bad, 1).await.unwrap();
    assert_eq!((report.done, report.failed), (1, 1));
}

async fn a_batch_that_is_opened_again_is_another(bed: Bed) {
    let client = bed.client::<u32>();
    open(&client, 8).await.delete().await.unwrap();
    let batch = client.open_batch("import", 1).await.unwrap();
    let report = batch.create_many(stream::iter([NewTask::new("new")]), 1).await.unwrap();
    assert_eq!(report.done, 1);
    batch.then("report").await.unwrap();
    batch.close().await.unwrap();
    for id in ids(8) {
        client.start(&id).await.unwrap().succeed().await.unwrap();
    }
    assert_eq!(open_tasks(&batch).await, 1, "those of the first batch count for nobody");
    assert!(!is_due(&bed, &client, "report").await);
    client.start("new").await.unwrap().succeed().await.unwrap();
    assert!(is_due(&bed, &client, "report").await);
}

async fn transactions_in_each_other_s_way_are_sent_again(bed: Bed) {
    let client =
        bed.builder::<u32>().max_attempts(1).clock(SystemClock).skew(Duration::from_millis(1)).build().unwrap();
    let batch = open(&client, 6).await;
    let load = async |id| client.load(id).await.unwrap().unwrap();
    let conflicts = || bed.http.plan([Fault::Conflict, Fault::Conflict]);
    let seen = load("task-0").await;
    conflicts();
    let ignored = client.ignore(&seen).await.unwrap();
    // A redrive looks at part and root first.
    bed.http.plan([Fault::None, Fault::None, Fault::Conflict]);
    client.redrive(&ignored).await.unwrap();
    assert_eq!(open_tasks(&batch).await, 6);
    let seen = load("task-1").await;
    conflicts();
    client.delete(&seen).await.unwrap();
    drop(client.start_with("task-2", StartOptions::new().expire(Duration::from_millis(2))).await.unwrap());
    tokio::time::sleep(Duration::from_millis(5)).await;
    bed.http.plan([Fault::None, Fault::Conflict]);
    assert!(client.start("task-2").await.unwrap_err().is_exhausted());
    let lease = client.start("task-3").await.unwrap();
    conflicts();
    lease.succeed().await.unwrap();
    assert_eq!(open_tasks(&batch).await, 3);
}

async fn a_dependent_that_cannot_be_read_is_passed_over(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 1).await;
    batch.then("broken").await.unwrap();
    batch.then("whole").await.unwrap();
    batch.close().await.unwrap();
    bed.set("broken", "attempts", aws_sdk_dynamodb::types::AttributeValue::S("many".to_owned())).await;
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    assert!(is_due(&bed, &client, "whole").await);
    assert!(batch.status().await.unwrap().complete_time.is_some());
}

async fn of_two_outcomes_under_one_lock_the_first_counts(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 2).await;
    let lease = client.start("task-0").await.unwrap();
    let other = client.resume("task-0", lease.token()).await.unwrap();
    lease.succeed().await.unwrap();
    bed.clock.advance(Duration::from_secs(1));
    assert!(other.succeed().await.unwrap_err().is_lease_lost());
    assert_eq!(open_tasks(&batch).await, 1);
}

async fn the_last_task_has_room_for_few_writes(bed: Bed) {
    use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
    let client = bed.client::<u32>();
    let batch = open(&client, 1).await;
    for number in 0..80 {
        batch.then(NewTask::new(format!("then-{number}")).data(1)).await.unwrap();
    }
    batch.close().await.unwrap();
    let writes = |count: usize| {
        let put = |number| Put::builder().table_name(&bed.table).item("id", AttributeValue::S(format!("own-{number}")));
        let write = |number| TransactWriteItem::builder().put(put(number).build().unwrap()).build();
        (0..count).map(write).collect::<Vec<_>>()
    };
    let mut lease = client.start("task-0").await.unwrap();
    let error = lease.succeed_with(writes(18)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    lease.succeed_with(writes(17)).await.unwrap();
    assert!(is_due(&bed, &client, "then-79").await);
    let large = client.open_batch("other", 1).await.unwrap().then(NewTask::new("large").data(1)).await;
    assert!(large.is_ok());
}

async fn a_dump_does_not_end_a_counted_task(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 1).await;
    let mut tracker = client.load("task-0").await.unwrap().unwrap();
    tracker.status = Status::Succeeded;
    assert_eq!(client.dump(&mut tracker).await.unwrap_err().kind(), ErrorKind::InvalidArgument);
    tracker.status = Status::Failed;
    tracker.data = 5;
    client.dump(&mut tracker).await.unwrap();
    assert!(client.load("task-0").await.unwrap().unwrap().batch().is_some());
    assert_eq!(open_tasks(&batch).await, 1);
}

async fn a_stale_view_of_the_batch_changes_nothing(bed: Bed) {
    let client = bed.client::<u32>();
    let batch = open(&client, 2).await;
    client.start("task-0").await.unwrap().succeed().await.unwrap();
    let forced = client.start_with("task-0", StartOptions::new().force_execution()).await.unwrap();
    forced.release().await.unwrap();
    // Pending, and in no batch.
    let stale = client.load("task-0").await.unwrap().unwrap();
    let ignored = client.ignore(&stale).await.unwrap();
    let redriven = client.redrive(&ignored).await.unwrap();
    assert_eq!((redriven.status, redriven.generation), (stale.status, stale.generation));
    assert_eq!(open_tasks(&batch).await, 2);
    assert_eq!(client.ignore(&stale).await.unwrap_err().kind(), ErrorKind::Changed);
    client.ignore(&redriven).await.unwrap();
    assert_eq!(open_tasks(&batch).await, 1);
}

async fn one_task_that_is_refused_does_not_keep_the_others(bed: Bed) {
    let client = bed.client::<String>();
    let batch = client.open_batch("import", 1).await.unwrap();
    let large = NewTask::new("large").data("x".repeat(409_550));
    let tasks = ids(3).into_iter().map(NewTask::new).chain([large]);
    let report = batch.create_many(stream::iter(tasks), 1).await.unwrap();
    assert_eq!((report.done, report.failed), (3, 1), "{:?}", report.errors);
    assert_eq!(batch.status().await.unwrap().tasks, 3);
}
