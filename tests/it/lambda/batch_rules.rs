//! What becomes of each record of a batch, on SQS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use dynamo_tracker::lambda::batch::{BatchError, Exhausted, RecordOutcome, RecordReport, SqsBatch, SqsDelivery};
use dynamo_tracker::lambda::{Idempotency, Key, MissingKey, Replay};
use dynamo_tracker::{Backoff, Status, Tracker, TrackerClientBuilder};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tower::Service;
use tracing::instrument::WithSubscriber;

use super::batch_event::{Calls, Order, failed, fifo, invocation, order, sqs};
use crate::bed::Bed;
use crate::bed::http::Fault;
use crate::bed::log::Log;

crate::tests![
    each_message_is_done_once,
    only_what_fails_comes_again,
    a_panic_is_the_failure_of_its_record_alone,
    the_rest_of_a_group_waits_for_its_failure,
    a_group_of_a_standard_queue_promises_no_order,
    groups_run_at_the_same_time_and_one_by_one_within,
    no_more_run_at_a_time_than_is_said,
    exhausted_messages_are_left_to_the_queue,
    exhausted_messages_are_acknowledged_where_that_is_said,
    a_fatal_error_exhausts_at_once,
    what_is_given_back_counts_no_attempt,
    what_somebody_else_works_on_comes_again,
    what_is_due_later_comes_again,
    what_is_ignored_is_acknowledged,
    without_time_nothing_is_begun,
    what_is_not_begun_in_time_comes_again_without_an_attempt,
    what_takes_too_long_is_stopped_before_the_deadline,
    two_with_one_key_are_done_once,
    two_with_one_key_fail_as_one,
    a_malformed_body_is_a_failure_of_its_own,
    a_message_without_a_key_is_a_failure_of_its_own,
    a_message_without_a_key_may_be_told_apart_by_its_id,
    another_payload_with_the_same_key_is_not_acknowledged,
    raw_messages_need_no_json,
    a_success_that_is_not_recorded_is_acknowledged,
    lost_answers_change_nothing,
    all_failed_can_be_an_error,
    a_table_that_is_not_there_is_an_error,
    another_event_is_an_error,
    an_empty_batch_is_done,
    the_hook_is_told_of_each_record,
    the_log_says_which_task_and_shows_no_data,
];

const SUCCEED: &str = "succeed";
const FAIL: &str = "fail";

fn batch(bed: &Bed) -> SqsBatch {
    batch_of(bed.builder())
}

fn batch_of(client: TrackerClientBuilder<Replay>) -> SqsBatch {
    SqsBatch::new(idempotency_of(client))
}

pub(super) fn idempotency_of(client: TrackerClientBuilder<Replay>) -> Idempotency {
    Idempotency::builder(client.build().unwrap()).build().unwrap()
}

/// The `id` in a body.
pub(super) fn id_as_key() -> Key {
    Key::new(|body| body["id"].as_str().map(str::to_owned))
}

async fn handle(batch: &SqsBatch, bed: &Bed, calls: &Calls, event: SqsEvent) -> SqsBatchResponse {
    batch.run(invocation(bed, event), |delivery| calls.clone().handle(delivery)).await.unwrap()
}

async fn each_message_is_done_once(bed: Bed) {
    let (batch, calls) = (batch(&bed), Calls::default());
    let event = || sqs([order("a", SUCCEED), order("b", SUCCEED), order("c", SUCCEED)]);
    assert!(failed(&handle(&batch, &bed, &calls, event()).await).is_empty());
    assert_eq!(calls.take_sorted(), ["a", "b", "c"]);
    assert_eq!(bed.http.sent(), ["UpdateItem"; 6], "two requests for each");
    bed.http.forget();
    assert!(failed(&handle(&batch, &bed, &calls, event()).await).is_empty());
    assert_eq!(calls.take(), [""; 0]);
    assert_eq!(bed.http.sent(), ["UpdateItem"; 3], "one for each that is done");
}

