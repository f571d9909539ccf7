//! A worker for an activity: each task once, heartbeats to both sides, and what it does when one of them is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sfn::config::timeout::TimeoutConfig;
use dynamo_tracker::stepfunctions::{ActivityEvent, ActivityReport, ActivityWorker};
use dynamo_tracker::{
    CancellationToken, Error, ErrorKind, NewTask, StartOptions, Status, SystemClock, Tracker, TrackerClient, WorkError,
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::bed::http::Fault;
use crate::bed::states::{ACTIVITY, States, Told};
use crate::bed::{Bed, on_one_thread};

crate::tests![
    a_task_is_done_once_however_often_it_comes,
    failures_are_told_until_they_are_exhausted,
    a_refusal_says_when_to_come_again,
    a_retry_has_its_lock_back_at_once,
    a_state_that_waits_no_more_stops_the_work,
    heartbeats_go_to_both_and_may_be_lost,
    a_lost_answer_changes_nothing,
    step_functions_out_of_reach_is_waited_for,
    a_panic_is_told_and_others_go_on,
    a_key_that_panics_costs_no_more_than_its_input,
    a_hook_that_panics_stops_the_worker,
    a_lost_lease_is_told,
    no_more_run_at_a_time_than_it_may,
    it_stops_when_its_work_is_done,
    what_is_not_done_in_time_is_given_back,
    work_that_is_done_is_not_given_back,
    inputs_that_are_none_are_refused,
    an_output_that_is_too_large_is_not_tried_again,
    an_output_that_was_not_kept_is_not_made_up,
    a_client_that_is_impatient_waits_for_a_poll,
    what_no_waiting_mends_ends_it,
];

/// By the real clock, which heartbeats go by.
pub(super) fn client(bed: &Bed) -> TrackerClient<Value> {
    bed.builder().clock(SystemClock).build().unwrap()
}

pub(super) fn worker(bed: &Bed, states: &States) -> ActivityWorker<Value> {
    let key = |input: &Value| Some(input["id"].as_str()?.to_owned());
    ActivityWorker::new(client(bed), states.client(), ACTIVITY, key)
}

pub(super) async fn record(bed: &Bed, id: &str) -> Tracker<Value> {
    client(bed).load(id).await.unwrap().unwrap()
}

/// A worker at work, until it is stopped.
pub(super) struct Working {
    pub(super) stop: CancellationToken,
    pub(super) run: JoinHandle<Result<ActivityReport, Error>>,
}

impl Working {
    pub(super) async fn stop(self) -> ActivityReport {
        self.stop.cancel();
        self.run.await.unwrap().unwrap()
    }
}

pub(super) fn work<F, Fut>(worker: ActivityWorker<Value>, handler: F) -> Working
where
    F: Fn(dynamo_tracker::stepfunctions::Activity<Value>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, WorkError>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let run = tokio::spawn(worker.stop_on(stop.clone()).run(handler));
    Working { stop, run }
}

/// A worker at work whose handler says that it has begun, and is done when it may go on.
fn work_until(worker: ActivityWorker<Value>, begun: &Arc<Notify>, go_on: &Arc<Notify>) -> Working {
    let (telling, waiting) = (Arc::clone(begun), Arc::clone(go_on));
    work(worker, move |_| {
        let (telling, waiting) = (Arc::clone(&telling), Arc::clone(&waiting));
        async move {
            telling.notify_one();
            waiting.notified().await;
            Ok(json!("printed"))
        }
    })
}

/// What a report that counts nothing else looks like.
pub(super) fn report(set: impl FnOnce(&mut ActivityReport)) -> ActivityReport {
    let mut report = ActivityReport::default();
    set(&mut report);
    report
}

async fn a_task_is_done_once_however_often_it_comes(bed: Bed) {
    let states = States::new();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let working = work(worker(&bed, &states).concurrency(2), move |activity| {
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok(json!({"run": run, "page": activity.input["page"]})) }
    });
    let first = states.until_told(&states.offer(&json!({"id": "a", "page": 7}))).await;
    assert_eq!(first, Told::Success(json!({"run": 1, "page": 7})));
    let again = states.until_told(&states.offer(&json!({"id": "a", "page": 8}))).await;
    assert_eq!(again, first);
    let other = states.until_told(&states.offer(&json!({"id": "b", "page": 9}))).await;
    assert_eq!(other, Told::Success(json!({"run": 2, "page": 9})));
    let expected = report(|report| (report.succeeded, report.replayed) = (2, 1));
    assert_eq!(working.stop().await, expected);
    assert_eq!(record(&bed, "a").await.data, json!({"run": 1, "page": 7}));
}

