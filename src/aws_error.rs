//! What errors mean alike, whichever service of AWS they are of.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;

use crate::error::ErrorKind;

/// What any service may refuse, whatever is asked of it: somebody without the permission, or with credentials that are none.
pub(crate) fn of_any_service(code: &str, message: &str) -> Option<(ErrorKind, String)> {
    Some(match code {
        "AccessDeniedException" => {
            (ErrorKind::AccessDenied, format!("AWS does not allow it; grant what it names ({message})"))
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignatureException" => {
            (ErrorKind::Credentials, format!("AWS does not accept these credentials; renew them ({message})"))
        }
        _ => return None,
    })
}

/// What kept a request from being sent, or its answer from coming back, by the text of its causes.
pub(crate) fn kind_of_dispatch(causes: &str) -> ErrorKind {
    let lower = causes.to_lowercase();
    let has = |part: &str| lower.contains(part);
    match () {
        () if has("credential") || has("identity") => ErrorKind::Credentials,
        () if has("region") => ErrorKind::InvalidArgument,
        () => ErrorKind::Unreachable,
    }
}

/// What to do where no region is known.
pub(crate) const NO_REGION: &str = "no AWS region is set; set AWS_REGION or one in the profile";

/// The request's id, owned, since the error goes away with its answer.
pub(crate) fn request_id<E>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    error.raw_response()?.headers().get("x-amzn-requestid").map(str::to_owned)
}
