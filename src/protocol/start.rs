//! Taking a task.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use thiserror::Error;

use crate::record::{AttemptError, LockToken, TaskToken, Tracker};
use crate::status::Status;
use crate::time::{plus, to_millis};

/// The `type` of the error that is recorded for an attempt whose lease ran out.
const LEASE_EXPIRED: &str = "LeaseExpired";

/// How a task is to be taken. The default takes it as the client was built to.
///
/// ```
/// use std::time::Duration;
/// use dynamo_tracker::StartOptions;
///
/// let options = StartOptions::new().expire(Duration::from_secs(60)).owner("host-1:4711").max_attempts(5);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct StartOptions {
    pub(crate) lock: Option<LockToken>,
    pub(crate) now: Option<DateTime<Utc>>,
    pub(crate) expire: Option<Duration>,
    pub(crate) ignore_lock: bool,
    pub(crate) force_execution: bool,
    pub(crate) only_existing: bool,
    pub(crate) at_most_once: bool,
    pub(crate) owner: Option<String>,
    pub(crate) reentrant: bool,
    pub(crate) max_attempts: Option<u32>,
    pub(crate) no_heartbeat: bool,
    pub(crate) callback: Option<TaskToken>,
}

impl StartOptions {
    /// The default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// A lock that the caller already has: a task that is locked with this token may be taken again.
    pub fn lock(mut self, held: LockToken) -> Self {
        self.lock = Some(held);
        self
    }

    /// The time to go by, instead of the clock's.
    pub fn now(mut self, now: DateTime<Utc>) -> Self {
        self.now = Some(now);
        self
    }

    /// The length of the lease, instead of the client's.
    pub fn expire(mut self, lease: Duration) -> Self {
        self.expire = Some(lease);
        self
    }

    /// Takes the task although somebody else works on it. That worker loses its lease.
    pub fn ignore_lock(mut self) -> Self {
        self.ignore_lock = true;
        self
    }

    /// Takes the task although it is exhausted, ignored, succeeded, not due yet, or has no attempts left.
    pub fn force_execution(mut self) -> Self {
        self.force_execution = true;
        self
    }

    /// Takes the task only if somebody has created it.
    pub fn only_existing(mut self) -> Self {
        self.only_existing = true;
        self
    }

    /// Does not run a task again whose attempt was interrupted, but refuses it as
    /// [interrupted](Refusal::Interrupted): for work whose effect must not repeat, and which may have had it.
    ///
    /// A failure that was recorded is no interruption, and may be tried again. Whoever has found out what the interrupted
    /// attempt did starts it with [`force_execution`](Self::force_execution), or ignores it.
    pub fn at_most_once(mut self) -> Self {
        self.at_most_once = true;
        self
    }

    /// Who takes it, for people who look at the record: a request id, `host:pid`.
    pub fn owner(mut self, name: impl Into<String>) -> Self {
        self.owner = Some(name.into());
        self.reentrant = false;
        self
    }

    /// A stable name of whoever takes it, who may take it again at once after a crash.
    ///
    /// For callers of which there is never more than one at a time, such as one state of one Step Functions execution.
    pub fn reentrant_owner(mut self, name: impl Into<String>) -> Self {
        self.owner = Some(name.into());
        self.reentrant = true;
        self
    }

    /// The limit of attempts, instead of the client's. The record keeps it, so that whoever records the outcome goes by
    /// the same.
    pub fn max_attempts(mut self, limit: u32) -> Self {
        self.max_attempts = Some(limit);
        self
    }

    /// Does not extend the lease while a [`run`](crate::TrackerClient::run) works: for work that is over before the lease is,
    /// whatever happens, such as that of a Lambda function whose lease is as long as the function may run. It saves a write for
    /// each third of the lease. Work that takes longer is stopped at the lease's end.
    pub fn no_heartbeat(mut self) -> Self {
        self.no_heartbeat = true;
        self
    }

