//! Doors to the crate's inside, for `benches/micro` (feature `internals`). No part of its API: any version may change them or
//! take them away.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;

use crate::client::TrackerClient;
use crate::error::Error;
use crate::expression::{self, Update};
use crate::protocol::{Acquire, End, Extend};
use crate::query::{self, Query, TaskRef};
use crate::record::{RawData, TaskId, Tracker};
use crate::schema;
use crate::status::Status;

/// An `UpdateItem` but for its key: its update, its condition, and the names and values in both.
pub type Request = (String, String, HashMap<String, String>, HashMap<String, AttributeValue>);

/// The request of a start.
#[must_use]
pub fn acquire<D>(client: &TrackerClient<D>, write: &Acquire, id: &TaskId) -> Request {
    sent(client.context.usual_start.update(write, id, &client.context.codec))
}

/// The request of an extension, or of a checkpoint with `data`.
#[must_use]
pub fn extend(write: &Extend, data: Option<AttributeValue>) -> Request {
    sent(expression::extend(write, data))
}

/// The request of an outcome.
pub fn end<D>(
    client: &TrackerClient<D>,
    write: &End,
    id: &TaskId,
    data: Option<AttributeValue>,
) -> Result<Request, Error> {
    expression::end(write, id, data, &client.context.codec).map(sent)
}

/// The item of a record with this data.
pub fn encode<D>(
    client: &TrackerClient<D>,
    record: &Tracker<()>,
    data: Option<AttributeValue>,
) -> Result<HashMap<String, AttributeValue>, Error> {
    client.context.codec.encode(record, data)
}

/// The record of an item, its data still in DynamoDB's form.
pub fn decode<D>(client: &TrackerClient<D>, item: HashMap<String, AttributeValue>) -> Result<Tracker<RawData>, Error> {
    client.context.codec.decode(item)
}

/// Typed data in DynamoDB's form.
pub fn to_value<D: Serialize>(data: &D) -> Result<AttributeValue, Error> {
    schema::to_value(data)
}

/// The hash that spreads tasks over shards.
#[must_use]
pub fn hash(id: &str) -> u64 {
    schema::hash(id)
}

/// The partition of the index that a task in this state is in.
#[must_use]
pub fn partition_of<D>(client: &TrackerClient<D>, id: &TaskId, status: Status) -> Option<String> {
    client.context.codec.partition_of(id, status)
}

/// The tasks of a query in their order, where this is the one page that each partition has. Nothing is read.
pub async fn merge<D>(
    client: &TrackerClient<D>,
    query: &Query,
    pages: Vec<Vec<HashMap<String, AttributeValue>>>,
) -> Result<Vec<TaskRef>, Error> {
    // As if the table had just been asked, and had said nothing.
    *client.context.shards.lock().await = Some((0, client.context.clock.monotonic()));
    query::merge_pages(&client.context, query, pages).await
}

fn sent(update: Update) -> Request {
    (update.update(), update.condition, update.names, update.values)
}