async fn failures_are_told_until_they_are_exhausted(bed: Bed) {
    let states = States::new();
    let options = StartOptions::new().max_attempts(2);
    let working = work(worker(&bed, &states).start_options(options), |_| async {
        Err(WorkError::from_parts("Jam", "paper jam", None))
    });
    for _ in 0..2 {
        let told = states.until_told(&states.offer(&json!({"id": "a"}))).await;
        assert_eq!(told.failure(), ("Jam".to_owned(), "paper jam".to_owned()));
    }
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await.failure().0, "TaskExhausted");
    let client = client(&bed);
    client.ignore(&record(&bed, "a").await).await.unwrap();
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await.failure().0, "TaskIgnored");
    assert_eq!(working.stop().await, report(|report| (report.failed, report.refused) = (2, 2)));
}

async fn a_refusal_says_when_to_come_again(bed: Bed) {
    let states = States::new();
    let lease = client(&bed).start("a").await.unwrap();
    let working = work(worker(&bed, &states), |_| async { Ok(json!(1)) });
    let (error, cause) = states.until_told(&states.offer(&json!({"id": "a"}))).await.failure();
    let cause: Value = serde_json::from_str(&cause).unwrap();
    assert_eq!(error, "TaskLocked");
    let until: chrono::DateTime<chrono::Utc> = cause["until"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, lease.expires().unwrap() + chrono::TimeDelta::seconds(1));
    assert!((50..=61).contains(&cause["seconds"].as_u64().unwrap()), "{cause}");
    lease.fail(WorkError::from("later").after(Duration::from_secs(60))).await.unwrap();
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await.failure().0, "TaskNotDue");
    working.stop().await;
}

fn step(id: &str, execution: &str) -> Value {
    json!({"input": {"id": id}, "context": {"Execution": {"Id": execution}, "State": {"Name": "Print"}}})
}

async fn a_retry_has_its_lock_back_at_once(bed: Bed) {
    let states = States::new();
    // One that died, of this step.
    let owner = StartOptions::new().reentrant_owner("run-1##Print");
    drop(client(&bed).start_with("a", owner).await.unwrap());
    let working = work(worker(&bed, &states), |activity| async move {
        Ok(json!([activity.input, activity.lease.attempt(), activity.step.map(|step| step.state().to_owned())]))
    });
    let other = states.until_told(&states.offer(&step("a", "run-2"))).await;
    assert_eq!(other.failure().0, "TaskLocked");
    let retried = states.until_told(&states.offer(&step("a", "run-1"))).await;
    assert_eq!(retried, Told::Success(json!([{"id": "a"}, 2, "Print"])));
    working.stop().await;
}

async fn a_state_that_waits_no_more_stops_the_work(bed: Bed) {
    let states = States::new();
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (telling, told) = (Arc::clone(&begun), Arc::clone(&dropped));
    let beating = worker(&bed, &states).heartbeat(Duration::from_millis(20));
    let working = work(beating, move |activity| {
        let (telling, told) = (Arc::clone(&telling), OnDrop(Arc::clone(&told)));
        async move {
            if activity.lease.attempt() == 1 {
                telling.notify_one();
                std::future::pending::<()>().await;
            }
            drop(told);
            Ok(json!("printed"))
        }
    });
    let token = states.offer(&json!({"id": "a"}));
    begun.notified().await;
    states.until_beats(&token, 2).await;
    states.time_out(&token);
    dropped.notified().await;
    // The retry of the state finds it failed, and not locked.
    let retried = states.until_told(&states.offer(&json!({"id": "a"}))).await;
    assert_eq!(retried, Told::Success(json!("printed")));
    let record = record(&bed, "a").await;
    assert_eq!((record.attempts, record.errors[0].error_type.as_str()), (2, "TaskTokenStale"));
    assert_eq!(states.told(&token), None);
    assert_eq!(working.stop().await, report(|report| (report.stale, report.succeeded) = (1, 1)));
}