    /// The task token of a state that waits for the task's end, in the place of one that the record has, whose state is not told
    /// and waits until it times out: that is for the retry of a state, which waits no more by its first token. A client with
    #[cfg_attr(feature = "stepfunctions", doc = "[`callbacks`](crate::TrackerClientBuilder::callbacks)")]
    #[cfg_attr(not(feature = "stepfunctions"), doc = "callbacks")]
    /// tells Step Functions, whichever process it is in that ends the task. A start that is refused for now does not keep it; where
    /// the task is over, the state is told at once, or the token kept by a client without, for the next look of one with.
    pub fn callback(mut self, token: TaskToken) -> Self {
        self.callback = Some(token);
        self
    }
}

/// One request to take a task: everything that the rules and the expression depend on.
#[derive(Clone, Debug)]
pub struct Acquire {
    /// The fresh token.
    pub token: LockToken,
    /// The time, in whole milliseconds.
    pub now: DateTime<Utc>,
    /// The length of the lease.
    pub lease: Duration,
    /// The clock error that is tolerated.
    pub skew: Duration,
    /// The limit of attempts.
    pub max_attempts: u32,
    /// The token that the caller already has.
    pub held: Option<LockToken>,
    /// Who takes it.
    pub owner: Option<String>,
    /// Whether `owner` may take its own lock again.
    pub reentrant: bool,
    /// Whether another's lock is no obstacle.
    pub ignore_lock: bool,
    /// Whether final states, due times and the limit of attempts are no obstacle.
    pub force_execution: bool,
    /// Whether a task that does not exist is refused.
    pub only_existing: bool,
    /// Whether a task whose attempt was interrupted is refused.
    pub at_most_once: bool,
    /// The code of the previous stage's success.
    pub previous_succeeded: Option<u32>,
    /// Whether the index is kept, where a task in progress stands at its lease's end.
    pub indexed: bool,
    /// Who waits for its end, where that is somebody new.
    pub callback: Option<TaskToken>,
    /// Which of the three ways to take it.
    pub path: Path,
}

/// What a start goes by where its options do not say.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The time.
    pub now: DateTime<Utc>,
    /// The length of the lease.
    pub lease: Duration,
    /// The clock error that is tolerated.
    pub skew: Duration,
    /// The limit of attempts.
    pub max_attempts: u32,
    /// The code of the previous stage's success, where there is a previous stage.
    pub previous_succeeded: Option<u32>,
    /// Whether the index is kept.
    pub indexed: bool,
}

/// The ways to take a task. All but the first follow a refusal, whose record they are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// A new task, or the next attempt.
    Ordinary,
    /// The first attempt of the next stage, on the record of this generation.
    NextStage {
        /// The generation that was seen.
        generation: u64,
    },
    /// The first attempt of a new task in place of the expired record of this generation.
    Replace {
        /// The generation that was seen.
        generation: u64,
    },
}

/// What follows from the record that DynamoDB showed when it refused an [`Acquire`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict {
    /// The record would not have been refused: it changed, or the condition and the rules disagree.
    Permitted,
    /// Our own write, whose answer was lost: we hold the task.
    Ours,
    /// Our own write was in, and has been ended by somebody else since. The same token can't take the task again.
    Spent,
    /// Take it this way.
    Take(Path),
    /// Write down that the attempts are used up, then refuse.
    Exhaust(Exhaust),
    /// Refuse.
    Refuse(Refusal),
}