async fn only_what_fails_comes_again(bed: Bed) {
    let (batch, calls) = (batch(&bed), Calls::default());
    let event = || sqs([order("a", SUCCEED), order("b", "succeed_later"), order("c", SUCCEED)]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m1"]);
    assert_eq!((status(&bed, "m1").await, attempts(&bed, "m1").await), (Status::Failed, 1));
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), [""; 0]);
    assert_eq!(calls.take_sorted(), ["a", "b", "b", "c"]);
    assert_eq!((status(&bed, "m1").await, attempts(&bed, "m1").await), (Status::Succeeded, 2));
}

async fn a_panic_is_the_failure_of_its_record_alone(bed: Bed) {
    let (batch, calls) = (batch(&bed), Calls::default());
    let event = sqs([order("a", "panic"), order("b", SUCCEED)]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event).await), ["m0"]);
    let record = load(&bed, "m0").await.unwrap();
    assert_eq!((record.status, record.errors[0].error_type.as_str()), (Status::Failed, "panic"));
    assert_eq!(record.errors[0].message, "the work panicked: no ink");
    assert_eq!(status(&bed, "m1").await, Status::Succeeded);
}

async fn the_rest_of_a_group_waits_for_its_failure(bed: Bed) {
    let (batch, calls) = (batch(&bed).concurrency(1), Calls::default());
    let event = || {
        fifo([
            ("a", order("a0", SUCCEED)),
            ("a", order("a1", "succeed_later")),
            ("b", order("b0", SUCCEED)),
            ("a", order("a2", SUCCEED)),
            ("b", order("b1", SUCCEED)),
            ("a", order("a3", SUCCEED)),
        ])
    };
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m1", "m3", "m5"]);
    assert_eq!(calls.take_sorted(), ["a0", "a1", "b0", "b1"]);
    assert!(load(&bed, "m3").await.is_none(), "no attempt is counted");
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), [""; 0]);
    assert_eq!(calls.take(), ["a1", "a2", "a3"]);
}

/// There, groups are for a fair share of the consumers.
async fn a_group_of_a_standard_queue_promises_no_order(bed: Bed) {
    let (batch, calls) = (batch(&bed), Calls::default());
    let mut event = sqs([order("a", FAIL), order("b", SUCCEED)]);
    for record in &mut event.records {
        record.attributes.insert("MessageGroupId".to_owned(), "tenant".to_owned());
    }
    assert_eq!(failed(&handle(&batch, &bed, &calls, event).await), ["m0"]);
    assert_eq!(calls.take_sorted(), ["a", "b"]);
}

/// Each call waits for one of the other group, and would wait for ever if the groups took turns.
async fn groups_run_at_the_same_time_and_one_by_one_within(bed: Bed) {
    let groups = ["a", "b", "b", "a", "a", "b"];
    let event = fifo(groups.iter().enumerate().map(|(number, group)| (*group, json!([group, number]))));
    let (together, calls) = (Arc::new(Barrier::new(2)), Calls::default());
    let handler = |delivery: SqsDelivery<(String, usize)>| {
        let (together, calls) = (Arc::clone(&together), calls.clone());
        async move {
            let (group, number) = delivery.body;
            together.wait().await;
            calls.add(&format!("{group}{number}"));
            together.wait().await;
            Ok(())
        }
    };
    let response = limited(batch(&bed).run(invocation(&bed, event), handler)).await.unwrap();
    assert!(failed(&response).is_empty());
    let calls = calls.take();
    let of = |group: &str| calls.iter().filter(|call| call.starts_with(group)).cloned().collect::<Vec<_>>();
    assert_eq!((of("a"), of("b")), (strings(["a0", "a3", "a4"]), strings(["b1", "b2", "b5"])));
}

