//! The core: one event, one response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dynamo_tracker::lambda::{
    Idempotency, IdempotencyBuilder, IdempotencyError, InProgress, JmesPath, Key, MissingKey, Outcome, idempotent,
};
use dynamo_tracker::{Clock, NewTask, Status, TrackerClient, WorkError};
use futures_util::stream;
use lambda_runtime::{Context, Diagnostic};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::bed::Bed;
use crate::bed::http::Fault;
use crate::bed::meter::Meter;

crate::tests![
    the_first_call_is_two_writes_and_a_duplicate_one,
    a_cached_duplicate_is_no_request,
    a_failure_is_recorded_and_may_run_again,
    an_error_for_good_exhausts_the_event,
    another_payload_is_refused,
    an_event_without_a_key_is_refused_or_has_no_record,
    a_second_call_is_refused_while_the_first_goes_on,
    a_second_call_waits_for_the_first,
    a_second_call_does_not_wait_for_ever,
    whoever_waits_takes_over_from_a_failure,
    the_lease_is_as_long_as_the_function_has_time,
    a_long_invocation_needs_no_heartbeat,
    a_lease_shorter_than_the_function_has_time_is_extended,
    work_is_stopped_before_the_deadline_and_runs_again,
    without_time_the_work_is_not_begun,
    a_lost_answer_changes_nothing,
    an_outcome_that_is_not_recorded_is_said_with_the_response,
    a_lease_that_is_lost_is_said,
    an_ignored_event_and_a_table_that_is_not_there,
    a_panic_is_recorded_and_goes_on,
    any_function_can_be_idempotent,
    a_task_of_a_batch_is_refused_unless_it_is_counted,
    an_exhausted_task_of_a_batch_is_counted,
];

/// Keyed by the event's `id`.
pub(super) fn by_id(bed: &Bed) -> IdempotencyBuilder {
    Idempotency::builder(bed.client()).key(Key::path(JmesPath::new("id").unwrap()))
}

/// Work that answers how often it was run.
#[derive(Clone, Default)]
pub(super) struct Counter(Arc<AtomicU32>);

