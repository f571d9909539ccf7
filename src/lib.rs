//! Work on AWS that happens once: one DynamoDB item tracks one task.
//!
//! A worker takes a task with one conditional `UpdateItem`, does the work, and records the outcome with another. That is
//! two writes a task, no reads, and nothing else to run. It stays right when an answer is lost after the write was
//! committed, when a process dies in the middle, and when a lease ends while its holder still works.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
//! # let sdk_client = store.client();
//! use dynamo_tracker::{RunError, StartOptions, TrackerClient};
//!
//! let client = TrackerClient::<()>::builder(sdk_client).table("tasks").namespace("orders").build()?;
//! client.create_table().await?;
//!
//! for _ in 0..2 {
//!     match client.run("order-42", StartOptions::new(), |_| async { Ok("paid") }).await {
//!         Ok(paid) => println!("{paid}"),
//!         Err(RunError::Refused(why)) => println!("{why}"),
//!         Err(error) => return Err(error.into()),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Where to begin
//!
//! * [`TrackerClient`]: [`create`](TrackerClient::create), [`start`](TrackerClient::start),
//!   [`run`](TrackerClient::run), [`load`](TrackerClient::load), and what operators need.
//! * [`Lease`]: a task in hand, and the ways to record its outcome.
//! * [`Tracker`]: the record, field by field. [`Error`] and [`RunError`]: what can go wrong.
//! * [`protocol`]: the rules as pure functions. Their types may change in any version.
//!
//! # The protocol
//!
//! 1. **Start.** A fresh [`LockToken`] is made. One `UpdateItem` sets the task to in progress with that lock, on the
//!    condition that there is no such item; or that its lock and its last lock are not this token, that its status can be
//!    started from, that it has no lock or one that ran out, that it has attempts left, and that it is due. Each
//!    acquisition counts one attempt and one generation.
//! 2. **A refusal decides by itself.** DynamoDB returns the item with the refusal
//!    (`ReturnValuesOnConditionCheckFailure`), so no read follows. Where the item's lock is our own fresh token, it was
//!    our own write, sent again by the SDK because its answer had been lost: we hold the task.
//! 3. **An outcome** is one `UpdateItem` on the condition that the lock is ours. It removes the lock and remembers it as
//!    the last one. Where it is refused although the last lock is ours and the status is what we wanted, it was our own
//!    write. Else the lease is lost, and nothing was written.
//! 4. **While work goes on**, a heartbeat extends the lease every third of its length. An extension of the lease or a checkpoint is one `UpdateItem` on the condition that the
//!    lock is ours and that its step is older, so that a late copy of an earlier one changes nothing.
//! 5. **A lapsed lease** is taken over by whoever starts the task next. Where no attempt is left, that start writes
//!    down that the task is exhausted, on the condition that lock and expiry are still as seen.
//! 6. **An expired record** (its retention is over, and DynamoDB has not deleted it yet) is replaced as if it were not
//!    there, on the condition that its generation is as seen and that it is still expired. The generation goes on
//!    counting.
//!
//! # What it can't promise
//!
//! * **Effects elsewhere.** A worker can die after its effect and before its outcome is recorded, and a worker that was
//!   suspended can go on when its lease has long been taken over. Then the work is run again. Pass
//!   [`Lease::generation`] on, and let the other system refuse a smaller one than it has seen (a fencing token:
//!   Kleppmann, *How to do distributed locking*, 2016), or make the effect idempotent.
//! * **Clocks.** A takeover waits until the lease has been over for the tolerated
//!   [skew](TrackerClientBuilder::skew), 1 second by default. Clocks that differ by more can give two workers the task
//!   at once; their records still can't overwrite each other's.
//! * **Time to live.** A record that DynamoDB deletes takes its generation with it, as [`TrackerClient::delete`] does:
//!   the next one begins at 1. Keep records longer than any copy of their event can be late.
//! * **Suspension.** A process that is stopped with its machine or its Lambda sandbox finds out when it wakes, and then
//!   its work does not go on; but what it had sent before may arrive after that.
//!
//! # Features
//!
//! * `embedded`: DynamoDB inside the process, for trying out, laptops and tests. Off by default, as is everything but
//!   the protocol.
//! * `metrics`: a counter `dynamo_tracker_worker_events_total` of each [`WorkerEvent`], by namespace and event, through the
//!   crate `metrics`, whose exporters send it wherever metrics go.
//! * `cli`: the command line, `dynamo-tracker`. The library is the same with and without it.
//! * `lambda`: handlers on AWS Lambda that process an event once.
//! * `zstd`: large data packed, which takes fewer write units and lets an item hold more; needs a C compiler. See
#![cfg_attr(feature = "zstd", doc = "  [`pack_data_over`](TrackerClientBuilder::pack_data_over).")]
#![cfg_attr(not(feature = "zstd"), doc = "  `TrackerClientBuilder::pack_data_over`.")]
//! * `stepfunctions`: steps of AWS Step Functions that a retry finds as they were, workers for activities, and callbacks to
//!   states that wait for a task.
#![warn(missing_docs, clippy::print_stderr, clippy::print_stdout)]

mod aws_error;
mod backoff;
mod batch;
mod bulk;
mod callback;
#[cfg(any(feature = "lambda", feature = "stepfunctions"))]
// Without `lambda`, which shows it to everybody, only its hash is of use.
#[cfg_attr(not(feature = "lambda"), allow(dead_code, unreachable_pub, rustdoc::broken_intra_doc_links))]
mod canonical;
mod client;
mod context;
mod countdown;
#[cfg(feature = "embedded")]
pub mod embedded;
mod error;
mod expression;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
#[cfg(feature = "lambda")]
pub mod lambda;
mod lease;
pub mod protocol;
mod query;
mod record;
mod schema;
mod status;
#[cfg(feature = "stepfunctions")]
pub mod stepfunctions;
mod table;
mod time;
mod timer;
mod usual_start;
mod work_error;
mod worker;

pub use backoff::Backoff;
pub use batch::{Batch, BatchStatus};
pub use bulk::BulkReport;
pub use client::{NewTask, Recorded, RunError, TrackerClient, TrackerClientBuilder};
pub use error::{Error, ErrorKind};
pub use lease::Lease;
pub use protocol::{Refusal, StartOptions};
pub use query::{Page, Progress, Query, Reindexed, Stats, TaskRef};
pub use record::{
    AttemptError, BatchMember, InvalidBatchMember, InvalidLockToken, InvalidTaskId, InvalidTaskToken, LockToken,
    MAX_KEY_BYTES, MAX_MESSAGE_BYTES, MAX_TRACE_BYTES, MAX_TYPE_BYTES, RawData, TaskId, TaskToken, Tracker,
};
pub use schema::Data;
pub use status::{InvalidStatusSet, Status, StatusSet};
pub use table::RequestPolicy;
pub use time::{Clock, ManualClock, Sleep, SystemClock};
pub use tokio_util::sync::CancellationToken;
pub use work_error::WorkError;
pub use worker::{Worker, WorkerEvent, WorkerReport};

/// The README's snippets, which are compiled and run with the documentation's own.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
