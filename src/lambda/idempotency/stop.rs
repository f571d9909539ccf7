//! The failures of work that are not its own.

use thiserror::Error;

use super::IdempotencyErrorKind;
use crate::work_error::WorkError;

/// The work had no more time.
#[derive(Clone, Copy, Debug, Error)]
#[error("the work was {}, since the function's time is nearly over; give the function more time, or the work less to do",
    if *.begun { "stopped" } else { "not begun" })]
pub(super) struct DeadlineExceeded {
    pub(super) begun: bool,
}

/// The response has no room in the record.
#[derive(Clone, Copy, Debug, Error)]
#[error(
    "the response has {bytes} bytes, and the record has room for {room}; return less, such as the address of a file in S3"
)]
pub(super) struct ResponseTooLarge {
    pub(super) bytes: usize,
    pub(super) room: usize,
}

/// Whose failure it is.
pub(super) fn kind_of(error: &WorkError) -> IdempotencyErrorKind {
    match error {
        error if error.downcast_ref::<DeadlineExceeded>().is_some() => IdempotencyErrorKind::DeadlineExceeded,
        error if error.downcast_ref::<ResponseTooLarge>().is_some() => IdempotencyErrorKind::ResponseTooLarge,
        _ => IdempotencyErrorKind::HandlerFailed,
    }
}
