//! Start, work and outcome in one call.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use tracing::Instrument;

use super::TrackerClient;
use crate::error::{Error, ErrorKind};
use crate::lease::{Care, Heart, Held, Lease, Standing, Stopped};
use crate::protocol::StartOptions;
use crate::record::Tracker;
use crate::schema::Data;
use crate::status::Status;
use crate::table::Writes;
use crate::work_error::WorkError;

/// How a [`run`](TrackerClient::run) did not succeed. What was done and what was recorded differ in each.
#[non_exhaustive]
pub enum RunError<T> {
    /// The task was refused, so the work was not run. The error says why, and has the record.
    Refused(Error),
    /// The start did not get through, so the work was not run.
    NotStarted(Error),
    /// The work failed, and that is recorded.
    Failed {
        /// The work's own error.
        error: WorkError,
        /// The record: failed or exhausted, or pending where the error was a release; unless the work recorded another outcome itself.
        tracker: Box<Tracker<()>>,
    },
    /// The work is done and recorded as succeeded, so it is not run again; but the data that it set is too large for the item,
    /// and was not kept. The record says so ([`Tracker::data_not_kept`]), and has the data from before.
    DataNotKept {
        /// What came of the work.
        value: T,
        /// How large the item would have been.
        error: Error,
        /// The record as it is now.
        tracker: Box<Tracker<()>>,
    },
    /// The work was run, but its outcome could not be recorded: it will be run again when the lease has ended. A success
    /// is never recorded as a failure.
    NotRecorded {
        /// What came of the work.
        outcome: Result<T, WorkError>,
        /// Why it could not be recorded.
        error: Error,
    },
    /// Somebody else had taken the task before the work was done or its outcome recorded, or the lease ran out with no
    /// answer from DynamoDB. The work was stopped, and nothing was recorded.
    LeaseLost {
        /// What came of the work, where it was not stopped before.
        outcome: Option<Result<T, WorkError>>,
        /// Who has it now, with the record.
        error: Error,
    },
}

impl<T> RunError<T> {
    /// The tracker's error. `None` where the work failed, which is no error of the tracker's.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            RunError::Refused(error)
            | RunError::NotStarted(error)
            | RunError::DataNotKept { error, .. }
            | RunError::NotRecorded { error, .. }
            | RunError::LeaseLost { error, .. } => Some(error),
            RunError::Failed { .. } => None,
        }
    }

    /// The refusal, where the task was refused: an ordinary outcome.
    #[must_use]
    pub fn refused(&self) -> Option<&Error> {
        match self {
            RunError::Refused(error) => Some(error),
            _ => None,
        }
    }

    fn not_recorded(outcome: Result<T, WorkError>, error: Error) -> Self {
        match error.is_lease_lost() {
            true => RunError::LeaseLost { outcome: Some(outcome), error },
            false => RunError::NotRecorded { outcome, error },
        }
    }
}

impl<T> fmt::Display for RunError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Refused(error) | RunError::NotStarted(error) => error.fmt(f),
            RunError::Failed { error, tracker } => {
                let limit = tracker.max_attempts;
                write!(
                    f,
                    "task {:?}: attempt {} of {limit} failed and is {} now: {error}",
                    tracker.id, tracker.attempts, tracker.status
                )
            }
            RunError::DataNotKept { error, .. } => {
                write!(f, "{error} (the work is done and recorded as succeeded, without the data that it set)")
            }
            RunError::NotRecorded { outcome, error } => {
                write!(f, "{error} (the work {}, and will be run again when the lease has ended)", went(outcome))
            }
            RunError::LeaseLost { outcome, error } => {
                write!(f, "{error} (the work {})", outcome.as_ref().map_or("was stopped", went))
            }
        }
    }
}

fn went<T>(outcome: &Result<T, WorkError>) -> &'static str {
    match outcome {
        Ok(_) => "is done",
        Err(_) => "failed",
    }
}

