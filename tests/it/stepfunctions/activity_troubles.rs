//! A worker for an activity whose DynamoDB is slow, whose hook panics, or that is to give back what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dynamo_tracker::stepfunctions::{ActivityEvent, ActivityWorker};
use dynamo_tracker::{CancellationToken, Status, SystemClock};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::activity::{record, report, work, worker};
use crate::bed::Bed;
use crate::bed::http::{Fault, FaultyHttp};
use crate::bed::states::{ACTIVITY, States, Told};

crate::tests![
    heartbeats_go_on_while_dynamodb_is_slow,
    work_is_not_begun_for_a_state_that_waits_no_more,
    to_give_back_is_to_stop,
    a_hook_that_panics_at_the_start_costs_no_attempt,
    a_hook_that_panics_at_the_end_leaves_no_state_waiting,
    an_output_that_is_packed_is_given_by_those_who_unpack,
];

/// No worker takes so long to stop.
const PATIENCE: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_millis(20);

/// From now on DynamoDB takes nothing, or takes everything again.
fn throttle(http: &FaultyHttp, share: f64) {
    http.chance(1, &[(Fault::Throttled, share)]);
}

async fn heartbeats_go_on_while_dynamodb_is_slow(bed: Bed) {
    let states = States::new();
    let done = Arc::new(Notify::new());
    let (telling, http) = (Arc::clone(&done), bed.http.clone());
    throttle(&bed.http, 1.0);
    let working = work(worker(&bed, &states).heartbeat(BEAT), move |_| {
        throttle(&http, 1.0);
        telling.notify_one();
        async { Ok(json!("printed")) }
    });
    let token = states.offer(&json!({"id": "a"}));
    // It can't even be started by then.
    states.until_beats(&token, 2).await;
    throttle(&bed.http, 0.0);
    done.notified().await;
    states.until_beats(&token, states.beats(&token) + 2).await;
    throttle(&bed.http, 0.0);
    assert_eq!(states.until_told(&token).await, Told::Success(json!("printed")));
    assert_eq!(working.stop().await, report(|report| report.succeeded = 1));
}

async fn work_is_not_begun_for_a_state_that_waits_no_more(bed: Bed) {
    let states = States::new();
    let begun = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&begun);
    throttle(&bed.http, 1.0);
    let working = work(worker(&bed, &states).heartbeat(BEAT), move |activity| {
        let first = activity.input["first"] == true;
        counted.fetch_add(u32::from(first), Ordering::SeqCst);
        async move { if first { std::future::pending().await } else { Ok(json!("printed")) } }
    });
    let token = states.offer(&json!({"id": "a", "first": true}));
    states.until_beats(&token, 1).await;
    states.time_out(&token);
    states.until_refused(&token).await;
    throttle(&bed.http, 0.0);
    let retried = states.until_told(&states.offer(&json!({"id": "a"}))).await;
    assert_eq!((retried, states.told(&token)), (Told::Success(json!("printed")), None));
    // The worker may hear of it a moment too late. Only what was begun is counted.
    assert_eq!(record(&bed, "a").await.attempts, 1 + begun.load(Ordering::SeqCst));
    assert_eq!(working.stop().await, report(|report| (report.stale, report.succeeded) = (1, 1)));
}

async fn to_give_back_is_to_stop(bed: Bed) {
    let states = States::new();
    let (give_back, begun) = (CancellationToken::new(), Arc::new(Notify::new()));
    let telling = Arc::clone(&begun);
    let working = work(worker(&bed, &states).give_back_on(give_back.clone()), move |_| {
        telling.notify_one();
        std::future::pending()
    });
    let token = states.offer(&json!({"id": "a"}));
    begun.notified().await;
    let left = states.offer(&json!({"id": "b"}));
    states.calls();
    give_back.cancel();
    let stopped = tokio::time::timeout(PATIENCE, working.run).await.expect("it stops by itself").unwrap();
    assert_eq!(stopped.unwrap(), report(|report| report.stopped = 1));
    assert_eq!(states.told(&token).unwrap().failure().0, "WorkerStopped");
    assert_eq!(
        (states.calls(), states.told(&left)),
        (vec!["SendTaskFailure".to_owned()], None),
        "it asks for nothing more"
    );
}

async fn a_hook_that_panics_at_the_start_costs_no_attempt(bed: Bed) {
    let states = States::new();
    let begun = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&begun);
    // At whatever follows, too.
    let worker = worker(&bed, &states).on_event(|_| panic!("on purpose"));
    let working = work(worker, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(json!("printed")) }
    });
    let token = states.offer(&json!({"id": "a"}));
    let ended = tokio::time::timeout(PATIENCE, working.run).await.expect("it stops by itself");
    let panic = ended.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    assert_eq!(states.told(&token).unwrap().failure().0, "WorkerStopped");
    let record = record(&bed, "a").await;
    assert_eq!((record.status, record.attempts, record.errors.len()), (Status::Pending, 0, 0));
    assert_eq!(begun.load(Ordering::SeqCst), 0, "nothing was begun that nobody hears of");
}

async fn a_hook_that_panics_at_the_end_leaves_no_state_waiting(bed: Bed) {
    let states = States::new();
    let worker = worker(&bed, &states)
        .on_event(|event| assert!(!matches!(event, ActivityEvent::Succeeded { .. }), "on purpose"));
    let working = work(worker, |_| async { Ok(json!("printed")) });
    let token = states.offer(&json!({"id": "a"}));
    let ended = tokio::time::timeout(PATIENCE, working.run).await.expect("it stops by itself");
    assert!(ended.unwrap_err().is_panic());
    assert_eq!(states.told(&token), Some(Told::Success(json!("printed"))));
}

async fn an_output_that_is_packed_is_given_by_those_who_unpack(bed: Bed) {
    let states = States::new();
    let output = json!({"pages": vec!["all work and no play"; 100]});
    let packing = || {
        let client = bed.builder().clock(SystemClock).pack_data_over(1000).build().unwrap();
        let key = |input: &Value| Some(input["id"].as_str()?.to_owned());
        let (worker, output) = (ActivityWorker::new(client, states.client(), ACTIVITY, key), output.clone());
        work(worker, move |_| std::future::ready(Ok(output.clone())))
    };
    let offer = async || states.until_told(&states.offer(&json!({"id": "a"}))).await;
    let working = packing();
    assert_eq!(offer().await, Told::Success(output.clone()));
    assert_eq!(working.stop().await, report(|report| report.succeeded = 1));
    let plain = work(worker(&bed, &states), |_| async { Ok(json!("not to be run")) });
    let (error, cause) = offer().await.failure();
    assert!(error == "ResponseUnreadable" && cause.contains("pack_data_over"), "{error}: {cause}");
    assert_eq!(plain.stop().await, report(|report| report.refused = 1));
    let working = packing();
    assert_eq!(offer().await, Told::Success(output.clone()));
    assert_eq!(working.stop().await, report(|report| report.replayed = 1));
}