/// Says when it is dropped.
struct OnDrop(Arc<Notify>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn heartbeats_go_to_both_and_may_be_lost(bed: Bed) {
    let states = States::new();
    let go_on = Arc::new(Notify::new());
    let waiting = Arc::clone(&go_on);
    let client = bed.builder::<Value>().clock(SystemClock).lease(Duration::from_millis(1500)).build().unwrap();
    let key = |input: &Value| Some(input["id"].as_str()?.to_owned());
    let worker = ActivityWorker::new(client, states.client(), ACTIVITY, key).heartbeat(Duration::from_millis(50));
    let working = work(worker, move |activity| {
        let waiting = Arc::clone(&waiting);
        async move {
            waiting.notified().await;
            Ok(json!(activity.lease.tracker().step))
        }
    });
    let token = states.offer(&json!({"id": "a"}));
    states.until_beats(&token, 1).await;
    states.http.plan([Fault::Failed, Fault::LostRequest, Fault::LostAnswer, Fault::Denied]);
    // By then the lease would be over, had nobody extended it.
    states.until_beats(&token, 40).await;
    go_on.notify_one();
    let Told::Success(steps) = states.until_told(&token).await else { panic!("it failed") };
    assert!(steps.as_u64().unwrap() >= 2, "{steps}");
    assert_eq!(working.stop().await, report(|report| report.succeeded = 1));
}

async fn a_lost_answer_changes_nothing(bed: Bed) {
    let states = States::new();
    let http = states.http.clone();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let working = work(worker(&bed, &states), move |activity| {
        counted.fetch_add(1, Ordering::SeqCst);
        let fault = match activity.input["fault"].as_str() {
            Some("answer") => Fault::LostAnswer,
            Some("request") => Fault::LostRequest,
            _ => Fault::DoneButFailed,
        };
        http.plan([fault]);
        async move { Ok(activity.input) }
    });
    for fault in ["answer", "request", "failed"] {
        let input = json!({"id": fault, "fault": fault});
        let first = states.offer(&input);
        assert_eq!(states.until_told(&first).await, Told::Success(input.clone()));
        assert_eq!(states.until_told(&states.offer(&input)).await, Told::Success(input));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(working.stop().await, report(|report| (report.succeeded, report.replayed) = (3, 3)));
}

async fn step_functions_out_of_reach_is_waited_for(bed: Bed) {
    let states = States::new();
    // More than the SDK tries by itself.
    states.http.plan([Fault::Failed; 4]);
    let http = states.http.clone();
    let working = work(worker(&bed, &states), move |_| {
        http.plan([Fault::LostRequest; 4]);
        async { Ok(json!("printed")) }
    });
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await, Told::Success(json!("printed")));
    assert_eq!(working.stop().await, report(|report| report.succeeded = 1));
}

async fn a_panic_is_told_and_others_go_on(bed: Bed) {
    let states = States::new();
    let working = work(worker(&bed, &states), |activity| async move {
        assert!(activity.input["panic"] != true, "on purpose");
        Ok(json!(1))
    });
    let (error, cause) = states.until_told(&states.offer(&json!({"id": "a", "panic": true}))).await.failure();
    assert_eq!((error.as_str(), cause.as_str()), ("panic", "the work panicked: on purpose"));
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await, Told::Success(json!(1)));
    assert_eq!(working.stop().await, report(|report| (report.failed, report.succeeded) = (1, 1)));
}

async fn a_key_that_panics_costs_no_more_than_its_input(bed: Bed) {
    let states = States::new();
    let key = |input: &Value| Some(input["id"].as_str().expect("on purpose: an id").to_owned());
    let working =
        work(ActivityWorker::new(client(&bed), states.client(), ACTIVITY, key), |_| async { Ok(json!("printed")) });
    let (error, cause) = states.until_told(&states.offer(&json!({"page": 7}))).await.failure();
    assert_eq!((error.as_str(), cause.contains("key panicked")), ("InvalidEvent", true), "{cause}");
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await, Told::Success(json!("printed")));
    assert_eq!(working.stop().await, report(|report| (report.refused, report.succeeded) = (1, 1)));
}

