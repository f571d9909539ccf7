//! Events for the tests of batches, and a handler that does what the bodies say.

use std::sync::{Arc, Mutex};

use aws_lambda_events::dynamodb::Event as DynamoDbEvent;
use aws_lambda_events::kinesis::KinesisEvent;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dynamo_tracker::lambda::batch::Delivery;
use dynamo_tracker::{Clock, WorkError};
use lambda_runtime::{Context, LambdaEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bed::Bed;

/// The event in an invocation that has half a minute left by the bed's clock.
pub(super) fn invocation<E>(bed: &Bed, event: E) -> LambdaEvent<E> {
    let mut context = Context::default();
    context.deadline = u64::try_from(bed.clock.now().timestamp_millis()).unwrap() + 30_000;
    LambdaEvent::new(event, context)
}

/// Messages of a standard queue with these bodies and the ids m0, m1 and so on.
pub(super) fn sqs<B: ToString>(bodies: impl IntoIterator<Item = B>) -> SqsEvent {
    let record = |(place, body): (usize, B)| {
        json!({
            "messageId": format!("m{place}"),
            "body": body.to_string(),
            "attributes": { "ApproximateReceiveCount": "1" },
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders",
        })
    };
    event(bodies.into_iter().enumerate().map(record).collect())
}

/// The same of a FIFO queue, each with its group.
pub(super) fn fifo<'a>(messages: impl IntoIterator<Item = (&'a str, Value)>) -> SqsEvent {
    let (groups, bodies): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
    let mut event = sqs(bodies);
    for (record, group) in event.records.iter_mut().zip(groups) {
        record.attributes.insert("MessageGroupId".to_owned(), group.to_owned());
        record.event_source_arn = Some("arn:aws:sqs:us-east-1:123456789012:orders.fifo".to_owned());
    }
    event
}

/// Records of one shard, each with its partition key, and with sequence numbers from `first` on.
pub(super) fn kinesis<'a>(first: usize, records: impl IntoIterator<Item = (&'a str, Value)>) -> KinesisEvent {
    let record = |(place, (key, data)): (usize, (&str, Value))| {
        let sequence_number = first + place;
        json!({
            "eventID": format!("shardId-000000000000:{sequence_number}"),
            "kinesis": {
                "partitionKey": key,
                "sequenceNumber": sequence_number.to_string(),
                "data": STANDARD.encode(data.to_string()),
                "approximateArrivalTimestamp": 1_480_641_523.477,
            },
        })
    };
    event(records.into_iter().enumerate().map(record).collect())
}

/// Changes of items of a table: each is what its record has as `dynamodb`, and has the sequence number of its place.
pub(super) fn dynamodb(changes: impl IntoIterator<Item = Value>) -> DynamoDbEvent {
    let record = |(place, mut change): (usize, Value)| {
        change["SequenceNumber"] = json!(place.to_string());
        change["SizeBytes"] = json!(1);
        json!({ "eventID": format!("e{place}"), "eventName": "MODIFY", "awsRegion": "us-east-1", "dynamodb": change })
    };
    event(changes.into_iter().enumerate().map(record).collect())
}

fn event<E: for<'de> Deserialize<'de>>(records: Vec<Value>) -> E {
    serde_json::from_value(json!({ "Records": records })).unwrap()
}

/// What a body says: who it is, and what is to be done.
#[derive(Deserialize)]
pub(super) struct Order {
    pub(super) id: String,
    #[serde(rename = "do")]
    pub(super) what: String,
}

pub(super) fn order(id: &str, what: &str) -> Value {
    json!({ "id": id, "do": what })
}

/// The orders that a handler was called for.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    /// All since this was asked last, in their order.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The same, for groups that may overtake each other.
    pub(super) fn take_sorted(&self) -> Vec<String> {
        let mut calls = self.take();
        calls.sort();
        calls
    }

    pub(super) fn add(&self, id: &str) {
        self.0.lock().unwrap().push(id.to_owned());
    }

    /// The handler.
    pub(super) async fn handle<R>(self, delivery: Delivery<Order, R>) -> Result<(), WorkError> {
        self.add(&delivery.body.id);
        match delivery.body.what.as_str() {
            "succeed" => Ok(()),
            "succeed_later" if delivery.attempt > 1 => Ok(()),
            "fail" | "succeed_later" => Err(WorkError::from("no paper")),
            "fail_for_good" => Err(WorkError::fatal("no printer")),
            "give_back" => Err(WorkError::release("not now")),
            "panic" => panic!("no ink"),
            other => unreachable!("there is no {other:?}"),
        }
    }
}

/// Which messages are to come again.
pub(super) fn failed(response: &SqsBatchResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}
