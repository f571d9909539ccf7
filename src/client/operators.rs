//! What people do to tasks without holding their lock.

use super::TrackerClient;
use super::acquire::write_counted;
use crate::countdown::{AGAIN, COUNTING, Counters, MAX_TRIES, reopen};
use crate::error::{Error, ErrorKind};
use crate::expression::{self, Update};
use crate::protocol::{Operate, Operation};
use crate::record::{BatchMember, RawData, TaskToken, Tracker, Version};
use crate::schema::Data;
use crate::status::Status;
use crate::table::{Want, Writes, Written};

/// Others can begin to wait for a task this often while it is being deleted, before something is wrong.
const MAX_ROUNDS: u32 = 8;

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

    /// Deletes a task, whatever state it is in. Whoever works on it loses the lease, and a state of a state machine that waits for
    /// it fails with `TaskDeleted`. Where the task is over, and a state is still to be told of that, it is told before.
    ///
    /// Its generation begins again at 1 if it is made again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`] where the task is not as seen any more; [`ErrorKind::NotFound`]; else what DynamoDB refuses. Where a state
    /// is still to be told that the task is over, and Step Functions can't be reached or refuses, the error says so and nothing is
    /// deleted, since nobody would ever tell it. A token that Step Functions does not know (`InvalidToken`) is no such obstacle.
    pub async fn delete(&self, seen: &Tracker<D>) -> Result<(), Error> {
        let id = &seen.id;
        self.own(id)?;
        let mut callback = seen.callback.clone();
        if self.context.callbacks.is_some() && seen.owes_callback() {
            let stored = self.context.decode(id, self.context.table.get(id, None).await?)?;
            callback = stored.as_ref().and_then(|stored| stored.callback.clone());
            self.tell_last(stored.as_ref()).await?;
        }
        for _ in 0..MAX_ROUNDS {
            match self.send_deletion(seen, callback.as_ref()).await.map_err(|error| error.about(id))? {
                // Or the first copy of the request, whose answer was lost, has deleted it.
                Written::Done(_) | Written::Refused { item: None, repeated: true } => {
                    self.tell_of_deletion(seen, callback).await;
                    return Ok(());
                }
                Written::Refused { item, .. } => match self.context.decode(id, item)? {
                    // Somebody has begun to wait for it since, which is no change of the task.
                    Some(stored) if stored.version() == version(seen) && stored.callback != callback => {
                        self.tell_last(Some(&stored)).await?;
                        callback = stored.callback;
                    }
                    stored => return Err(Error::changed(stored, id)),
                },
            }
        }
        let message = format!("can't delete it: others began to wait for it at each of {MAX_ROUNDS} tries; try again");
        Err(Error::new(ErrorKind::Changed, message).about(id))
    }

    /// What a record owes can't be paid any more once it is deleted.
    async fn tell_last(&self, stored: Option<&Tracker<RawData>>) -> Result<(), Error> {
        let Some((stored, callbacks)) = stored.zip(self.context.callbacks.as_ref()) else { return Ok(()) };
        let Some(token) = &stored.callback else { return Ok(()) };
        callbacks.tell_last(stored, token).await.map_err(|error| {
            let message =
                format!("it was not deleted, since a state that waits for it is still to be told ({error}); try again");
            Error::new(error.kind(), message).with_source(error).about(&stored.id)
        })
    }

    async fn tell_of_deletion(&self, seen: &Tracker<D>, callback: Option<TaskToken>) {
        tracing::info!(task = ?seen.id, "deleted the task");
        if let (Some(callbacks), Some(token), false) = (&self.context.callbacks, callback, seen.status.is_final()) {
            callbacks.deleted(&seen.id, token).await;
        }
    }

    async fn operate(&self, seen: &Tracker<D>, operation: Operation) -> Result<Tracker<D>, Error> {
        let id = &seen.id;
        self.own(id)?;
        if !operation.is_legal(seen) {
            return Err(illegal(seen, operation));
        }
        let now = self.context.now();
        let mut write = Operate::on(seen, operation, now, self.context.expire_after(seen, now));
        write.due_time = self.context.due_time(write.status_after(), None, now);
        let mut record = loop {
            let update = expression::operate(&write, id, &self.context.codec);
            let update = expression::unless_waited_for(update, write.expire_at);
            match self.send_operation(seen, operation, update).await? {
                // A transaction shows nothing, so what it has made is read, or what somebody has made of that since.
                Written::Done(None) => {
                    break self.context.decode_written(id, self.context.table.get(id, None).await?)?;
                }
                Written::Done(item) => break self.context.decode_written(id, item)?,
                Written::Refused { item, repeated } => match self.context.decode(id, item)? {
                    Some(stored) if repeated && write.is_in(&stored) => break stored,
                    // Somebody has begun to wait for it since, and a record that owes does not expire.
                    Some(stored)
                        if stored.callback.is_some() && write.permits(Some(&stored)) && write.expire_at.is_some() =>
                    {
                        write.expire_at = None;
                    }
                    stored => return Err(Error::changed(stored, id)),
                },
            }
        };
        tracing::info!(task = ?id, status = %record.status, "{}", operation.name());
        self.context.settle(&mut record).await;
        Tracker::<RawData>::typed(record)
    }
}

