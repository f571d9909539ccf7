//! What the SDK's errors mean.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws_error::{NO_REGION, kind_of_dispatch, of_any_service, request_id};
use crate::error::{Error, ErrorKind};
use crate::record::chain;
use crate::schema::ITEM_TOO_LARGE;

/// The error of this crate that `error` amounts to, with `error` as its source.
#[cold]
pub(super) fn failure<E>(action: &str, table: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let (kind, what) = match &error {
        SdkError::ServiceError(answer) if answer.raw().status().as_u16() >= 500 => {
            of_service(Some(FAILED), None, table)
        }
        SdkError::ServiceError(answer) => of_service(answer.err().code(), answer.err().message(), table),
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => of_dispatch(&chain(&error)),
        SdkError::TimeoutError(_) => (
            ErrorKind::Unreachable,
            "DynamoDB gave no answer in time, so the request may or may not have been carried out; try again"
                .to_owned(),
        ),
        _ => (
            ErrorKind::Unreachable,
            "DynamoDB's answer could not be read, so the request may or may not have been carried out; try again"
                .to_owned(),
        ),
    };
    let request_id = request_id(&error);
    Error::new(kind, format!("can't {action}: {what}")).with_request_id(request_id.as_deref()).with_source(error)
}

/// Any error of which DynamoDB says that it is its own.
const FAILED: &str = "InternalServerError";

fn of_service(code: Option<&str>, message: Option<&str>, table: &str) -> (ErrorKind, String) {
    let message = message.unwrap_or("it gave no reason");
    match code.unwrap_or("") {
        "ResourceNotFoundException" => (
            ErrorKind::TableNotFound,
            format!("there is no table {table:?}; create it with create_table, or check its name, region and endpoint"),
        ),
        "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded" | "SlowDown" => (
            ErrorKind::Throttled,
            "DynamoDB took no more requests, after all retries; try again later, or give the table more capacity"
                .to_owned(),
        ),
        "ValidationException" if is_size(message) => {
            (ErrorKind::ItemTooLarge, format!("the item would be {ITEM_TOO_LARGE}"))
        }
        // The start adds to `attempts` and `generation`, and so finds out first.
        "ValidationException" if message.contains("incorrect data type") => {
            (ErrorKind::Unreadable, "`attempts` or `generation` of the item is not a number; mend the item".to_owned())
        }
        "TransactionConflictException" | "TransactionInProgressException" => {
            (ErrorKind::Conflict, "a transaction of somebody else was changing the item; try again".to_owned())
        }
        FAILED => (
            ErrorKind::Unreachable,
            "DynamoDB failed, after all retries, so the request may or may not have been carried out; try again later"
                .to_owned(),
        ),
        code => of_any_service(code, message)
            .unwrap_or_else(|| (ErrorKind::Service, format!("DynamoDB refused it, with {code}: {message}"))),
    }
}

/// Nothing reached DynamoDB, or its answer did not reach us.
fn of_dispatch(causes: &str) -> (ErrorKind, String) {
    let kind = kind_of_dispatch(causes);
    let what = match kind {
        ErrorKind::Credentials => {
            "there are no AWS credentials; set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role \
             gives them"
        }
        ErrorKind::InvalidArgument => return (kind, NO_REGION.to_owned()),
        _ => {
            "DynamoDB can't be reached, so the request may or may not have been carried out; check endpoint, region and \
             network, then try again"
        }
    };
    (kind, format!("{what} ({})", root(causes)))
}

/// The last of the causes, where the reason stands.
fn root(causes: &str) -> &str {
    causes.rsplit(": ").next().unwrap_or(causes)
}

/// DynamoDB words it in two ways, for a put and for an update.
pub(super) fn is_size(message: &str) -> bool {
    message.contains("Item size") && message.contains("exceeded the maximum allowed size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_errors_have_their_kind() {
        let kind = |code, message| of_service(Some(code), Some(message), "t").0;
        assert_eq!(kind("ResourceNotFoundException", ""), ErrorKind::TableNotFound);
        assert_eq!(kind("ThrottlingException", ""), ErrorKind::Throttled);
        assert_eq!(kind("ProvisionedThroughputExceededException", ""), ErrorKind::Throttled);
        assert_eq!(kind("AccessDeniedException", ""), ErrorKind::AccessDenied);
        assert_eq!(kind("ExpiredTokenException", ""), ErrorKind::Credentials);
        assert_eq!(kind("InternalServerError", ""), ErrorKind::Unreachable);
        assert_eq!(kind("ValidationException", "Invalid UpdateExpression"), ErrorKind::Service);
        let sizes = [
            "Item size has exceeded the maximum allowed size",
            "Item size to update has exceeded the maximum allowed size",
        ];
        for size in sizes {
            assert_eq!(kind("ValidationException", size), ErrorKind::ItemTooLarge);
        }
    }
}
