//! Many partitions of the index as one sequence, in the order of due times.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::cursor::Cursor;
use super::{Query, TaskRef};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::record::TaskId;
use crate::schema::{Item, attr, number, partition};
use crate::status::Status;
use crate::table::Slice;

/// How many partitions are read at a time.
const CONCURRENT: usize = 16;
/// The least that is asked of a partition at once. So many keys fit into the smallest unit that a read is charged.
const LEAST: usize = 32;
/// The most.
const MOST: usize = 500;

/// The next task of all partitions. Each is read ahead, so that the first of all of them is known.
pub(super) struct Merge {
    context: Arc<Context>,
    sources: Vec<Source>,
    /// The first of each source that has any, the very first on top.
    heads: BinaryHeap<Reverse<(i64, usize)>>,
    /// Sources whose read-ahead is used up.
    dry: Vec<usize>,
    cursor: Cursor,
    batch: usize,
}

struct Source {
    status: Status,
    slice: Slice,
    ahead: VecDeque<(i64, String)>,
    after: Option<Item>,
    ended: bool,
}

impl Merge {
    pub(super) async fn new(context: &Arc<Context>, query: &Query, cursor: Option<&str>) -> Result<Self, Error> {
        let shards = context.shards().await?;
        let states = query.states(context)?;
        let codes: Vec<_> = states.iter().map(|status| context.codec.statuses.code(*status)).collect();
        let fingerprint = super::cursor::fingerprint(&context.namespace, &codes, shards, query.newest_first);
        let cursor = match cursor {
            Some(text) => Cursor::parse(text, fingerprint)?,
            None => Cursor::start(fingerprint),
        };
        let mut sources = Vec::with_capacity(states.len() * usize::from(shards));
        for (status, code) in states.iter().zip(&codes) {
            for shard in 0..shards {
                let slice = Slice {
                    partition: partition(&context.namespace, *code, shard),
                    from: query.from.map(|time| time.timestamp_millis()),
                    until: query.until.map(|time| time.timestamp_millis()),
                    newest_first: query.newest_first,
                };
                sources.push(Source { status: *status, slice, ahead: VecDeque::new(), after: None, ended: false });
            }
        }
        let wanted = query.limit.unwrap_or(super::PAGE).div_ceil(sources.len().max(1)) * 2;
        let dry = (0..sources.len()).collect();
        let (heads, batch) = (BinaryHeap::new(), wanted.clamp(LEAST, MOST));
        let mut merge = Self { context: Arc::clone(context), sources, heads, dry, cursor, batch };
        merge.go_to_cursor();
        Ok(merge)
    }

    /// Each source goes on after the last of its own at the cursor's time, or at that time.
    fn go_to_cursor(&mut self) {
        let Some(time) = self.cursor.time else { return };
        for (number, source) in self.sources.iter_mut().enumerate() {
            match self.cursor.last_of(number) {
                Some(id) => source.after = Some(start_key(&self.context, &source.slice.partition, time, id)),
                None if source.slice.newest_first => {
                    source.slice.until = Some(source.slice.until.map_or(time, |until| until.min(time)));
                }
                None => source.slice.from = Some(source.slice.from.map_or(time, |from| from.max(time))),
            }
        }
    }

    /// The next task, if there is one.
    pub(super) async fn next(&mut self) -> Result<Option<TaskRef>, Error> {
        self.fill().await?;
        let Some(Reverse((_, number))) = self.heads.pop() else { return Ok(None) };
        let source = &mut self.sources[number];
        let Some((time, key)) = source.ahead.pop_front() else { return Ok(None) };
        match source.ahead.front() {
            Some((next, _)) => self.heads.push(Reverse((order(*next, source.slice.newest_first), number))),
            None if !source.ended => self.dry.push(number),
            None => {}
        }
        let found = task(source.status, (time, key))?;
        self.cursor.passed(number, time, &found.id);
        Ok(Some(found))
    }