/// Three wait for each other, and would wait for ever if fewer ran at a time.
async fn no_more_run_at_a_time_than_is_said(bed: Bed) {
    let together = Arc::new(Barrier::new(3));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = |_: SqsDelivery<usize>| {
        let (together, running, most) = (Arc::clone(&together), Arc::clone(&running), Arc::clone(&most));
        async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            together.wait().await;
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    };
    let event = sqs(0..9);
    let response = limited(batch(&bed).concurrency(3).run(invocation(&bed, event), handler)).await.unwrap();
    assert!(failed(&response).is_empty());
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

async fn exhausted_messages_are_left_to_the_queue(bed: Bed) {
    let (batch, calls) = (batch_of(bed.builder().max_attempts(2)), Calls::default());
    for _ in 0..4 {
        assert_eq!(failed(&handle(&batch, &bed, &calls, sqs([order("a", FAIL)])).await), ["m0"]);
    }
    assert_eq!(calls.take(), ["a", "a"], "it comes again, and is not run again");
    assert_eq!((status(&bed, "m0").await, attempts(&bed, "m0").await), (Status::Exhausted, 2));
}

async fn exhausted_messages_are_acknowledged_where_that_is_said(bed: Bed) {
    let batch = batch_of(bed.builder().max_attempts(2)).exhausted(Exhausted::Acknowledge);
    let calls = Calls::default();
    let event = || fifo([("a", order("a0", FAIL)), ("a", order("a1", SUCCEED))]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m0", "m1"]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), [""; 0]);
    assert_eq!(calls.take(), ["a0", "a0", "a1"], "what is behind it goes on");
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), [""; 0], "also when it comes again");
    assert_eq!(calls.take(), [""; 0]);
    assert_eq!(load(&bed, "m0").await.unwrap().errors.len(), 2, "its record is the dead letter");
}

async fn a_fatal_error_exhausts_at_once(bed: Bed) {
    let batch = batch(&bed).exhausted(Exhausted::Acknowledge);
    let event = sqs([order("a", "fail_for_good")]);
    assert_eq!(failed(&handle(&batch, &bed, &Calls::default(), event).await), [""; 0]);
    assert_eq!((status(&bed, "m0").await, attempts(&bed, "m0").await), (Status::Exhausted, 1));
}

async fn what_is_given_back_counts_no_attempt(bed: Bed) {
    let event = sqs([order("a", "give_back")]);
    assert_eq!(failed(&handle(&batch(&bed), &bed, &Calls::default(), event).await), ["m0"]);
    assert_eq!((status(&bed, "m0").await, attempts(&bed, "m0").await), (Status::Pending, 0));
}

async fn what_somebody_else_works_on_comes_again(bed: Bed) {
    let _theirs = bed.client::<Value>().start("m0").await.unwrap();
    let calls = Calls::default();
    let event = sqs([order("a", SUCCEED), order("b", SUCCEED)]);
    assert_eq!(failed(&handle(&batch(&bed), &bed, &calls, event).await), ["m0"]);
    assert_eq!(calls.take(), ["b"]);
}

async fn what_is_due_later_comes_again(bed: Bed) {
    let backoff = Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600));
    let (batch, calls) = (batch_of(bed.builder().backoff(backoff)), Calls::default());
    for _ in 0..2 {
        assert_eq!(failed(&handle(&batch, &bed, &calls, sqs([order("a", "succeed_later")])).await), ["m0"]);
    }
    assert_eq!(calls.take(), ["a"]);
    bed.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(failed(&handle(&batch, &bed, &calls, sqs([order("a", "succeed_later")])).await), [""; 0]);
}

async fn what_is_ignored_is_acknowledged(bed: Bed) {
    bed.client::<Value>().start("m0").await.unwrap().mark_as_ignored().await.unwrap();
    let calls = Calls::default();
    assert_eq!(failed(&handle(&batch(&bed), &bed, &calls, sqs([order("a", SUCCEED)])).await), [""; 0]);
    assert_eq!(calls.take(), [""; 0]);
}

async fn without_time_nothing_is_begun(bed: Bed) {
    let calls = Calls::default();
    let late = invocation(&bed, sqs([order("a", SUCCEED), order("b", SUCCEED)]));
    bed.clock.advance(Duration::from_secs(30));
    let response = batch(&bed).run(late, |delivery| calls.clone().handle(delivery)).await.unwrap();
    assert_eq!(failed(&response), ["m0", "m1"]);
    assert_eq!((calls.take(), bed.http.sent()), (vec![], vec![]), "not even a request");
}