impl<T> fmt::Debug for RunError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
            RunError::NotStarted(error) => f.debug_tuple("NotStarted").field(error).finish(),
            RunError::Failed { error, tracker } => {
                f.debug_struct("Failed").field("error", error).field("tracker", tracker).finish()
            }
            RunError::DataNotKept { error, .. } => f.debug_tuple("DataNotKept").field(error).finish(),
            RunError::NotRecorded { outcome, error } => {
                f.debug_struct("NotRecorded").field("work", &went(outcome)).field("error", error).finish()
            }
            RunError::LeaseLost { outcome, error } => {
                let work = outcome.as_ref().map_or("was stopped", went);
                f.debug_struct("LeaseLost").field("work", &work).field("error", error).finish()
            }
        }
    }
}

impl<T> std::error::Error for RunError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RunError::Failed { error, .. } => error.as_error().source(),
            other => other.error().and_then(|error| error.source()),
        }
    }
}

/// What came of work that succeeded, and the record that says so.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recorded<T> {
    /// What the work returned.
    pub value: T,
    /// The record as it is now, without its data, which the work knows.
    pub tracker: Tracker<()>,
}

impl<D: Data> TrackerClient<D> {
    /// Takes the task, runs the work, and records the outcome: two writes in all, and one more for each third of the lease
    /// that the work takes, which extends it.
    ///
    /// When the lease is lost (taken over, unlocked, ignored or deleted by an operator), or runs out because DynamoDB does
    /// not answer, the work is stopped: its [token](Lease::cancellation) fires, and it is dropped after the
    /// [grace](crate::TrackerClientBuilder::grace).
    ///
    /// An `Err` from the work is recorded as a failure: the task may be taken again until its attempts are used up. A
    /// panic is recorded likewise and goes on. A future that is dropped records nothing: the lease runs out, and the
    /// attempt counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::<String>::builder(store.client()).table("tasks").namespace("demo").build()?;
    /// # client.create_table().await?;
    /// use dynamo_tracker::{RunError, StartOptions};
    ///
    /// for _ in 0..2 {
    ///     let result = client.run("order-42", StartOptions::new(), |mut lease| async move {
    ///         let receipt = format!("paid in attempt {}", lease.attempt());
    ///         lease.set_data(receipt.clone())?;
    ///         Ok(receipt)
    ///     });
    ///     let receipt = match result.await {
    ///         Ok(receipt) => receipt,
    ///         Err(RunError::Refused(refused)) if refused.is_already_succeeded() => {
    ///             refused.tracker_as::<String>().expect("a refusal has the record")?.data
    ///         }
    ///         Err(error) => return Err(error.into()),
    ///     };
    ///     assert_eq!(receipt, "paid in attempt 1");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; and where the work does.
    pub async fn run<T, F, Fut>(&self, id: impl AsRef<str>, options: StartOptions, work: F) -> Result<T, RunError<T>>
    where
        F: FnOnce(Lease<D>) -> Fut,
        Fut: Future<Output = Result<T, WorkError>>,
    {
        self.run_held(id, options, work).await.map(|(value, _)| value)
    }

    /// As [`run`](Self::run), for callers who want the record as well. It costs no further request.
    ///
    /// # Errors
    ///
    /// See [`RunError`].
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub async fn run_recorded<T, F, Fut>(
        &self,
        id: impl AsRef<str>,
        options: StartOptions,
        work: F,
    ) -> Result<Recorded<T>, RunError<T>>
    where
        F: FnOnce(Lease<D>) -> Fut,
        Fut: Future<Output = Result<T, WorkError>>,
    {
        self.run_held(id, options, work).await.map(recorded)
    }

    async fn run_held<T, F, Fut>(
        &self,
        id: impl AsRef<str>,
        options: StartOptions,
        work: F,
    ) -> Result<(T, Arc<Held>), RunError<T>>
    where
        F: FnOnce(Lease<D>) -> Fut,
        Fut: Future<Output = Result<T, WorkError>>,
    {
        let care = Care::full().beating(!options.no_heartbeat);
        let lease = match self.start_with(id, options).await {
            Ok(lease) => lease,
            Err(error) if error.is_refused() => return Err(RunError::Refused(error)),
            Err(error) => return Err(RunError::NotStarted(error)),
        };
        lease.run_with(care, work).await
    }
}

