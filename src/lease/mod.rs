//! The right to work on a task.

mod beats;
mod heart;
mod held;
mod mark_as;
mod refused;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::record::{LockToken, TaskId, Tracker};
use crate::schema::{Data, to_value};
use crate::status::Status;
use crate::table::Writes;
use crate::work_error::WorkError;

pub(crate) use heart::{Care, Heart, Stopped};
pub(crate) use held::{Held, Standing};
pub(crate) use refused::not_held;

/// A task in hand: the right to work on it until the lease ends, and the means to record the outcome.
///
/// Each outcome is one conditional write, which succeeds only while the task is still locked with this lease's token.
/// Otherwise nothing is written and the error is [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), with the record
/// as it is now. A lease that is dropped releases nothing: it runs out, and its attempt counted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let client = dynamo_tracker::TrackerClient::<u32>::builder(store.client()).table("tasks").namespace("demo").build()?;
/// # client.create_table().await?;
/// let mut lease = client.start("page-7").await?;
/// assert_eq!((lease.attempt(), lease.generation()), (1, 1));
/// lease.set_data(200)?;
/// let tracker = lease.succeed().await?;
/// assert_eq!(tracker.data, 200);
/// # Ok(()) }
/// ```
#[must_use = "a lease that is dropped releases nothing: record an outcome, or release it"]
pub struct Lease<D> {
    pub(crate) held: Arc<Held>,
    data: D,
}

impl<D: Data> Lease<D> {
    pub(crate) fn new(held: Arc<Held>, data: D) -> Self {
        Self { held, data }
    }

