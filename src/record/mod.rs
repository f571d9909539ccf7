//! The record of a task: what one DynamoDB item holds.

mod attempt_error;
mod id;
mod member;
mod raw;
mod task_token;
mod token;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

pub use attempt_error::{AttemptError, MAX_MESSAGE_BYTES, MAX_TRACE_BYTES, MAX_TYPE_BYTES};
pub use id::{InvalidTaskId, MAX_KEY_BYTES, TaskId};
pub use member::{BatchMember, InvalidBatchMember};
pub use raw::RawData;
pub use task_token::{InvalidTaskToken, TaskToken};
pub use token::{InvalidLockToken, LockToken};

pub(crate) use attempt_error::{backtrace, chain};
pub(crate) use id::check_namespace;

use crate::status::Status;
use crate::time::{minus, plus, to_millis};

/// The record of a task, with data of the type `D`.
///
/// Times are whole milliseconds. `Debug` leaves out the data and the texts of errors, and shortens the lock tokens.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Tracker<D> {
    /// The task's name, with its namespace.
    pub id: TaskId,
    /// The state it is in.
    pub status: Status,
    /// How often it was taken since it was created or redriven, or since its stage began.
    pub attempts: u32,
    /// The limit of `attempts` that the latest start went by.
    pub max_attempts: u32,
    /// The fencing token: one more at each acquisition, never set back.
    pub generation: u64,
    /// When the item was first written.
    pub create_time: DateTime<Utc>,
    /// When this crate last wrote the item.
    pub update_time: DateTime<Utc>,
    /// The token of whoever works on it now.
    pub lock: Option<LockToken>,
    /// The token of the acquisition that ended last.
    pub last_lock: Option<LockToken>,
    /// The number of the latest write under this lock: 0 at start, one more at each extension or checkpoint.
    pub step: u32,
    /// Who works on it, for people: a request id, `host:pid`.
    pub lock_owner: Option<String>,
    /// When it was taken.
    pub lock_time: Option<DateTime<Utc>>,
    /// When the lease ends.
    pub lock_expire_time: Option<DateTime<Utc>>,
    /// The caller's own.
    pub data: D,
    /// The latest errors, oldest first.
    pub errors: Vec<AttemptError>,
    /// When it may (next) be taken; absent for "now".
    pub due_time: Option<DateTime<Utc>>,
    /// When DynamoDB may delete it, to the second.
    pub expire_at: Option<DateTime<Utc>>,
    /// The batch that counts it as one that has not ended yet. Only writes that tell the batch may change it.
    pub(crate) batch: Option<BatchMember>,
    /// The batch that has counted its end.
    pub(crate) last_batch: Option<BatchMember>,
    /// The task token of whoever waits for its end. Removed when they were told.
    pub(crate) callback: Option<TaskToken>,
    /// What the stored record was when it was loaded, for a dump that overwrites nothing newer.
    pub(crate) loaded: Loaded,
}

/// The type of the error by which a record says that the data of a success was not kept.
pub(crate) const DATA_NOT_KEPT: &str = "DataNotKept";

/// The version that was loaded; `None` for a record that was made in memory. Two records that differ only in this are
/// equal, since it is not part of what an item holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded(pub(crate) Option<Version>);

impl PartialEq for Loaded {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Enough of a stored record to see whether somebody has written it since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Version {
    pub(crate) generation: u64,
    pub(crate) status: Status,
    pub(crate) step: u32,
    pub(crate) update_time: DateTime<Utc>,
}

impl<D> Tracker<D> {
    /// A pending task that no table has yet, as [`TrackerClient::create`](crate::TrackerClient::create) writes it.
    ///
    /// ```
    /// use chrono::Utc;
    /// use dynamo_tracker::{Status, TaskId, Tracker};
    ///
    /// let tracker = Tracker::new(TaskId::new("orders", "42")?, "by courier", 3, Utc::now());
    /// assert_eq!((tracker.status, tracker.attempts, tracker.generation), (Status::Pending, 0, 0));
    /// # Ok::<(), dynamo_tracker::InvalidTaskId>(())
    /// ```
    #[must_use]
    pub fn new(id: TaskId, data: D, max_attempts: u32, now: DateTime<Utc>) -> Self {
        let now = to_millis(now);
        Self {
            id,
            status: Status::Pending,
            attempts: 0,
            max_attempts,
            generation: 0,
            create_time: now,
            update_time: now,
            lock: None,
            last_lock: None,
            step: 0,
            lock_owner: None,
            lock_time: None,
            lock_expire_time: None,
            data,
            errors: Vec::new(),
            due_time: None,
            expire_at: None,
            batch: None,
            last_batch: None,
            callback: None,
            loaded: Loaded(None),
        }
    }