impl<D: Data> Lease<D> {
    /// Runs the work of a Lambda function and records its outcome, with a heartbeat or without.
    #[cfg(feature = "lambda")]
    pub(crate) async fn run<T, F, Fut>(self, beats: bool, work: F) -> Result<Recorded<T>, RunError<T>>
    where
        F: FnOnce(Lease<D>) -> Fut,
        Fut: Future<Output = Result<T, WorkError>>,
    {
        self.run_with(Care::without_look().beating(beats), work).await.map(recorded)
    }

    /// Runs the work and records its outcome. What is held has the record.
    async fn run_with<T, F, Fut>(self, care: Care, work: F) -> Result<(T, Arc<Held>), RunError<T>>
    where
        F: FnOnce(Lease<D>) -> Fut,
        Fut: Future<Output = Result<T, WorkError>>,
    {
        let held = Arc::clone(&self.held);
        let heart = Heart::start(&held, care);
        let span = tracing::debug_span!("work", task = ?held.id, attempt = held.attempt, generation = held.generation);
        let work = AssertUnwindSafe(async { work(self).await }).catch_unwind().instrument(span);
        match heart.guard(work).await {
            Ok(Ok(outcome)) => Ok((record(&held, outcome).await?, held)),
            Err(Stopped { error, output: None }) => Err(RunError::LeaseLost { outcome: None, error }),
            Err(Stopped { error, output: Some(Ok(outcome)) }) => {
                Err(RunError::LeaseLost { outcome: Some(outcome), error })
            }
            Ok(Err(panic)) | Err(Stopped { output: Some(Err(panic)), .. }) => {
                let recorded = Box::pin(record::<()>(&held, Err(WorkError::from_panic(&*panic)))).await;
                if let Err(RunError::NotRecorded { error, .. } | RunError::LeaseLost { error, .. }) = recorded {
                    tracing::warn!(task = ?held.id, "the work panicked, and that is not recorded: {error}");
                }
                resume_unwind(panic)
            }
        }
    }
}

fn recorded<T>((value, held): (T, Arc<Held>)) -> Recorded<T> {
    Recorded { value, tracker: held.record() }
}

/// The work has recorded an outcome itself, so there is nothing to add.
fn as_ended<T>(held: &Held, outcome: Result<T, WorkError>) -> Result<T, RunError<T>> {
    outcome.map_err(|error| RunError::Failed { error, tracker: Box::new(held.record()) })
}

/// Records what came of the work, unless the work has done so through its lease.
async fn record<T>(held: &Held, outcome: Result<T, WorkError>) -> Result<T, RunError<T>> {
    match held.standing() {
        Standing::Open => {}
        Standing::Lost(error) => return Err(RunError::LeaseLost { outcome: Some(outcome), error }),
        Standing::Ended => return as_ended(held, outcome),
        Standing::Unconfirmed(sent) => {
            return match Box::pin(held.see_through(sent)).await {
                Ok(()) => as_ended(held, outcome),
                Err(error) => Err(RunError::not_recorded(outcome, error)),
            };
        }
    }
    match outcome {
        Ok(value) => match held.end_as(Status::Succeeded, None, Writes::default()).await {
            Ok(()) => Ok(value),
            Err(error) if error.kind() == ErrorKind::ItemTooLarge => {
                match Box::pin(held.succeed_without_data(&error)).await {
                    Ok(()) => Err(RunError::DataNotKept { value, error, tracker: Box::new(held.record()) }),
                    Err(error) => Err(RunError::not_recorded(Ok(value), error)),
                }
            }
            Err(error) => Err(RunError::not_recorded(Ok(value), error)),
        },
        Err(error) => match Box::pin(held.fail(&error)).await {
            Ok(()) => as_ended(held, Err(error)),
            Err(lost) => Err(RunError::not_recorded(Err(error), lost)),
        },
    }
}