async fn a_hook_that_panics_stops_the_worker(bed: Bed) {
    let states = States::new();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let panics = Arc::clone(&go_on);
    let worker = worker(&bed, &states).concurrency(2).on_event(move |event| {
        if let ActivityEvent::Refused { .. } = event {
            panics.notify_one();
            panic!("on purpose");
        }
    });
    let working = work_until(worker, &begun, &go_on);
    let other = states.offer(&json!({"id": "a"}));
    begun.notified().await;
    // It is locked, and the hook panics at that.
    states.offer(&json!({"id": "a"}));
    let ended = tokio::time::timeout(Duration::from_secs(30), working.run).await.expect("it stops by itself");
    assert!(ended.unwrap_err().is_panic());
    assert_eq!(states.told(&other), Some(Told::Success(json!("printed"))), "what was being worked on is done");
}

async fn a_lost_lease_is_told(bed: Bed) {
    let states = States::new();
    let client = client(&bed);
    let operator = client.clone();
    let working = work(worker(&bed, &states), move |_| {
        let operator = operator.clone();
        async move {
            operator.unlock(&operator.load("a").await?.expect("it is there")).await?;
            Ok(json!(1))
        }
    });
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await.failure().0, "LeaseLost");
    assert_eq!(working.stop().await, report(|report| report.lease_lost = 1));
    assert_eq!(client.load("a").await.unwrap().unwrap().status, Status::InProgress);
}

async fn no_more_run_at_a_time_than_it_may(bed: Bed) {
    let states = States::new();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let (arrived, go_on) = (Arc::new(tokio::sync::Semaphore::new(0)), Arc::new(tokio::sync::Semaphore::new(0)));
    let (arriving, waiting) = (Arc::clone(&arrived), Arc::clone(&go_on));
    let working = work(worker(&bed, &states).concurrency(3), move |_| {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        let (arriving, waiting) = (Arc::clone(&arriving), Arc::clone(&waiting));
        async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            arriving.add_permits(1);
            waiting.acquire().await?.forget();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(json!(null))
        }
    });
    let tokens: Vec<_> = (0..9).map(|number| states.offer(&json!({"id": number.to_string()}))).collect();
    // Three are at work at the same time, and only then may any of them end.
    arrived.acquire_many(3).await.unwrap().forget();
    go_on.add_permits(9);
    for token in &tokens {
        states.until_told(token).await;
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(working.stop().await, report(|report| report.succeeded = 9));
}

async fn it_stops_when_its_work_is_done(bed: Bed) {
    let states = States::new();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let working = work_until(worker(&bed, &states), &begun, &go_on);
    let token = states.offer(&json!({"id": "a"}));
    begun.notified().await;
    let left = states.offer(&json!({"id": "b"}));
    working.stop.cancel();
    go_on.notify_one();
    assert_eq!(working.stop().await, report(|report| report.succeeded = 1));
    assert_eq!((states.told(&token), states.told(&left)), (Some(Told::Success(json!("printed"))), None));

    // One that comes by a poll which was under way is not begun, and its state hears so at once.
    states.calls();
    let another = States::new();
    let working = work(worker(&bed, &another), |_| async { Ok(json!(1)) });
    while !another.calls().contains(&"GetActivityTask".to_owned()) {
        tokio::task::yield_now().await;
    }
    working.stop.cancel();
    let late = another.offer(&json!({"id": "c"}));
    let report = working.stop().await;
    assert_eq!((report.succeeded, report.stopped), (0, 1));
    assert_eq!(another.told(&late).unwrap().failure().0, "WorkerStopped");
}

async fn what_is_not_done_in_time_is_given_back(bed: Bed) {
    let states = States::new();
    let begun = Arc::new(Notify::new());
    let telling = Arc::clone(&begun);
    let working = work(worker(&bed, &states).grace(Duration::from_millis(50)), move |_| {
        let telling = Arc::clone(&telling);
        async move {
            telling.notify_one();
            std::future::pending().await
        }
    });
    let token = states.offer(&json!({"id": "a"}));
    begun.notified().await;
    assert_eq!(working.stop().await, report(|report| report.stopped = 1));
    assert_eq!(states.told(&token).unwrap().failure().0, "WorkerStopped");
    let record = record(&bed, "a").await;
    assert_eq!((record.status, record.attempts), (Status::Pending, 0));
}

