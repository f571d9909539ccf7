//! Writing under a lock that goes on: extending the lease, and checkpoints.

use chrono::{DateTime, Utc};

use crate::record::{LockToken, Tracker};

/// One write that keeps the task in progress.
///
/// `step` orders the writes of one lock. A copy of an older one that arrives late would otherwise pull the expiry back,
/// or bring old data back, while the holder has been told otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Extend {
    /// The lock of whoever writes.
    pub token: LockToken,
    /// The time, in whole milliseconds.
    pub now: DateTime<Utc>,
    /// The number of this write under the lock.
    pub step: u32,
    /// The new end of the lease; `None` leaves it, as a checkpoint does.
    pub expires: Option<DateTime<Utc>>,
    /// Whether the index is kept, where a task in progress stands at its lease's end.
    pub indexed: bool,
}

impl Extend {
    /// Whether DynamoDB would take this write on `record`.
    #[must_use]
    pub fn permits<D>(&self, record: Option<&Tracker<D>>) -> bool {
        record.is_some_and(|record| record.lock == Some(self.token) && record.step < self.step)
    }

    /// What the write makes of `record`, apart from its data.
    #[must_use]
    pub fn apply<D>(&self, mut record: Tracker<D>) -> Tracker<D> {
        record.step = self.step;
        record.update_time = self.now;
        if self.expires.is_some() {
            record.lock_expire_time = self.expires;
            if self.indexed {
                record.due_time = self.expires;
            }
        }
        record
    }

    /// Whether `record`, on which DynamoDB refused this write, shows that an earlier copy of it is already in.
    ///
    /// One process never uses a number for two writes. Another that was given the lock may use the same, so time and expiry
    /// must be this write's too: its holder would otherwise believe in an extension that was never made.
    #[must_use]
    pub fn is_in<D>(&self, record: Option<&Tracker<D>>) -> bool {
        record.is_some_and(|record| {
            record.lock == Some(self.token)
                && record.step == self.step
                && record.update_time == self.now
                && (self.expires.is_none() || record.lock_expire_time == self.expires)
        })
    }
}