    /// Whether somebody else works on the task at `now`: it has a lock that is not `held` and has not run out.
    ///
    /// The clock error that a contender must allow for is not part of the answer; a start waits that much longer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use chrono::Utc;
    /// # use dynamo_tracker::{TaskId, Tracker};
    /// let now = Utc::now();
    /// let mut tracker = Tracker::new(TaskId::new("orders", "42")?, (), 3, now);
    /// assert!(!tracker.is_locked(None, now));
    /// let token = tracker.lock_it(now, Duration::from_secs(60));
    /// assert!(tracker.is_locked(None, now));
    /// assert!(!tracker.is_locked(Some(token), now));
    /// assert!(!tracker.is_locked(None, now + Duration::from_secs(60)));
    /// # Ok::<(), dynamo_tracker::InvalidTaskId>(())
    /// ```
    #[must_use]
    pub fn is_locked(&self, held: Option<LockToken>, now: DateTime<Utc>) -> bool {
        self.lock.is_some() && self.lock != held && !self.lease_ran_out(now, Duration::ZERO)
    }

    /// Whether the lease had ended at `now` even for a clock that is wrong by `skew`. False where there is no lock.
    #[must_use]
    pub fn lease_ran_out(&self, now: DateTime<Utc>, skew: Duration) -> bool {
        self.lock_expire_time.is_some_and(|expiry| expiry <= minus(to_millis(now), skew))
    }

    /// Whether DynamoDB may delete the item at `now`, though perhaps it has not yet.
    #[must_use]
    pub fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expire_at.is_some_and(|expire_at| expire_at <= now)
    }

    /// Locks the record in memory with a fresh token, as a new acquisition, and returns the token.
    ///
    /// Nothing is written until [`TrackerClient::dump`](crate::TrackerClient::dump).
    /// [`TrackerClient::start`](crate::TrackerClient::start) does both at once.
    pub fn lock_it(&mut self, now: DateTime<Utc>, expire: Duration) -> LockToken {
        let token = LockToken::random();
        let now = to_millis(now);
        self.lock = Some(token);
        self.lock_time = Some(now);
        self.lock_expire_time = Some(to_millis(plus(now, expire)));
        self.step = 0;
        self.generation = self.generation.saturating_add(1);
        token
    }

    /// Unlocks the record in memory. Nothing is written until [`TrackerClient::dump`](crate::TrackerClient::dump).
    pub fn unlock_it(&mut self) {
        if let Some(lock) = self.lock.take() {
            self.last_lock = Some(lock);
        }
        self.lock_owner = None;
        self.lock_time = None;
        self.lock_expire_time = None;
    }

    /// The [batch](crate::Batch) that counts it as one that has not ended yet.
    #[must_use]
    pub fn batch(&self) -> Option<&BatchMember> {
        self.batch.as_ref()
    }

    /// The [batch](crate::Batch) that has counted its end.
    #[must_use]
    pub fn last_batch(&self) -> Option<&BatchMember> {
        self.last_batch.as_ref()
    }

    /// The task token of the state of a state machine that waits for the task's end. `None` where nobody waits, or they were told.
    #[must_use]
    pub fn callback(&self) -> Option<&TaskToken> {
        self.callback.as_ref()
    }

    /// Whether somebody who waits for the task's end is still to be told that it is over: Step Functions could not be reached,
    /// or the process died in between. The next look by a client with
    #[cfg_attr(feature = "stepfunctions", doc = "[`callbacks`](crate::TrackerClientBuilder::callbacks) tells them.")]
    #[cfg_attr(not(feature = "stepfunctions"), doc = "callbacks tells them.")]
    #[must_use]
    pub fn owes_callback(&self) -> bool {
        self.callback.is_some() && self.status.is_final()
    }

