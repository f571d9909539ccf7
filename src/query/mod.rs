//! Looking at many tasks: from the index, in the order of their due times, or by scanning.

mod cursor;
mod merge;
mod reindex;
mod scan;
mod stats;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

pub use reindex::Reindexed;
pub use stats::{Progress, Stats};

use crate::client::TrackerClient;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::record::{TaskId, Tracker};
use crate::schema::{Data, Item};
use crate::status::Status;
use crate::table::MAX_BATCH;
use merge::Merge;
#[cfg(feature = "internals")]
pub(crate) use merge::merge_pages;
pub(crate) use merge::read_slice;

/// How many tasks a page has where its query does not say.
const PAGE: usize = 100;
/// How many batches of records are read at a time.
const BATCHES: usize = 4;

/// Which tasks to look at, and in which order. By default all that are in the index, those that are due first, first.
///
/// ```
/// use chrono::Utc;
/// use dynamo_tracker::{Query, Status};
///
/// let retries = Query::new().status(Status::Failed).due_by(Utc::now()).limit(50);
/// let latest_dead = Query::new().status(Status::Exhausted).newest_first();
/// # let _ = (retries, latest_dead);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Query {
    statuses: Vec<Status>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    newest_first: bool,
    limit: Option<usize>,
}

impl Query {
    /// All tasks in the index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only tasks in this state; several calls name several.
    pub fn status(mut self, status: Status) -> Self {
        self.statuses.push(status);
        self
    }

    /// Only what was due at `time`. A task in progress is due when its lease ends, one that is over was when it ended.
    pub fn due_by(mut self, time: DateTime<Utc>) -> Self {
        self.until = Some(time);
        self
    }

    /// Only what is due at `time` or after.
    pub fn due_from(mut self, time: DateTime<Utc>) -> Self {
        self.from = Some(time);
        self
    }

    /// The latest due time first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// No more than so many, of all shards together. 100 for a page by default, and all for a stream.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The states that it asks for, or all that are in the index.
    fn states(&self, context: &Context) -> Result<Vec<Status>, Error> {
        let statuses = &context.codec.statuses;
        let previous = statuses.previous_succeeded().map(Status::Other);
        if self.statuses.is_empty() {
            return Ok(Status::ALL.into_iter().filter(|status| statuses.is_indexed(*status)).collect());
        }
        let mut states = Vec::new();
        for status in &self.statuses {
            if !statuses.is_indexed(*status) && Some(*status) != previous {
                let message =
                    format!("{status} tasks are not in the index; scan for them, or see StatusSet::index_succeeded");
                return Err(Error::new(ErrorKind::InvalidArgument, message));
            }
            if !states.contains(status) {
                states.push(*status);
            }
        }
        Ok(states)
    }
}

/// A task as the index has it. The index follows the table with a delay of milliseconds: a start, or a read, decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskRef {
    /// The task.
    pub id: TaskId,
    /// The state that the index has it in.
    pub status: Status,
    /// When it is due.
    pub due_time: DateTime<Utc>,
}

/// A part of what a query finds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// What was found, in order.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end. Opaque, and good for the same query.
    pub cursor: Option<String>,
}

impl<D: Data> TrackerClient<D> {
    /// The first tasks that a query finds, or those after a cursor: their keys, states and due times, at a fraction of what
    /// whole records cost.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let builder = dynamo_tracker::TrackerClient::<()>::builder(store.client()).table("tasks").namespace("demo");
    /// use dynamo_tracker::{Query, Status};
    ///
    /// let client = builder.index(4).build()?;
    /// client.create_table().await?;
    /// for id in ["a", "b", "c"] {
    ///     client.create(id).await?;
    /// }
    /// let query = Query::new().status(Status::Pending).limit(2);
    /// let first = client.query(&query, None).await?;
    /// let rest = client.query(&query, first.cursor.as_deref()).await?;
    /// assert_eq!((first.items.len(), rest.items.len(), rest.cursor), (2, 1, None));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for a cursor of another query or none at all, for a state that is not in the index, and
    /// for a client without one; [`ErrorKind::TableNotFound`] where the table has none; else what DynamoDB refuses.
    pub async fn query(&self, query: &Query, cursor: Option<&str>) -> Result<Page<TaskRef>, Error> {
        let mut merge = Merge::new(&self.context, query, cursor).await?;
        let limit = query.limit.unwrap_or(PAGE);
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: cursor.map(str::to_owned) });
        }
        let mut items = Vec::with_capacity(limit.min(PAGE));
        while items.len() < limit
            && let Some(task) = merge.next().await?
        {
            items.push(task);
        }
        let cursor = merge.cursor().await?;
        Ok(Page { items, cursor })
    }

    /// The same with whole records, read consistently: those that are still in a state that was asked for.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); [`ErrorKind::Unreadable`] where data is no `D`.
    pub async fn query_records(&self, query: &Query, cursor: Option<&str>) -> Result<Page<Tracker<D>>, Error> {
        let Page { items, cursor } = self.query(query, cursor).await?;
        let states = query.states(&self.context)?;
        let mut records = self.load_many(items.into_iter().map(|task| task.id)).await?;
        records.retain(|record| states.contains(&record.status));
        Ok(Page { items: records, cursor })
    }

    /// All that a query finds, one after another, with as much read ahead as a page.
    pub fn query_stream(&self, query: Query) -> impl Stream<Item = Result<TaskRef, Error>> + Send + use<D> {
        let context = Arc::clone(&self.context);
        let limit = query.limit.unwrap_or(usize::MAX);
        let merges = async move { Merge::new(&context, &query, None).await };
        stream::once(merges)
            .map_ok(|merge| {
                stream::try_unfold(merge, |mut merge| async move { Ok(merge.next().await?.map(|task| (task, merge))) })
            })
            .try_flatten()
            .take(limit)
    }

    /// Reads many tasks, consistently; those that there are, in the order of their ids.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`]; else what DynamoDB refuses.
    pub async fn load_many(&self, ids: impl IntoIterator<Item = TaskId>) -> Result<Vec<Tracker<D>>, Error> {
        self.load_each(ids).await?.into_iter().collect()
    }

    /// The same, with the error of each that can't be read in its place.
    pub(crate) async fn load_each(
        &self,
        ids: impl IntoIterator<Item = TaskId>,
    ) -> Result<Vec<Result<Tracker<D>, Error>>, Error> {
        // The index may show a task twice while it moves, and DynamoDB refuses a batch with the same key twice.
        let mut seen = HashSet::new();
        let ids: Vec<TaskId> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
        let batches: Vec<_> = ids.chunks(MAX_BATCH).map(<[TaskId]>::to_vec).collect();
        let context = &self.context;
        let read = stream::iter(batches)
            .map(|batch| async move { context.table.get_many(&batch, &*context.clock).await })
            .buffered(BATCHES);
        let items: Vec<Vec<Item>> = read.try_collect().await?;
        let now = context.now();
        let mut found: HashMap<String, Item> = items
            .into_iter()
            .flatten()
            .filter_map(|item| Some((context.codec.key_of(&item)?.to_owned(), item)))
            .collect();
        let read = |item| context.codec.decode(item)?.typed();
        let records = ids.iter().filter_map(|id| found.remove(id.key())).map(read);
        Ok(records.filter(|read| !read.as_ref().is_ok_and(|record: &Tracker<D>| record.has_expired(now))).collect())
    }
}
