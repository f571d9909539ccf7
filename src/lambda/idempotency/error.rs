//! How an event got no response.

use std::fmt;

use chrono::{DateTime, Utc};
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::RunError;
use crate::error::{Error, ErrorKind};
use crate::lambda::powertools::PowertoolsError;
use crate::protocol::Refusal;
use crate::work_error::WorkError;

/// What an [`IdempotencyError`] is. [`name`](Self::name) is what Lambda reports as the type of the error.
///
/// ```
/// use dynamo_tracker::lambda::IdempotencyErrorKind;
/// assert_eq!(IdempotencyErrorKind::TaskLocked.name(), "TaskLocked");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdempotencyErrorKind {
    /// Somebody else handles the event right now. Let it come again when [`until`](IdempotencyError::until) is over.
    TaskLocked,
    /// An attempt failed, and the next may begin at [`until`](IdempotencyError::until).
    TaskNotDue,
    /// All attempts have failed, or one in a way that no other would mend. Look at the record's errors, and redrive it.
    TaskExhausted,
    /// An operator has decided that the event is not to be handled.
    TaskIgnored,
    /// The record is in a state that this function can't start from.
    TaskNotReady,
    /// There is a response for the key, but it was made of an event that differs in what must be the same.
    PayloadMismatch,
    /// There is nothing in the event to make a key of.
    MissingKey,
    /// The event is not what the function takes, or its key can't be one.
    InvalidEvent,
    /// The event was handled, but its response was too large to be kept.
    ResponseNotKept,
    /// The response is too large to be kept, and the function was told to fail then. It is not run again.
    ResponseTooLarge,
    /// The event was handled, but what is kept can't be read as the response that this function gives.
    ResponseUnreadable,
    /// Somebody else took the event over while the work went on. Nothing was recorded.
    LeaseLost,
    /// The work was stopped, or not begun, since the function's time was nearly over. That is recorded.
    DeadlineExceeded,
    /// The work went through or failed, but that could not be recorded. It is run again when the lease is over and the event
    /// comes again.
    OutcomeNotRecorded,
    /// DynamoDB did not take the start, so the work was not run.
    StoreUnavailable,
    /// The work itself failed, and that is recorded. Lambda reports the type of the work's own error.
    HandlerFailed,
}

impl IdempotencyErrorKind {
    /// The name, which no version changes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskLocked => "TaskLocked",
            Self::TaskNotDue => "TaskNotDue",
            Self::TaskExhausted => "TaskExhausted",
            Self::TaskIgnored => "TaskIgnored",
            Self::TaskNotReady => "TaskNotReady",
            Self::PayloadMismatch => "PayloadMismatch",
            Self::MissingKey => "MissingKey",
            Self::InvalidEvent => "InvalidEvent",
            Self::ResponseNotKept => "ResponseNotKept",
            Self::ResponseTooLarge => "ResponseTooLarge",
            Self::ResponseUnreadable => "ResponseUnreadable",
            Self::LeaseLost => "LeaseLost",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::OutcomeNotRecorded => "OutcomeNotRecorded",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::HandlerFailed => "HandlerFailed",
        }
    }

    /// What an error that kept the work from being run amounts to.
    pub(crate) fn of_start(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Locked => Self::TaskLocked,
            ErrorKind::NotDue => Self::TaskNotDue,
            ErrorKind::Exhausted => Self::TaskExhausted,
            ErrorKind::Ignored => Self::TaskIgnored,
            ErrorKind::NotReady | ErrorKind::NotFound | ErrorKind::Interrupted => Self::TaskNotReady,
            ErrorKind::InvalidArgument => Self::InvalidEvent,
            ErrorKind::Unreadable => Self::ResponseUnreadable,
            ErrorKind::LeaseLost => Self::LeaseLost,
            _ => Self::StoreUnavailable,
        }
    }
}

