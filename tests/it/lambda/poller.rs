//! The event source mapping is as Lambda's is.

use std::collections::HashSet;
use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::{Value, json};

use super::handler::function;
use crate::bed::lambda::Deployed;
use crate::bed::queue::{Batch, Poller, Queue};

super::trials![
    the_event_is_one_of_sqs,
    an_event_of_a_fifo_queue_has_groups,
    what_succeeds_is_deleted,
    only_what_fails_comes_back,
    an_answer_without_failures_is_a_success,
    a_bad_answer_is_a_failure_of_all,
    an_error_is_a_failure_of_all,
    a_timeout_is_a_failure_of_all,
    what_fails_too_often_is_a_dead_letter,
    a_group_keeps_its_order,
    a_group_that_fails_too_often_is_dead_as_a_whole,
    a_function_that_breaks_the_order_is_found_out,
    several_batches_at_a_time,
];

const SUCCEED: &str = r#"{"do":"succeed"}"#;
const FAIL: &str = r#"{"do":"fail"}"#;

async fn the_event_is_one_of_sqs() {
    let (queue, function) = (Queue::standard(3).await, function("start").deploy());
    let attribute = MessageAttributeValue::builder().data_type("String").string_value("blue").build().unwrap();
    let request = queue.client.send_message().queue_url(&queue.url).message_body(SUCCEED);
    let sent = request.message_attributes("colour", attribute).send().await.unwrap();
    let batch = poll(&queue, &function).await;
    let record = &batch.event["Records"][0];
    assert_eq!(record["messageId"], sent.message_id.unwrap());
    assert_eq!(record["body"], SUCCEED);
    assert_eq!(record["md5OfBody"], sent.md5_of_message_body.unwrap());
    assert_eq!(record["md5OfMessageAttributes"], sent.md5_of_message_attributes.unwrap());
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    for name in ["SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"] {
        assert!(record["attributes"][name].is_string(), "{name} in {record}");
    }
    assert_eq!(record["eventSource"], "aws:sqs");
    assert_eq!(record["eventSourceARN"], queue.arn);
    assert_eq!(record["awsRegion"], "us-east-1");
    let event: SqsEvent = serde_json::from_value(batch.event).unwrap();
    let attributes = &event.records[0].message_attributes;
    assert_eq!(attributes["colour"].string_value.as_deref(), Some("blue"));
}

async fn an_event_of_a_fifo_queue_has_groups() {
    let (queue, function) = (Queue::fifo(3).await, function("start").deploy());
    queue.send_to("a", SUCCEED).await;
    let batch = poll(&queue, &function).await;
    let attributes = &batch.event["Records"][0]["attributes"];
    assert_eq!(attributes["MessageGroupId"], "a");
    for name in ["SequenceNumber", "MessageDeduplicationId"] {
        assert!(attributes[name].is_string(), "{name} in {attributes}");
    }
}

async fn what_succeeds_is_deleted() {
    let (queue, function) = (Queue::standard(3).await, function("start").deploy());
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(queue.send(SUCCEED).await);
    }
    let mut batch = poll(&queue, &function).await;
    batch.deleted.sort();
    sent.sort();
    assert_eq!((batch.deleted, batch.returned, batch.failed_as_a_whole), (sent, vec![], None));
    assert_eq!(queue.depth().await, (0, 0));
    assert!(Poller::new(&queue, &function).poll().await.is_none());
}

async fn only_what_fails_comes_back() {
    let (queue, function) = (Queue::standard(5).await, function("start").deploy());
    let good = queue.send(SUCCEED).await;
    let bad = queue.send(json!({ "do": "fail_first" })).await;
    let batch = poll(&queue, &function).await;
    assert_eq!((batch.deleted, batch.returned, batch.failed_as_a_whole), (vec![good], vec![bad.clone()], None));
    assert_eq!(queue.depth().await, (1, 0), "it can be received at once");
    let batch = poll(&queue, &function).await;
    assert_eq!(batch.event["Records"][0]["attributes"]["ApproximateReceiveCount"], "2");
    assert_eq!(batch.deleted, [bad]);
}

async fn an_answer_without_failures_is_a_success() {
    let function = function("start").deploy();
    for answer in [
        json!(null),
        json!({}),
        json!({ "batchItemFailures": [] }),
        json!({ "batchItemFailures": null }),
        json!({ "statusCode": 200 }),
    ] {
        let (batch, sent) = answered(&function, &answer).await;
        assert_eq!((batch.deleted.len(), batch.failed_as_a_whole), (sent, None), "{answer}");
    }
}

async fn a_bad_answer_is_a_failure_of_all() {
    let function = function("start").deploy();
    for (answer, why) in [
        (json!({ "batchItemFailures": [{ "itemIdentifier": "another" }] }), "\"another\" is not in the batch"),
        (json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }), "\"\" is no identifier"),
        (json!({ "batchItemFailures": [{ "itemIdentifier": null }] }), "null is no identifier"),
        (json!({ "batchItemFailures": [{ "id": "x" }] }), "{\"id\":\"x\"} has no itemIdentifier"),
        (json!({ "batchItemFailures": ["x"] }), "\"x\" has no itemIdentifier"),
        (json!({ "batchItemFailures": "x" }), "\"x\" is no list"),
        (json!("done"), "\"done\" is no response to a batch"),
        (json!(["x"]), "[\"x\"] is no response to a batch"),
    ] {
        let (batch, sent) = answered(&function, &answer).await;
        assert_eq!((batch.returned.len(), batch.failed_as_a_whole.as_deref()), (sent, Some(why)), "{answer}");
    }
    let (batch, sent) = done(&function, json!({ "do": "answer_twice" })).await;
    let why = batch.failed_as_a_whole.unwrap();
    assert!(batch.returned.len() == sent && why.ends_with("is named twice"), "{why}");
}

