//! Filling an index that was added to a table with tasks in it.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::cursor;
use crate::client::TrackerClient;
use crate::error::Error;
use crate::expression;
use crate::record::{RawData, Tracker};
use crate::schema::{Data, Item, attr};
use crate::status::Status;
use crate::table::{Want, Written};

/// How many items are written at a time.
const CONCURRENT: usize = 16;

/// What a part of a [reindex](TrackerClient::reindex) did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reindexed {
    /// How many tasks were put where they belong in the index.
    pub filled: u64,
    /// How many were there already, or have changed at this moment, which puts them there too.
    pub right: u64,
    /// How many items are no trackers that can be read. They are left as they are.
    pub unreadable: u64,
    /// Where to go on; `None` at the end.
    pub cursor: Option<String>,
}

impl<D: Data> TrackerClient<D> {
    /// Puts tasks that were written without the index, or with another number of shards, where they belong in it: those of
    /// one page of the table, of so many items, after `cursor`. To be called until it gives none; a process that was stopped
    /// goes on with the last cursor it had, or from the beginning, which does no harm.
    ///
    /// Only shard and due time are written, on the condition that the task is as it was read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a cursor that is none, and for a client without an
    /// index; [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable); else what DynamoDB refuses.
    pub async fn reindex(&self, cursor: Option<&str>, page: u16) -> Result<Reindexed, Error> {
        let context = &self.context;
        // It says so where there is no index.
        context.shards().await?;
        let after = cursor.map(|cursor| cursor::parse_key(cursor, &context.codec.key)).transpose()?;
        let (items, after) = context.table.scan(&context.namespace, &[], (0, 1), after, Some(page.max(1))).await?;
        let written = stream::iter(items).map(|item| self.put_in_place(item));
        let written: Vec<Option<bool>> = written.buffer_unordered(CONCURRENT).try_collect().await?;
        let count = |wanted| written.iter().filter(|filled| **filled == wanted).count() as u64;
        let cursor = after.map(|key| cursor::key_text(&key, &context.codec.key));
        Ok(Reindexed { filled: count(Some(true)), right: count(Some(false)), unreadable: count(None), cursor })
    }

    /// Returns whether it was not in its place before; `None` for an item that can't be read.
    async fn put_in_place(&self, item: Item) -> Result<Option<bool>, Error> {
        let context = &self.context;
        let stored = item.get(attr::SHARD).and_then(|shard| shard.as_s().ok()).cloned();
        let record: Tracker<RawData> = match context.codec.decode(item) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!("left out of the index: {error}");
                return Ok(None);
            }
        };
        let Some(index) = &context.codec.index else { return Ok(Some(false)) };
        if matches!(record.status, Status::Other(_)) {
            // It is in the place that its own stage has for it.
            return Ok(Some(false));
        }
        let shard = index.partition_of(&record.id, record.status, &context.codec.statuses);
        let due = index.due_time_of(&record, &context.codec.statuses, context.at_once(context.now()));
        let is_due_there = match record.status {
            Status::InProgress => record.due_time == due || record.lock.is_none(),
            _ => record.due_time.is_some(),
        };
        if stored == shard && (shard.is_none() || is_due_there) {
            return Ok(Some(false));
        }
        let update = expression::place(record.version(), shard, due, &context.codec);
        let written = context.table.update("put it in the index", &record.id, update, Want::default()).await?;
        Ok(Some(matches!(written, Written::Done(_))))
    }
}