/// How an event got no response. Lambda reports it by its [name](IdempotencyErrorKind::name), and the work's own error by the
/// name of its type, so that a caller, a state machine or an alarm can tell them apart.
///
/// Neither `Display`, but for the text of the work's own error, nor `Debug` shows anything of event or response.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let client = dynamo_tracker::TrackerClient::builder(store.client()).table("tasks").namespace("demo").build()?;
/// # client.create_table().await?;
/// use dynamo_tracker::lambda::{Idempotency, IdempotencyErrorKind, idempotent};
///
/// let _held = client.start("order-42").await?;
/// let orders = Idempotency::builder(client).build()?;
/// let error = idempotent(&orders, "order-42", || async { Ok::<u32, std::io::Error>(7) }).await.unwrap_err();
/// assert_eq!((error.kind(), error.http_status()), (IdempotencyErrorKind::TaskLocked, 409));
/// println!("again at {}", error.until().expect("a lock has an end"));
/// assert_eq!(lambda_runtime::Diagnostic::from(error).error_type, "TaskLocked");
/// # Ok(()) }
/// ```
pub struct IdempotencyError(Box<Inner>);

struct Inner {
    kind: IdempotencyErrorKind,
    cause: Cause,
    response: Option<String>,
}

enum Cause {
    /// Of the tracker.
    Tracker(Error),
    /// Of the work.
    Work(WorkError),
}

impl IdempotencyError {
    pub(crate) fn new(kind: IdempotencyErrorKind, error: Error) -> Self {
        Self(Box::new(Inner { kind, cause: Cause::Tracker(error), response: None }))
    }

    pub(crate) fn of_work(kind: IdempotencyErrorKind, error: WorkError) -> Self {
        Self(Box::new(Inner { kind, cause: Cause::Work(error), response: None }))
    }

    /// The work was not run.
    pub(super) fn not_started(error: Error) -> Self {
        Self::new(IdempotencyErrorKind::of_start(error.kind()), error)
    }

    /// What came of the work does not count, or may not.
    pub(super) fn unfinished<T>(error: RunError<T>, json: impl FnOnce(T) -> Option<String>) -> Self {
        let (kind, error, response) = match error {
            RunError::Failed { error, .. } => return Self::of_work(super::stop::kind_of(&error), error),
            RunError::NotRecorded { outcome, error } => {
                (IdempotencyErrorKind::OutcomeNotRecorded, error, outcome.ok().and_then(json))
            }
            RunError::LeaseLost { outcome, error } => {
                (IdempotencyErrorKind::LeaseLost, error, outcome.and_then(Result::ok).and_then(json))
            }
            RunError::Refused(error) | RunError::NotStarted(error) | RunError::DataNotKept { error, .. } => {
                return Self::not_started(error);
            }
        };
        Self(Box::new(Inner { kind, cause: Cause::Tracker(error), response }))
    }

    /// The same of a run on a table of Powertools. A response that is not kept there is one, all the same.
    pub(crate) fn of_powertools<R: Serialize>(error: PowertoolsError<R>) -> Result<R, Self> {
        let done = |kind, error, response: R| {
            let response = serde_json::to_string(&response).ok();
            Err(Self(Box::new(Inner { kind, cause: Cause::Tracker(error), response })))
        };
        match error {
            PowertoolsError::ResponseNotKept { response, error } => {
                tracing::warn!("the work is done, and its response is not kept: {error}");
                Ok(response)
            }
            PowertoolsError::InProgress { error, .. } => Err(Self::new(IdempotencyErrorKind::TaskLocked, error)),
            PowertoolsError::PayloadMismatch(error) => Err(Self::new(IdempotencyErrorKind::PayloadMismatch, error)),
            PowertoolsError::InvalidEvent(error) => Err(Self::new(IdempotencyErrorKind::InvalidEvent, error)),
            PowertoolsError::NotStarted(error) => Err(Self::new(IdempotencyErrorKind::StoreUnavailable, error)),
            PowertoolsError::Unreadable(error) => Err(Self::new(IdempotencyErrorKind::ResponseUnreadable, error)),
            PowertoolsError::Failed { error, .. } => Err(Self::of_work(IdempotencyErrorKind::HandlerFailed, error)),
            PowertoolsError::NotRecorded { response, error } => {
                done(IdempotencyErrorKind::OutcomeNotRecorded, error, response)
            }
            PowertoolsError::TakenOver { response, error } => done(IdempotencyErrorKind::LeaseLost, error, response),
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> IdempotencyErrorKind {
        self.0.kind
    }

    /// The type that Lambda reports: the kind's name, or the type of the work's own error.
    #[must_use]
    pub fn error_type(&self) -> &str {
        match (&self.0.cause, self.0.kind) {
            (Cause::Work(error), IdempotencyErrorKind::HandlerFailed) => error.type_name(),
            _ => self.0.kind.name(),
        }
    }

    /// The tracker's error, which has the record where there is one. `None` where the work failed.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.0.cause {
            Cause::Tracker(error) => Some(error),
            Cause::Work(_) => None,
        }
    }

