//! Where batches come from, and what differs between those places.

use aws_lambda_events::dynamodb::{Event as DynamoDbEvent, EventRecord, StreamRecord};
use aws_lambda_events::kinesis::{KinesisEvent, KinesisEventRecord};
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse, KinesisEventResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Exhausted;
use super::malformed::Malformed;
use crate::lambda::canonical_json;

/// Where batches come from: [`Sqs`], [`Kinesis`] or [`DynamoDb`]. It can't be implemented elsewhere.
///
/// `Event` is the event that Lambda sends, `Record` one record of it, and `Response` the partial batch response, of
/// `aws_lambda_events`.
pub trait Source: Sealed {}

/// What a batch needs to know of its source. It can't be named elsewhere, so it is no part of the public API.
mod sealed {
    use super::{DeserializeOwned, Exhausted, Malformed, Serialize};

    pub trait Sealed: Send + Sync + 'static {
        type Event: DeserializeOwned + Send + 'static;
        type Record: Send + Sync + 'static;
        type Response: Serialize + Send + std::fmt::Debug + 'static;

        /// What becomes of exhausted records unless the caller says.
        const EXHAUSTED: Exhausted;

        fn records(event: Self::Event) -> Vec<Self::Record>;

        /// What Lambda knows the record by in a response.
        fn identifier(record: &Self::Record) -> &str;

        /// What tells the record apart from all others, in whichever batch it comes.
        fn id(record: &Self::Record) -> &str;

        /// Records of one group are handled in their order.
        fn group(record: &Self::Record) -> Option<String>;

        fn body<T: DeserializeOwned>(record: &Self::Record) -> Result<T, Malformed>;

        /// The response that has these come again, which are in the order of the batch.
        fn response(failed: Vec<String>) -> Self::Response;
    }
}

pub(super) use sealed::Sealed;

/// An SQS queue, standard or FIFO.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sqs;

impl Source for Sqs {}

impl Sealed for Sqs {
    type Event = SqsEvent;
    type Record = SqsMessage;
    type Response = SqsBatchResponse;

    // The record in the table has no message in it, and the queue's dead letters do.
    const EXHAUSTED: Exhausted = Exhausted::Report;

    fn records(event: SqsEvent) -> Vec<SqsMessage> {
        event.records
    }

    fn identifier(message: &SqsMessage) -> &str {
        message.message_id.as_deref().unwrap_or_default()
    }

    fn id(message: &SqsMessage) -> &str {
        Self::identifier(message)
    }

    /// A standard queue may have groups too, which are for fairness among tenants and promise no order. Only a FIFO queue
    /// numbers its messages.
    fn group(message: &SqsMessage) -> Option<String> {
        let is_fifo = message.attributes.contains_key("SequenceNumber")
            || message.event_source_arn.as_deref().is_some_and(|arn| arn.ends_with(".fifo"));
        message.attributes.get("MessageGroupId").filter(|_| is_fifo).cloned()
    }

    fn body<T: DeserializeOwned>(message: &SqsMessage) -> Result<T, Malformed> {
        Malformed::check(serde_json::from_str(message.body.as_deref().unwrap_or_default()))
    }

    fn response(failed: Vec<String>) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.set_failures(failed);
        response
    }
}

/// A stream of Kinesis Data Streams.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kinesis;

impl Source for Kinesis {}

impl Sealed for Kinesis {
    type Event = KinesisEvent;
    type Record = KinesisEventRecord;
    type Response = KinesisEventResponse;

    // It would hold up its shard, and never be run again.
    const EXHAUSTED: Exhausted = Exhausted::Acknowledge;

    fn records(event: KinesisEvent) -> Vec<KinesisEventRecord> {
        event.records
    }

    fn identifier(record: &KinesisEventRecord) -> &str {
        &record.kinesis.sequence_number
    }

    /// It is the shard and the sequence number, which is unique in a shard alone.
    fn id(record: &KinesisEventRecord) -> &str {
        record.event_id.as_deref().unwrap_or_default()
    }

    fn group(record: &KinesisEventRecord) -> Option<String> {
        Some(record.kinesis.partition_key.clone())
    }

    fn body<T: DeserializeOwned>(record: &KinesisEventRecord) -> Result<T, Malformed> {
        Malformed::check(serde_json::from_slice(&record.kinesis.data.0))
    }

    /// The first is enough: Lambda goes on from the lowest sequence number.
    fn response(failed: Vec<String>) -> KinesisEventResponse {
        let mut response = KinesisEventResponse::default();
        response.set_failures(failed.into_iter().take(1));
        response
    }
}

/// A stream of a DynamoDB table.
#[derive(Debug)]
#[non_exhaustive]
pub struct DynamoDb;

impl Source for DynamoDb {}

impl Sealed for DynamoDb {
    type Event = DynamoDbEvent;
    type Record = EventRecord;
    type Response = DynamoDbEventResponse;

    // As for Kinesis.
    const EXHAUSTED: Exhausted = Exhausted::Acknowledge;

    fn records(event: DynamoDbEvent) -> Vec<EventRecord> {
        event.records
    }

    fn identifier(record: &EventRecord) -> &str {
        record.change.sequence_number.as_deref().unwrap_or_default()
    }

    fn id(record: &EventRecord) -> &str {
        &record.event_id
    }

    /// The changes of one item are in order.
    fn group(record: &EventRecord) -> Option<String> {
        serde_json::to_value(&record.change.keys).ok().map(|keys| canonical_json(&keys))
    }

    fn body<T: DeserializeOwned>(record: &EventRecord) -> Result<T, Malformed> {
        serde_dynamo::from_item(image(&record.change).clone()).map_err(|_| Malformed::item())
    }

    fn response(failed: Vec<String>) -> DynamoDbEventResponse {
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures = failed.into_iter().take(1).map(failure).collect();
        response
    }
}

/// The item as it is now, or as it was where it is deleted; or its key, where the stream has nothing else.
fn image(change: &StreamRecord) -> &serde_dynamo::Item {
    let images = [&change.new_image, &change.old_image];
    images.into_iter().find(|image| !image.is_empty()).unwrap_or(&change.keys)
}

fn failure(identifier: String) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = Some(identifier);
    failure
}
