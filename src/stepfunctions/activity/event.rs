//! What a worker for an activity says of its work.

use crate::error::Error;
use crate::record::{TaskId, Tracker};
use crate::work_error::WorkError;

/// What happens to a worker's tasks.
#[derive(Debug)]
#[non_exhaustive]
pub enum ActivityEvent<'a> {
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
    /// The task was done before, and the state got the same output.
    Replayed {
        /// The task.
        id: &'a TaskId,
    },
    /// The task failed, and that is recorded: it is failed or exhausted now, or pending where it was given back.
    Failed {
        /// The task.
        id: &'a TaskId,
        /// The record.
        tracker: &'a Tracker<()>,
        /// The handler's error, or why the work was stopped.
        error: &'a WorkError,
    },
    /// The handler panicked, and that is recorded as a failure.
    Panicked {
        /// The task.
        id: &'a str,
    },
    /// The tracker refused the start, or the task was done before and its output was not kept. Nothing was done.
    Refused {
        /// The task.
        id: &'a str,
        /// Why.
        error: &'a Error,
    },
    /// The input is none that this worker knows a task for. Nothing was done.
    Unknown,
    /// The lease was lost, and the work stopped.
    LeaseLost {
        /// The task.
        id: &'a str,
        /// Who has it now.
        error: &'a Error,
    },
    /// DynamoDB did not take the start or the outcome. The task is taken again when its state is retried.
    NotRecorded {
        /// The task.
        id: &'a str,
        /// Why.
        error: &'a Error,
    },
    /// The state waits no more, and the work was dropped, or not begun.
    Stale {
        /// The task.
        id: &'a TaskId,
    },
    /// A task came when the worker had been told to stop. Nothing was done.
    Stopped,
    /// Step Functions could not be told what came of the task. Its state times out; where it is retried, it gets the same.
    NotTold {
        /// Why.
        error: &'a Error,
    },
}

/// What a worker has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivityReport {
    /// Tasks that succeeded.
    pub succeeded: u64,
    /// Tasks that had succeeded before.
    pub replayed: u64,
    /// Attempts that failed, panics included.
    pub failed: u64,
    /// Starts that the tracker refused, and inputs without a task.
    pub refused: u64,
    /// Leases that were lost.
    pub lease_lost: u64,
    /// Starts and outcomes that DynamoDB did not take.
    pub not_recorded: u64,
    /// Attempts that were dropped, or not begun, since their state waited no more.
    pub stale: u64,
    /// Tasks that were given back when the worker stopped, or not begun.
    pub stopped: u64,
    /// Outcomes that Step Functions could not be told.
    pub not_told: u64,
}

impl ActivityReport {
    pub(super) fn add(&mut self, event: &ActivityEvent<'_>) {
        let count = match event {
            ActivityEvent::Started { .. } => return,
            ActivityEvent::Succeeded { .. } => &mut self.succeeded,
            ActivityEvent::Replayed { .. } => &mut self.replayed,
            ActivityEvent::Failed { tracker, .. } if tracker.status == crate::Status::Pending => &mut self.stopped,
            ActivityEvent::Failed { .. } | ActivityEvent::Panicked { .. } => &mut self.failed,
            ActivityEvent::Refused { .. } | ActivityEvent::Unknown => &mut self.refused,
            ActivityEvent::LeaseLost { .. } => &mut self.lease_lost,
            ActivityEvent::NotRecorded { .. } => &mut self.not_recorded,
            ActivityEvent::Stale { .. } => &mut self.stale,
            ActivityEvent::Stopped => &mut self.stopped,
            ActivityEvent::NotTold { .. } => &mut self.not_told,
        };
        *count += 1;
    }
}
