//! Leases that are kept, and leases that are lost, while work runs; and errors that decide what follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use dynamo_tracker::{
    Backoff, Clock, ErrorKind, Lease, RequestPolicy, RunError, StartOptions, Status, SystemClock, WorkError,
};
use futures_util::FutureExt;

use crate::bed::Bed;
use crate::bed::http::{Fault, FaultyHttp};

crate::tests![
    work_longer_than_its_lease_keeps_it,
    a_heartbeat_that_fails_is_tried_again,
    a_lease_that_is_taken_away_stops_the_work,
    a_grace_lets_the_work_tidy_up,
    a_lease_that_nobody_answers_for_stops_the_work,
    a_suspended_process_does_not_go_on,
    a_lease_is_kept_alive_by_hand,
    no_task_is_left_behind,
    a_heartbeat_is_no_task_until_it_beats,
    an_outcome_is_recorded_as_soon_as_it_is_taken,
    a_fatal_error_exhausts_at_once,
    a_release_is_no_failure,
    a_failed_task_waits_for_its_backoff,
];

/// Waits, in real time, for something that another task is about to do.
async fn until(mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it has not come about in ten seconds");
}

/// Moves the clock by a third of the lease, and waits until the heartbeat has been answered.
async fn beat(bed: &Bed, lease: &Lease<()>) {
    let step = lease.tracker().step;
    bed.clock.advance(Duration::from_secs(20));
    until(async || lease.tracker().step > step).await;
}

async fn work_longer_than_its_lease_keeps_it(bed: Bed) {
    let client = bed.client::<()>();
    let (bed, contender) = (&bed, &client);
    let work = |lease: Lease<()>| async move {
        for _ in 0..12 {
            beat(bed, &lease).await;
            assert!(contender.start("t").await.unwrap_err().is_locked());
        }
        Ok(lease.tracker().step)
    };
    assert_eq!(client.run("t", StartOptions::new(), work).await.unwrap(), 12);
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.generation), (Status::Succeeded, 1, 1));
}

async fn a_heartbeat_that_fails_is_tried_again(bed: Bed) {
    let client = bed.builder::<()>().requests(RequestPolicy::patient_for(Duration::ZERO)).build().unwrap();
    let bed = &bed;
    let work = |lease: Lease<()>| async move {
        bed.http.plan([
            Fault::Throttled,
            Fault::LostRequest,
            Fault::LostAnswer,
            Fault::Failed,
            Fault::Throttled,
            Fault::Failed,
        ]);
        bed.clock.advance(Duration::from_secs(20));
        // The SDK's five tries fail; the heartbeat's own next one is a moment later.
        until(async || bed.http.sent().len() >= 6).await;
        until(async || {
            bed.clock.advance(Duration::from_millis(100));
            lease.tracker().step > 0
        })
        .await;
        beat(bed, &lease).await;
        Ok(())
    };
    client.run("t", StartOptions::new(), work).await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::Succeeded);
}

/// Sets a flag when the work is dropped before it is done.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn a_lease_that_is_taken_away_stops_the_work(bed: Bed) {
    let client = bed.client::<()>();
    for way in ["unlocked", "ignored", "deleted", "taken over"] {
        let dropped = Arc::new(AtomicBool::new(false));
        let (guard, operator, clock) = (Dropped(Arc::clone(&dropped)), client.clone(), bed.clock.clone());
        let result = client.run(way, StartOptions::new(), |lease| async move {
            let _guard = guard;
            let seen = operator.load(way).await?.expect("it is in progress");
            match way {
                "unlocked" => drop(operator.unlock(&seen).await?),
                "ignored" => drop(operator.ignore(&seen).await?),
                "deleted" => operator.delete(&seen).await?,
                _ => drop(operator.start_with(way, StartOptions::new().ignore_lock()).await?),
            }
            clock.advance(Duration::from_secs(20));
            lease.cancellation().cancelled().await;
            std::future::pending::<Result<(), WorkError>>().await
        });
        let RunError::LeaseLost { outcome, error } = result.await.unwrap_err() else { panic!("{way}") };
        assert!(outcome.is_none() && error.is_lease_lost() && dropped.load(Ordering::SeqCst), "{way}");
        let now = client.load(way).await.unwrap();
        assert_eq!(error.tracker_as::<()>().transpose().unwrap(), now, "{way}: the error has the record as it is");
    }
}

