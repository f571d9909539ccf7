//! The core: one event, one response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dynamo_tracker::lambda::{Idempotency, IdempotencyBuilder, IdempotencyError, JmesPath, Key, Outcome};
use dynamo_tracker::{Status, WorkError};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::bed::meter::Meter;

crate::tests![
    the_first_call_is_two_writes_and_a_duplicate_one,
    a_cached_duplicate_is_no_request,
    every_response_comes_back_as_it_was,
    a_failure_is_recorded_and_may_run_again,
];

/// Keyed by the event's `id`.
fn by_id(bed: &Bed) -> IdempotencyBuilder {
    Idempotency::builder(bed.client()).key(Key::path(JmesPath::new("id").unwrap()))
}

/// Work that answers how often it was run.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU32>);

impl Counter {
    async fn work(&self) -> Result<u32, WorkError> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn runs(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn parts<R: Copy>(outcome: &Outcome<R>) -> (R, bool, u32) {
    (outcome.response, outcome.replayed, outcome.attempt)
}

fn name(error: IdempotencyError) -> String {
    Diagnostic::from(error).error_type
}

async fn the_first_call_is_two_writes_and_a_duplicate_one(bed: Bed) {
    let meter = Meter::default();
    let sdk = aws_sdk_dynamodb::Client::from_conf(bed.sdk_config().interceptor(meter.clone()).build());
    let client = dynamo_tracker::TrackerClient::builder(sdk).table(&bed.table).namespace("test");
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
    let cached = |bed: &Bed| by_id(bed).cache(10, Duration::from_secs(60)).build().unwrap();
    let (counter, idempotency, another) = (Counter::default(), cached(&bed), cached(&bed));
    let event = json!({"id": 1});
    idempotency.run(&event, None, || counter.work()).await.unwrap();
    bed.http.forget();
    assert_eq!(parts(&idempotency.run(&event, None, || counter.work()).await.unwrap()), (1, true, 1));
    assert_eq!(bed.http.sent().len(), 0, "what it did itself");
    for requests in [1, 1] {
        assert_eq!(parts(&another.run(&event, None, || counter.work()).await.unwrap()), (1, true, 1));
        assert_eq!(bed.http.sent().len(), requests, "what another did is asked for once");
    }
}

async fn every_response_comes_back_as_it_was(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let values =
        [json!(0), json!(false), json!(null), json!(""), json!([]), json!({}), json!(u64::MAX), json!({"a": [1.0]})];
    for (id, value) in values.into_iter().enumerate() {
        for replayed in [false, true] {
            let work = || async { Ok::<Value, WorkError>(value.clone()) };
            let outcome = idempotency.run(&json!({"id": id}), None, work).await.unwrap();
            assert_eq!((&outcome.response, outcome.replayed), (&value, replayed));
        }
    }
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
}
