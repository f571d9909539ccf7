//! What the errors of Step Functions mean.

use std::error::Error as StdError;

use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};

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
    let request_id =
        error.raw_response().and_then(|answer| answer.headers().get("x-amzn-requestid")).map(str::to_owned);
    Error::new(kind, format!("Step Functions can't {action}: {what}"))
        .with_request_id(request_id.as_deref())
        .with_source(error)
}

fn of_service(code: Option<&str>, message: Option<&str>) -> (ErrorKind, String) {
    let message = message.unwrap_or("it gave no reason");
    let kind = match code.unwrap_or_default() {
        "ThrottlingException"
        | "TooManyRequestsException"
        | "ActivityWorkerLimitExceeded"
        | "KmsThrottlingException" => ErrorKind::Throttled,
        "AccessDeniedException" | "KmsAccessDeniedException" => ErrorKind::AccessDenied,
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => ErrorKind::Credentials,
        "InvalidArn" | "ValidationException" => ErrorKind::InvalidArgument,
        "ActivityDoesNotExist" | "ResourceNotFound" => ErrorKind::NotFound,
        _ => ErrorKind::Service,
    };
    let what = match kind {
        ErrorKind::Throttled => "it took no more requests, after all retries; try again later".to_owned(),
        ErrorKind::AccessDenied => format!("AWS does not allow it; grant what it names ({message})"),
        ErrorKind::Credentials => format!("AWS does not accept these credentials; renew them ({message})"),
        ErrorKind::NotFound => format!("there is no such activity; check its ARN, region and endpoint ({message})"),
        _ => format!("it refused, with {}: {message}", code.unwrap_or("no code")),
    };
    (kind, what)
}

/// Nothing reached it, or its answer did not reach us.
fn of_dispatch(causes: &str) -> (ErrorKind, String) {
    let lower = causes.to_lowercase();
    if lower.contains("credential") || lower.contains("identity") {
        return (ErrorKind::Credentials, format!("there are no AWS credentials ({causes})"));
    }
    if lower.contains("region") {
        return (ErrorKind::InvalidArgument, "no AWS region is set; set AWS_REGION or one in the profile".to_owned());
    }
    (ErrorKind::Unreachable, format!("it can't be reached; check endpoint, region and network ({causes})"))
}
