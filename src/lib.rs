#![doc = "placeholder"]
#![forbid(unsafe_code)]
#![warn(missing_docs, unreachable_pub, missing_debug_implementations)]

mod client;
mod context;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod expression;
mod lease;
pub mod protocol;
mod record;
mod schema;
mod status;
mod table;
mod time;
mod work_error;

pub use client::{NewTask, RunError, TrackerClient, TrackerClientBuilder};
pub use error::{Error, ErrorKind};
pub use lease::Lease;
pub use protocol::{Refusal, StartOptions};
pub use record::{
    AttemptError, InvalidLockToken, InvalidTaskId, LockToken, MAX_KEY_BYTES, MAX_MESSAGE_BYTES, MAX_TRACE_BYTES,
    MAX_TYPE_BYTES, TaskId, Tracker,
};
pub use schema::{Data, RawData};
pub use status::{InvalidStatusSet, Status, StatusSet};
pub use table::RequestPolicy;
pub use time::{Clock, ManualClock, SystemClock};
pub use work_error::WorkError;