impl Counter {
    pub(super) async fn work(&self) -> Result<u32, WorkError> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    pub(super) fn runs(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(super) fn parts<R: Copy>(outcome: &Outcome<R>) -> (R, bool, u32) {
    (outcome.response, outcome.replayed, outcome.attempt)
}

pub(super) fn name(error: IdempotencyError) -> String {
    Diagnostic::from(error).error_type
}

/// A Lambda function's context with so much time left by the test's clock.
fn context(bed: &Bed, left: Duration) -> Context {
    let mut context = Context::default();
    context.request_id = "request-1".to_owned();
    context.deadline = u64::try_from((bed.clock.now() + left).timestamp_millis()).unwrap();
    context
}

pub(super) async fn fine() -> Result<u32, WorkError> {
    Ok(7)
}

async fn fails() -> Result<u32, WorkError> {
    Err("no paper".into())
}

async fn the_first_call_is_two_writes_and_a_duplicate_one(bed: Bed) {
    let meter = Meter::default();
    let sdk = aws_sdk_dynamodb::Client::from_conf(bed.sdk_config().interceptor(meter.clone()).build());
    let client = TrackerClient::builder(sdk).table(&bed.table).namespace("test");
    let client = client.clock(bed.clock.clone()).build().unwrap();
    let (idempotency, counter) = (Idempotency::builder(client).build().unwrap(), Counter::default());
    let event = json!({"id": 1});
    let first = idempotency.run(&event, None, || counter.work()).await.unwrap();
    assert_eq!(parts(&first), (1, false, 1));
    assert_eq!((bed.http.sent(), meter.units()), (vec!["UpdateItem".to_owned(); 2], vec![1.0, 1.0]));
    bed.http.forget();
    let again = idempotency.run(&event, None, || counter.work()).await.unwrap();
    assert_eq!((parts(&again), counter.runs()), ((1, true, 1), 1));
    assert_eq!(bed.http.sent(), ["UpdateItem"]);
}

async fn a_cached_duplicate_is_no_request(bed: Bed) {
    let client = bed.builder().retention(Duration::from_secs(3600)).build().unwrap();
    let cached = || Idempotency::builder(client.clone()).cache(10, Duration::from_secs(60)).build().unwrap();
    let (counter, idempotency, another) = (Counter::default(), cached(), cached());
    let event = json!({"id": 1});
    idempotency.run(&event, None, || counter.work()).await.unwrap();
    bed.http.forget();
    assert_eq!(parts(&idempotency.run(&event, None, || counter.work()).await.unwrap()), (1, true, 1));
    assert_eq!(bed.http.sent().len(), 0, "what it did itself");
    for requests in [1, 1] {
        assert_eq!(parts(&another.run(&event, None, || counter.work()).await.unwrap()), (1, true, 1));
        assert_eq!(bed.http.sent().len(), requests, "what another did is asked for once");
    }
    let elsewhere = Idempotency::builder(bed.builder().namespace("elsewhere").build().unwrap());
    let elsewhere = elsewhere.cache(10, Duration::from_secs(60)).build().unwrap();
    assert_eq!(parts(&elsewhere.run(&event, None, || counter.work()).await.unwrap()), (2, false, 1));
    bed.clock.advance(Duration::from_secs(3601));
    assert_eq!(
        parts(&idempotency.run(&event, None, || counter.work()).await.unwrap()),
        (3, false, 1),
        "it has expired"
    );
}

async fn a_failure_is_recorded_and_may_run_again(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let event = json!({"id": 1});
    for attempt in 1..=3 {
        let work = || async { Err::<(), _>(std::io::Error::other("no paper")) };
        let error = idempotency.run(&event, None, work).await.unwrap_err();
        assert_eq!(error.to_string(), "no paper");
        assert_eq!(name(error), "std::io::error::Error", "attempt {attempt}");
    }
    let refused = idempotency.run(&event, None, || async { Ok::<_, WorkError>(()) }).await.unwrap_err();
    let record = refused.error().unwrap().tracker().unwrap();
    assert_eq!((record.status, record.attempts, record.errors.len()), (Status::Exhausted, 3, 3));
    assert_eq!(name(refused), "TaskExhausted");

    let event = json!({"id": 2});
    idempotency.run(&event, None, fails).await.unwrap_err();
    assert_eq!(parts(&idempotency.run(&event, None, fine).await.unwrap()), (7, false, 2), "the second attempt");
    assert_eq!(parts(&idempotency.run(&event, None, fine).await.unwrap()), (7, true, 2));
}

async fn an_error_for_good_exhausts_the_event(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let event = json!({"id": 1});
    let work = || async { Err::<u32, _>(WorkError::fatal("no such order")) };
    assert_eq!(idempotency.run(&event, None, work).await.unwrap_err().kind().name(), "HandlerFailed");
    assert_eq!(name(idempotency.run(&event, None, fine).await.unwrap_err()), "TaskExhausted");

    let event = json!({"id": 2});
    let work = || async { Err::<u32, _>(WorkError::from("later").after(Duration::from_secs(60))) };
    idempotency.run(&event, None, work).await.unwrap_err();
    let early = idempotency.run(&event, None, fine).await.unwrap_err();
    assert_eq!(early.until(), Some(bed.clock.now() + Duration::from_secs(60)));
    assert_eq!((early.http_status(), name(early)), (503, "TaskNotDue".to_owned()));
}

async fn another_payload_is_refused(bed: Bed) {
    let validated = || by_id(&bed).validate(Key::path(JmesPath::new("amount").unwrap()));
    let idempotency = validated().build().unwrap();
    let cached = validated().cache(10, Duration::from_secs(60)).build().unwrap();
    let event = json!({"id": 1, "amount": 1200, "sent": 1});
    idempotency.run(&event, None, fine).await.unwrap();
    for idempotency in [&idempotency, &cached, &cached] {
        let same = json!({"amount": 1200.0, "id": 1, "sent": 2});
        assert_eq!(parts(&idempotency.run(&same, None, fine).await.unwrap()), (7, true, 1));
        for other in [json!({"id": 1, "amount": 1}), json!({"id": 1}), json!({"id": 1, "amount": null})] {
            let error = idempotency.run(&other, None, fine).await.unwrap_err();
            assert_eq!(error.http_status(), 422);
            assert!(error.to_string().contains("differs in \"amount\"; send the event as it was"), "{error}");
            assert_eq!(name(error), "PayloadMismatch");
        }
    }
    let before = by_id(&bed).build().unwrap();
    before.run(&json!({"id": 2}), None, fine).await.unwrap();
    let since = idempotency.run(&json!({"id": 2, "amount": 1}), None, fine).await.unwrap();
    assert!(since.replayed, "a record from before there was anything to compare");
}

async fn an_event_without_a_key_is_refused_or_has_no_record(bed: Bed) {
    let event = json!({"id": ""});
    let error = by_id(&bed).build().unwrap().run(&event, None, fine).await.unwrap_err();
    assert_eq!(error.http_status(), 400);
    assert!(error.to_string().starts_with("namespace \"test\": \"id\" is not there"), "{error}");
    assert_eq!(name(error), "MissingKey");
    let (skips, counter) = (by_id(&bed).missing_key(MissingKey::Skip).build().unwrap(), Counter::default());
    for run in 1..=2 {
        assert_eq!(parts(&skips.run(&event, None, || counter.work()).await.unwrap()), (run, false, 0));
    }
    assert_eq!(bed.http.sent().len(), 0);
    let bad = Idempotency::builder(bed.client()).key(Key::path(JmesPath::new("powertools_json(id)").unwrap()));
    assert_eq!(name(bad.build().unwrap().run(&json!({"id": 1}), None, fine).await.unwrap_err()), "InvalidEvent");
    let long = Idempotency::builder(bed.client()).key(Key::new(|_| Some("x".repeat(3000)))).build().unwrap();
    assert_eq!(name(long.run(&event, None, fine).await.unwrap_err()), "InvalidEvent");
}

/// Work that has begun, and ends when it may.
#[derive(Clone)]
struct Gate {
    begun: Arc<Semaphore>,
    end: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { begun: Arc::new(Semaphore::new(0)), end: Arc::new(Semaphore::new(0)) }
    }

    async fn work(self, result: Result<u32, WorkError>) -> Result<u32, WorkError> {
        self.begun.add_permits(1);
        self.end.acquire().await.unwrap().forget();
        result
    }
}

async fn a_second_call_is_refused_while_the_first_goes_on(bed: Bed) {
    let (idempotency, gate) = (by_id(&bed).build().unwrap(), Gate::new());
    let event = json!({"id": 1});
    let context = context(&bed, Duration::from_secs(10));
    let first = idempotency.run(&event, Some(&context), || gate.clone().work(Ok(1)));
    let second = async {
        gate.begun.acquire().await.unwrap().forget();
        let error = idempotency.run(&event, None, fine).await.unwrap_err();
        gate.end.add_permits(1);
        error
    };
    let (first, error) = tokio::join!(first, second);
    assert_eq!(parts(&first.unwrap()), (1, false, 1));
    assert!(error.to_string().contains("locked by request-1 until"), "{error}");
    assert!(error.until().is_some());
    assert_eq!((error.http_status(), name(error)), (409, "TaskLocked".to_owned()));
}

/// Moves the clock for ever, by which whoever waits for somebody else sleeps.
async fn tick(bed: &Bed, step: Duration) {
    loop {
        bed.clock.advance(step);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A first call, and a second that waits for it, with what happens once the second has been refused.
async fn wait(
    bed: &Bed,
    first: Result<u32, WorkError>,
    then: impl FnOnce(&Gate),
) -> Result<Outcome<u32>, IdempotencyError> {
    let (begins, gate) = (by_id(bed).build().unwrap(), Gate::new());
    let waits = by_id(bed).while_in_progress(InProgress::Wait(Duration::from_secs(20))).build().unwrap();
    let event = json!({"id": 1});
    let first = begins.run(&event, None, || gate.clone().work(first));
    let second = async {
        gate.begun.acquire().await.unwrap().forget();
        bed.http.forget();
        waits.run(&event, None, fine).await
    };
    let moves = async {
        while bed.http.sent().is_empty() {
            tokio::task::yield_now().await;
        }
        then(&gate);
        tick(bed, Duration::from_millis(200)).await;
    };
    tokio::select! {
        (_, second) = async { tokio::join!(first, second) } => second,
        () = moves => unreachable!(),
    }
}

async fn a_second_call_waits_for_the_first(bed: Bed) {
    let outcome = wait(&bed, Ok(1), |gate| gate.end.add_permits(1)).await.unwrap();
    assert_eq!(parts(&outcome), (1, true, 1));
}

async fn whoever_waits_takes_over_from_a_failure(bed: Bed) {
    let outcome = wait(&bed, Err("no paper".into()), |gate| gate.end.add_permits(1)).await.unwrap();
    assert_eq!(parts(&outcome), (7, false, 2));
}

async fn a_second_call_does_not_wait_for_ever(bed: Bed) {
    let _held = bed.client::<Value>().start("k").await.unwrap();
    let waits = Idempotency::builder(bed.client()).while_in_progress(InProgress::Wait(Duration::from_secs(20)));
    let waits = waits.build().unwrap();
    let begun = bed.clock.monotonic();
    let error = tokio::select! {
        error = idempotent(&waits, "k", fine) => error.unwrap_err(),
        () = tick(&bed, Duration::from_millis(100)) => unreachable!(),
    };
    assert_eq!(name(error), "TaskLocked");
    assert!(bed.clock.monotonic() - begun >= Duration::from_secs(20));
    bed.http.forget();
    let left = Some(Duration::from_millis(1));
    tokio::select! {
        error = waits.run_keyed("k", None, left, fine) => assert_eq!(name(error.unwrap_err()), "TaskLocked"),
        () = tick(&bed, Duration::from_millis(1)) => unreachable!(),
    }
    assert!(bed.http.sent().len() <= 2, "no longer than the function has time");
}

/// How long the lease on `id` still is, from within its work.
async fn lease_of(bed: &Bed, idempotency: &Idempotency, left: Option<Duration>) -> Duration {
    let id = uuid::Uuid::new_v4().to_string();
    let work = || async {
        let record = bed.client::<Value>().load(&id).await?.unwrap();
        Ok::<_, WorkError>(record.lock_expire_time.unwrap().timestamp_millis())
    };
    let expires = idempotency.run_keyed(&id, None, left, work).await.unwrap().response;
    Duration::from_millis(u64::try_from(expires - bed.clock.now().timestamp_millis()).unwrap())
}

async fn the_lease_is_as_long_as_the_function_has_time(bed: Bed) {
    let idempotency = by_id(&bed).margin(Duration::from_millis(500)).build().unwrap();
    let table = [
        (None, 60_000),
        (Some(10_000), 10_500),
        (Some(3_000), 3_500),
        (Some(600_000), 60_000),
        // Half of so little time is for the work, and a lease must be longer than the skew.
        (Some(800), 1_200),
        (Some(200), 1_100),
        (Some(2), 1_100),
    ];
    for (left, lease) in table {
        let left = left.map(Duration::from_millis);
        assert_eq!(lease_of(&bed, &idempotency, left).await, Duration::from_millis(lease), "{left:?}");
    }
    let from_context = idempotency.left(&context(&bed, Duration::from_secs(9)));
    assert_eq!(from_context, Some(Duration::from_secs(9)));
    assert_eq!(idempotency.left(&Context::default()), None, "made without a deadline");
}

/// Work that takes so long by the test's clock, with DynamoDB's answers in between.
async fn takes(bed: &Bed, seconds: u64) -> Result<u32, WorkError> {
    for _ in 0..seconds {
        bed.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(7)
}

async fn a_long_invocation_needs_no_heartbeat(bed: Bed) {
    let client = bed.builder().lease(Duration::from_secs(900)).heartbeat(Duration::from_secs(20)).build().unwrap();
    let idempotency = Idempotency::builder(client).build().unwrap();
    let event = json!({"id": 1});
    let context = context(&bed, Duration::from_secs(30));
    let outcome = idempotency.run(&event, Some(&context), || takes(&bed, 29)).await.unwrap();
    assert_eq!((parts(&outcome), bed.http.sent().len()), ((7, false, 1), 2));
}

async fn a_lease_shorter_than_the_function_has_time_is_extended(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let context = context(&bed, Duration::from_secs(600));
    let outcome = idempotency.run(&json!({"id": 1}), Some(&context), || takes(&bed, 130)).await.unwrap();
    assert_eq!(parts(&outcome), (7, false, 1));
    assert!(bed.http.sent().len() > 4, "{:?}", bed.http.sent());
}

async fn work_is_stopped_before_the_deadline_and_runs_again(bed: Bed) {
    let (idempotency, event) = (by_id(&bed).build().unwrap(), json!({"id": 1}));
    let function = context(&bed, Duration::from_secs(10));
    let gate = Gate::new();
    let run = idempotency.run(&event, Some(&function), || gate.clone().work(Ok(1)));
    let clock = async {
        gate.begun.acquire().await.unwrap().forget();
        bed.clock.advance(Duration::from_millis(9_499));
        tokio::task::yield_now().await;
        bed.clock.advance(Duration::from_millis(1));
    };
    let (stopped, ()) = tokio::join!(run, clock);
    let error = stopped.unwrap_err();
    assert!(error.to_string().starts_with("the work was stopped, since the function's time is nearly over"), "{error}");
    assert_eq!((error.http_status(), name(error)), (504, "DeadlineExceeded".to_owned()));
    let record = bed.client::<Value>().load(idempotency.id(&event).unwrap().unwrap()).await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts), (Status::Failed, 1));
    let next = context(&bed, Duration::from_secs(10));
    assert_eq!(parts(&idempotency.run(&event, Some(&next), fine).await.unwrap()), (7, false, 2));
}

async fn without_time_the_work_is_not_begun(bed: Bed) {
    let (idempotency, counter) = (by_id(&bed).build().unwrap(), Counter::default());
    let none = Some(Duration::ZERO);
    let error = idempotency.run_keyed("k", None, none, || counter.work()).await.unwrap_err();
    assert!(error.to_string().starts_with("the work was not begun"), "{error}");
    assert_eq!((name(error), counter.runs()), ("DeadlineExceeded".to_owned(), 0));
    let record = bed.client::<Value>().load("k").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts), (Status::Pending, 0), "it was no attempt");
    idempotent(&idempotency, "k", || counter.work()).await.unwrap();
    let again = idempotency.run_keyed::<u32, WorkError, _, _>("k", None, none, || counter.work()).await.unwrap();
    assert_eq!(parts(&again), (1, true, 1), "a response that is kept needs no time");
}