/// The second takes so long that nothing is left for the others.
async fn what_is_not_begun_in_time_comes_again_without_an_attempt(bed: Bed) {
    let calls = Calls::default();
    let handler = |delivery: SqsDelivery<Order>| {
        let (calls, clock) = (calls.clone(), bed.clock.clone());
        async move {
            if delivery.body.id == "b" {
                clock.advance(Duration::from_millis(29_600));
            }
            calls.handle(delivery).await
        }
    };
    let event = sqs(["a", "b", "c", "d"].map(|id| order(id, SUCCEED)));
    let response = batch(&bed).concurrency(1).run(invocation(&bed, event), handler).await.unwrap();
    assert_eq!(failed(&response), ["m2", "m3"]);
    assert_eq!(calls.take_sorted(), ["a", "b"]);
    assert!(load(&bed, "m2").await.is_none() && load(&bed, "m3").await.is_none());
}

/// The clock stands still unless it is moved, and the handler moves it past the time that it has.
async fn what_takes_too_long_is_stopped_before_the_deadline(bed: Bed) {
    let handler = |delivery: SqsDelivery<Order>| {
        let clock = bed.clock.clone();
        async move {
            if delivery.body.id == "slow" {
                clock.advance(Duration::from_millis(29_600));
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    };
    let event = sqs([order("a", SUCCEED), order("slow", SUCCEED)]);
    let response = limited(batch(&bed).concurrency(1).run(invocation(&bed, event), handler)).await.unwrap();
    assert_eq!(failed(&response), ["m1"]);
    let record = load(&bed, "m1").await.unwrap();
    assert_eq!((record.status, record.attempts), (Status::Failed, 1));
    assert!(record.errors[0].error_type.ends_with("DeadlineExceeded"), "{}", record.errors[0].error_type);
}

async fn two_with_one_key_are_done_once(bed: Bed) {
    let (batch, calls) = (batch(&bed).key(id_as_key()), Calls::default());
    let event = sqs([order("a", SUCCEED), order("b", SUCCEED), order("a", SUCCEED)]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event).await), [""; 0]);
    assert_eq!(calls.take_sorted(), ["a", "b"]);
    assert_eq!(bed.http.sent().len(), 5, "the duplicate costs one");
}

async fn two_with_one_key_fail_as_one(bed: Bed) {
    let (batch, calls) = (batch(&bed).key(id_as_key()), Calls::default());
    let event = || sqs(["succeed_later"; 3].map(|what| order("a", what)));
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m0", "m1", "m2"]);
    assert_eq!(calls.take(), ["a"], "one delivery costs one attempt");
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), [""; 0]);
    assert_eq!(calls.take(), ["a"]);
}

async fn a_malformed_body_is_a_failure_of_its_own(bed: Bed) {
    let (batch, calls) = (batch_of(bed.builder().max_attempts(2)), Calls::default());
    let event = || sqs(["{\"id\": \"secret", "{\"id\": \"secret\", \"do\": 7}", "{\"id\":\"a\",\"do\":\"succeed\"}"]);
    for _ in 0..3 {
        assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m0", "m1"]);
    }
    assert_eq!(calls.take(), ["a"]);
    for (id, why) in [("m0", "is no JSON, at line 1, column 14"), ("m1", "is JSON, but no `")] {
        let record = load(&bed, id).await.unwrap();
        assert_eq!((record.status, record.attempts), (Status::Exhausted, 2));
        let error = &record.errors[0];
        assert_eq!(error.error_type, "MalformedBody");
        assert!(error.message.contains(why) && !error.message.contains("secret"), "{}", error.message);
    }
}

async fn a_message_without_a_key_is_a_failure_of_its_own(bed: Bed) {
    let batch = batch_of(bed.builder().max_attempts(2)).key(id_as_key());
    let calls = Calls::default();
    let event = || sqs([json!({ "do": "succeed" }), json!({ "id": "", "do": "succeed" }), order("a", SUCCEED)]);
    for _ in 0..3 {
        assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m0", "m1"]);
    }
    assert_eq!(calls.take(), ["a"]);
    for id in ["m0", "m1"] {
        let record = load(&bed, id).await.unwrap();
        assert_eq!((record.status, record.errors[0].error_type.as_str()), (Status::Exhausted, "MissingKey"));
    }
}

