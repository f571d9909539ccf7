//! What people do to tasks without holding their lock.

use super::{TrackerClient, changed};
use crate::error::{Error, ErrorKind};
use crate::expression;
use crate::protocol::{Operate, Operation};
use crate::record::{RawData, Tracker};
use crate::schema::Data;
use crate::status::Status;
use crate::table::{Want, Written};

/// Each is bound to the record that was seen, and writes nothing where it has changed since.
impl<D: Data> TrackerClient<D> {
    /// Puts an exhausted or ignored task back to pending, with all its attempts before it. Its errors stay.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::<()>::builder(store.client())
    /// #     .table("tasks").namespace("demo").max_attempts(1).build()?;
    /// # client.create_table().await?;
    /// client.start("order-42").await?.fail("no paper").await?;
    /// let exhausted = client.load("order-42").await?.expect("it exists");
    /// let pending = client.redrive(&exhausted).await?;
    /// assert_eq!(pending.attempts, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`] where `seen` is neither exhausted nor ignored, or the task is not as seen any more;
    /// [`ErrorKind::NotFound`]; else what DynamoDB refuses.
    pub async fn redrive(&self, seen: &Tracker<D>) -> Result<Tracker<D>, Error> {
        self.operate(seen, Operation::Redrive).await
    }

    /// Decides that a task is not to be done. Whoever works on it loses the lease.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`] where `seen` has succeeded or is ignored, or the task is not as seen any more;
    /// [`ErrorKind::NotFound`]; else what DynamoDB refuses.
    pub async fn ignore(&self, seen: &Tracker<D>) -> Result<Tracker<D>, Error> {
        self.operate(seen, Operation::Ignore).await
    }

    /// Takes the lock away from whoever has it, so that the task can be started at once. The attempt stays counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`] where `seen` has no lock, or the task is not as seen any more; [`ErrorKind::NotFound`];
    /// else what DynamoDB refuses.
    pub async fn unlock(&self, seen: &Tracker<D>) -> Result<Tracker<D>, Error> {
        self.operate(seen, Operation::Unlock).await
    }

    /// Deletes a task, whatever state it is in. Whoever works on it loses the lease.
    ///
    /// Its generation begins again at 1 if it is made again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`] where the task is not as seen any more; [`ErrorKind::NotFound`]; else what DynamoDB refuses.
    pub async fn delete(&self, seen: &Tracker<D>) -> Result<(), Error> {
        let id = &seen.id;
        self.own(id)?;
        let condition = expression::unchanged(seen.loaded.0.unwrap_or(seen.version()), &self.context.codec);
        match self.context.table.delete(id, condition).await? {
            Written::Done(_) => {}
            // The first copy of the request, whose answer was lost, has deleted it.
            Written::Refused { item: None, repeated: true } => {}
            Written::Refused { item, .. } => return Err(changed(self.context.decode(id, item)?, id)),
        }
        tracing::info!(task = ?id, "deleted the task");
        Ok(())
    }

    async fn operate(&self, seen: &Tracker<D>, operation: Operation) -> Result<Tracker<D>, Error> {
        let id = &seen.id;
        self.own(id)?;
        if !operation.is_legal(seen) {
            return Err(illegal(seen, operation));
        }
        let now = self.context.now();
        let mut write = Operate::on(seen, operation, now, self.context.expire_at(now));
        write.due_time = self.context.due_time(write.status_after(), None, now);
        let update = expression::operate(&write, id, &self.context.codec);
        let want = Want { item: true, within: None };
        let record = match self.context.table.update(operation.name(), id, update, want).await? {
            Written::Done(item) => self.context.decode_written(id, item)?,
            Written::Refused { item, repeated } => match self.context.decode(id, item)? {
                Some(stored) if repeated && write.is_in(&stored) => stored,
                stored => return Err(changed(stored, id)),
            },
        };
        tracing::info!(task = ?id, status = %record.status, "{}", operation.name());
        Tracker::<RawData>::typed(record)
    }
}

fn illegal<D>(seen: &Tracker<D>, operation: Operation) -> Error {
    let locked = if seen.lock.is_some() { "locked" } else { "not locked" };
    let state = match seen.status {
        Status::InProgress => format!("{} and {locked}", seen.status),
        status => status.to_string(),
    };
    let message = format!("can't {} it: that is for {}, and it is {state}", operation.name(), operation.expects());
    Error::new(ErrorKind::Changed, message).about(&seen.id)
}