async fn a_lost_answer_changes_nothing(bed: Bed) {
    let (idempotency, counter) = (by_id(&bed).build().unwrap(), Counter::default());
    for (id, plan) in
        [[Fault::LostAnswer, Fault::None, Fault::LostAnswer], [Fault::None, Fault::DoneButFailed, Fault::None]]
            .into_iter()
            .enumerate()
    {
        bed.http.plan(plan);
        let event = json!({"id": id});
        let first = idempotency.run(&event, None, || counter.work()).await.unwrap();
        let again = idempotency.run(&event, None, || counter.work()).await.unwrap();
        assert_eq!((first.replayed, again.replayed, again.attempt), (false, true, 1));
        assert_eq!((first.response, again.response), (counter.runs(), counter.runs()));
    }
    assert_eq!(counter.runs(), 2);
}

async fn an_outcome_that_is_not_recorded_is_said_with_the_response(bed: Bed) {
    let client = bed.builder().outcome_patience(Duration::ZERO).build().unwrap();
    let idempotency = Idempotency::builder(client).build().unwrap();
    let event = json!({"id": 1});
    bed.http.plan([Fault::None, Fault::Denied]);
    let error = idempotency.run(&event, None, || async { Ok::<_, WorkError>("secret".to_owned()) }).await.unwrap_err();
    assert_eq!(error.response::<String>().as_deref(), Some("secret"));
    assert!(error.to_string().contains("the work is done, and is run again if"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert_eq!(name(error), "OutcomeNotRecorded");
    assert_eq!(name(idempotency.run(&event, None, fine).await.unwrap_err()), "TaskLocked");
    bed.clock.advance(Duration::from_secs(62));
    assert_eq!(parts(&idempotency.run(&event, None, fine).await.unwrap()), (7, false, 2));
}

async fn a_lease_that_is_lost_is_said(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let work = || async {
        bed.wipe("k").await;
        Ok::<_, WorkError>(7)
    };
    let error = idempotency.run_keyed("k", None, Some(Duration::from_secs(30)), work).await.unwrap_err();
    assert_eq!(error.response::<u32>(), Some(7));
    assert_eq!((error.http_status(), name(error)), (409, "LeaseLost".to_owned()));
}

async fn an_ignored_event_and_a_table_that_is_not_there(bed: Bed) {
    let client = bed.client::<dynamo_tracker::lambda::Replay>();
    let created = client.create("k").await.unwrap();
    client.ignore(&created).await.unwrap();
    let idempotency = Idempotency::builder(client).build().unwrap();
    let error = idempotent(&idempotency, "k", fine).await.unwrap_err();
    assert_eq!((error.http_status(), name(error)), (410, "TaskIgnored".to_owned()));
    let nowhere = Idempotency::builder(bed.builder().table("nowhere").build().unwrap()).build().unwrap();
    let error = idempotent(&nowhere, "k", fine).await.unwrap_err();
    assert_eq!((error.http_status(), name(error)), (503, "StoreUnavailable".to_owned()));
}

async fn a_panic_is_recorded_and_goes_on(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let panics = || async { if true { panic!("on purpose") } else { fine().await } };
    let run = std::panic::AssertUnwindSafe(idempotent(&idempotency, "k", panics));
    futures_util::FutureExt::catch_unwind(run).await.unwrap_err();
    let record = bed.client::<Value>().load("k").await.unwrap().unwrap();
    assert_eq!((record.status, record.errors[0].error_type.as_str()), (Status::Failed, "panic"));
    assert_eq!(parts(&idempotent(&idempotency, "k", fine).await.unwrap()), (7, false, 2));
}

async fn any_function_can_be_idempotent(bed: Bed) {
    async fn charge(cents: u64) -> Result<u64, lambda_runtime::Error> {
        Ok(cents)
    }
    let charges = Idempotency::builder(bed.client()).build().unwrap();
    assert_eq!(parts(&idempotent(&charges, "order-42", || charge(1200)).await.unwrap()), (1200, false, 1));
    assert_eq!(parts(&idempotent(&charges, "order-42", || charge(9999)).await.unwrap()), (1200, true, 1));
    let refuses = || async { Err::<u64, lambda_runtime::Error>("no".into()) };
    let error = idempotent(&charges, "order-43", refuses).await.unwrap_err();
    assert_eq!((error.kind().name(), error.work_error().unwrap().to_string()), ("HandlerFailed", "no".to_owned()));
}

async fn a_task_of_a_batch_is_refused_unless_it_is_counted(bed: Bed) {
    let counter = Counter::default();
    let (idempotency, counting) = (by_id(&bed).build().unwrap(), by_id(&bed).counts_batches().build().unwrap());
    let batch = idempotency.client().open_batch("import", 2).await.unwrap();
    batch.create_many(stream::iter(["1", "2"].map(NewTask::new)), 1).await.unwrap();
    batch.close().await.unwrap();
    let error = idempotency.run_keyed("1", None, None, || counter.work()).await.unwrap_err();
    assert!(error.to_string().contains("counts_batches"), "{error}");
    let record = idempotency.client().load("1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.lock, counter.runs()), (Status::Pending, 0, None, 0));
    for id in ["1", "2"] {
        counting.run_keyed(id, None, None, || counter.work()).await.unwrap();
    }
    let status = batch.status().await.unwrap();
    assert_eq!((status.open_tasks, status.complete_time.is_some(), counter.runs()), (0, true, 2));
    // What has ended is of no batch any more.
    assert!(idempotency.run_keyed("1", None, None, || counter.work()).await.unwrap().replayed);
}

async fn an_exhausted_task_of_a_batch_is_counted(bed: Bed) {
    let client = bed.builder().max_attempts(1).build().unwrap();
    let builder = || Idempotency::builder(client.clone()).key(Key::path(JmesPath::new("id").unwrap()));
    let (idempotency, counting) = (builder().build().unwrap(), builder().counts_batches().build().unwrap());
    let batch = client.open_batch("import", 2).await.unwrap();
    batch.create_many(stream::iter(["1"].map(NewTask::new)), 1).await.unwrap();
    // A crash at the last attempt, for the next start to find.
    drop(client.start("1").await.unwrap());
    bed.clock.advance(Duration::from_secs(3600));
    let error = idempotency.run_keyed("1", None, None, fine).await.unwrap_err();
    assert!(error.to_string().contains("counts_batches"), "{error}");
    assert_eq!(batch.status().await.unwrap().open_tasks, 1);
    assert_eq!(name(counting.run_keyed("1", None, None, fine).await.unwrap_err()), "TaskExhausted");
    assert_eq!(batch.status().await.unwrap().open_tasks, 0);
}
