//! What a batch says of its records.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::work_error::WorkError;

pub(super) type Hook = Arc<dyn Fn(&RecordReport<'_>) + Send + Sync>;

/// What became of one record of a batch.
///
/// `Debug` shows neither the record nor what the handler's error says.
///
/// ```
/// use dynamo_tracker::lambda::batch::{RecordOutcome, RecordReport, SqsBatch};
///
/// fn watched(batch: SqsBatch) -> SqsBatch {
///     batch.on_record(|report: &RecordReport<'_>| {
///         if report.outcome == RecordOutcome::Exhausted {
///             println!("nothing came of {}, message {}", report.task, report.identifier);
///         }
///     })
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct RecordReport<'a> {
    /// What Lambda knows the record by: the message's id, or the sequence number in a stream.
    pub identifier: &'a str,
    /// The id of the record's task in its namespace, as [`TrackerClient::load`](crate::TrackerClient::load) takes it.
    pub task: &'a str,
    /// Which attempt it was, counted from 1, where one was begun.
    pub attempt: Option<u32>,
    /// What came of it.
    pub outcome: RecordOutcome,
    /// True where the record is done with; else it comes again.
    pub acknowledged: bool,
    /// The handler's error, where it failed.
    pub work_error: Option<&'a WorkError>,
    /// The tracker's error, where the handler was not called or its outcome not recorded.
    pub error: Option<&'a Error>,
}

/// What came of one record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordOutcome {
    /// The handler has succeeded, just now.
    Succeeded,
    /// It had succeeded before, and was not run again.
    Replayed,
    /// The handler failed, and there will be another attempt. With an `error`, that is not recorded, and the next attempt can
    /// begin when the lease is over.
    Failed,
    /// The handler gave it back, or had no time for it, and no attempt is counted.
    Released,
    /// The last attempt failed, now or before, or its error was fatal.
    Exhausted,
    /// Somebody decided that it is not to be done.
    Ignored,
    /// The handler was not called: somebody else works on the task, it is due later, or the like.
    Refused,
    /// It was done before, of a record with the same key that differs in what must be the same.
    PayloadMismatch,
    /// DynamoDB did not take the start, so the handler was not called.
    NotStarted,
    /// The handler has succeeded, and DynamoDB did not take that.
    NotRecorded,
    /// The handler took too long, and somebody else has the task.
    LeaseLost,
    /// The handler was not called, since too little of the invocation's time was left.
    OutOfTime,
    /// The handler was not called, since one before it in its group, or with its key, is to come again.
    Behind,
}

impl RecordOutcome {
    /// Its name in logs, such as `out_of_time`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Replayed => "replayed",
            Self::Failed => "failed",
            Self::Released => "released",
            Self::Exhausted => "exhausted",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::PayloadMismatch => "payload_mismatch",
            Self::NotStarted => "not_started",
            Self::NotRecorded => "not_recorded",
            Self::LeaseLost => "lease_lost",
            Self::OutOfTime => "out_of_time",
            Self::Behind => "behind",
        }
    }
}

impl fmt::Display for RecordOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
