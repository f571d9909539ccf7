//! How many tasks are in each state, and how long the rest will take.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::client::TrackerClient;
use crate::error::Error;
use crate::schema::{Data, partition};
use crate::status::Status;
use crate::table::Slice;

/// How many partitions are counted at a time.
const CONCURRENT: usize = 16;

/// How many tasks are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// To be done.
    pub pending: u64,
    /// Being worked on, or left behind by a worker that died.
    pub in_progress: u64,
    /// To be tried again.
    pub failed: u64,
    /// Given up.
    pub exhausted: u64,
    /// Done; `None` where the index does not have them, and nobody scanned.
    pub succeeded: Option<u64>,
    /// Not to be done.
    pub ignored: u64,
}

impl Stats {
    /// How many are still to be done: pending, in progress and failed.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.pending + self.in_progress + self.failed
    }

    fn add(&mut self, status: Status, count: u64) {
        match status {
            Status::Pending => self.pending += count,
            Status::InProgress => self.in_progress += count,
            Status::Failed => self.failed += count,
            Status::Exhausted => self.exhausted += count,
            Status::Ignored => self.ignored += count,
            Status::Succeeded => *self.succeeded.get_or_insert(0) += count,
            Status::Other(_) => {}
        }
    }
}

impl<D: Data> TrackerClient<D> {
    /// Counts the tasks in each state by the index, which reads their keys and no more. It may be a moment behind.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn stats(&self) -> Result<Stats, Error> {
        let context = &self.context;
        let shards = context.shards().await?;
        let statuses = &context.codec.statuses;
        let indexed = Status::ALL.into_iter().filter(|status| statuses.is_indexed(*status));
        let counts = indexed.flat_map(|status| (0..shards).map(move |shard| (status, shard))).map(|(status, shard)| {
            let partition = partition(&context.namespace, statuses.code(status), shard);
            async move {
                let slice = Slice { partition, from: None, until: None, newest_first: false };
                context.table.count(&slice).await.map(|count| (status, count))
            }
        });
        let counts: Vec<_> = stream::iter(counts).buffer_unordered(CONCURRENT).try_collect().await?;
        let mut stats = Stats::default();
        counts.into_iter().for_each(|(status, count)| stats.add(status, count));
        Ok(stats)
    }

    /// Counts the tasks in each state by scanning the table: exact, with those that have succeeded, and at the cost of
    /// reading all of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable) where an item is no tracker; else what DynamoDB refuses.
    pub async fn scan_stats(&self, segments: u16) -> Result<Stats, Error> {
        let mut stats = Stats { succeeded: Some(0), ..Stats::default() };
        let mut records = self.scan(segments, &[]);
        while let Some(record) = records.try_next().await? {
            stats.add(record.status, 1);
        }
        Ok(stats)
    }
}

/// How fast tasks come to an end, seen from time to time, and how long the rest will take at that pace.
///
/// ```
/// use std::time::Duration;
/// use chrono::{TimeDelta, Utc};
/// use dynamo_tracker::Progress;
///
/// let mut progress = Progress::over(Duration::from_secs(60));
/// let now = Utc::now();
/// progress.observe(now, 1000);
/// progress.observe(now + TimeDelta::seconds(10), 900);
/// assert_eq!(progress.per_second(), Some(10.0));
/// assert_eq!(progress.remaining(), Some(Duration::from_secs(90)));
/// ```
#[derive(Clone, Debug)]
pub struct Progress {
    window: Duration,
    seen: VecDeque<(DateTime<Utc>, u64)>,
}

impl Progress {
    /// Goes by what was seen within this time.
    #[must_use]
    pub fn over(window: Duration) -> Self {
        Self { window, seen: VecDeque::new() }
    }

    /// So many tasks are open at `now`.
    pub fn observe(&mut self, now: DateTime<Utc>, open: u64) {
        self.seen.push_back((now, open));
        // The one before the window's begin stays, so that there are always two to compare.
        while self.seen.len() > 2 && (now - self.seen[1].0).to_std().is_ok_and(|age| age >= self.window) {
            self.seen.pop_front();
        }
    }

    /// How many tasks come to an end in a second; `None` before two looks, or where the number does not fall.
    #[must_use]
    pub fn per_second(&self) -> Option<f64> {
        let ((begin, before), (end, after)) = (self.seen.front()?, self.seen.back()?);
        let seconds = (*end - *begin).to_std().ok()?.as_secs_f64();
        (seconds > 0.0 && before > after).then(|| (before - after) as f64 / seconds)
    }

    /// How long the rest will take at this pace.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        let open = self.seen.back()?.1;
        Duration::try_from_secs_f64(open as f64 / self.per_second()?).ok()
    }
}