impl<D: Data> TrackerClient<D> {
    /// Sends what an operator wants, and tells the task's batch if it has one.
    async fn send_operation(&self, seen: &Tracker<D>, operation: Operation, update: Update) -> Result<Written, Error> {
        let want = Want { item: true, ..Want::default() };
        match (operation, &seen.last_batch) {
            (Operation::Ignore, _) => {
                write_counted(&self.context, operation.name(), seen, update, want, Some(COUNTING)).await
            }
            (Operation::Redrive, Some(batch)) => self.redrive_in(batch, seen, update).await,
            _ => self.context.table.update(operation.name(), &seen.id, update, want).await,
        }
    }

    /// Deletes it as it was seen, and waited for by this one if by any, where this client tells them.
    async fn send_deletion(&self, seen: &Tracker<D>, callback: Option<&TaskToken>) -> Result<Written, Error> {
        let unchanged = expression::unchanged(version(seen), &self.context.codec);
        let condition = match &self.context.callbacks {
            None => unchanged,
            Some(_) => expression::waited_for_by(unchanged, callback),
        };
        let (table, id) = (&self.context.table, &seen.id);
        let Some(batch) = &seen.batch else { return table.delete(id, condition).await };
        let mut count = COUNTING(&self.context, batch, 0, MAX_TRIES)?;
        loop {
            let sent = match count.with(&Writes::default()).once() {
                None => table.delete(id, condition.clone()).await,
                Some(actions) => {
                    let ours = table.delete_action(table.key.key(id), condition.clone())?;
                    table.transact("delete it", ours, actions, Want::default()).await
                }
            };
            match sent {
                Err(error) => count.recover(error).await?,
                written => return written,
            }
        }
    }

    /// Redrives a task that its batch has counted: it is counted as open again, unless the batch is complete by now.
    async fn redrive_in(&self, batch: &BatchMember, seen: &Tracker<D>, update: Update) -> Result<Written, Error> {
        let (table, action) = (&self.context.table, Operation::Redrive.name());
        let counters = Counters::of_member(&self.context, batch);
        let late = expression::recounted(update.clone(), batch, false);
        let reopened = expression::recounted(update, batch, true);
        for tries in 1..=MAX_TRIES {
            let Some(writes) = reopen(&counters, batch.part()).await? else {
                let want = Want { item: true, ..Want::default() };
                return table.update(action, &seen.id, late, want).await;
            };
            match table.update_and(action, &seen.id, reopened.clone(), &Writes::of(writes), Want::default()).await {
                Err(error) if error.kind() == ErrorKind::ActionRefused => {}
                Err(error) if error.is_temporary() => self.context.clock.sleep(AGAIN.delay(tries)).await,
                written => return written,
            }
        }
        let message = format!("can't redrive it: its batch changed at each of {MAX_TRIES} tries; try again");
        Err(Error::new(ErrorKind::Conflict, message).about(&seen.id))
    }
}

/// The version that a deletion is bound to.
fn version<D>(seen: &Tracker<D>) -> Version {
    seen.loaded.0.unwrap_or(seen.version())
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