/// Why a task was not taken. Each is an ordinary outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Only an existing task was to be taken, and there is none.
    #[error("there is no such task; create it first, or start it without only_existing")]
    NotFound,
    /// Somebody else works on it.
    #[error("locked by {} until {}; try again then", .owner.as_deref().unwrap_or("another worker"), show(.until))]
    Locked {
        /// Who, where they said so.
        owner: Option<String>,
        /// When it can be taken over, unless they extend their lease: the skew after the lease's end.
        until: DateTime<Utc>,
    },
    /// It may be taken later.
    #[error("not due until {}; try again then", show(.until))]
    NotDue {
        /// When.
        until: DateTime<Utc>,
    },
    /// It is to be run at most once, and an attempt has begun and not ended. The record says which.
    #[error(
        "an attempt was interrupted, and it is to be run at most once; find out what it did, then force or ignore it"
    )]
    Interrupted,
    /// It is done. The record has its result.
    #[error("it has already succeeded; a forced start runs it again")]
    AlreadySucceeded,
    /// Its attempts are used up, or its error was fatal.
    #[error("its attempts are used up; look at its errors, mend the cause, then redrive it")]
    Exhausted,
    /// Somebody decided that it is not to be done.
    #[error("it is ignored; redrive it if it is to be done after all")]
    Ignored,
    /// It is in a state that this status set can't start from.
    #[error("{status} can't be started from; an earlier stage is still to be done, or a later one has begun")]
    NotReady {
        /// That state.
        status: Status,
    },
}

