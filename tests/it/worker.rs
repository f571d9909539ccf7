//! Workers on one backlog.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use dynamo_tracker::{
    CancellationToken, Lease, NewTask, StartOptions, Status, SystemClock, TrackerClient, WorkError, WorkerEvent,
    WorkerReport,
};
use futures_util::future::join_all;
use futures_util::stream;
use tokio::sync::Notify;

use crate::bed::http::Fault;
use crate::bed::{Bed, SHARDS, on_one_thread};

crate::tests![
    a_worker_does_all_that_is_due,
    workers_share_a_backlog_and_seldom_want_the_same,
    a_worker_with_much_to_do_seldom_looks,
    a_failure_is_tried_again_until_it_is_exhausted,
    a_panic_is_one_task_s_failure,
    it_waits_for_what_others_left_behind,
    what_is_scheduled_is_left_for_later,
    told_to_stop_it_ends_what_it_began,
    after_the_grace_it_gives_back_what_it_has,
    work_that_is_done_is_not_given_back,
    to_give_back_is_to_stop,
    it_keeps_to_its_rate,
    every_event_is_told,
    it_lives_through_faults,
    without_an_index_it_does_not_begin,
    what_no_waiting_mends_ends_it,
    what_is_refused_for_good_does_not_keep_it,
    it_sees_shards_that_were_added_meanwhile,
];

pub(crate) fn client(bed: &Bed) -> TrackerClient<u32> {
    bed.http.forget();
    // Real time, and leases that are over soon.
    let builder = bed.builder().index(SHARDS).clock(SystemClock);
    builder.skew(Duration::from_millis(50)).lease(Duration::from_secs(2)).build().unwrap()
}

async fn fill(client: &TrackerClient<u32>, count: u32) {
    let tasks = (0..count).map(|number| NewTask::new(format!("task-{number}")).data(number));
    assert_eq!(client.create_many(stream::iter(tasks), 16).await.unwrap().done, u64::from(count));
}

/// Counts how often each task is worked on.
#[derive(Clone, Default)]
struct Effects(Arc<Mutex<HashMap<String, usize>>>);

impl Effects {
    fn of(&self, lease: &Lease<u32>) {
        *self.0.lock().unwrap().entry(lease.id().as_str().to_owned()).or_default() += 1;
    }

    #[track_caller]
    fn are_once_each(&self, count: usize) {
        let effects = self.0.lock().unwrap();
        assert_eq!((effects.len(), effects.values().max()), (count, Some(&1)));
    }
}

async fn a_worker_does_all_that_is_due(bed: Bed) {
    let client = client(&bed);
    fill(&client, 100).await;
    let effects = Effects::default();
    let seen = effects.clone();
    let report = client.worker().concurrency(5).until_empty().run(move |lease| {
        seen.of(&lease);
        async { Ok(()) }
    });
    let report = report.await.unwrap();
    assert_eq!((report.succeeded, report.failed, report.refused), (100, 0, 0));
    effects.are_once_each(100);
    assert_eq!(client.stats().await.unwrap().open(), 0);
}

async fn workers_share_a_backlog_and_seldom_want_the_same(bed: Bed) {
    // With leases that outlast a machine which is busy with other things.
    let client = bed.builder().index(SHARDS).clock(SystemClock).build().unwrap();
    // At the end of a backlog everybody wants the same few, so it must not be a short one.
    let count = if cfg!(debug_assertions) { 2000 } else { 4000 };
    fill(&client, count).await;
    let effects = Effects::default();
    let workers = (0..8).map(|_| {
        let effects = effects.clone();
        client.worker().concurrency(4).until_empty().run(move |lease| {
            effects.of(&lease);
            async { Ok(()) }
        })
    });
    let reports: Vec<WorkerReport> = join_all(workers).await.into_iter().map(Result::unwrap).collect();
    effects.are_once_each(count as usize);
    let total = |of: fn(&WorkerReport) -> u64| reports.iter().map(of).sum::<u64>();
    let (done, refused) = (total(|report| report.succeeded), total(|report| report.refused));
    let least = reports.iter().map(|report| report.succeeded).min().unwrap_or_default();
    println!(
        "{done} tasks, 8 workers: {refused} wasted starts, {:.1} %; the least of them did {least}",
        100.0 * refused as f64 / (done + refused) as f64
    );
    assert_eq!(done, u64::from(count));
    assert!(refused * 10 < done, "{refused} of {done} starts were wasted");
    assert!(least * 8 > done / 4, "all of them had work: {reports:?}");
}

async fn a_worker_with_much_to_do_seldom_looks(bed: Bed) {
    // Its clock stands still, so that what it keeps is fresh however slow the machine is.
    let client = bed.builder().index(SHARDS).build().unwrap();
    fill(&client, 2000).await;
    bed.http.forget();
    let (stop, begun) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let told = stop.clone();
    let report = client.worker().concurrency(1).stop_on(stop).run(move |_| {
        if begun.fetch_add(1, Ordering::SeqCst) == 63 {
            told.cancel();
        }
        async { Ok(()) }
    });
    assert_eq!(report.await.unwrap().succeeded, 64);
    let queries = bed.http.sent().iter().filter(|sent| *sent == "Query").count();
    println!("{queries} queries for 64 tasks");
    // It would be three for each, if it looked for each.
    assert!(queries < 64, "{queries}");
}