    /// The error of the work, where it failed.
    #[must_use]
    pub fn work_error(&self) -> Option<&WorkError> {
        match &self.0.cause {
            Cause::Tracker(_) => None,
            Cause::Work(error) => Some(error),
        }
    }

    /// When the event may come again, where it was refused until then.
    #[must_use]
    pub fn until(&self) -> Option<DateTime<Utc>> {
        match self.error()?.refusal()? {
            Refusal::Locked { until, .. } | Refusal::NotDue { until } => Some(*until),
            _ => None,
        }
    }

    /// The status for an HTTP answer, as *The Idempotency-Key HTTP Header Field* (an IETF draft) has it where it does: 400 for an
    /// event without a key or that is no good, 409 while somebody else handles it or where somebody has taken it over, 410 for a
    /// response that is not there any more and for an event that is not to be handled, 422 for a key that is used with another
    /// payload, 503 for what may well go better later, 504 for a lack of time, 500 for the rest.
    ///
    /// Send `Retry-After` with the time until [`until`](Self::until), where there is one.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        match self.0.kind {
            IdempotencyErrorKind::MissingKey | IdempotencyErrorKind::InvalidEvent => 400,
            IdempotencyErrorKind::TaskLocked | IdempotencyErrorKind::LeaseLost => 409,
            IdempotencyErrorKind::TaskIgnored | IdempotencyErrorKind::ResponseNotKept => 410,
            IdempotencyErrorKind::PayloadMismatch => 422,
            IdempotencyErrorKind::TaskNotDue | IdempotencyErrorKind::StoreUnavailable => 503,
            IdempotencyErrorKind::DeadlineExceeded => 504,
            IdempotencyErrorKind::TaskExhausted
            | IdempotencyErrorKind::TaskNotReady
            | IdempotencyErrorKind::ResponseTooLarge
            | IdempotencyErrorKind::ResponseUnreadable
            | IdempotencyErrorKind::OutcomeNotRecorded
            | IdempotencyErrorKind::HandlerFailed => 500,
        }
    }

    /// What the work has returned, where it is done but could not be recorded, or somebody else had taken the event over.
    #[must_use]
    pub fn response<R: DeserializeOwned>(&self) -> Option<R> {
        serde_json::from_str(self.0.response.as_deref()?).ok()
    }
}

impl fmt::Display for IdempotencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Tracker(error) if self.0.kind == IdempotencyErrorKind::OutcomeNotRecorded => {
                let what = if self.0.response.is_some() { "is done" } else { "was run" };
                write!(f, "{error} (the work {what}, and is run again if the event comes after the lease's end)")
            }
            Cause::Tracker(error) => error.fmt(f),
            Cause::Work(error) => error.fmt(f),
        }
    }
}

impl fmt::Debug for IdempotencyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("IdempotencyError");
        debug.field("kind", &self.0.kind);
        match &self.0.cause {
            Cause::Tracker(error) => debug.field("error", error),
            Cause::Work(error) => debug.field("error", error),
        };
        debug.finish_non_exhaustive()
    }
}

impl std::error::Error for IdempotencyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Cause::Tracker(error) => error.source(),
            Cause::Work(error) => error.as_error().source(),
        }
    }
}

impl From<IdempotencyError> for Diagnostic {
    fn from(error: IdempotencyError) -> Self {
        Self { error_type: error.error_type().to_owned(), error_message: error.to_string() }
    }
}

/// So that a handler can return a [`WorkError`], and say with it whether another attempt makes sense.
impl From<WorkError> for Diagnostic {
    fn from(error: WorkError) -> Self {
        Self { error_type: error.type_name().to_owned(), error_message: error.to_string() }
    }
}