/// A time for people. Not by a format string, whose interpreter would be a fair part of a small program.
fn show(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Acquire {
    /// The request that a start with these options makes first.
    #[must_use]
    pub fn new(options: &StartOptions, token: LockToken, terms: Terms) -> Self {
        Self {
            token,
            now: to_millis(options.now.unwrap_or(terms.now)),
            lease: options.expire.unwrap_or(terms.lease),
            skew: terms.skew,
            max_attempts: options.max_attempts.unwrap_or(terms.max_attempts),
            held: options.lock,
            owner: options.owner.clone(),
            reentrant: options.reentrant,
            ignore_lock: options.ignore_lock,
            force_execution: options.force_execution,
            // A stage follows on an item that the stage before has made.
            only_existing: options.only_existing || terms.previous_succeeded.is_some(),
            at_most_once: options.at_most_once,
            previous_succeeded: terms.previous_succeeded,
            indexed: terms.indexed,
            callback: options.callback.clone(),
            path: Path::Ordinary,
        }
    }

    /// Whether DynamoDB would take this write on `record`.
    #[must_use]
    pub fn permits<D>(&self, record: Option<&Tracker<D>>) -> bool {
        match (self.path, record) {
            (Path::Ordinary, None) => !self.only_existing,
            (_, None) => false,
            (Path::Ordinary, Some(record)) => {
                self.is_fresh(record)
                    && self.can_start(record.status)
                    && self.is_free(record)
                    && self.has_attempts(record)
                    && self.is_due(record)
            }
            (Path::NextStage { generation }, Some(record)) => {
                record.generation == generation
                    && self.is_fresh(record)
                    && self.follows(record.status)
                    && self.is_free(record)
                    && self.is_due(record)
            }
            (Path::Replace { generation }, Some(record)) => {
                record.generation == generation && self.is_fresh(record) && record.has_expired(self.now)
            }
        }
    }

    /// What to do after DynamoDB refused this write and showed `record`. The first row that fits decides.
    #[must_use]
    pub fn judge<D>(&self, record: Option<&Tracker<D>>) -> Verdict {
        let Some(record) = record else {
            return if self.only_existing { Verdict::Refuse(Refusal::NotFound) } else { Verdict::Permitted };
        };
        if record.lock == Some(self.token) {
            return Verdict::Ours;
        }
        if record.last_lock == Some(self.token) {
            return Verdict::Spent;
        }
        if self.permits(Some(record)) {
            return Verdict::Permitted;
        }
        if record.has_expired(self.now) {
            return match self.only_existing {
                true => Verdict::Refuse(Refusal::NotFound),
                false => Verdict::Take(Path::Replace { generation: record.generation }),
            };
        }
        if !self.is_free(record) {
            return Verdict::Refuse(Refusal::Locked {
                owner: record.lock_owner.clone(),
                until: record.lock_expire_time.map_or(DateTime::<Utc>::MAX_UTC, |expiry| plus(expiry, self.skew)),
            });
        }
        self.judge_free(record)
    }

    /// The same for a record that nobody's lock protects.
    fn judge_free<D>(&self, record: &Tracker<D>) -> Verdict {
        let startable = self.can_start(record.status);
        match record.status {
            Status::InProgress if !startable => Verdict::Refuse(Refusal::Interrupted),
            // A forced start of these is permitted, so it does not come here.
            Status::Succeeded => Verdict::Refuse(Refusal::AlreadySucceeded),
            Status::Exhausted => Verdict::Refuse(Refusal::Exhausted),
            Status::Ignored => Verdict::Refuse(Refusal::Ignored),
            // A lease that goes on is not ended, even by whoever may take it.
            _ if startable && !self.has_attempts(record) => match record.lock.is_none() || self.ran_out(record) {
                true => Verdict::Exhaust(Exhaust::of(record, self.now)),
                false => Verdict::Refuse(Refusal::Exhausted),
            },
            _ if !self.is_due(record) => {
                Verdict::Refuse(Refusal::NotDue { until: record.due_time.unwrap_or(self.now) })
            }
            status if self.follows(status) => Verdict::Take(Path::NextStage { generation: record.generation }),
            status => Verdict::Refuse(Refusal::NotReady { status }),
        }
    }

    /// What the write makes of `record`. `data` is that of a new record.
    #[must_use]
    pub fn apply<D>(&self, record: Option<Tracker<D>>, new: impl FnOnce() -> Tracker<D>) -> Tracker<D> {
        let mut record = match (self.path, record) {
            (Path::Replace { generation }, _) => Tracker { generation, ..new() },
            (_, Some(record)) => record,
            (_, None) => new(),
        };
        record.status = Status::InProgress;
        record.attempts = if self.path == Path::Ordinary { record.attempts.saturating_add(1) } else { 1 };
        record.max_attempts = self.max_attempts;
        record.generation = record.generation.saturating_add(1);
        record.update_time = self.now;
        if self.may_displace() {
            record.last_lock = record.lock.or(record.last_lock).or(Some(self.token));
        }
        record.lock = Some(self.token);
        record.step = 0;
        record.lock_owner = self.owner.clone();
        record.lock_time = Some(self.now);
        record.lock_expire_time = Some(self.expires());
        record.due_time = self.indexed.then(|| self.expires());
        record.expire_at = None;
        if let Some(token) = &self.callback {
            record.callback = Some(token.clone());
        }
        record
    }

    /// What is left of a record whose start was refused, by a client that tells nobody: a task that is over, and of which nobody else
    /// is to be told, has whoever was to wait for it, for another client to tell. It does not expire before.
    #[must_use]
    pub fn refused<D>(&self, mut record: Tracker<D>) -> Tracker<D> {
        if let (Some(token), None, true) = (&self.callback, &record.callback, record.status.is_final()) {
            record.wait_for(token);
        }
        record
    }

    /// When the lease ends.
    #[must_use]
    pub fn expires(&self) -> DateTime<Utc> {
        to_millis(plus(self.now, self.lease))
    }

    /// This request has not been seen on `record` before. A copy of a request that was already carried out is refused
    /// here, so that no attempt is counted twice.
    fn is_fresh<D>(&self, record: &Tracker<D>) -> bool {
        record.lock != Some(self.token) && record.last_lock != Some(self.token)
    }

    /// The states that the ordinary path starts from.
    #[must_use]
    pub fn startable(&self) -> &'static [Status] {
        const USUAL: [Status; 3] = [Status::Pending, Status::Failed, Status::InProgress];
        const AT_MOST_ONCE: [Status; 2] = [Status::Pending, Status::Failed];
        match (self.force_execution, self.at_most_once) {
            (true, _) => &Status::ALL,
            (false, true) => &AT_MOST_ONCE,
            (false, false) => &USUAL,
        }
    }

    fn can_start(&self, status: Status) -> bool {
        self.startable().contains(&status)
    }

    /// The previous stage ended in success.
    fn follows(&self, status: Status) -> bool {
        matches!(status, Status::Other(code) if Some(code) == self.previous_succeeded)
    }

    /// Whether it may take a lock that has not run out. Such a start remembers the lock that it displaces as the last
    /// one, so that a late copy of the displaced start can't take the lock back.
    #[must_use]
    pub fn may_displace(&self) -> bool {
        let replaces = matches!(self.path, Path::Replace { .. });
        !replaces && (self.ignore_lock || self.held.is_some() || self.reentrant)
    }

    fn ran_out<D>(&self, record: &Tracker<D>) -> bool {
        record.lease_ran_out(self.now, self.skew)
    }

    fn is_free<D>(&self, record: &Tracker<D>) -> bool {
        self.ignore_lock
            || record.lock.is_none()
            || self.ran_out(record)
            || (self.held.is_some() && record.lock == self.held)
            || (self.reentrant && self.owner.is_some() && record.lock_owner == self.owner)
    }

    fn has_attempts<D>(&self, record: &Tracker<D>) -> bool {
        self.force_execution || record.attempts < self.max_attempts
    }

    /// A task in progress is held back by its lock alone.
    fn is_due<D>(&self, record: &Tracker<D>) -> bool {
        self.force_execution || record.status == Status::InProgress || record.due_time.is_none_or(|due| due <= self.now)
    }
}