async fn a_failure_is_tried_again_until_it_is_exhausted(bed: Bed) {
    let client = client(&bed);
    fill(&client, 10).await;
    let report = client.worker().until_empty().run(|lease| async move {
        match *lease.data() {
            3 => Err(WorkError::from("never works")),
            4 if lease.attempt() < 3 => Err("works at the third try".into()),
            _ => Ok(()),
        }
    });
    let report = report.await.unwrap();
    assert_eq!((report.succeeded, report.failed), (9, 5));
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.open(), stats.exhausted), (0, 1));
}

async fn a_panic_is_one_task_s_failure(bed: Bed) {
    let client = client(&bed);
    fill(&client, 10).await;
    let options = StartOptions::new().max_attempts(1);
    let report = client.worker().start_options(options).until_empty().run(|lease| async move {
        assert!(*lease.data() != 3, "three is too much");
        Ok(())
    });
    let report = report.await.unwrap();
    assert_eq!((report.succeeded, report.failed), (9, 1));
    let record = client.load("task-3").await.unwrap().unwrap();
    assert_eq!((record.status, record.errors[0].error_type.as_str()), (Status::Exhausted, "panic"));
}

async fn it_waits_for_what_others_left_behind(bed: Bed) {
    let client = client(&bed);
    fill(&client, 5).await;
    let _abandoned = client.start("task-2").await.unwrap();
    let _unlocked = client.start("task-3").await.unwrap();
    client.unlock(&client.load("task-3").await.unwrap().unwrap()).await.unwrap();
    let report = client.worker().until_empty().run(|_| async { Ok(()) }).await.unwrap();
    assert_eq!(report.succeeded, 5);
    assert_eq!(client.load("task-2").await.unwrap().unwrap().attempts, 2);
}

async fn what_is_scheduled_is_left_for_later(bed: Bed) {
    let client = client(&bed);
    fill(&client, 3).await;
    client.create(NewTask::new("later").due(Utc::now() + TimeDelta::hours(1))).await.unwrap();
    let report = client.worker().until_empty().run(|_| async { Ok(()) }).await.unwrap();
    assert_eq!(report.succeeded, 3);
    assert_eq!(client.stats().await.unwrap().pending, 1);
}

async fn told_to_stop_it_ends_what_it_began(bed: Bed) {
    let client = client(&bed);
    fill(&client, 50).await;
    let (stop, begun) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let (told, count) = (stop.clone(), Arc::clone(&begun));
    let report = client.worker().concurrency(3).stop_on(stop).run(move |_| {
        if count.fetch_add(1, Ordering::SeqCst) == 4 {
            told.cancel();
        }
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        }
    });
    let report = report.await.unwrap();
    assert_eq!((report.succeeded as usize, report.released), (begun.load(Ordering::SeqCst), 0));
    assert!(report.succeeded < 10, "{report:?}");
    assert_eq!(client.stats().await.unwrap().in_progress, 0);
}

async fn after_the_grace_it_gives_back_what_it_has(bed: Bed) {
    let client = client(&bed);
    fill(&client, 4).await;
    let stop = CancellationToken::new();
    let told = stop.clone();
    let report = client.worker().concurrency(4).stop_on(stop).grace(Duration::from_millis(200)).run(move |lease| {
        let told = told.clone();
        async move {
            if *lease.data() == 0 {
                return Ok(());
            }
            told.cancel();
            std::future::pending::<Result<(), WorkError>>().await
        }
    });
    let report = report.await.unwrap();
    assert!(report.released >= 1 && report.failed == 0, "{report:?}");
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.in_progress, stats.pending + report.succeeded), (0, 4));
    let given_back = client.load("task-1").await.unwrap().unwrap();
    assert_eq!((given_back.attempts, given_back.errors.len()), (0, 0));
}

