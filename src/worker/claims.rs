//! Which tasks a worker tries to take next.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

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
const LEAST: usize = 256;
const MOST: usize = 1000;
/// Where there is more than the window shows, one in so many of those that were seen is kept for later. The more a worker keeps,
/// the less it reads, and the more of what it keeps has been taken by others meanwhile.
const SHARE: usize = 16;
/// What was kept for longer than this is thrown away: the others may have taken much of it by then.
const FRESH: Duration = Duration::from_millis(500);
/// The index shows a task that was just taken for so long. It is not tried again meanwhile.
const LAG: Duration = Duration::from_secs(3);
/// A task that can't be worked on as it is, such as one that can't be read, is left alone for so long.
const HOPELESS: Duration = Duration::from_secs(300);

/// Looks for due tasks, one shard at a time.
pub(super) struct Claims {
    context: Arc<Context>,
    /// What was seen due, and is to be tried next, until a time on the monotonic clock.
    kept: Vec<TaskRef>,
    kept_until: Duration,
    /// What is not tried again before a time on the monotonic clock.
    tried: HashMap<TaskId, Duration>,
}

impl Claims {
    pub(super) async fn new(context: &Arc<Context>) -> Result<Self, Error> {
        // It says so where there is no index.
        context.shards().await?;
        Ok(Self { context: Arc::clone(context), kept: Vec::new(), kept_until: Duration::ZERO, tried: HashMap::new() })
    }

    /// Up to `wanted` tasks that are due: those that were kept, while they are fresh, or else what there is now.
    pub(super) async fn next(&mut self, wanted: usize) -> Result<Vec<TaskRef>, Error> {
        let now = self.context.clock.monotonic();
        if now >= self.kept_until {
            self.kept.clear();
        }
        if self.kept.is_empty() {
            self.kept = self.look(wanted).await?;
            self.kept_until = now + FRESH;
        }
        let next = self.kept.split_off(self.kept.len().saturating_sub(wanted));
        self.tried.extend(next.iter().map(|task| (task.id.clone(), now + LAG)));
        Ok(next)
    }

    /// Somebody else was first, so more of what is kept may have gone.
    pub(super) fn forget_kept(&mut self) {
        self.kept.clear();
    }

    /// Tasks that are due, of the first shard that has any, from a random one on: as many as are wanted, and a share of them
    /// where there are many.
    async fn look(&mut self, wanted: usize) -> Result<Vec<TaskRef>, Error> {
        let now = self.context.clock.monotonic();
        self.tried.retain(|_, until| *until > now);
        let shards = self.context.shards().await?;
        let first = fastrand::u16(..shards);
        // What was tried stands before what was not.
        let window = wanted.saturating_mul(WINDOW).clamp(LEAST, MOST) + self.tried.len().min(MOST);
        for shard in (first..shards).chain(0..first) {
            let mut due = self.due_in(shard, window).await?;
            // The last of a backlog are wanted by everybody.
            let are_many = due.len() == window;
            due.retain(|task| !self.tried.contains_key(&task.id));
            if due.is_empty() {
                continue;
            }
            fastrand::shuffle(&mut due);
            due.truncate(if are_many { wanted.max(due.len() / SHARE) } else { wanted });
            return Ok(due);
        }
        Ok(Vec::new())
    }

    /// It is no use to try this one again soon.
    pub(super) fn give_up(&mut self, id: TaskId) {
        self.tried.insert(id, self.context.clock.monotonic() + HOPELESS);
    }

    /// Those of a shard that have been due longest, of each state.
    async fn due_in(&self, shard: u16, limit: usize) -> Result<Vec<TaskRef>, Error> {
        let now = self.context.now();
        let reads = self.workable().map(|status| {
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
        let hopeless = self.tried.len().min(MOST);
        for shard in 0..self.context.shards().await? {
            let reads = self.workable().map(|status| {
                let until = matches!(status, Status::Pending | Status::Other(_)).then_some(now);
                read_slice(&self.context, status, self.slice(status, shard, until), hopeless + 1)
            });
            if try_join_all(reads).await?.iter().flatten().any(|task| !self.is_hopeless(&task.id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it was given up, and not only tried a moment ago.
    fn is_hopeless(&self, id: &TaskId) -> bool {
        let now = self.context.clock.monotonic();
        self.tried.get(id).is_some_and(|until| *until > now + LAG)
    }

    /// The states in which a task may be due.
    fn workable(&self) -> impl Iterator<Item = Status> + use<> {
        let previous = self.context.codec.statuses.previous_succeeded().map(Status::Other);
        [Status::Pending, Status::Failed, Status::InProgress].into_iter().chain(previous)
    }

    fn slice(&self, status: Status, shard: u16, until: Option<i64>) -> Slice {
        let code = self.context.codec.statuses.code(status);
        Slice { partition: partition(&self.context.namespace, code, shard), from: None, until, newest_first: false }
    }
}
