//! How a run did not come to a response that is recorded.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::error::Error;
use crate::work_error::WorkError;

/// How a [`run`](super::Powertools::run) did not end with a response that was recorded, now or before. What was done and what
/// was recorded differ in each. Neither `Display` nor `Debug` shows the response.
#[non_exhaustive]
pub enum PowertoolsError<R> {
    /// Somebody else works on the event, in whatever language, so the work was not run. Let the event come again later.
    InProgress {
        /// Until when they may; `None` where they did not say, and then until the record expires.
        until: Option<DateTime<Utc>>,
        /// The error, which names the record.
        error: Error,
    },
    /// There is a record with the event's key, but the part of the event that is [compared](super::PowertoolsBuilder::validate) was
    /// another one. The work was not run.
    PayloadMismatch(Error),
    /// The event is no good: it has no key, or an expression does not fit it. The work was not run.
    InvalidEvent(Error),
    /// DynamoDB did not take the record of the beginning, so the work was not run.
    NotStarted(Error),
    /// The event was handled before, so the work was not run; but the record's response is nothing that an `R` can be read
    /// from.
    Unreadable(Error),
    /// The work failed. Its record was deleted, so the event may come again.
    Failed {
        /// The work's own error.
        error: WorkError,
        /// Why the record could not be deleted, where it could not: the event is refused as in progress until its time is over.
        not_released: Option<Error>,
    },
    /// The work is done and recorded, but its response is too large for an item, or nothing that DynamoDB can keep. A
    /// replay of the event returns nothing.
    ResponseNotKept {
        /// What came of the work.
        response: R,
        /// What was wrong with the response.
        error: Error,
    },
    /// The work is done, but that could not be recorded. It is run again when its time is over and the event comes again.
    NotRecorded {
        /// What came of the work.
        response: R,
        /// Why it could not be recorded.
        error: Error,
    },
    /// The work is done, but took longer than it said, and somebody else has taken the event over. Their record stands.
    TakenOver {
        /// What came of the work.
        response: R,
        /// The error, which names the record.
        error: Error,
    },
}

impl<R> PowertoolsError<R> {
    /// The error of the record or its table. `None` where the work failed, which is no error of theirs.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            PowertoolsError::InProgress { error, .. }
            | PowertoolsError::PayloadMismatch(error)
            | PowertoolsError::InvalidEvent(error)
            | PowertoolsError::NotStarted(error)
            | PowertoolsError::Unreadable(error)
            | PowertoolsError::ResponseNotKept { error, .. }
            | PowertoolsError::NotRecorded { error, .. }
            | PowertoolsError::TakenOver { error, .. } => Some(error),
            PowertoolsError::Failed { .. } => None,
        }
    }

    /// What came of the work, where it is done though the run was no success.
    #[must_use]
    pub fn into_response(self) -> Option<R> {
        match self {
            PowertoolsError::ResponseNotKept { response, .. }
            | PowertoolsError::NotRecorded { response, .. }
            | PowertoolsError::TakenOver { response, .. } => Some(response),
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            PowertoolsError::InProgress { .. } => "InProgress",
            PowertoolsError::PayloadMismatch(_) => "PayloadMismatch",
            PowertoolsError::InvalidEvent(_) => "InvalidEvent",
            PowertoolsError::NotStarted(_) => "NotStarted",
            PowertoolsError::Unreadable(_) => "Unreadable",
            PowertoolsError::Failed { .. } => "Failed",
            PowertoolsError::ResponseNotKept { .. } => "ResponseNotKept",
            PowertoolsError::NotRecorded { .. } => "NotRecorded",
            PowertoolsError::TakenOver { .. } => "TakenOver",
        }
    }
}

impl<R> fmt::Display for PowertoolsError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PowertoolsError::InProgress { error, .. }
            | PowertoolsError::PayloadMismatch(error)
            | PowertoolsError::InvalidEvent(error)
            | PowertoolsError::NotStarted(error)
            | PowertoolsError::Unreadable(error) => error.fmt(f),
            PowertoolsError::Failed { error, not_released: None } => error.fmt(f),
            PowertoolsError::Failed { error, not_released: Some(why) } => {
                write!(f, "{error} (and the event is refused as in progress until its time is over: {why})")
            }
            PowertoolsError::ResponseNotKept { error, .. } => {
                write!(f, "{error} (the work is done and recorded, without its response)")
            }
            PowertoolsError::NotRecorded { error, .. } => {
                write!(f, "{error} (the work is done, and will be run again if the event comes after its time is over)")
            }
            PowertoolsError::TakenOver { error, .. } => write!(f, "{error} (the work is done)"),
        }
    }
}

impl<R> fmt::Debug for PowertoolsError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct(self.name());
        if let PowertoolsError::InProgress { until, .. } = self {
            debug.field("until", until);
        }
        if let PowertoolsError::Failed { error, not_released } = self {
            debug.field("error", error).field("not_released", not_released);
        }
        if let Some(error) = self.error() {
            debug.field("error", error);
        }
        debug.finish()
    }
}

impl<R> std::error::Error for PowertoolsError<R> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PowertoolsError::Failed { error, .. } => error.as_error().source(),
            other => other.error().and_then(|error| error.source()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn neither_text_shows_the_response_or_debug_the_works_error() {
        let error = || Error::new(ErrorKind::Unreachable, "no answer");
        let texts = [
            PowertoolsError::NotRecorded { response: "secret", error: error() },
            PowertoolsError::TakenOver { response: "secret", error: error() },
            PowertoolsError::ResponseNotKept { response: "secret", error: error() },
        ]
        .map(|error| format!("{error} {error:?}"));
        for text in texts {
            assert!(
                text.contains("no answer") && text.contains("the work is done") && !text.contains("secret"),
                "{text}"
            );
        }
        let failed = PowertoolsError::<()>::Failed { error: "secret".into(), not_released: Some(error()) };
        assert!(failed.to_string().starts_with("secret (and the event is refused"), "{failed}");
        assert!(!format!("{failed:?}").contains("secret"), "{failed:?}");
    }

    #[test]
    fn a_response_is_not_lost_with_the_error() {
        let error = Error::new(ErrorKind::Unreachable, "no answer");
        assert_eq!(PowertoolsError::NotRecorded { response: 7, error: error.clone() }.into_response(), Some(7));
        assert_eq!(PowertoolsError::<u8>::NotStarted(error).into_response(), None);
    }
}
