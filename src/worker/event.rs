//! What a worker says of its work.

use crate::client::{Recorded, RunError};
use crate::error::{Error, ErrorKind};
use crate::record::{TaskId, Tracker};
use crate::status::Status;
use crate::work_error::WorkError;

/// What happens to a worker's tasks.
#[derive(Debug)]
#[non_exhaustive]
pub enum WorkerEvent<'a> {
    /// It has taken a task, and begins to work on it.
    Started {
        /// The task.
        id: &'a TaskId,
        /// Which attempt it is.
        attempt: u32,
    },
    /// The task is done, and recorded as succeeded.
    Succeeded {
        /// The task.
        id: &'a TaskId,
    },
    /// The task failed, and that is recorded: it is failed or exhausted now, or pending where it was given back.
    Failed {
        /// The task.
        id: &'a TaskId,
        /// The record.
        tracker: &'a Tracker<()>,
        /// The handler's error.
        error: &'a WorkError,
    },
    /// Another worker was first, or the task is not due any more. Nothing was done.
    Refused {
        /// The task.
        id: &'a TaskId,
        /// Why.
        error: &'a Error,
    },
    /// The lease was lost, and the work stopped.
    LeaseLost {
        /// The task.
        id: &'a TaskId,
        /// Who has it now.
        error: &'a Error,
    },
    /// DynamoDB did not take the start or the outcome. The task is taken again when its lease has ended.
    NotRecorded {
        /// The task.
        id: &'a TaskId,
        /// Why.
        error: &'a Error,
    },
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Attempts that failed, panics included.
    pub failed: u64,
    /// Attempts that were given back, by their handler or when the worker stopped.
    pub released: u64,
    /// Starts that were refused, most of them because another worker was first: what several workers cost each other.
    pub refused: u64,
    /// Leases that were lost.
    pub lease_lost: u64,
    /// Starts and outcomes that DynamoDB did not take.
    pub not_recorded: u64,
}

/// How one task ended.
pub(super) enum Ended {
    Succeeded,
    Failed(Box<Tracker<()>>, WorkError),
    Refused(Error),
    LeaseLost(Error),
    NotStarted(Error),
    NotRecorded(Error),
}

impl Ended {
    pub(super) fn of<T>(result: Result<Recorded<T>, RunError<T>>) -> Self {
        match result {
            // The handler may have recorded another outcome through its lease.
            Ok(Recorded { tracker, .. }) if tracker.status != Status::Succeeded => {
                Ended::Failed(Box::new(tracker), WorkError::from("the handler has recorded this itself"))
            }
            Ok(_) | Err(RunError::DataNotKept { .. }) => Ended::Succeeded,
            Err(RunError::Refused(error)) => Ended::Refused(error),
            Err(RunError::Failed { tracker, error }) => Ended::Failed(tracker, error),
            Err(RunError::LeaseLost { error, .. }) => Ended::LeaseLost(error),
            Err(RunError::NotStarted(error)) => Ended::NotStarted(error),
            Err(RunError::NotRecorded { error, .. }) => Ended::NotRecorded(error),
        }
    }

    pub(super) fn event<'a>(&'a self, id: &'a TaskId) -> WorkerEvent<'a> {
        match self {
            Ended::Succeeded => WorkerEvent::Succeeded { id },
            Ended::Failed(tracker, error) => WorkerEvent::Failed { id, tracker, error },
            Ended::Refused(error) => WorkerEvent::Refused { id, error },
            Ended::LeaseLost(error) => WorkerEvent::LeaseLost { id, error },
            Ended::NotStarted(error) | Ended::NotRecorded(error) => WorkerEvent::NotRecorded { id, error },
        }
    }

    /// What no other start would mend.
    pub(super) fn is_general(&self) -> Option<&Error> {
        match self {
            // All starts have the same options, so what is wrong with them is wrong for all.
            Ended::NotStarted(error) if error.is_general() || error.kind() == ErrorKind::InvalidArgument => Some(error),
            _ => None,
        }
    }

    /// Whether another start of this very task would fare no better.
    pub(super) fn is_hopeless(&self) -> bool {
        let hopeless = [ErrorKind::Interrupted, ErrorKind::Unreadable, ErrorKind::NotFound];
        matches!(self, Ended::Refused(error) | Ended::NotStarted(error) if hopeless.contains(&error.kind()))
    }
}

impl WorkerReport {
    pub(super) fn add(&mut self, ended: &Ended) {
        let count = match ended {
            Ended::Succeeded => &mut self.succeeded,
            Ended::Failed(tracker, _) if tracker.status == Status::Pending => &mut self.released,
            Ended::Failed(..) => &mut self.failed,
            Ended::Refused(_) => &mut self.refused,
            Ended::LeaseLost(_) => &mut self.lease_lost,
            Ended::NotStarted(_) | Ended::NotRecorded(_) => &mut self.not_recorded,
        };
        *count += 1;
    }
}

/// Calls the hook, and counts the event where that was asked for. The library's own spans and events tell the same to
/// `tracing`.
pub(super) fn tell(hook: Option<&super::Hook>, event: &WorkerEvent<'_>) {
    #[cfg(feature = "metrics")]
    super::metrics::count(event);
    if let WorkerEvent::NotRecorded { id, error } = event {
        tracing::warn!(task = ?id, "DynamoDB did not take it: {error}");
    }
    if let Some(hook) = hook {
        hook(event);
    }
}
