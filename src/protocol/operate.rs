//! What people do to a task without holding its lock.

use chrono::{DateTime, Utc};

use crate::record::{LockToken, Tracker};
use crate::status::Status;

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Puts an exhausted or ignored task back to pending, with all its attempts before it.
    Redrive,
    /// Decides that a task which has not succeeded is not to be done. Whoever works on it loses the lease.
    Ignore,
    /// Takes the lock away from whoever has it. The attempt stays counted.
    Unlock,
}

impl Operation {
    /// What to do, as a verb.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Redrive => "redrive",
            Operation::Ignore => "ignore",
            Operation::Unlock => "unlock",
        }
    }

    /// Whether it makes sense on `record`.
    #[must_use]
    pub fn is_legal<D>(self, record: &Tracker<D>) -> bool {
        match self {
            Operation::Redrive => matches!(record.status, Status::Exhausted | Status::Ignored),
            Operation::Ignore => {
                matches!(record.status, Status::Pending | Status::InProgress | Status::Failed | Status::Exhausted)
            }
            Operation::Unlock => record.lock.is_some(),
        }
    }

    /// Which records it makes sense on, for people.
    pub(crate) fn expects(self) -> &'static str {
        match self {
            Operation::Redrive => "an exhausted or ignored task",
            Operation::Ignore => "a task that has neither succeeded nor been ignored",
            Operation::Unlock => "a locked task",
        }
    }
}

/// One operator's write. It is bound to the record that the operator saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Operate {
    /// What is done.
    pub operation: Operation,
    /// The time, in whole milliseconds.
    pub now: DateTime<Utc>,
    /// The state that was seen.
    pub status: Status,
    /// The lock that was seen.
    pub lock: Option<LockToken>,
    /// The generation that was seen.
    pub generation: u64,
    /// Where it stands in the index, if that is kept.
    pub due_time: Option<DateTime<Utc>>,
    /// When DynamoDB may delete the item.
    pub expire_at: Option<DateTime<Utc>>,
}

impl Operate {
    /// The write that does `operation` to the task as `seen`.
    #[must_use]
    pub fn on<D>(
        seen: &Tracker<D>,
        operation: Operation,
        now: DateTime<Utc>,
        expire_at: Option<DateTime<Utc>>,
    ) -> Self {
        let (status, lock, generation) = (seen.status, seen.lock, seen.generation);
        Self { operation, now, status, lock, generation, due_time: None, expire_at }
    }

    /// Whether DynamoDB would take this write on `record`.
    #[must_use]
    pub fn permits<D>(&self, record: Option<&Tracker<D>>) -> bool {
        record.is_some_and(|record| {
            record.status == self.status && record.lock == self.lock && record.generation == self.generation
        })
    }

    /// What the write makes of `record`.
    #[must_use]
    pub fn apply<D>(&self, mut record: Tracker<D>) -> Tracker<D> {
        record.unlock_it();
        record.update_time = self.now;
        record.status = self.status_after();
        match self.operation {
            Operation::Redrive => {
                record.attempts = 0;
                record.due_time = self.due_time;
                record.expire_at = None;
            }
            Operation::Ignore => {
                record.due_time = self.due_time;
                record.expire_at = self.expire_at;
            }
            Operation::Unlock => record.due_time = self.due_time.or(record.due_time),
        }
        record
    }

    /// Whether `record`, on which DynamoDB refused this write although we had sent it before, shows that it is in.
    #[must_use]
    pub fn is_in<D>(&self, record: &Tracker<D>) -> bool {
        record.generation == self.generation
            && record.update_time == self.now
            && record.status == self.status_after()
            && record.lock.is_none()
    }

    /// The state that it leads to.
    pub(crate) fn status_after(&self) -> Status {
        match self.operation {
            Operation::Redrive => Status::Pending,
            Operation::Ignore => Status::Ignored,
            Operation::Unlock => self.status,
        }
    }
}