    /// Where to go on; `None` where nothing follows.
    pub(super) async fn cursor(mut self) -> Result<Option<String>, Error> {
        self.fill().await?;
        Ok((!self.heads.is_empty()).then(|| self.cursor.to_text()))
    }

    /// Reads on where the read-ahead is used up, so that the first of each source is known.
    async fn fill(&mut self) -> Result<(), Error> {
        while !self.dry.is_empty() {
            let table = &self.context.table;
            let limit = i32::try_from(self.batch).unwrap_or(i32::MAX);
            let wanted: Vec<_> = self.dry.drain(..).collect();
            let reads = wanted.into_iter().map(|number| {
                let (slice, after) = (self.sources[number].slice.clone(), self.sources[number].after.clone());
                async move { table.query(&slice, limit, after).await.map(|found| (number, found)) }
            });
            let found: Vec<_> = stream::iter(reads).buffer_unordered(CONCURRENT).try_collect().await?;
            for (number, (items, after)) in found {
                self.put(number, items, after)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, number: usize, items: Vec<Item>, after: Option<Item>) -> Result<(), Error> {
        let source = &mut self.sources[number];
        for item in items {
            source.ahead.push_back(key_of(&item, &self.context.codec.key.partition)?);
        }
        source.ended = after.is_none();
        source.after = after;
        match source.ahead.front() {
            Some((time, _)) => self.heads.push(Reverse((order(*time, source.slice.newest_first), number))),
            // A page may be empty though more follow.
            None if !source.ended => self.dry.push(number),
            None => {}
        }
        Ok(())
    }
}

/// What comes first is least.
fn order(time: i64, newest_first: bool) -> i64 {
    if newest_first { -time } else { time }
}

/// The due time and the key of an item of the index.
fn key_of(item: &Item, key: &str) -> Result<(i64, String), Error> {
    let time = item.get(attr::DUE_TIME).and_then(|time| time.as_n().ok()?.parse().ok());
    let key = item.get(key).and_then(|key| key.as_s().ok());
    time.zip(key.cloned())
        .ok_or_else(|| Error::new(ErrorKind::Unreadable, "an item of the index has no such key; mend it"))
}

/// The key of an item of the index, after which a query goes on.
fn start_key(context: &Context, partition: &str, time: i64, id: &TaskId) -> Item {
    let mut key = context.codec.key.key(id);
    key.insert(attr::SHARD.to_owned(), AttributeValue::S(partition.to_owned()));
    key.insert(attr::DUE_TIME.to_owned(), number(time));
    key
}

/// The first tasks of one partition.
pub(crate) async fn read_slice(
    context: &Context,
    status: Status,
    slice: Slice,
    limit: usize,
) -> Result<Vec<TaskRef>, Error> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let (items, _) = context.table.query(&slice, limit, None).await?;
    items.iter().map(|item| key_of(item, &context.codec.key.partition).and_then(|key| task(status, key))).collect()
}

/// All tasks of a query, from pages that were read otherwise: one of each partition, after which nothing follows.
#[cfg(feature = "internals")]
pub(crate) async fn merge_pages(
    context: &Arc<Context>,
    query: &Query,
    pages: Vec<Vec<Item>>,
) -> Result<Vec<TaskRef>, Error> {
    let mut merge = Merge::new(context, query, None).await?;
    merge.dry.clear();
    for (number, items) in pages.into_iter().enumerate() {
        merge.put(number, items, None)?;
    }
    let mut found = Vec::new();
    while let Some(task) = merge.next().await? {
        found.push(task);
    }
    Ok(found)
}

fn task(status: Status, (time, key): (i64, String)) -> Result<TaskRef, Error> {
    let id = TaskId::from_key(&key).map_err(|error| Error::new(ErrorKind::Unreadable, error.to_string()))?;
    Ok(TaskRef { id, status, due_time: DateTime::from_timestamp_millis(time).unwrap_or_default() })
}