async fn a_message_without_a_key_may_be_told_apart_by_its_id(bed: Bed) {
    let idempotency = Idempotency::builder(bed.client()).missing_key(MissingKey::Skip).build().unwrap();
    let (batch, calls) = (SqsBatch::new(idempotency).key(Key::new(|_| None)), Calls::default());
    let event = || sqs([order("a", SUCCEED), order("a", SUCCEED)]);
    for _ in 0..2 {
        assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), [""; 0]);
    }
    assert_eq!(calls.take(), ["a", "a"], "once for each id");
}

/// And it does not hold up the one behind it, which is as the first was.
async fn another_payload_with_the_same_key_is_not_acknowledged(bed: Bed) {
    let what = Key::new(|body| body["do"].as_str().map(str::to_owned));
    let idempotency = Idempotency::builder(bed.client()).validate(what).build().unwrap();
    let (batch, calls) = (SqsBatch::new(idempotency).key(id_as_key()), Calls::default());
    let event = sqs([order("a", SUCCEED), order("a", FAIL), order("a", SUCCEED)]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event).await), ["m1"]);
    assert_eq!(calls.take(), ["a"]);
}

async fn raw_messages_need_no_json(bed: Bed) {
    let calls = Calls::default();
    let handler = |delivery: SqsDelivery<()>| {
        calls.add(delivery.record.body.as_deref().unwrap());
        async { Ok(()) }
    };
    let response = batch(&bed).run_raw(invocation(&bed, sqs(["<order/>", ""])), handler).await.unwrap();
    assert!(failed(&response).is_empty());
    assert_eq!(calls.take_sorted(), ["", "<order/>"]);
}

/// The work is done, and if it came again it would be done twice.
async fn a_success_that_is_not_recorded_is_acknowledged(bed: Bed) {
    let batch = batch_of(bed.builder().outcome_patience(Duration::ZERO));
    let http = bed.http.clone();
    let handler = |_: SqsDelivery<Order>| {
        http.plan([Fault::Denied; 1]);
        async { Ok(()) }
    };
    let response = batch.run(invocation(&bed, sqs([order("a", SUCCEED)])), handler).await.unwrap();
    assert!(failed(&response).is_empty());
    assert_eq!(status(&bed, "m0").await, Status::InProgress);
}

async fn lost_answers_change_nothing(bed: Bed) {
    let (batch, calls) = (batch(&bed).concurrency(1), Calls::default());
    bed.http.plan([Fault::LostAnswer, Fault::None, Fault::DoneButFailed, Fault::None]);
    let event = sqs([order("a", SUCCEED), order("b", FAIL)]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event).await), ["m1"]);
    assert_eq!(calls.take_sorted(), ["a", "b"]);
    assert_eq!((attempts(&bed, "m0").await, attempts(&bed, "m1").await), (1, 1));
}

async fn all_failed_can_be_an_error(bed: Bed) {
    let (batch, calls) = (batch(&bed), Calls::default());
    let event = || sqs([order("a", FAIL), order("b", FAIL)]);
    assert_eq!(failed(&handle(&batch, &bed, &calls, event()).await), ["m0", "m1"]);
    let mut service = batch.error_if_all_fail().service(move |delivery| calls.clone().handle(delivery));
    let error = service.call(invocation(&bed, event())).await.unwrap_err();
    assert!(matches!(error, BatchError::BatchFailed { records: 2 }), "{error:?}");
    assert_eq!(Diagnostic::from(error).error_type, "BatchFailed");
    let one_good = sqs([order("a", FAIL), order("b", FAIL), order("c", SUCCEED)]);
    assert_eq!(failed(&service.call(invocation(&bed, one_good)).await.unwrap()), ["m0", "m1"]);
}

async fn a_table_that_is_not_there_is_an_error(bed: Bed) {
    let batch = batch_of(bed.builder().table("another-table"));
    let work = batch.run(invocation(&bed, sqs([order("a", SUCCEED)])), |delivery| Calls::default().handle(delivery));
    let error = work.await.unwrap_err();
    assert!(matches!(error, BatchError::Unusable(_)) && error.to_string().contains("another-table"), "{error}");
}

