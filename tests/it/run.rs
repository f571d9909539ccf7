//! Start, work and outcome in one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dynamo_tracker::{Lease, RunError, StartOptions, Status, WorkError};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::bed::log::Log;

crate::tests![
    the_work_is_run_once,
    a_failed_work_is_recorded,
    an_error_may_ask_its_lease,
    a_panic_is_recorded_and_goes_on,
    a_dropped_run_releases_nothing,
    a_lease_that_is_lost_meanwhile_is_told_apart,
    the_work_may_record_its_own_outcome,
    a_lease_kept_beyond_the_run_is_dead,
    a_run_can_be_spawned,
    a_lease_that_the_work_found_lost_is_told_apart,
    a_success_that_the_work_could_not_record_is_no_failure,
    neither_debug_nor_logs_show_what_the_work_said,
];

async fn the_work_is_run_once(bed: Bed) {
    let client = bed.client::<Value>();
    let runs = Arc::new(AtomicU32::new(0));
    for round in 0..3 {
        let runs = Arc::clone(&runs);
        let result = client.run("t", StartOptions::new(), |mut lease| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            lease.set_data(json!("result"))?;
            Ok(42)
        });
        match result.await {
            Ok(value) => assert_eq!((round, value), (0, 42)),
            Err(RunError::Refused(error)) => {
                assert!(round > 0 && error.is_already_succeeded());
                assert_eq!(error.tracker_as::<Value>().unwrap().unwrap().data, json!("result"));
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

async fn a_failed_work_is_recorded(bed: Bed) {
    let client = bed.client::<Value>();
    let result = client.run("t", StartOptions::new(), |mut lease| async move {
        lease.set_data(json!("half"))?;
        let number: u32 = "x".parse()?;
        Ok(number)
    });
    let error = result.await.unwrap_err();
    let text = error.to_string();
    assert_eq!(text, "task \"test#t\": attempt 1 of 3 failed and is failed now: invalid digit found in string");
    let RunError::Failed { error, tracker } = error else { panic!("{error}") };
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, &record.data), (Status::Failed, &Value::Null));
    assert_eq!(record.errors, tracker.errors);
    assert_eq!(record.errors[0].error_type, "core::num::error::ParseIntError");
}

async fn an_error_may_ask_its_lease(bed: Bed) {
    #[derive(Debug, thiserror::Error)]
    #[error("attempt {} was too late", .0.tracker().attempts)]
    struct TooLate(Lease<()>);

    let client = bed.client::<()>();
    let run = client.run("t", StartOptions::new(), |lease| async move { Err::<(), _>(TooLate(lease).into()) });
    let RunError::Failed { tracker, .. } = run.await.unwrap_err() else { panic!("the work failed") };
    assert_eq!(tracker.errors[0].message, "attempt 1 was too late");
}

async fn a_panic_is_recorded_and_goes_on(bed: Bed) {
    let client = bed.client::<()>();
    let work = |_| async { panic!("kaboom") };
    let run = std::panic::AssertUnwindSafe(client.run("t", StartOptions::new(), work)).catch_unwind();
    let payload = run.await.map(|_: Result<(), RunError<()>>| ()).unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"kaboom"));
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.errors[0].message.as_str()), (Status::Failed, "the work panicked: kaboom"));
}

async fn a_dropped_run_releases_nothing(bed: Bed) {
    let client = bed.client::<()>();
    let begun = Arc::new(tokio::sync::Notify::new());
    let (run, begins) = (client.clone(), Arc::clone(&begun));
    let run = tokio::spawn(async move {
        let work = |_| async move {
            begins.notify_one();
            std::future::pending::<Result<(), WorkError>>().await
        };
        run.run("t", StartOptions::new(), work).await
    });
    begun.notified().await;
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert!(client.start("t").await.unwrap_err().is_locked());
    bed.clock.advance(Duration::from_secs(61));
    assert_eq!(client.start("t").await.unwrap().attempt(), 2);
}

async fn a_lease_that_is_lost_meanwhile_is_told_apart(bed: Bed) {
    let client = bed.client::<()>();
    for outcome in [Ok(7), Err("failed")] {
        let id = format!("t-{}", outcome.is_ok());
        let (thief, stolen) = (client.clone(), id.clone());
        let result = client.run(&id, StartOptions::new(), |_| async move {
            let _theirs = thief.start_with(&stolen, StartOptions::new().ignore_lock()).await?;
            outcome.map_err(WorkError::from)
        });
        let RunError::LeaseLost { outcome: Some(work), error } = result.await.unwrap_err() else { panic!() };
        assert_eq!(work.map_err(|error| error.to_string()), outcome.map_err(str::to_owned));
        assert!(error.is_lease_lost());
        assert_eq!(client.load(&id).await.unwrap().unwrap().attempts, 2);
    }
}

