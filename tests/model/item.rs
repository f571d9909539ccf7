//! The stored record in a form that is small enough to have millions of, and the crate's own form of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dynamo_tracker::{AttemptError, LockToken, Status, TaskId, Tracker};

/// A moment or a length, in ticks of a second.
pub(crate) type Ticks = i8;

/// A lock token: the worker and how many it has made before.
pub(crate) type Token = u8;

/// Who wrote an error: the worker with this token, or a contender that found a lease run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cause {
    Work(Token),
    LeaseExpired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    pub(crate) status: Status,
    pub(crate) attempts: u8,
    pub(crate) generation: u8,
    pub(crate) lock: Option<Token>,
    pub(crate) last_lock: Option<Token>,
    pub(crate) expiry: Option<Ticks>,
    pub(crate) step: u8,
    pub(crate) error: Option<Cause>,
    pub(crate) expire_at: Option<Ticks>,
    pub(crate) update: Ticks,
}

pub(crate) fn time(ticks: Ticks) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(ticks.into())
}

pub(crate) fn length(ticks: Ticks) -> Duration {
    Duration::from_secs(ticks.try_into().expect("a length"))
}

fn ticks(time: DateTime<Utc>) -> Ticks {
    time.timestamp().try_into().expect("a time within the model")
}

pub(crate) fn lock_token(token: Token) -> LockToken {
    LockToken::from_u128(token.into())
}

fn token(lock: LockToken) -> Token {
    lock.as_u128().try_into().expect("a token of the model")
}

pub(crate) fn error(cause: Cause) -> AttemptError {
    let (kind, text) = match cause {
        Cause::Work(token) => ("Work", token.to_string()),
        Cause::LeaseExpired => ("LeaseExpired", String::new()),
    };
    AttemptError::from_parts(1, DateTime::UNIX_EPOCH, kind, &text, None)
}

fn cause(error: &AttemptError) -> Cause {
    match error.message.parse() {
        Ok(token) if error.error_type == "Work" => Cause::Work(token),
        _ => Cause::LeaseExpired,
    }
}

/// A record that no table has yet.
pub(crate) fn new_record() -> Tracker<()> {
    Tracker::new(TaskId::new("m", "t").expect("a good id"), (), 1, DateTime::UNIX_EPOCH)
}

impl Item {
    pub(crate) fn to_record(self) -> Tracker<()> {
        let mut record = new_record();
        record.status = self.status;
        record.attempts = self.attempts.into();
        record.generation = self.generation.into();
        record.lock = self.lock.map(lock_token);
        record.last_lock = self.last_lock.map(lock_token);
        record.lock_expire_time = self.expiry.map(time);
        record.step = self.step.into();
        record.errors.extend(self.error.map(error));
        record.expire_at = self.expire_at.map(time);
        record.update_time = time(self.update);
        record
    }

    pub(crate) fn of(record: &Tracker<()>) -> Self {
        Self {
            status: record.status,
            attempts: record.attempts.try_into().expect("few attempts"),
            generation: record.generation.try_into().expect("few generations"),
            lock: record.lock.map(token),
            last_lock: record.last_lock.map(token),
            expiry: record.lock_expire_time.map(ticks),
            step: record.step.try_into().expect("few steps"),
            error: record.errors.last().map(cause),
            expire_at: record.expire_at.map(ticks),
            update: ticks(record.update_time),
        }
    }
}