/// Writing down that a task whose attempts are used up is exhausted: its last attempt was abandoned, or the limit is lower
/// than it was.
///
/// Bound to the lock and the expiry that were seen: a holder that extends its lease in between keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhaust {
    /// The time, in whole milliseconds.
    pub now: DateTime<Utc>,
    /// The state that was seen.
    pub status: Status,
    /// The generation that was seen.
    pub generation: u64,
    /// The lock that was seen.
    pub lock: Option<LockToken>,
    /// The expiry that was seen.
    pub lock_expire_time: Option<DateTime<Utc>>,
    /// What is added to the history, where an attempt was abandoned.
    pub error: Option<AttemptError>,
    /// Where it stands in the index, if that is kept.
    pub due_time: Option<DateTime<Utc>>,
    /// When DynamoDB may delete the item.
    pub expire_at: Option<DateTime<Utc>>,
}

impl Exhaust {
    fn of<D>(record: &Tracker<D>, now: DateTime<Utc>) -> Self {
        let message = match record.lock_expire_time {
            Some(expiry) => format!("the lease ended at {} with no outcome", show(&expiry)),
            None => "the task was unlocked with no outcome".to_owned(),
        };
        let error = || AttemptError::from_parts(record.attempts, now, LEASE_EXPIRED, &message, None);
        Self {
            now,
            status: record.status,
            generation: record.generation,
            lock: record.lock,
            lock_expire_time: record.lock_expire_time,
            error: (record.status == Status::InProgress).then(error),
            due_time: None,
            expire_at: None,
        }
    }

    /// Whether DynamoDB would take this write on `record`.
    #[must_use]
    pub fn permits<D>(&self, record: Option<&Tracker<D>>) -> bool {
        record.is_some_and(|record| {
            record.status == self.status
                && record.generation == self.generation
                && record.lock == self.lock
                && record.lock_expire_time == self.lock_expire_time
        })
    }

    /// What the write makes of `record`. `history` is how many errors are kept.
    #[must_use]
    pub fn apply<D>(&self, mut record: Tracker<D>, history: usize) -> Tracker<D> {
        record.unlock_it();
        record.status = Status::Exhausted;
        record.update_time = self.now;
        record.due_time = self.due_time;
        record.expire_at = self.expire_at;
        if let Some(error) = &self.error {
            record.errors = super::End::history(record.errors, error, history);
        }
        record
    }
}
