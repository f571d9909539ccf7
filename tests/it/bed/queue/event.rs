//! The event that a function gets of a batch.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use aws_smithy_types::base64;
use serde_json::{Map, Value, json};

use super::Queue;
use crate::bed::lambda::REGION;

pub(super) fn event(queue: &Queue, messages: &[Message]) -> Value {
    json!({ "Records": messages.iter().map(|message| record(queue, message)).collect::<Vec<_>>() })
}

fn record(queue: &Queue, message: &Message) -> Value {
    let attributes = message.attributes.iter().flatten().map(|(name, value)| (name.to_string(), json!(value)));
    let own = message.message_attributes.iter().flatten();
    let own = own.map(|(name, value)| (name.clone(), attribute(value)));
    let mut record = json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes.collect::<Map<_, _>>(),
        "messageAttributes": own.collect::<Map<_, _>>(),
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": REGION,
    });
    if let Some(md5) = &message.md5_of_message_attributes {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}

fn attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({ "dataType": value.data_type, "stringListValues": [], "binaryListValues": [] });
    if let Some(text) = &value.string_value {
        attribute["stringValue"] = json!(text);
    }
    if let Some(bytes) = &value.binary_value {
        attribute["binaryValue"] = json!(base64::encode(bytes));
    }
    attribute
}
