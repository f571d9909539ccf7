//! Which tasks a worker tries to take next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::workable;
use crate::context::Context;
use crate::error::Error;
use crate::query::{TaskRef, read_slice};
use crate::record::TaskId;
use crate::schema::partition;
use crate::status::Status;
use crate::table::Slice;

/// A task is looked for among so many for each that is wanted, so that workers seldom want the same.
const WINDOW: usize = 32;
/// The least and the most of that.
const LEAST: usize = 128;
const MOST: usize = 1000;
/// The index shows a task that was just taken for so long. It is not tried again meanwhile.
const LAG: Duration = Duration::from_secs(3);

/// Looks for due tasks, one shard at a time.
pub(super) struct Claims {
    context: Arc<Context>,
    shards: u16,
    /// What was tried, and when on the monotonic clock.
    tried: HashMap<TaskId, Duration>,
}

impl Claims {
    pub(super) async fn new(context: &Arc<Context>) -> Result<Self, Error> {
        Ok(Self { context: Arc::clone(context), shards: context.shards().await?, tried: HashMap::new() })
    }

    /// Up to `wanted` tasks that are due, of the first shard that has any, from a random one on.
    pub(super) async fn next(&mut self, wanted: usize) -> Result<Vec<TaskRef>, Error> {
        let now = self.context.clock.monotonic();
        self.tried.retain(|_, at| *at + LAG > now);
        let first = fastrand::u16(..self.shards);
        for shard in (first..self.shards).chain(0..first) {
            let mut due = self.due_in(shard, (wanted * WINDOW).clamp(LEAST, MOST)).await?;
            due.retain(|task| !self.tried.contains_key(&task.id));
            if due.is_empty() {
                continue;
            }
            fastrand::shuffle(&mut due);
            due.truncate(wanted);
            self.tried.extend(due.iter().map(|task| (task.id.clone(), now)));
            return Ok(due);
        }
        Ok(Vec::new())
    }

    /// Those of a shard that have been due longest, of each state.
    async fn due_in(&self, shard: u16, limit: usize) -> Result<Vec<TaskRef>, Error> {
        let now = self.context.now();
        let statuses = workable(self.context.codec.statuses.previous_succeeded());
        let reads = statuses.into_iter().map(|status| {
            // A lease that ran out is left alone for as long as clocks may differ.
            let until = if status == Status::InProgress { self.context.at_once(now) } else { now };
            read_slice(&self.context, status, self.slice(status, shard, Some(until.timestamp_millis())), limit)
        });
        let mut due: Vec<TaskRef> = try_join_all(reads).await?.into_iter().flatten().collect();
        due.sort_by_key(|task| task.due_time);
        due.truncate(limit);
        Ok(due)
    }

    /// Whether any task is in progress, by whomever, or waits to be tried again, or is due.
    pub(super) async fn anything_open(&self) -> Result<bool, Error> {
        let now = self.context.now().timestamp_millis();
        for shard in 0..self.shards {
            let statuses = workable(self.context.codec.statuses.previous_succeeded());
            let reads = statuses.into_iter().map(|status| {
                let until = matches!(status, Status::Pending | Status::Other(_)).then_some(now);
                read_slice(&self.context, status, self.slice(status, shard, until), 1)
            });
            if try_join_all(reads).await?.iter().any(|found| !found.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn slice(&self, status: Status, shard: u16, until: Option<i64>) -> Slice {
        let code = self.context.codec.statuses.code(status);
        Slice { partition: partition(&self.context.namespace, code, shard), from: None, until, newest_first: false }
    }
}
