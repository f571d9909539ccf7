//! What a process that is measured is told, and what it answers: a line of JSON each.

use serde::{Deserialize, Serialize};

/// What happens to each task of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// It is new, and the work is done.
    First,
    /// It was done, and comes again.
    Duplicate,
    /// It is new, and the work fails.
    Failure,
    /// It failed, and the work is done.
    Retry,
}

impl Operation {
    /// A batch on new tasks stands before the one that comes back to them.
    pub(crate) const ALL: [Self; 4] = [Self::First, Self::Duplicate, Self::Failure, Self::Retry];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Duplicate => "duplicate",
            Self::Failure => "failure",
            Self::Retry => "retry",
        }
    }

    /// Batches of the same family have the same tasks.
    pub(crate) fn family(self) -> &'static str {
        match self {
            Self::First | Self::Duplicate => "done",
            Self::Failure | Self::Retry => "failed",
        }
    }

    /// How often the work is run for so many tasks.
    pub(crate) fn runs(self, tasks: u32) -> u32 {
        if self == Self::Duplicate { 0 } else { tasks }
    }
}

/// A batch of tasks, which are called by the prefix and a number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Command {
    pub(crate) operation: Operation,
    pub(crate) tasks: u32,
    pub(crate) in_flight: u32,
    pub(crate) prefix: String,
}

/// What a batch took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// The time of all processors, for the process and for the system on its behalf.
    pub(crate) cpu_us: f64,
    pub(crate) wall_us: f64,
    /// How often the work was run.
    pub(crate) ran: u32,
}

/// The first line of each process: what it is made of.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) about: String,
}
