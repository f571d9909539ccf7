//! What a state that waits is told, and telling it.

use std::time::Duration;

use aws_sdk_sfn::Client;
use aws_sdk_sfn::config::timeout::TimeoutConfig;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use serde_json::Value;

use super::failure::failure;
use crate::error::{Error, ErrorKind};
use crate::record::{RawData, TaskToken, Tracker, chain};
use crate::status::Status;

/// Limits of Step Functions (`SendTaskSuccess` and `SendTaskFailure`, AWS Step Functions API Reference).
pub(super) const MAX_OUTPUT_BYTES: usize = 262_144;
const MAX_ERROR_CHARS: usize = 256;
const MAX_CAUSE_CHARS: usize = 32_768;

/// Each try gets this long for its answer, and all together no longer than that: whoever has ended a task waits for it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a state that waits is told. `Debug` is not there, since outputs and causes are task data.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// It goes on with this JSON as its output.
    Success(String),
    /// It fails, with a name for `Retry` and `Catch` and a text for people.
    Failure { error: String, cause: String },
}

/// Whether Step Functions has taken a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The state goes on by it.
    Now,
    /// The state waits no more: it has timed out, was stopped, or was told before.
    Stale,
    /// It knows no such token here: that of another region or account, or none at all.
    Unknown,
}

impl Reply {
    /// The output, or that it is too large to be one.
    pub(super) fn success(output: &Value) -> Self {
        let output = output.to_string();
        match output.len() {
            ..=MAX_OUTPUT_BYTES => Self::Success(output),
            bytes => {
                let cause = format!(
                    "the task is done, but its {bytes} bytes of output are over the {MAX_OUTPUT_BYTES} that Step Functions \
                     takes; load the record, and keep outputs small, such as the address of a file in S3"
                );
                Self::failure("ResponseTooLarge", &cause)
            }
        }
    }

    pub(super) fn failure(error: &str, cause: &str) -> Self {
        Self::Failure { error: cut(error, MAX_ERROR_CHARS), cause: cut(cause, MAX_CAUSE_CHARS) }
    }

    /// What a record that is over has to say; `None` where it is not over. `output` makes the output of a success, which is an error
    /// where this client can't unpack the data.
    pub(super) fn of(
        record: &Tracker<RawData>,
        output: impl FnOnce(&Tracker<RawData>) -> Value,
    ) -> Result<Option<Self>, Error> {
        let last = || match record.errors.last() {
            Some(error) => format!("{}: {}", error.error_type, error.message),
            None => "its attempts are used up".to_owned(),
        };
        Ok(match record.status {
            Status::Succeeded if record.data_not_kept() => {
                let why = record.errors.last().map_or("", |error| &error.message);
                let cause = format!("the task is done, but its output was not kept: {why}");
                Some(Self::failure("ResponseNotKept", &cause))
            }
            Status::Succeeded => {
                record.data.unpacked().map_err(|error| error.about(&record.id))?;
                Some(Self::success(&output(record)))
            }
            Status::Exhausted => Some(Self::failure(error_name(ErrorKind::Exhausted), &last())),
            Status::Ignored => {
                Some(Self::failure(error_name(ErrorKind::Ignored), "somebody decided that it is not to be done"))
            }
            _ => None,
        })
    }

    /// Tells a state. To tell it twice does no harm: the second time, it waits no more.
    pub(super) async fn send(&self, client: &Client, token: &TaskToken) -> Result<Taken, Error> {
        match self {
            Self::Success(output) => {
                let request = client.send_task_success().task_token(token.as_str()).output(output);
                taken("take the success", token, request.customize().config_override(settings()).send().await)
            }
            Self::Failure { error, cause } => {
                let request = client.send_task_failure().task_token(token.as_str()).error(error).cause(cause);
                taken("take the failure", token, request.customize().config_override(settings()).send().await)
            }
        }
    }
}

/// That the work goes on, so that the state does not time out.
pub(super) async fn heartbeat(client: &Client, token: &TaskToken) -> Result<Taken, Error> {
    let request = client.send_task_heartbeat().task_token(token.as_str());
    taken("take the heartbeat", token, request.customize().config_override(settings()).send().await)
}

/// The name under which a state that waits fails, where the tracker has refused: the same that a Lambda function reports.
#[must_use]
pub(super) fn error_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Locked => "TaskLocked",
        ErrorKind::NotDue => "TaskNotDue",
        ErrorKind::Exhausted => "TaskExhausted",
        ErrorKind::Ignored => "TaskIgnored",
        ErrorKind::NotReady | ErrorKind::NotFound | ErrorKind::Interrupted => "TaskNotReady",
        ErrorKind::InvalidArgument => "InvalidEvent",
        ErrorKind::Unreadable => "ResponseUnreadable",
        ErrorKind::LeaseLost => "LeaseLost",
        _ => "StoreUnavailable",
    }
}