async fn the_work_may_record_its_own_outcome(bed: Bed) {
    let client = bed.client::<()>();
    let work = |lease: dynamo_tracker::Lease<()>| async move {
        lease.mark_as_ignored().await?;
        Ok("not needed")
    };
    assert_eq!(client.run("t", StartOptions::new(), work).await.unwrap(), "not needed");
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::Ignored);
    assert_eq!(bed.http.sent(), ["UpdateItem", "UpdateItem", "GetItem"]);
}

async fn a_lease_kept_beyond_the_run_is_dead(bed: Bed) {
    let client = bed.client::<u32>();
    let mut kept = client.run("t", StartOptions::new(), |lease| async move { Ok(lease) }).await.unwrap();
    let before = client.load("t").await.unwrap();
    bed.http.forget();
    assert!(kept.checkpoint(9).await.unwrap_err().is_lease_lost());
    assert!(kept.succeed().await.unwrap_err().to_string().contains("this lease has ended already"));
    assert_eq!(bed.http.sent(), Vec::<String>::new());
    assert_eq!(client.load("t").await.unwrap(), before);
}

async fn a_run_can_be_spawned(bed: Bed) {
    let client = bed.client::<Value>();
    let task = tokio::spawn(async move {
        let work = async |mut lease: Lease<Value>| {
            lease.checkpoint(json!(1)).await?;
            Ok(lease.attempt())
        };
        client.run("t", StartOptions::new(), work).await
    });
    assert_eq!(task.await.unwrap().unwrap(), 1);
}

async fn a_lease_that_the_work_found_lost_is_told_apart(bed: Bed) {
    let client = bed.client::<()>();
    for heeds in [true, false] {
        let id = format!("t-{heeds}");
        let (thief, stolen) = (client.clone(), id.clone());
        let result = client.run(&id, StartOptions::new(), |mut lease| async move {
            let _theirs = thief.start_with(&stolen, StartOptions::new().ignore_lock()).await?;
            let extended = lease.mark_as_in_progress().await;
            if heeds {
                extended?;
            }
            Ok(7)
        });
        let RunError::LeaseLost { outcome, error } = result.await.unwrap_err() else { panic!() };
        // The token has fired by the time that the extension returns, and the work may or may not get a last turn.
        assert!(outcome.is_none_or(|outcome| outcome.is_ok() != heeds));
        assert!(error.is_lease_lost() && error.tracker().is_some());
    }
}

async fn a_success_that_the_work_could_not_record_is_no_failure(bed: Bed) {
    let policy = dynamo_tracker::RequestPolicy::patient_for(Duration::ZERO);
    let client = bed.builder::<()>().requests(policy).outcome_patience(Duration::ZERO).build().unwrap();
    for recovers in [true, false] {
        let (http, id) = (bed.http.clone(), format!("t-{recovers}"));
        // One request is tried five times within the least patience, 500 ms.
        let tries = if recovers { 5 } else { 100 };
        let result = client.run(&id, StartOptions::new(), |lease| async move {
            http.plan(vec![crate::bed::http::Fault::Throttled; tries]);
            lease.succeed().await?;
            Ok(())
        });
        let error = result.await.unwrap_err();
        bed.http.plan([]);
        let record = client.load(&id).await.unwrap().unwrap();
        assert_eq!(record.errors, [], "the success is no failure");
        match (recovers, error) {
            (true, RunError::Failed { .. }) => assert_eq!(record.status, Status::Succeeded, "it was sent again"),
            (false, RunError::NotRecorded { .. }) => assert_eq!(record.status, Status::InProgress),
            (_, error) => panic!("{error}"),
        }
    }
}

async fn neither_debug_nor_logs_show_what_the_work_said(bed: Bed) {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.subscriber());
    let client = bed.client::<Value>();
    client.create(dynamo_tracker::NewTask::new("t").data(json!("needle"))).await.unwrap();
    let failing = client.run("t", StartOptions::new(), |mut lease| async move {
        lease.checkpoint(json!("needle")).await?;
        Err::<(), _>("needle".into())
    });
    let error = failing.await.unwrap_err();
    assert!(!format!("{error:?}").contains("needle") && error.to_string().contains("needle"));
    let work = |_| async { panic!("needle") };
    let run = std::panic::AssertUnwindSafe(client.run("t", StartOptions::new(), work)).catch_unwind();
    let _: Result<Result<(), _>, _> = run.await;
    drop(guard);
    let lines = log.own_lines();
    assert!(lines.iter().any(|line| line.contains("recorded the outcome") && line.contains("test#t")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("needle")), "{lines:#?}");
}