/// Work that is done at the same time as it is to be given back.
async fn work_that_is_done_is_not_given_back(bed: Bed) {
    let client = client(&bed);
    fill(&client, 1).await;
    on_one_thread(async {
        let (stop, give_back) = (CancellationToken::new(), CancellationToken::new());
        let (begun, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (telling, waiting) = (Arc::clone(&begun), Arc::clone(&done));
        let worker = client.worker().stop_on(stop.clone()).give_back_on(give_back.clone());
        let working = tokio::spawn(worker.run(move |_| {
            let (telling, waiting) = (Arc::clone(&telling), Arc::clone(&waiting));
            async move {
                telling.notify_one();
                waiting.notified().await;
                Ok(())
            }
        }));
        begun.notified().await;
        done.notify_one();
        stop.cancel();
        give_back.cancel();
        let report = working.await.unwrap().unwrap();
        assert_eq!((report.succeeded, report.released), (1, 0));
    });
    assert_eq!(client.load("task-0").await.unwrap().unwrap().status, Status::Succeeded);
}

async fn to_give_back_is_to_stop(bed: Bed) {
    let client = client(&bed);
    fill(&client, 1).await;
    let give_back = CancellationToken::new();
    let begun = Arc::new(AtomicUsize::new(0));
    let (told, counted) = (give_back.clone(), Arc::clone(&begun));
    let worker = client.worker().give_back_on(give_back).run(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        told.cancel();
        std::future::pending::<Result<(), WorkError>>()
    });
    let report = tokio::time::timeout(Duration::from_secs(30), worker).await.expect("it stops by itself").unwrap();
    assert_eq!((report.released, begun.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(client.load("task-0").await.unwrap().unwrap().status, Status::Pending);
}

async fn it_keeps_to_its_rate(bed: Bed) {
    let client = client(&bed);
    fill(&client, 21).await;
    let begun = Instant::now();
    let report = client.worker().per_second(20.0).until_empty().run(|_| async { Ok(()) }).await.unwrap();
    assert_eq!(report.succeeded, 21);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

async fn every_event_is_told(bed: Bed) {
    let client = client(&bed);
    fill(&client, 3).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let worker = client.worker().concurrency(1).until_empty().on_event(move |event| {
        let said = match event {
            WorkerEvent::Started { id, attempt } => format!("{} started {attempt}", id.as_str()),
            WorkerEvent::Succeeded { id } => format!("{} succeeded", id.as_str()),
            WorkerEvent::Failed { id, tracker, error } => format!("{} {}: {error}", id.as_str(), tracker.status),
            other => format!("{other:?}"),
        };
        told.lock().unwrap().push(said);
    });
    let work =
        |lease: Lease<u32>| async move { if *lease.data() == 1 { Err(WorkError::fatal("no paper")) } else { Ok(()) } };
    worker.run(work).await.unwrap();
    let mut events = events.lock().unwrap().clone();
    events.sort();
    let wanted = [
        "task-0 started 1",
        "task-0 succeeded",
        "task-1 exhausted: no paper",
        "task-1 started 1",
        "task-2 started 1",
        "task-2 succeeded",
    ];
    assert_eq!(events, wanted);
}

async fn it_lives_through_faults(bed: Bed) {
    let client = client(&bed);
    fill(&client, 60).await;
    let effects = Effects::default();
    let seen = effects.clone();
    bed.http.chance(
        11,
        &[(Fault::Throttled, 0.1), (Fault::LostAnswer, 0.05), (Fault::DoneButFailed, 0.05), (Fault::LostRequest, 0.05)],
    );
    let report = client.worker().until_empty().run(move |lease| {
        seen.of(&lease);
        async { Ok(()) }
    });
    let report = report.await.unwrap();
    bed.http.forget();
    assert_eq!((report.succeeded, report.failed), (60, 0), "{report:?}");
    effects.are_once_each(60);
}

async fn without_an_index_it_does_not_begin(bed: Bed) {
    let error = bed.client::<()>().worker().run(|_| async { Ok(()) }).await.unwrap_err();
    assert!(error.to_string().contains("keeps no index"), "{error}");
}

async fn what_no_waiting_mends_ends_it(bed: Bed) {
    let client = client(&bed);
    fill(&client, 5).await;
    // It may look, and not start.
    let options = StartOptions::new().expire(Duration::from_millis(1));
    let error = client.worker().start_options(options).run(|_| async { Ok(()) }).await.unwrap_err();
    assert!(error.to_string().contains("skew"), "{error}");
}

async fn what_is_refused_for_good_does_not_keep_it(bed: Bed) {
    let client = client(&bed);
    fill(&client, 5).await;
    let _interrupted = client.start("task-2").await.unwrap();
    client.create("unreadable").await.unwrap();
    bed.set("unreadable", "create_time", aws_sdk_dynamodb::types::AttributeValue::S("today".to_owned())).await;
    let options = StartOptions::new().at_most_once();
    let worker = client.worker().start_options(options).until_empty().run(|_| async { Ok(()) });
    let report = tokio::time::timeout(Duration::from_secs(30), worker).await.expect("it ends").unwrap();
    assert_eq!(report.succeeded, 4, "{report:?}");
}

async fn it_sees_shards_that_were_added_meanwhile(bed: Bed) {
    // Its clock is moved on by hand, since it reads the number of shards once a minute.
    let few = bed.builder::<u32>().index(1).build().unwrap();
    assert_eq!(few.stats().await.unwrap().pending, 0);
    let many = bed.builder::<u32>().index(16).build().unwrap();
    many.create_table().await.unwrap();
    for number in 0..20 {
        many.create(format!("task-{number}")).await.unwrap();
    }
    bed.clock.advance(Duration::from_secs(61));
    assert_eq!(few.stats().await.unwrap().pending, 20);
}