async fn a_grace_lets_the_work_tidy_up(bed: Bed) {
    let client = bed.builder::<()>().grace(Duration::from_secs(5)).build().unwrap();
    let (operator, clock) = (client.clone(), bed.clock.clone());
    let result = client.run("t", StartOptions::new(), |lease| async move {
        operator.unlock(&operator.load("t").await?.expect("it is in progress")).await?;
        clock.advance(Duration::from_secs(20));
        lease.cancellation().cancelled().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok("tidied up")
    });
    let RunError::LeaseLost { outcome, .. } = result.await.unwrap_err() else { panic!() };
    assert_eq!(outcome.unwrap().unwrap(), "tidied up");
}

/// Remembers whether the record had been read when this was dropped.
struct LooksWhenDropped {
    http: FaultyHttp,
    looked: Arc<AtomicBool>,
}

impl Drop for LooksWhenDropped {
    fn drop(&mut self) {
        self.looked.store(self.http.sent().contains(&"GetItem".to_owned()), Ordering::SeqCst);
    }
}

async fn a_lease_that_nobody_answers_for_stops_the_work(bed: Bed) {
    let client = bed.builder::<()>().requests(RequestPolicy::patient_for(Duration::ZERO)).build().unwrap();
    let (http, clock) = (bed.http.clone(), bed.clock.clone());
    let looked = Arc::new(AtomicBool::new(true));
    let guard = LooksWhenDropped { http: bed.http.clone(), looked: Arc::clone(&looked) };
    let result = client.run("t", StartOptions::new(), |_| async move {
        let _guard = guard;
        http.plan(vec![Fault::LostRequest; 1000]);
        for _ in 0..60 {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
        std::future::pending::<Result<(), WorkError>>().await
    });
    let RunError::LeaseLost { outcome: None, error } = result.await.unwrap_err() else { panic!() };
    assert!(error.to_string().contains("the lease ran out before DynamoDB answered"), "{error}");
    assert!(!looked.load(Ordering::SeqCst), "the work is gone before the record is looked at");
    assert!(bed.http.sent().contains(&"GetItem".to_owned()));
    bed.http.plan([]);
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::InProgress);
}

async fn a_suspended_process_does_not_go_on(bed: Bed) {
    let client = bed.client::<()>();
    let effects = AtomicU32::new(0);
    let (counted, clock) = (&effects, &bed.clock);
    let result = client.run("t", StartOptions::new(), |_| async move {
        counted.fetch_add(1, Ordering::SeqCst);
        // The machine sleeps for an hour: its wall clock goes on, its monotonic clock does not.
        clock.set(clock.now() + TimeDelta::hours(1));
        tokio::task::yield_now().await;
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    });
    assert!(matches!(result.await.unwrap_err(), RunError::LeaseLost { outcome: None, .. }));
    assert_eq!(effects.load(Ordering::SeqCst), 1);
}

async fn a_lease_is_kept_alive_by_hand(bed: Bed) {
    let client = bed.client::<()>();
    let lease = client.start("t").await.unwrap();
    let done = lease.keep_alive(async {
        for _ in 0..5 {
            beat(&bed, &lease).await;
        }
        "done"
    });
    assert_eq!(done.await.unwrap(), "done");
    client.unlock(&client.load("t").await.unwrap().unwrap()).await.unwrap();
    let lost = lease.keep_alive(async {
        bed.clock.advance(Duration::from_secs(20));
        std::future::pending::<()>().await;
    });
    assert!(lost.await.unwrap_err().is_lease_lost());
    assert!(lease.succeed().await.unwrap_err().is_lease_lost());
}

async fn no_task_is_left_behind(bed: Bed) {
    let client = bed.client::<()>();
    client.start("warm-up").await.unwrap().succeed().await.unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    const ROUNDS: usize = 20;
    for round in 0..ROUNDS {
        let id = |what: &str| format!("{what}-{round}");
        client.run(id("done"), StartOptions::new(), |_| async { Ok(()) }).await.unwrap();
        client.run(id("failed"), StartOptions::new(), |_| async { Err::<(), _>("no".into()) }).await.unwrap_err();
        let panics = client.run(id("panic"), StartOptions::new(), |_| async { panic!("kaboom") });
        let _: Result<Result<(), _>, _> = std::panic::AssertUnwindSafe(panics).catch_unwind().await;
        let (begun, begins) = tokio::sync::oneshot::channel();
        let work = |_| async {
            let _ = begun.send(());
            std::future::pending::<Result<(), WorkError>>().await
        };
        tokio::select! {
            _ = client.run(id("cancelled"), StartOptions::new(), work) => unreachable!("it never ends"),
            _ = begins => {}
        }
        let lease = client.start(id("by hand")).await.unwrap();
        assert!(lease.keep_alive(std::future::pending::<()>()).now_or_never().is_none());
    }
    // Connections of the HTTP client are tasks too, but there are few of them.
    until(async || metrics.num_alive_tasks() < before + ROUNDS / 2).await;
}

