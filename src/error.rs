//! What can go wrong, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::protocol::Refusal;
use crate::record::{InvalidTaskId, RawData, TaskId, Tracker, chain};
use crate::status::InvalidStatusSet;

/// Any error as a trait object.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What kind of error it is. [`Error::kind`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value that was passed in is no good.
    InvalidArgument,
    /// There is no such task.
    NotFound,
    /// There is no such table.
    TableNotFound,
    /// A task that was to be created exists.
    AlreadyExists,
    /// Refused for now: somebody else works on it.
    Locked,
    /// Refused for now: it is due later.
    NotDue,
    /// Refused for good: it is to be run at most once, and an attempt was interrupted.
    Interrupted,
    /// Refused for good: it is done.
    AlreadySucceeded,
    /// Refused for good: its attempts are used up.
    Exhausted,
    /// Refused for good: somebody decided that it is not to be done.
    Ignored,
    /// Refused for good: it is in a state that this status set can't start from.
    NotReady,
    /// Somebody else has the task now, or nobody. What this worker wanted to write was not written.
    LeaseLost,
    /// A write of the caller's own, in the same transaction, was refused. Nothing was written. [`Error::action`] says which.
    ActionRefused,
    /// The item is not what the caller has seen, or not in a state that the operation is for.
    Changed,
    /// The item would be over DynamoDB's 400 KB.
    ItemTooLarge,
    /// An item, or its data, can't be read as what it should be.
    Unreadable,
    /// Data can't be written as a DynamoDB value.
    Unwritable,
    /// No credentials, or such as AWS does not accept.
    Credentials,
    /// The credentials are good, but not for this.
    AccessDenied,
    /// DynamoDB took no more requests, after all retries.
    Throttled,
    /// A transaction of somebody else was changing the item.
    Conflict,
    /// DynamoDB gave no answer, after all retries. The request may have been carried out.
    Unreachable,
    /// DynamoDB refused or failed, for a reason that has no kind of its own.
    Service,
}

impl ErrorKind {
    /// The kind in snake case, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid_argument",
            ErrorKind::NotFound => "not_found",
            ErrorKind::TableNotFound => "table_not_found",
            ErrorKind::AlreadyExists => "already_exists",
            ErrorKind::Locked => "locked",
            ErrorKind::NotDue => "not_due",
            ErrorKind::Interrupted => "interrupted",
            ErrorKind::AlreadySucceeded => "already_succeeded",
            ErrorKind::Exhausted => "exhausted",
            ErrorKind::Ignored => "ignored",
            ErrorKind::NotReady => "not_ready",
            ErrorKind::LeaseLost => "lease_lost",
            ErrorKind::ActionRefused => "action_refused",
            ErrorKind::Changed => "changed",
            ErrorKind::ItemTooLarge => "item_too_large",
            ErrorKind::Unreadable => "unreadable",
            ErrorKind::Unwritable => "unwritable",
            ErrorKind::Credentials => "credentials",
            ErrorKind::AccessDenied => "access_denied",
            ErrorKind::Throttled => "throttled",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Service => "service",
        }
    }
}

