//! Many tasks at once: created, redriven, ignored, deleted.

mod limiter;

use futures_util::future::ready;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use crate::client::{NewTask, TrackerClient};
use crate::error::{Error, ErrorKind};
use crate::query::Query;
use crate::record::{TaskId, Tracker};
use crate::schema::Data;
use crate::status::Status;
use limiter::Limiter;

/// How many errors a report keeps.
const KEPT: usize = 20;
/// More at a time than this is a mistake.
const MOST: usize = 10_000;
/// How many tasks of a query are read at once, before they are operated on.
const BATCH: usize = 100;

/// What became of many tasks.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BulkReport {
    /// How many were created, or changed.
    pub done: u64,
    /// How many were left as they are: those that exist already, or are not in a state that the operation is for any more.
    pub skipped: u64,
    /// How many failed.
    pub failed: u64,
    /// The first errors, each of which names its task.
    pub errors: Vec<Error>,
}

impl BulkReport {
    /// Counts a result. An error that the next task would meet as well ends it all.
    pub(crate) fn add<T>(&mut self, result: Result<T, Error>) -> Result<(), Error> {
        match result {
            Ok(_) => self.done += 1,
            Err(error) if error.is_general() => return Err(error),
            Err(error)
                if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Changed | ErrorKind::NotFound) =>
            {
                self.skipped += 1;
            }
            Err(error) => {
                self.failed += 1;
                if self.errors.len() < KEPT {
                    self.errors.push(error);
                }
            }
        }
        Ok(())
    }
}

impl<D: Data> TrackerClient<D> {
    /// Creates a task for each that the stream gives. One that exists is never overwritten, so a batch that was interrupted
    /// is simply begun again.
    ///
    /// Up to `concurrency` writes are under way at a time, and fewer while DynamoDB asks for patience. The stream is read as
    /// fast as tasks are created and no faster, so that memory does not grow with the batch.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let builder = dynamo_tracker::TrackerClient::<u32>::builder(store.client()).table("tasks").namespace("demo");
    /// # let client = builder.index(4).build()?;
    /// # client.create_table().await?;
    /// use dynamo_tracker::NewTask;
    /// use futures_util::stream;
    ///
    /// let tasks = (0..100).map(|page| NewTask::new(format!("page-{page}")).data(page));
    /// let report = client.create_many(stream::iter(tasks), 16).await?;
    /// assert_eq!((report.done, report.skipped, report.failed), (100, 0, 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// What would keep every task from being created: no such table, no credentials, no permission. What befalls a single
    /// task is in the report.
    pub async fn create_many<S>(&self, tasks: S, concurrency: usize) -> Result<BulkReport, Error>
    where
        S: Stream<Item = NewTask<D>>,
    {
        self.for_each(tasks.map(Ok), concurrency, async |task| self.create(task).await).await
    }

    /// Redrives all that a query finds, but what has changed since this began: a task that is exhausted again meanwhile is not
    /// redriven again.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and as [`create_many`](Self::create_many).
    pub async fn redrive_many(&self, query: Query, concurrency: usize) -> Result<BulkReport, Error> {
        let begun = self.context.now();
        let wanted = move |seen: &Tracker<D>| seen.update_time <= begun;
        self.operate_many(query, concurrency, wanted, async |seen| self.redrive(&seen).await.map(drop)).await
    }

    /// Ignores all that a query finds.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and as [`create_many`](Self::create_many).
    pub async fn ignore_many(&self, query: Query, concurrency: usize) -> Result<BulkReport, Error> {
        let wanted = |seen: &Tracker<D>| seen.status != Status::Ignored;
        self.operate_many(query, concurrency, wanted, async |seen| self.ignore(&seen).await.map(drop)).await
    }

    /// Takes the locks of all that a query finds, but those that were taken since this began.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and as [`create_many`](Self::create_many).
    pub async fn unlock_many(&self, query: Query, concurrency: usize) -> Result<BulkReport, Error> {
        let begun = self.context.now();
        let wanted = move |seen: &Tracker<D>| seen.lock_time.is_none_or(|since| since <= begun);
        self.operate_many(query, concurrency, wanted, async |seen| self.unlock(&seen).await.map(drop)).await
    }

    /// Deletes all that a query finds.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query), and as [`create_many`](Self::create_many).
    pub async fn delete_many(&self, query: Query, concurrency: usize) -> Result<BulkReport, Error> {
        self.operate_many(query, concurrency, |_| true, async |seen| self.delete(&seen).await).await
    }

    async fn operate_many(
        &self,
        query: Query,
        concurrency: usize,
        wanted: impl Fn(&Tracker<D>) -> bool,
        operate: impl AsyncFn(Tracker<D>) -> Result<(), Error>,
    ) -> Result<BulkReport, Error> {
        let found = self.query_stream(query).map_ok(|task| task.id).try_chunks(BATCH);
        let records = found.map_err(|error| error.1).and_then(|ids: Vec<TaskId>| async move {
            let records = self.load_each(ids).await?;
            Ok(stream::iter(records).map(Ok))
        });
        // One that can't be read is a failure of its own, and no reason to leave the others.
        let records = records.try_flatten().try_filter(|read| ready(read.as_ref().map_or(true, &wanted)));
        self.for_each(records, concurrency, async |read: Result<_, Error>| operate(read?).await).await
    }

    /// Does something to each, so many at a time, and fewer while DynamoDB asks for patience.
    async fn for_each<T, R>(
        &self,
        tasks: impl Stream<Item = Result<T, Error>>,
        concurrency: usize,
        action: impl AsyncFn(T) -> Result<R, Error>,
    ) -> Result<BulkReport, Error> {
        let concurrency = concurrency.clamp(1, MOST);
        let pressure = || self.context.table.pressure();
        let (limiter, action) = (&Limiter::new(concurrency), &action);
        let results = tasks.map(|task| async move {
            let task = task?;
            let _turn = limiter.turn().await;
            let before = pressure();
            let result = action(task).await;
            limiter.adapt(pressure() > before);
            Ok::<_, Error>(result)
        });
        let mut results = std::pin::pin!(results.buffer_unordered(concurrency));
        let mut report = BulkReport::default();
        while let Some(result) = results.try_next().await? {
            report.add(result)?;
        }
        Ok(report)
    }
}