    /// The task.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.held.id
    }

    /// The lock token: whoever has it may record the outcome.
    #[must_use]
    pub fn token(&self) -> LockToken {
        self.held.token
    }

    /// Which attempt this is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.held.attempt
    }

    /// The fencing token: greater than that of every lease on this task before.
    ///
    /// A worker that was suspended may go on when its lease has long been taken over, and no lock can stop what it has
    /// already sent. So pass this number on with each effect, and let whoever carries it out refuse a smaller one than it
    /// has seen (Kleppmann, *How to do distributed locking*, 2016):
    ///
    /// * **DynamoDB**, in another item: update it on the condition `attribute_not_exists(fence) OR fence <= :generation`, and
    ///   set `fence = :generation` with it. Better still, write it with the outcome, by
    ///   [`succeed_with`](Self::succeed_with).
    /// * **S3**: keep the generation in the object's metadata. Read it by `HeadObject`, give up where it is greater than
    ///   yours, and write with `If-Match` and the `ETag` that you read (`If-None-Match: *` where there was no object). An
    ///   object that changed in between refuses the write with 412.
    /// * **SQL**: `UPDATE page SET body = $1, fence = $2 WHERE id = $3 AND fence <= $2`, and look whether a row was changed.
    ///
    /// It grows over takeovers, failures, redrives, unlocks, ignores and stages, and also when an expired record is
    /// replaced. It begins again at 1 when the item is deleted: by [`delete`](crate::TrackerClient::delete), or by DynamoDB
    /// after its [retention](crate::TrackerClientBuilder::retention). Keep records longer than any of their effects can be
    /// late, where that matters.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.held.generation
    }

    /// The record as it was last read or written, without its data, which is [`data`](Self::data).
    #[must_use]
    pub fn tracker(&self) -> Tracker<()> {
        self.held.record()
    }

    /// How much of the lease is left, by this process's own monotonic clock.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.held.time_left()
    }

    /// When the lease ends, by the clock of whoever took it.
    #[must_use]
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        self.held.record().lock_expire_time
    }

    /// Fires when the lease is lost or has run out, before the work is dropped: a chance to tidy up within the
    /// [grace](crate::TrackerClientBuilder::grace).
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.held.cancellation()
    }

    /// Runs `work` with a heartbeat: the lease is extended every third of its length, until the work is done or the lease
    /// lost. [`run`](crate::TrackerClient::run) does so by itself.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost): the work was dropped, since somebody else has the task, or
    /// DynamoDB has not answered until the lease's end.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; and where the work does.
    pub async fn keep_alive<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        Heart::start(&self.held, Care::full()).guard(work).await.map_err(|stopped| stopped.error)
    }

    /// The task's data.
    #[must_use]
    pub fn data(&self) -> &D {
        &self.data
    }

    /// Changes the data. It is written with a success, or by [`checkpoint`](Self::checkpoint); a failure drops it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unwritable`](crate::ErrorKind::Unwritable): DynamoDB has no form for it;
    /// [`ErrorKind::ItemTooLarge`](crate::ErrorKind::ItemTooLarge): no item has room for it. The data stays as it was.
    pub fn set_data(&mut self, data: D) -> Result<(), Error> {
        let value = to_value(&data).map_err(|error| error.about(self.id()))?;
        self.held.set_unsaved(value)?;
        self.data = data;
        Ok(())
    }

    /// Says that the data which the work came to can't be kept, and why. A success is recorded without it then, and the record says so
    /// ([`Tracker::data_not_kept`]), so that nobody takes the data that the task had before for the result.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::<String>::builder(store.client()).table("tasks").namespace("demo").build()?;
    /// # client.create_table().await?;
    /// let mut lease = client.start("page-7").await?;
    /// lease.drop_data("the page has no text");
    /// assert!(lease.succeed().await?.data_not_kept());
    /// # Ok(()) }
    /// ```
    pub fn drop_data(&mut self, why: &str) {
        self.held.drop_data(why);
    }

    /// Changes the data and writes it now, so that the next attempt finds it even if this one fails.
    ///
    /// # Errors
    ///
    /// As [`set_data`](Self::set_data); [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost); what DynamoDB refuses.
    pub async fn checkpoint(&mut self, data: D) -> Result<(), Error> {
        self.set_data(data)?;
        self.held.checkpoint(Writes::default()).await
    }

    /// The same, with writes of the caller's own in one transaction. See [`succeed_with`](Self::succeed_with).
    ///
    /// # Errors
    ///
    /// As [`succeed_with`](Self::succeed_with).
    pub async fn checkpoint_with(&mut self, data: D, writes: Vec<TransactWriteItem>) -> Result<(), Error> {
        self.set_data(data)?;
        self.held.checkpoint(Writes::of(writes)).await
    }

    /// Records that the work is done, with the data where it was changed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost); or what DynamoDB refuses, which means that the work is done
    /// and that the record does not say so.
    pub async fn succeed(self) -> Result<Tracker<D>, Error> {
        self.end(Status::Succeeded, None).await
    }

    /// Records that the work is done and carries out the caller's own writes, together or not at all: effects in DynamoDB
    /// that happen exactly once.
    ///
    /// One `TransactWriteItems` of up to 99 writes (17 for a task of a [`Batch`](crate::Batch)), which costs twice the write units.
    /// Copies that the SDK sends after a lost answer have one `ClientRequestToken` and are carried out once (*Amazon DynamoDB
    /// Transactions: How it works*, Amazon DynamoDB Developer Guide); of later tries, the record tells whether they are in. The
    /// lease goes on where a write of the caller's own is refused.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::<()>::builder(store.client()).table("tasks").namespace("demo").build()?;
    /// # client.create_table().await?;
    /// let receipt = Put::builder()
    ///     .table_name("tasks")
    ///     .item("id", AttributeValue::S("receipt of order-42".to_owned()))
    ///     .condition_expression("attribute_not_exists(id)")
    ///     .build()?;
    /// let mut lease = client.start("order-42").await?;
    /// lease.succeed_with(vec![TransactWriteItem::builder().put(receipt).build()]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost);
    /// [`ErrorKind::ActionRefused`](crate::ErrorKind::ActionRefused), with the number of the caller's write whose condition
    /// does not hold ([`Error::action`]); [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), after retries;
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for too many writes; else what DynamoDB refuses.
    pub async fn succeed_with(&mut self, writes: Vec<TransactWriteItem>) -> Result<Tracker<()>, Error> {
        self.held.end_as(Status::Succeeded, None, Writes::of(writes)).await?;
        Ok(self.held.record())
    }

    /// Records that the work failed: failed while attempts are left, else exhausted. Data that was set is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn fail(self, error: impl Into<WorkError>) -> Result<Tracker<()>, Error> {
        self.held.fail(&error.into()).await?;
        Ok(self.held.record())
    }

    /// The same, with writes of the caller's own in one transaction. See [`succeed_with`](Self::succeed_with).
    ///
    /// # Errors
    ///
    /// As [`succeed_with`](Self::succeed_with).
    pub async fn fail_with(
        &mut self,
        error: impl Into<WorkError>,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Tracker<()>, Error> {
        self.held.fail_with(&error.into(), Writes::of(writes)).await?;
        Ok(self.held.record())
    }

    /// Gives the task back to whoever comes next: it is pending, and the attempt is not counted.
    ///
    /// That is so too where it had succeeded before and was taken by force.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`](crate::ErrorKind::LeaseLost), or what DynamoDB refuses.
    pub async fn release(self) -> Result<Tracker<()>, Error> {
        self.held.release(None, Writes::default()).await?;
        Ok(self.held.record())
    }

    async fn end(self, status: Status, error: Option<&WorkError>) -> Result<Tracker<D>, Error> {
        self.held.end_as(status, error, Writes::default()).await?;
        Ok(self.held.record().with_data(self.data))
    }
}

impl<D> fmt::Debug for Lease<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("tracker", &self.held.record()).finish_non_exhaustive()
    }
}
