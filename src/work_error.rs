//! The error of the caller's work.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::BoxError;
use crate::record::{AttemptError, backtrace, chain};

/// An error of the caller's own work: any error at all, as `?` makes one.
///
/// Like `anyhow::Error`, it takes every error type, and `anyhow::Error` and texts as well, and is itself no
/// [`std::error::Error`]. Work that returns another error type is wrapped as `Ok(work().await?)`.
///
/// ```
/// use dynamo_tracker::WorkError;
///
/// fn work() -> Result<u64, WorkError> {
///     let number = "forty-two".parse::<u64>()?;
///     Ok(number)
/// }
/// let error = work().unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// assert_eq!(WorkError::from("no paper").to_string(), "no paper");
/// ```
pub struct WorkError {
    error: BoxError,
    type_name: Cow<'static, str>,
    /// The trace, where the error itself has none to show.
    trace: Option<String>,
    decision: Decision,
    retry_after: Option<Duration>,
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Another attempt, while some are left.
    Retry,
    /// No other attempt.
    Fatal,
    /// It was no failure: the attempt does not count.
    Release,
}

impl WorkError {
    /// An error that no other attempt would mend, such as input that makes no sense: the task is exhausted at once.
    ///
    /// ```
    /// # use dynamo_tracker::WorkError;
    /// fn parse(text: &str) -> Result<u64, WorkError> {
    ///     text.parse().map_err(WorkError::fatal)
    /// }
    /// assert!(parse("x").is_err());
    /// ```
    pub fn fatal<E: Into<BoxError>>(error: E) -> Self {
        Self { decision: Decision::Fatal, ..Self::from(error) }
    }

    /// No failure, but not the time for it either, such as a machine that shuts down: the task is pending again, the
    /// attempt does not count, and no error is kept.
    pub fn release<E: Into<BoxError>>(error: E) -> Self {
        Self { decision: Decision::Release, ..Self::from(error) }
    }

    /// A failure that was no Rust error, such as a command's exit code: what kind it was, what happened, and perhaps where.
    /// In the record, each is cut to its size.
    ///
    /// ```
    /// # use dynamo_tracker::WorkError;
    /// let error = WorkError::from_parts("ExitCode", "exit code 3", Some("disk full".to_owned()));
    /// assert_eq!(error.to_string(), "exit code 3");
    /// ```
    pub fn from_parts(
        error_type: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        trace: Option<String>,
    ) -> Self {
        Self { type_name: error_type.into(), trace, ..Self::from(message.into()) }
    }

    /// The same, but [fatal](Self::fatal).
    #[must_use]
    pub fn into_fatal(self) -> Self {
        Self { decision: Decision::Fatal, ..self }
    }

    /// The same, and the task may be taken again after so long. It comes before the client's own backoff.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// The type that the error had, as Rust names it, or the kind that it was said to be.
    #[cfg(any(feature = "lambda", feature = "stepfunctions"))]
    pub(crate) fn type_name(&self) -> &str {
        &self.type_name
    }

    pub(crate) fn decision(&self) -> Decision {
        self.decision
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The error itself.
    #[must_use]
    pub fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.error
    }

    /// The error as an `E`, where it is one. What came through `anyhow::Error` has lost its type.
    #[must_use]
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The error itself, boxed.
    #[must_use]
    pub fn into_boxed(self) -> Box<dyn std::error::Error + Send + Sync> {
        self.error
    }

    /// The error as it is kept in the item.
    pub(crate) fn to_attempt_error(&self, attempt: u32, now: DateTime<Utc>) -> AttemptError {
        let trace = self.trace.clone().or_else(|| backtrace(&*self.error));
        AttemptError::from_parts(attempt, now, &self.type_name, &chain(&*self.error), trace.as_deref())
    }

    /// The error that a panic with this payload amounts to.
    pub(crate) fn from_panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = format!("the work panicked: {}", text.unwrap_or("with a payload that is no text"));
        Self::from_parts("panic", message, None)
    }
}

impl<E: Into<BoxError>> From<E> for WorkError {
    fn from(error: E) -> Self {
        let type_name = Cow::Borrowed(std::any::type_name::<E>());
        Self { error: error.into(), type_name, trace: None, decision: Decision::Retry, retry_after: None }
    }
}

impl fmt::Display for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for WorkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its text may hold parts of the task's data; `Display` has it.
        f.debug_tuple("WorkError").field(&self.type_name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(error: WorkError) -> AttemptError {
        error.to_attempt_error(1, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn every_kind_of_error_is_taken() {
        let io = std::io::Error::other("disk full");
        assert_eq!(kept(io.into()).error_type, "std::io::error::Error");
        assert_eq!(kept("text".into()).message, "text");
        let parts = kept(WorkError::from_parts("ExitCode", "exit code 3", Some("disk full".to_owned())));
        assert_eq!((parts.error_type.as_str(), parts.trace.as_deref()), ("ExitCode", Some("disk full")));
        assert_eq!(kept(anyhow::anyhow!("inner").context("outer").into()).message, "outer: inner");
    }

    #[test]
    fn a_panic_keeps_its_message() {
        let payload = std::panic::catch_unwind(|| panic!("{} wheels", 3)).unwrap_err();
        let error = kept(WorkError::from_panic(&*payload));
        assert_eq!((error.error_type.as_str(), error.message.as_str()), ("panic", "the work panicked: 3 wheels"));
    }
}
