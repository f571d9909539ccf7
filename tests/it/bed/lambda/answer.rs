//! What an invocation comes to.

use serde_json::{Value, json};

/// What the caller of a function gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The function's response. What is not JSON, such as a stream, is here as a string.
    Ok(Value),
    /// The function's own error, or Lambda's, such as `Sandbox.Timedout` and `Runtime.ExitError`.
    Error { error_type: String, message: String, body: Value },
}

impl Answer {
    pub(super) fn response(body: &[u8]) -> Self {
        Self::Ok(json_of(body))
    }

    /// An error that the function's runtime reports.
    pub(super) fn reported(body: &[u8]) -> Self {
        let body = json_of(body);
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        Self::Error { error_type: text("errorType"), message: text("errorMessage"), body }
    }

    /// An error of Lambda's own, in the words that it has for it.
    pub(super) fn fault(error_type: &str, request_id: &str, what: &str) -> Self {
        let message = format!("RequestId: {request_id} Error: {what}");
        let body = json!({ "errorType": error_type, "errorMessage": message });
        Self::Error { error_type: error_type.to_owned(), message, body }
    }

    /// What the Invoke API sends.
    pub(crate) fn body(&self) -> &Value {
        match self {
            Self::Ok(body) | Self::Error { body, .. } => body,
        }
    }

    /// The response.
    ///
    /// # Panics
    ///
    /// Where it is an error.
    #[track_caller]
    pub(crate) fn unwrap(self) -> Value {
        match self {
            Self::Ok(body) => body,
            Self::Error { error_type, message, .. } => panic!("the function answers {error_type}: {message}"),
        }
    }

    /// The error's type and message.
    ///
    /// # Panics
    ///
    /// Where it is none.
    #[track_caller]
    pub(crate) fn unwrap_error(self) -> (String, String) {
        match self {
            Self::Ok(body) => panic!("the function answers {body}, and no error"),
            Self::Error { error_type, message, .. } => (error_type, message),
        }
    }
}

fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}