    /// Has somebody told of the task's end. A record that is over already owes that, and does not expire before.
    pub(crate) fn wait_for(&mut self, token: &TaskToken) {
        self.callback = Some(token.clone());
        if self.status.is_final() {
            self.expire_at = None;
        }
    }

    /// Whether the task has succeeded, and the data that its work came to was not kept: it was too large for the item, or
    /// [dropped](crate::Lease::drop_data). `data` is that from before the success then, such as that of the task's creation or of
    /// a checkpoint, and no result. The latest of `errors` says why, with the type `DataNotKept`, until a
    /// [`dump`](crate::TrackerClient::dump) writes other data.
    #[must_use]
    pub fn data_not_kept(&self) -> bool {
        let said_with_success =
            |error: &AttemptError| error.error_type == DATA_NOT_KEPT && error.time == self.update_time;
        self.status == Status::Succeeded && self.errors.last().is_some_and(said_with_success)
    }

    /// Takes the task as counted by its batch: a redrive can have it counted again.
    pub(crate) fn count_off(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.last_batch = Some(batch);
        }
    }

    /// The same record with other data, and the data that it had.
    pub(crate) fn swap_data<E>(self, data: E) -> (Tracker<E>, D) {
        let record = Tracker {
            id: self.id,
            status: self.status,
            attempts: self.attempts,
            max_attempts: self.max_attempts,
            generation: self.generation,
            create_time: self.create_time,
            update_time: self.update_time,
            lock: self.lock,
            last_lock: self.last_lock,
            step: self.step,
            lock_owner: self.lock_owner,
            lock_time: self.lock_time,
            lock_expire_time: self.lock_expire_time,
            data,
            errors: self.errors,
            due_time: self.due_time,
            expire_at: self.expire_at,
            batch: self.batch,
            last_batch: self.last_batch,
            callback: self.callback,
            loaded: self.loaded,
        };
        (record, self.data)
    }

    /// The same record with other data.
    pub(crate) fn with_data<E>(self, data: E) -> Tracker<E> {
        self.swap_data(data).0
    }

    /// The record as one that is stored in this very state.
    pub(crate) fn into_stored(mut self) -> Self {
        self.set_stored();
        self
    }

    /// The same in place.
    pub(crate) fn set_stored(&mut self) {
        self.loaded = Loaded(Some(self.version()));
    }

    /// What the record is now, to be compared with a later state of it.
    pub(crate) fn version(&self) -> Version {
        Version { generation: self.generation, status: self.status, step: self.step, update_time: self.update_time }
    }
}

impl<D> fmt::Debug for Tracker<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracker")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("attempts", &self.attempts)
            .field("max_attempts", &self.max_attempts)
            .field("generation", &self.generation)
            .field("create_time", &self.create_time)
            .field("update_time", &self.update_time)
            .field("lock", &self.lock)
            .field("last_lock", &self.last_lock)
            .field("step", &self.step)
            .field("lock_owner", &self.lock_owner)
            .field("lock_time", &self.lock_time)
            .field("lock_expire_time", &self.lock_expire_time)
            .field("errors", &self.errors)
            .field("due_time", &self.due_time)
            .field("expire_at", &self.expire_at)
            .field("batch", &self.batch)
            .field("last_batch", &self.last_batch)
            .field("callback", &self.callback)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_has_no_data() {
        let mut tracker = Tracker::new(TaskId::new("ns", "id").unwrap(), "secret", 3, DateTime::UNIX_EPOCH);
        tracker.callback = Some("secret".parse().unwrap());
        assert!(!format!("{tracker:?}").contains("secret"));
    }

    #[test]
    fn unlocking_remembers_the_lock() {
        let mut tracker = Tracker::new(TaskId::new("ns", "id").unwrap(), (), 3, DateTime::UNIX_EPOCH);
        let token = tracker.lock_it(DateTime::UNIX_EPOCH, Duration::from_secs(1));
        assert_eq!((tracker.generation, tracker.lock), (1, Some(token)));
        tracker.unlock_it();
        tracker.unlock_it();
        assert_eq!((tracker.lock, tracker.last_lock, tracker.lock_expire_time), (None, Some(token), None));
    }
}
