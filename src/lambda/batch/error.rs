//! Why an invocation fails as a whole.

use std::error::Error as StdError;
use std::fmt;

use lambda_runtime::Diagnostic;

use crate::error::Error;

/// Why a batch fails as a whole, so that all of it comes again. Lambda counts the invocation among its errors.
///
/// What fails of a batch is in its response, and no error, but for what is here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum BatchError {
    /// Not one record was acknowledged, and [that is to be an error](super::Batch::error_if_all_fail).
    BatchFailed {
        /// How many records there were.
        records: usize,
    },
    /// Not one record was acknowledged, and what is wrong is wrong for all of them: there is no such table, or no
    /// permission to use it.
    Unusable(Error),
    /// A record has nothing to report it by, so that is no event of this source.
    InvalidEvent {
        /// Which record it is, counted from 0.
        place: usize,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BatchFailed { records } => {
                write!(f, "none of the batch's {records} records is done; their tasks have the reasons")
            }
            Self::Unusable(error) => write!(f, "no record of the batch could be begun: {error}"),
            Self::InvalidEvent { place } => {
                write!(f, "record {place} of the event has no identifier; is the function's trigger another one?")
            }
        }
    }
}

impl StdError for BatchError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unusable(error) => error.source(),
            _ => None,
        }
    }
}

/// What the caller of the function sees: the variant's name as the error's type.
impl From<BatchError> for Diagnostic {
    fn from(error: BatchError) -> Self {
        let error_type = match &error {
            BatchError::BatchFailed { .. } => "BatchFailed",
            BatchError::Unusable(_) => "Unusable",
            BatchError::InvalidEvent { .. } => "InvalidEvent",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}
