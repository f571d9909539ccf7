//! AWS Lambda (feature `lambda`): what makes an event's handling happen once.
//!
//! * [`Idempotency`] runs the work of an event once, and gives its response again; [`Key`] says what tells events apart, and
//!   [`IdempotencyErrorKind`] what can go wrong.
//! * [`IdempotencyLayer`] does that for a whole handler.
//! * [`batch`] does it for each record of a batch, from SQS, Kinesis or DynamoDB Streams, and reports what is to come again.
//! * [`JmesPath`] selects the part of an event that identifies it, with the functions that Powertools adds to JMESPath.
//! * [`canonical_json`] and [`sha256_hex`] make one key of equal values, however they were written; [`is_missing`] says
//!   that there is nothing to make a key of.
//! * [`powertools`] shares a table with functions in Python or TypeScript that use Powertools for AWS Lambda.

pub mod batch;
mod idempotency;
mod jmespath;
mod layer;
pub mod powertools;

pub use crate::canonical::{canonical_json, is_missing, sha256_hex};
pub use idempotency::{
    Idempotency, IdempotencyBuilder, IdempotencyError, IdempotencyErrorKind, InProgress, Key, MissingKey, Outcome,
    Replay, TooLarge, idempotent,
};
pub use jmespath::JmesPath;
#[cfg(feature = "stepfunctions")]
pub(crate) use layer::read;
pub use layer::{IdempotencyLayer, IdempotentHandler, Records};