/// Work that is done at the same time as it is to be given back. On one thread, so that nothing sees the one without the other.
async fn work_that_is_done_is_not_given_back(bed: Bed) {
    let states = States::new();
    on_one_thread(async {
        let give_back = CancellationToken::new();
        let (begun, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let worker = worker(&bed, &states).give_back_on(give_back.clone());
        let working = work_until(worker, &begun, &done);
        let token = states.offer(&json!({"id": "a"}));
        begun.notified().await;
        done.notify_one();
        give_back.cancel();
        assert_eq!(states.until_told(&token).await, Told::Success(json!("printed")));
        assert_eq!(working.stop().await, report(|report| report.succeeded = 1));
    });
}

async fn inputs_that_are_none_are_refused(bed: Bed) {
    let states = States::new();
    let working = work(worker(&bed, &states), |_| async { Ok(json!(1)) });
    for input in [json!({"page": 7}), json!({"id": ""}), json!([]), json!(null)] {
        assert_eq!(states.until_told(&states.offer(&input)).await.failure().0, "MissingKey", "{input}");
    }
    let too_long = json!({"id": "x".repeat(3000)});
    assert_eq!(states.until_told(&states.offer(&too_long)).await.failure().0, "InvalidEvent");
    let report = working.stop().await;
    assert_eq!((report.refused, report.not_recorded), (4, 1));
}

async fn an_output_that_is_too_large_is_not_tried_again(bed: Bed) {
    let states = States::new();
    let working = work(worker(&bed, &states), |_| async { Ok(json!("x".repeat(300_000))) });
    let (error, cause) = states.until_told(&states.offer(&json!({"id": "a"}))).await.failure();
    assert!(error == "ResponseTooLarge" && cause.contains("300002 bytes"), "{error}: {cause}");
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await.failure().0, "TaskExhausted");
    working.stop().await;
}

async fn an_output_that_was_not_kept_is_not_made_up(bed: Bed) {
    let states = States::new();
    let output = json!("x".repeat(200_000));
    let returned = output.clone();
    let working = work(worker(&bed, &states), move |_| {
        let output = returned.clone();
        async { Ok(output) }
    });
    for task in [NewTask::new("a"), NewTask::new("b").data(json!({"page": 1}))] {
        let id = client(&bed).create(task).await.unwrap().id;
        // With the output, the item is over DynamoDB's limit.
        bed.set(id.as_str(), "note", AttributeValue::S("x".repeat(300_000))).await;
        assert_eq!(states.until_told(&states.offer(&json!({"id": id.as_str()}))).await, Told::Success(output.clone()));
        let (error, cause) = states.until_told(&states.offer(&json!({"id": id.as_str()}))).await.failure();
        assert!(error == "ResponseNotKept" && cause.contains("too large"), "{error}: {cause}");
        assert_eq!(record(&bed, id.as_str()).await.attempts, 1);
    }
    assert_eq!(working.stop().await, report(|report| (report.succeeded, report.refused) = (2, 2)));
}

async fn a_client_that_is_impatient_waits_for_a_poll(bed: Bed) {
    let states = States::new().slow();
    let timeouts = TimeoutConfig::builder()
        .read_timeout(Duration::from_millis(50))
        .operation_attempt_timeout(Duration::from_millis(60))
        .operation_timeout(Duration::from_millis(70));
    let client = aws_sdk_sfn::Client::from_conf(states.config().timeout_config(timeouts.build()).build());
    let key = |input: &Value| Some(input["id"].as_str()?.to_owned());
    let worker = ActivityWorker::new(super::activity::client(&bed), client, ACTIVITY, key);
    let working = work(worker, |_| async { Ok(json!(1)) });
    // A poll that gives up before its answer never gets one.
    assert_eq!(states.until_told(&states.offer(&json!({"id": "a"}))).await, Told::Success(json!(1)));
    working.stop().await;
}

async fn what_no_waiting_mends_ends_it(bed: Bed) {
    let states = States::new();
    let key = |_: &Value| None;
    let unknown = ActivityWorker::new(client(&bed), states.client(), format!("{ACTIVITY}-2"), key);
    let error = unknown.concurrency(2).run(|_| async { Ok(json!(1)) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no such activity"), "{error}");
    states.http.plan([Fault::Denied]);
    let denied = worker(&bed, &states).run(|_| async { Ok(json!(1)) }).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::AccessDenied);
    assert!(format!("{:?}", worker(&bed, &states)).contains(ACTIVITY));
}