/// The error of everything in this crate.
///
/// It says what happened, to which task, and what to do. Where a record was at hand, [`tracker`](Self::tracker) has it;
/// where the AWS SDK failed, its error is the [`source`](StdError::source). Neither `Display` nor `Debug` shows a
/// task's data.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    task: Option<TaskId>,
    refusal: Option<Refusal>,
    tracker: Option<Tracker<RawData>>,
    action: Option<usize>,
    request_id: Option<String>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::from_text(kind, message.into())
    }

    /// Cold, so that those who may fail have what they do usually close together.
    #[cold]
    #[inline(never)]
    fn from_text(kind: ErrorKind, message: String) -> Self {
        Self(Box::new(Inner {
            kind,
            message,
            task: None,
            refusal: None,
            tracker: None,
            action: None,
            request_id: None,
            source: None,
        }))
    }

    pub(crate) fn refused(refusal: Refusal, tracker: Option<Tracker<RawData>>) -> Self {
        let mut error = Self::new(kind_of(&refusal), refusal.to_string());
        error.0.tracker = tracker;
        error.0.refusal = Some(refusal);
        error
    }

    /// For a write that was bound to a record which is not there any more.
    pub(crate) fn changed(stored: Option<Tracker<RawData>>, id: &TaskId) -> Self {
        let (kind, state) = match &stored {
            Some(record) => (ErrorKind::Changed, format!("it has changed since, and is {} now", record.status)),
            None => (ErrorKind::NotFound, "there is no such task any more".to_owned()),
        };
        Self::new(kind, format!("nothing was written: {state}; load it again and decide anew"))
            .with_tracker(stored)
            .about(id)
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn with_tracker(mut self, tracker: Option<Tracker<RawData>>) -> Self {
        self.0.tracker = tracker;
        self
    }

    pub(crate) fn with_action(mut self, action: usize) -> Self {
        self.0.action = Some(action);
        self
    }

    pub(crate) fn with_request_id(mut self, id: Option<&str>) -> Self {
        self.0.request_id = id.map(str::to_owned);
        self
    }

    /// Says which task it was, unless something nearer to the cause has said so.
    #[cold]
    pub(crate) fn about(mut self, task: &TaskId) -> Self {
        self.0.task.get_or_insert_with(|| task.clone());
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The task it happened to, where it happened to one.
    #[must_use]
    pub fn task(&self) -> Option<&TaskId> {
        self.0.task.as_ref()
    }

    /// Why a start was refused, with what the reason depends on; `None` for every other error.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_ref()
    }

    /// Which of the caller's own writes was refused in a transaction, counted from 0.
    #[must_use]
    pub fn action(&self) -> Option<usize> {
        self.0.action
    }

    /// The id that AWS gave to the request, where it answered: what AWS's support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The record as DynamoDB showed it, where it did. Its data is still in DynamoDB's form.
    #[must_use]
    pub fn tracker(&self) -> Option<&Tracker<RawData>> {
        self.0.tracker.as_ref()
    }

    /// True where the start was refused, for whatever reason: an ordinary outcome.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.0.refusal.is_some()
    }

    /// True where somebody else works on the task.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.kind() == ErrorKind::Locked
    }

    /// True where the task is due later.
    #[must_use]
    pub fn is_not_due(&self) -> bool {
        self.kind() == ErrorKind::NotDue
    }

    /// True where the task is to be run at most once, and an attempt was interrupted.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.kind() == ErrorKind::Interrupted
    }

    /// True where the task is done already. [`tracker_as`](Self::tracker_as) has its result.
    #[must_use]
    pub fn is_already_succeeded(&self) -> bool {
        self.kind() == ErrorKind::AlreadySucceeded
    }

    /// True where the task's attempts are used up.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.kind() == ErrorKind::Exhausted
    }

    /// True where somebody decided that the task is not to be done.
    #[must_use]
    pub fn is_ignored(&self) -> bool {
        self.kind() == ErrorKind::Ignored
    }

    /// True where the task is in a state that the status set can't start from.
    #[must_use]
    pub fn is_not_ready(&self) -> bool {
        self.kind() == ErrorKind::NotReady
    }

    /// True where there is no such task.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// True where a task that was to be created exists.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.kind() == ErrorKind::AlreadyExists
    }

    /// True where this worker's lease is gone, and nothing was written.
    #[must_use]
    pub fn is_lease_lost(&self) -> bool {
        self.kind() == ErrorKind::LeaseLost
    }

    /// True where the next task would fare no better: table, credentials or permissions are at fault, not the task.
    pub(crate) fn is_general(&self) -> bool {
        matches!(self.kind(), ErrorKind::TableNotFound | ErrorKind::Credentials | ErrorKind::AccessDenied)
    }

    /// True where the same call may well work later: locked, not due, throttled, in conflict, unreachable.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Locked | ErrorKind::NotDue | ErrorKind::Throttled | ErrorKind::Conflict | ErrorKind::Unreachable
        )
    }
}

/// `task "orders#42": WHAT HAPPENED; WHAT TO DO`
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.0.task {
            write!(f, "task {task:?}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("task", &self.0.task)
            .field("message", &self.0.message)
            .field("tracker", &self.0.tracker)
            // Its texts only: the SDK's own Debug shows requests and answers, with the data in them.
            .field("source", &self.0.source.as_deref().map(chain))
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<InvalidTaskId> for Error {
    fn from(error: InvalidTaskId) -> Self {
        Self::new(ErrorKind::InvalidArgument, error.to_string())
    }
}

impl From<InvalidStatusSet> for Error {
    fn from(error: InvalidStatusSet) -> Self {
        Self::new(ErrorKind::InvalidArgument, error.to_string())
    }
}

fn kind_of(refusal: &Refusal) -> ErrorKind {
    match refusal {
        Refusal::NotFound => ErrorKind::NotFound,
        Refusal::Locked { .. } => ErrorKind::Locked,
        Refusal::NotDue { .. } => ErrorKind::NotDue,
        Refusal::Interrupted => ErrorKind::Interrupted,
        Refusal::AlreadySucceeded => ErrorKind::AlreadySucceeded,
        Refusal::Exhausted => ErrorKind::Exhausted,
        Refusal::Ignored => ErrorKind::Ignored,
        Refusal::NotReady { .. } => ErrorKind::NotReady,
    }
}