async fn another_event_is_an_error(bed: Bed) {
    let mut event = sqs([order("a", SUCCEED), order("b", SUCCEED)]);
    event.records[1].message_id = None;
    let calls = Calls::default();
    let error = batch(&bed).run(invocation(&bed, event), |delivery| calls.clone().handle(delivery)).await.unwrap_err();
    assert!(matches!(error, BatchError::InvalidEvent { place: 1 }), "{error:?}");
    assert_eq!(calls.take(), [""; 0]);
}

async fn an_empty_batch_is_done(bed: Bed) {
    let batch = batch(&bed).error_if_all_fail();
    assert_eq!(failed(&handle(&batch, &bed, &Calls::default(), sqs([""; 0])).await), [""; 0]);
}

async fn the_hook_is_told_of_each_record(bed: Bed) {
    let told = Calls::default();
    let batch = {
        let told = told.clone();
        batch(&bed).concurrency(1).on_record(move |report| told.add(&said(report)))
    };
    let event = || {
        fifo([
            ("a", order("secret", SUCCEED)),
            ("b", order("secret", "succeed_later")),
            ("b", order("secret", SUCCEED)),
            ("c", order("secret", "fail_for_good")),
        ])
    };
    handle(&batch, &bed, &Calls::default(), event()).await;
    assert_eq!(
        told.take_sorted(),
        [
            "m0 m0 succeeded Some(1) true",
            "m1 m1 failed Some(1) false",
            "m2 m2 behind None false",
            "m3 m3 exhausted Some(1) false",
        ]
    );
    handle(&batch, &bed, &Calls::default(), event()).await;
    assert_eq!(
        told.take_sorted(),
        [
            "m0 m0 replayed None true",
            "m1 m1 succeeded Some(2) true",
            "m2 m2 succeeded Some(1) true",
            "m3 m3 exhausted None false",
        ]
    );
}

async fn the_log_says_which_task_and_shows_no_data(bed: Bed) {
    let batch = batch(&bed).concurrency(1);
    let log = Log::default();
    for _ in 0..2 {
        let event = sqs([order("secret", SUCCEED), order("secret", FAIL), json!({ "secret": true })]);
        let calls = Calls::default();
        let handler = |delivery| {
            tracing::info!("handling it");
            calls.clone().handle(delivery)
        };
        let work = batch.run(invocation(&bed, event), handler);
        work.with_subscriber(log.subscriber()).await.unwrap();
    }
    for wanted in [
        &["record=\"m0\" task=\"m0\" namespace=\"test\" attempt=1", "handling it"][..],
        &["record=\"m0\"", "replayed=true", "the record is over: replayed acknowledged=true"],
        &["record=\"m1\"", "attempt=2", "the record is over: failed acknowledged=false"],
    ] {
        assert!(log.has(wanted), "{wanted:?} is not in {:#?}", log.own_lines());
    }
    for line in log.own_lines() {
        assert!(!line.contains("secret") && !line.contains("no paper"), "{line}");
    }
}

fn said(report: &RecordReport<'_>) -> String {
    assert!(!format!("{report:?}").contains("secret"), "{report:?}");
    assert_eq!(report.work_error.is_some(), report.attempt.is_some() && report.outcome != RecordOutcome::Succeeded);
    let RecordReport { identifier, task, outcome, attempt, acknowledged, .. } = report;
    format!("{identifier} {task} {outcome} {attempt:?} {acknowledged}")
}

/// A test that hangs tells nobody why.
async fn limited<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("the records wait for each other")
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

async fn load(bed: &Bed, id: &str) -> Option<Tracker<Value>> {
    bed.client::<Value>().load(id).await.unwrap()
}

async fn status(bed: &Bed, id: &str) -> Status {
    load(bed, id).await.unwrap().status
}

async fn attempts(bed: &Bed, id: &str) -> u32 {
    load(bed, id).await.unwrap().attempts
}