fn settings() -> aws_sdk_sfn::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(TIMEOUT);
    aws_sdk_sfn::Config::builder().timeout_config(timeouts.build())
}

fn taken<T, E>(action: &str, token: &TaskToken, sent: Result<T, SdkError<E>>) -> Result<Taken, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match sent {
        Ok(_) => Ok(Taken::Now),
        Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("TaskTimedOut" | "TaskDoesNotExist") => Ok(Taken::Stale),
            Some("InvalidToken") => Ok(Taken::Unknown),
            _ => Err(without(token, failure(action, error))),
        },
    }
}

/// The error without the token, which an answer may quote.
fn without(token: &TaskToken, error: Error) -> Error {
    let quotes = |text: &str| text.contains(token.as_str());
    match quotes(&error.to_string()) || quotes(&chain(&error)) {
        true => Error::new(error.kind(), "Step Functions refused the task token, in words that quote it"),
        false => error,
    }
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;

    use super::*;
    use crate::record::{AttemptError, TaskId};

    fn record(status: Status) -> Tracker<RawData> {
        let id = TaskId::new("ns", "id").unwrap();
        let mut record = Tracker::new(id, RawData::new(None), 3, DateTime::UNIX_EPOCH);
        record.status = status;
        record
    }

    #[test]
    fn only_what_is_over_has_something_to_say() {
        let said = |record: &Tracker<RawData>| Reply::of(record, |_| json!({"a": 1})).unwrap();
        for status in [Status::Pending, Status::InProgress, Status::Failed, Status::Other(7)] {
            assert!(said(&record(status)).is_none(), "{status}");
        }
        let failure = |error: &str, cause: &str| Some(Reply::failure(error, cause));
        assert!(said(&record(Status::Succeeded)) == Some(Reply::Success(r#"{"a":1}"#.to_owned())));
        assert!(said(&record(Status::Exhausted)) == failure("TaskExhausted", "its attempts are used up"));
        let ignored = failure("TaskIgnored", "somebody decided that it is not to be done");
        assert!(said(&record(Status::Ignored)) == ignored);
        let mut failed = record(Status::Exhausted);
        failed.errors = vec![AttemptError::from_parts(1, DateTime::UNIX_EPOCH, "ExitCode", "exit code 3", None)];
        assert!(said(&failed) == failure("TaskExhausted", "ExitCode: exit code 3"));
    }

    #[test]
    fn data_that_is_still_packed_is_no_output() {
        let mut packed = record(Status::Succeeded);
        packed.data = RawData::still_packed(None, "is packed");
        let error = Reply::of(&packed, |_| json!("bytes")).map(|_| ()).unwrap_err();
        assert_eq!((error.kind(), error.task()), (ErrorKind::Unreadable, Some(&packed.id)));
        packed.status = Status::Ignored;
        assert!(Reply::of(&packed, |_| json!("bytes")).is_ok_and(|reply| reply.is_some()));
    }

    #[test]
    fn the_limits_are_kept() {
        let Reply::Failure { error, cause } = Reply::failure(&"ü".repeat(257), &"ü".repeat(32_769)) else { panic!() };
        assert_eq!((error.chars().count(), cause.chars().count()), (256, 32_768));
        assert!(error.ends_with('…') && cause.ends_with('…'));
        assert!(
            Reply::failure(&"ü".repeat(256), "") == Reply::Failure { error: "ü".repeat(256), cause: String::new() }
        );
        let fits = json!("x".repeat(MAX_OUTPUT_BYTES - 2));
        assert!(matches!(Reply::success(&fits), Reply::Success(output) if output.len() == MAX_OUTPUT_BYTES));
        let over = json!("x".repeat(MAX_OUTPUT_BYTES - 1));
        assert!(matches!(Reply::success(&over), Reply::Failure { error, .. } if error == "ResponseTooLarge"));
    }

    /// A definition catches one name, whether a Lambda function or a worker has failed.
    #[cfg(feature = "lambda")]
    #[test]
    fn the_names_are_those_that_lambda_reports() {
        use crate::lambda::IdempotencyErrorKind;
        for kind in [
            ErrorKind::Locked,
            ErrorKind::NotDue,
            ErrorKind::Exhausted,
            ErrorKind::Ignored,
            ErrorKind::NotReady,
            ErrorKind::NotFound,
            ErrorKind::Interrupted,
            ErrorKind::InvalidArgument,
            ErrorKind::Unreadable,
            ErrorKind::LeaseLost,
            ErrorKind::Throttled,
        ] {
            assert_eq!(error_name(kind), IdempotencyErrorKind::of_start(kind).name(), "{kind:?}");
        }
    }
}