async fn a_heartbeat_is_no_task_until_it_beats(bed: Bed) {
    const LEASES: usize = 20;
    let client = bed.client::<()>();
    let mut leases = Vec::new();
    for number in 0..LEASES {
        leases.push(client.start(format!("t-{number}")).await.unwrap());
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let mut kept: Vec<_> =
        leases.iter().map(|lease| Box::pin(lease.keep_alive(std::future::pending::<()>()))).collect();
    assert!(kept.iter_mut().all(|kept| kept.as_mut().now_or_never().is_none()));
    assert!(metrics.num_alive_tasks() < before + LEASES / 2, "they are timers yet");
    bed.clock.advance(Duration::from_secs(20));
    until(async || leases.iter().all(|lease| lease.tracker().step == 1)).await;
    // Connections of the HTTP client are tasks too, and stay.
    let beating = metrics.num_alive_tasks();
    drop(kept);
    until(async || metrics.num_alive_tasks() + LEASES <= beating + LEASES / 4).await;
}

async fn an_outcome_is_recorded_as_soon_as_it_is_taken(bed: Bed) {
    let policy = RequestPolicy::patient_for(Duration::ZERO);
    let client = bed.builder::<()>().clock(SystemClock).requests(policy).build().unwrap();
    // More refusals than the SDK's five tries, of every kind.
    let faults = [Fault::Throttled, Fault::Failed, Fault::LostRequest, Fault::DoneButFailed, Fault::LostAnswer];
    let work = |_| async {
        bed.http.plan(faults.iter().cycle().take(14).copied());
        Ok(())
    };
    client.run("t", StartOptions::new(), work).await.unwrap();
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.errors.len()), (Status::Succeeded, 0));
    // Who can't wait is told at once.
    let hasty = bed.builder::<()>().requests(policy).outcome_patience(Duration::ZERO).build().unwrap();
    let work = |_| async {
        bed.http.plan(vec![Fault::Throttled; 6]);
        Ok(())
    };
    let error = hasty.run("u", StartOptions::new(), work).await.unwrap_err();
    assert!(matches!(&error, RunError::NotRecorded { error, .. } if error.kind() == ErrorKind::Throttled), "{error}");
}

async fn a_fatal_error_exhausts_at_once(bed: Bed) {
    let client = bed.client::<()>();
    let work = |_| async { Err::<(), _>(WorkError::fatal("no such order")) };
    let RunError::Failed { tracker, .. } = client.run("t", StartOptions::new(), work).await.unwrap_err() else {
        panic!()
    };
    assert_eq!((tracker.status, tracker.attempts, tracker.errors.len()), (Status::Exhausted, 1, 1));
    assert!(client.start("t").await.unwrap_err().is_exhausted());
}

async fn a_release_is_no_failure(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    for _ in 0..3 {
        let work = |_| async { Err::<(), _>(WorkError::release("shutting down").after(Duration::from_secs(5))) };
        let error = client.run("t", StartOptions::new(), work).await.unwrap_err();
        let RunError::Failed { tracker, .. } = error else { panic!("{error}") };
        assert_eq!((tracker.status, tracker.attempts, tracker.errors.len()), (Status::Pending, 0, 0));
        assert!(client.start("t").await.unwrap_err().is_not_due());
        bed.clock.advance(Duration::from_secs(5));
    }
    client.start("t").await.unwrap().succeed().await.unwrap();
}

async fn a_failed_task_waits_for_its_backoff(bed: Bed) {
    let limit = Duration::from_secs(100);
    let client =
        bed.builder::<()>().backoff(Backoff::new(Duration::from_secs(40), limit)).max_attempts(9).build().unwrap();
    let mut delays = Vec::new();
    for attempt in 1..=8 {
        let failed = client.start("t").await.unwrap().fail("x").await.unwrap();
        let delay = failed.due_time.unwrap() - bed.clock.now();
        assert!(delay >= TimeDelta::zero() && delay <= TimeDelta::seconds([40, 80, 100][(attempt - 1).min(2)]));
        delays.push(delay);
        bed.clock.advance(limit);
    }
    assert!(delays.iter().any(|delay| *delay != delays[0]), "they are drawn at random");
    // The error's own delay comes before; and who is exhausted waits for nothing.
    let lease = client.start("t").await.unwrap();
    assert_eq!(lease.fail(WorkError::from("x").after(Duration::from_secs(7))).await.unwrap().due_time, None);
    let lease = client.start("u").await.unwrap();
    let failed = lease.fail(WorkError::from("x").after(Duration::from_secs(7))).await.unwrap();
    assert_eq!(failed.due_time, Some(bed.clock.now() + TimeDelta::seconds(7)));
    let error = client.start("u").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotDue);
}