async fn an_error_is_a_failure_of_all() {
    let (batch, sent) = done(&function("start").deploy(), json!({ "do": "throw" })).await;
    assert_eq!((batch.deleted.len(), batch.returned.len()), (0, sent));
    assert_eq!(batch.answer.unwrap_error().1, "it throws");
}

async fn a_timeout_is_a_failure_of_all() {
    let function = function("start").timeout(Duration::from_millis(300)).deploy();
    let (batch, sent) = done(&function, json!({ "do": "hang" })).await;
    assert_eq!((batch.deleted.len(), batch.returned.len()), (0, sent));
    assert_eq!(batch.answer.unwrap_error().0, "Sandbox.Timedout");
}

async fn what_fails_too_often_is_a_dead_letter() {
    let (queue, function) = (Queue::standard(3).await, function("start").deploy());
    queue.send(FAIL).await;
    queue.send(SUCCEED).await;
    let batches = Poller::new(&queue, &function).drain().await;
    let counts: Vec<_> = batches.iter().flat_map(|batch| counts_of(batch, FAIL)).collect();
    assert_eq!(counts, ["1", "2", "3"]);
    assert_eq!(queue.dead_letters().take_bodies().await, [FAIL]);
    assert_eq!(queue.depth().await, (0, 0));
}

async fn a_group_keeps_its_order() {
    let (queue, function) = (Queue::fifo(5).await, function("start").deploy());
    for number in 0..5 {
        let what = if number == 2 { "fail_first" } else { "succeed" };
        queue.send_to("a", json!({ "do": what, "number": number })).await;
    }
    let batches = Poller::new(&queue, &function).drain().await;
    assert_eq!(batches.iter().map(numbers).collect::<Vec<_>>(), [vec![0, 1, 2, 3, 4], vec![2, 3, 4]]);
    assert_eq!(batches[0].deleted.len(), 2, "what comes after the failure is not deleted");
}

async fn a_group_that_fails_too_often_is_dead_as_a_whole() {
    let (queue, function) = (Queue::fifo(2).await, function("start").deploy());
    let first = json!({ "do": "fail", "number": 0 }).to_string();
    let behind = json!({ "do": "succeed", "number": 2 }).to_string();
    queue.send_to("a", &first).await;
    queue.send_to("b", json!({ "do": "succeed", "number": 1 })).await;
    queue.send_to("a", &behind).await;
    let batches = Poller::new(&queue, &function).drain().await;
    assert_eq!(batches.iter().map(numbers).collect::<Vec<_>>(), [vec![0, 1, 2], vec![0, 2]]);
    assert_eq!(batches[0].deleted.len(), 1, "the other group goes on");
    // The one behind the failure was received as often, though it was never its turn.
    assert_eq!(queue.dead_letters().take_bodies().await, [first, behind]);
}

async fn a_function_that_breaks_the_order_is_found_out() {
    let polled = tokio::spawn(async {
        let (queue, function) = (Queue::fifo(3).await, function("start").deploy());
        queue.send_to("a", json!({ "do": "fail_carelessly" })).await;
        queue.send_to("a", SUCCEED).await;
        poll(&queue, &function).await
    });
    let panic = polled.await.unwrap_err().into_panic();
    let words = panic.downcast_ref::<String>().unwrap();
    assert!(words.ends_with("is not reported, though one before it in the group a has failed"), "{words}");
}

async fn several_batches_at_a_time() {
    let (queue, function) = (Queue::standard(3).await, function("start").concurrency(3).deploy());
    for number in 0..40 {
        queue.send(json!({ "do": "fail_first", "number": number })).await;
    }
    let batches = Poller::new(&queue, &function).batch_size(4).concurrency(3).drain().await;
    assert!(batches.iter().all(|batch| numbers(batch).len() <= 4));
    let deleted: HashSet<_> = batches.iter().flat_map(|batch| &batch.deleted).collect();
    let handled: usize = batches.iter().map(|batch| numbers(batch).len()).sum();
    assert_eq!((deleted.len(), handled), (40, 80), "each fails once and succeeds once");
    assert!(function.cold_starts() <= 3);
}

async fn poll(queue: &Queue, function: &Deployed) -> Batch {
    Poller::new(queue, function).poll().await.expect("a message waits")
}

/// A batch whose answer is this, and how many messages there were.
async fn answered(function: &Deployed, answer: &Value) -> (Batch, usize) {
    done(function, json!({ "do": "answer", "answer": answer })).await
}

/// A batch on a queue of its own of three messages, the second with this body. All that is left of it can be received.
async fn done(function: &Deployed, body: Value) -> (Batch, usize) {
    let queue = Queue::standard(3).await;
    for body in [SUCCEED, &body.to_string(), SUCCEED] {
        queue.send(body).await;
    }
    let batch = poll(&queue, function).await;
    assert_eq!(queue.depth().await, (batch.returned.len(), 0));
    (batch, 3)
}

/// The receive counts of the messages with this body.
fn counts_of<'a>(batch: &'a Batch, body: &str) -> Vec<&'a str> {
    let records = batch.event["Records"].as_array().unwrap().iter();
    let with_body = records.filter(|record| record["body"] == body);
    with_body.map(|record| record["attributes"]["ApproximateReceiveCount"].as_str().unwrap()).collect()
}

fn numbers(batch: &Batch) -> Vec<u64> {
    let records = batch.event["Records"].as_array().unwrap().iter();
    let body = |record: &Value| serde_json::from_str::<Value>(record["body"].as_str().unwrap()).unwrap();
    records.map(|record| body(record)["number"].as_u64().unwrap()).collect()
}
