//! Recording an outcome.

use chrono::{DateTime, Utc};

use crate::record::{AttemptError, LockToken, Tracker};
use crate::status::Status;

/// One write that ends a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// The lock of whoever writes.
    pub token: LockToken,
    /// The time, in whole milliseconds.
    pub now: DateTime<Utc>,
    /// The state that the task goes to.
    pub status: Status,
    /// How many attempts count from now on; `None` leaves them.
    pub attempts: Option<u32>,
    /// The whole history with the new error, or with what a success has to say; `None` leaves it.
    pub errors: Option<Vec<AttemptError>>,
    /// When it may be taken next; `None` for at once.
    pub due_time: Option<DateTime<Utc>>,
    /// When DynamoDB may delete the item.
    pub expire_at: Option<DateTime<Utc>>,
}

impl End {
    /// The state that a failure leads to: failed while attempts are left, else exhausted.
    #[must_use]
    pub fn status_of_failure<D>(record: &Tracker<D>) -> Status {
        if record.attempts < record.max_attempts { Status::Failed } else { Status::Exhausted }
    }

    /// `errors` and `error`, of which the latest `kept` stay.
    #[must_use]
    pub fn history(mut errors: Vec<AttemptError>, error: &AttemptError, kept: usize) -> Vec<AttemptError> {
        errors.push(error.clone());
        let surplus = errors.len().saturating_sub(kept);
        errors.drain(..surplus);
        errors
    }

    /// The same with no more of the history than its own error, without the trace, for an item that has no room.
    pub(crate) fn without_history(mut self) -> Self {
        let own = self.errors.and_then(|mut errors| errors.pop());
        self.errors = own.map(|error| vec![error.without_trace()]);
        self
    }

    /// Whether DynamoDB would take this write on `record`.
    #[must_use]
    pub fn permits<D>(&self, record: Option<&Tracker<D>>) -> bool {
        record.is_some_and(|record| record.lock == Some(self.token))
    }

    /// What the write makes of `record`, apart from its data.
    #[must_use]
    pub fn apply<D>(&self, mut record: Tracker<D>) -> Tracker<D> {
        self.change(&mut record);
        record
    }

    /// The same in place.
    pub(crate) fn change<D>(&self, record: &mut Tracker<D>) {
        record.unlock_it();
        record.status = self.status;
        record.update_time = self.now;
        record.due_time = self.due_time;
        record.expire_at = self.expire_at;
        if let Some(attempts) = self.attempts {
            record.attempts = attempts;
        }
        if let Some(errors) = &self.errors {
            record.errors.clone_from(errors);
        }
    }

    /// Whether `record`, on which DynamoDB refused this write, shows that an earlier copy of it is already in.
    ///
    /// The lock that ended last is ours. A failure has left our error as the latest, even where somebody has taken the
    /// task since; a contender that found our lease run out has left another. Any other outcome has left the state that we
    /// wanted at our time; an operator who wanted the same has left it at theirs.
    #[must_use]
    pub fn is_in<D>(&self, record: Option<&Tracker<D>>) -> bool {
        record.is_some_and(|record| {
            record.last_lock == Some(self.token)
                && match &self.errors {
                    Some(errors) => record.errors.last() == errors.last(),
                    None => record.status == self.status && record.update_time == self.now,
                }
        })
    }
}
