//! What the errors of Step Functions mean.

use std::error::Error as StdError;

use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};

use crate::aws_error::{NO_REGION, kind_of_dispatch, of_any_service, request_id};
use crate::error::{Error, ErrorKind};
use crate::record::chain;

/// The error of this crate that `error` amounts to, with `error` as its source.
pub(super) fn failure<E>(action: &str, error: SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let (kind, what) = match &error {
        SdkError::ServiceError(answer) if answer.raw().status().as_u16() >= 500 => {
            (ErrorKind::Unreachable, "it failed; try again later".to_owned())
        }
        SdkError::ServiceError(answer) => of_service(answer.err().code(), answer.err().message()),
        SdkError::ConstructionFailure(_) | SdkError::DispatchFailure(_) => of_dispatch(&chain(&error)),
        _ => (ErrorKind::Unreachable, "it gave no answer that can be read in time; try again".to_owned()),
    };
    let request_id = request_id(&error);
    Error::new(kind, format!("Step Functions can't {action}: {what}"))
        .with_request_id(request_id.as_deref())
        .with_source(error)
}

fn of_service(code: Option<&str>, message: Option<&str>) -> (ErrorKind, String) {
    let message = message.unwrap_or("it gave no reason");
    let code = match code.unwrap_or("no code") {
        "KmsAccessDeniedException" => "AccessDeniedException",
        code => code,
    };
    match code {
        "ThrottlingException"
        | "TooManyRequestsException"
        | "ActivityWorkerLimitExceeded"
        | "KmsThrottlingException" => {
            (ErrorKind::Throttled, "it took no more requests, after all retries; try again later".to_owned())
        }
        "ActivityDoesNotExist" | "ResourceNotFound" => {
            (ErrorKind::NotFound, format!("there is no such activity; check its ARN, region and endpoint ({message})"))
        }
        "InvalidArn" | "ValidationException" => (ErrorKind::InvalidArgument, refused(code, message)),
        _ => of_any_service(code, message).unwrap_or_else(|| (ErrorKind::Service, refused(code, message))),
    }
}

fn refused(code: &str, message: &str) -> String {
    format!("it refused, with {code}: {message}")
}

/// Nothing reached Step Functions, or its answer did not reach us.
fn of_dispatch(causes: &str) -> (ErrorKind, String) {
    let kind = kind_of_dispatch(causes);
    let what = match kind {
        ErrorKind::Credentials => format!("there are no AWS credentials ({causes})"),
        ErrorKind::InvalidArgument => NO_REGION.to_owned(),
        _ => format!("it can't be reached; check endpoint, region and network ({causes})"),
    };
    (kind, what)
}
