//! How a lease ends: an outcome, sent until it is known to be in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{AGAIN, Held, Standing};
use crate::countdown::{MAX_OWN, counting_of};
use crate::error::{Error, ErrorKind};
use crate::expression::{self, Update};
use crate::lease::refused::Refused;
use crate::protocol::End;
use crate::record::{BatchMember, DATA_NOT_KEPT, TaskToken};
use crate::schema::attr;
use crate::status::Status;
use crate::table::{Actions, Writes};
use crate::time::{plus, to_millis};
use crate::work_error::{Decision, WorkError};

/// An outcome, and the caller's own writes that go with it.
#[derive(Clone)]
pub(crate) struct Outcome {
    end: End,
    writes: Writes,
}

impl Held {
    /// Records a failure as its error decides: failed while attempts are left, else exhausted; or no failure at all.
    pub(crate) async fn fail(&self, error: &WorkError) -> Result<(), Error> {
        self.fail_with(error, Writes::default()).await
    }

    /// The same, with writes of the caller's.
    pub(crate) async fn fail_with(&self, error: &WorkError, writes: Writes) -> Result<(), Error> {
        let status = match error.decision() {
            Decision::Release => return self.release(error.retry_after(), writes).await,
            Decision::Fatal => Status::Exhausted,
            Decision::Retry => End::status_of_failure(&self.state().record),
        };
        match self.end_as(status, Some(error), writes.clone()).await {
            // The history has no room in the item, and a failure that is not recorded would run for ever.
            Err(refused) if refused.kind() == ErrorKind::ItemTooLarge => {
                self.end(self.ending(status, Some(error)).without_history(), writes).await
            }
            ended => ended,
        }
    }

    /// Gives the task back, to be taken after a while, and takes the attempt off the count.
    pub(crate) async fn release(&self, after: Option<Duration>, writes: Writes) -> Result<(), Error> {
        let attempts = Some(self.attempt.saturating_sub(1));
        self.state().unsaved = None;
        let end = self.ending(Status::Pending, None);
        let due_time = after.map(|after| to_millis(plus(end.now, after)));
        let due_time = self.context.due_time(Status::Pending, due_time, end.now);
        self.end(End { attempts, due_time, ..end }, writes).await
    }

    /// Records that the task is `status` now. A failure drops the data that was set.
    pub(crate) async fn end_as(&self, status: Status, error: Option<&WorkError>, writes: Writes) -> Result<(), Error> {
        if error.is_some() {
            self.state().unsaved = None;
        }
        self.end(self.ending(status, error), writes).await
    }

    fn ending(&self, status: Status, error: Option<&WorkError>) -> End {
        let now = self.context.now();
        let due_time = error.filter(|_| status == Status::Failed).and_then(|error| self.due_after(error, now));
        let due_time = self.context.due_time(status, due_time, now);
        let in_attempt = |error: &WorkError| error.to_attempt_error(self.attempt, now);
        // Before the lock is taken: the error is the caller's, and what it says of itself may well ask its lease.
        let error = error.map(in_attempt);
        let state = self.state();
        let not_kept = state.not_kept.as_deref().filter(|_| status == Status::Succeeded);
        let error = error.or_else(|| not_kept.map(|why| in_attempt(&WorkError::from_parts(DATA_NOT_KEPT, why, None))));
        let history = self.context.error_history;
        End {
            due_time,
            token: self.token,
            now,
            status,
            attempts: None,
            errors: error.map(|error| End::history(state.record.errors.clone(), &error, history)),
            expire_at: status.is_final().then(|| self.context.expire_after(&state.record, now)).flatten(),
        }
    }

    /// Records the success alone, after its data turned out to be too large, and that there was data. The work is done, and must not
    /// be run again: where the item has no room for both, the history makes room, and else the mark is left out.
    pub(crate) async fn succeed_without_data(&self, too_large: &Error) -> Result<(), Error> {
        self.drop_data(&too_large.to_string());
        let marked = self.ending(Status::Succeeded, None);
        let unmarked = End { errors: None, ..marked.clone() };
        for write in [marked.clone(), marked.without_history()] {
            match self.end(write, Writes::default()).await {
                Err(error) if error.kind() == ErrorKind::ItemTooLarge => {}
                ended => return ended,
            }
        }
        self.end(unmarked, Writes::default()).await
    }

    /// When a failed task may be tried again: as its error says, else by the client's backoff.
    fn due_after(&self, error: &WorkError, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let backoff = || self.context.backoff.map(|backoff| backoff.delay(self.attempt));
        let delay = error.retry_after().or_else(backoff)?;
        Some(to_millis(plus(now, delay)))
    }

    fn end(&self, end: End, writes: Writes) -> impl Future<Output = Result<(), Error>> + Send {
        self.see_through(Arc::new(Outcome { end, writes }))
    }

    /// Records an outcome, which may be one that was sent before. One that DynamoDB does not take is sent again until the lease's
    /// end: the work is done, and giving up early means doing it twice.
    pub(crate) async fn see_through(&self, mut outcome: Arc<Outcome>) -> Result<(), Error> {
        let patient_until = self.context.clock.monotonic().saturating_add(self.context.outcome_patience);
        let mut tries = 0;
        loop {
            let ended = self.end_once(&mut outcome).await;
            let waits = !self.time_left().is_zero() && self.context.clock.monotonic() < patient_until;
            match ended {
                Err(error) if error.is_temporary() && waits => {
                    tries += 1;
                    tracing::debug!(task = ?self.id, tries, "could not record the outcome, and tries again: {error}");
                    self.sleep(AGAIN.delay(tries)).await;
                }
                Err(error) => return Err(error),
                Ok(()) => {
                    self.settle().await;
                    return Ok(());
                }
            }
        }
    }

    /// Whoever waits for the task's end is told of it.
    async fn settle(&self) {
        if self.state().may_owe {
            let mut record = self.record();
            self.context.settle_stored(&mut record).await;
            self.state().record = record;
        }
    }

    async fn end_once(&self, outcome: &mut Arc<Outcome>) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        self.check("record its outcome")?;
        let batch = self.counting_batch(&outcome.end);
        if batch.is_some() {
            self.check_room(outcome)?;
        }
        let mut written = self.send_end(outcome, batch.as_ref()).await?;
        if let Some(token) = written.as_ref().and_then(|refused| self.late_callback(refused))
            && Arc::make_mut(outcome).end.expire_at.take().is_some()
        {
            // Somebody has begun to wait for the end since the start, and a record that owes does not expire. It is still locked,
            // so no copy of the refused write can be in, nor come in once this one is.
            self.state().record.callback = Some(token);
            written = self.send_end(outcome, batch.as_ref()).await?;
        }
        let write = &outcome.end;
        if let Some(refused) = written
            && !write.is_in(refused.shown.as_deref())
        {
            return Err(self.lost(refused));
        }
        let mut state = self.state();
        state.standing = Standing::Ended;
        write.change(&mut state.record);
        if write.status.is_final() {
            state.record.count_off();
        }
        state.record.set_stored();
        tracing::info!(task = ?self.id, attempt = self.attempt, status = %write.status, "recorded the outcome");
        Ok(())
    }

    /// Sends an outcome, and returns what was shown where it was refused.
    async fn send_end(&self, outcome: &Arc<Outcome>, batch: Option<&BatchMember>) -> Result<Option<Refused>, Error> {
        let update = self.end_update(&outcome.end, batch).map_err(|error| error.about(&self.id))?;
        self.state().standing = Standing::Unconfirmed(Arc::clone(outcome));
        let written = self.write_end(outcome, update, batch).await.map_err(|error| error.about(&self.id));
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::ActionRefused) {
            // Nothing of it is in, and the caller may well decide on another outcome.
            self.state().standing = Standing::Open;
        }
        written
    }

    /// Who waits for the end of the task that is still ours.
    fn late_callback(&self, refused: &Refused) -> Option<TaskToken> {
        refused.shown.as_deref().filter(|record| record.lock == Some(self.token))?.callback.clone()
    }

    /// The batch that counts this outcome, if it ends the task.
    fn counting_batch(&self, write: &End) -> Option<BatchMember> {
        self.state().record.batch.clone().filter(|_| write.status.is_final())
    }

    /// Only the last task of a batch needs the room for its dependents, but nobody knows beforehand which one that is.
    fn check_room(&self, outcome: &Outcome) -> Result<(), Error> {
        let count = outcome.writes.len();
        if count <= MAX_OWN {
            return Ok(());
        }
        let message = format!(
            "can't record its outcome: {count} writes of your own are over the {MAX_OWN} that fit into the transaction of a task of a \
             batch; write some of them before, in a way that may be repeated"
        );
        Err(Error::new(ErrorKind::InvalidArgument, message).about(&self.id))
    }

    fn end_update(&self, write: &End, batch: Option<&BatchMember>) -> Result<Update, Error> {
        let data = self.state().unsaved.clone();
        let update = expression::end(write, &self.id, data, &self.context.codec)?;
        let update = expression::unless_waited_for(update, write.expire_at);
        Ok(match batch {
            None => update,
            Some(batch) => expression::counted(update, batch),
        })
    }

    /// Sends an outcome, with the writes that count it in its batch, if it has one.
    async fn write_end(
        &self,
        outcome: &Outcome,
        update: Update,
        batch: Option<&BatchMember>,
    ) -> Result<Option<Refused>, Error> {
        match batch {
            None => self.write_outcome(update, outcome.writes.once()).await,
            Some(batch) => Box::pin(self.write_counted(outcome, update, batch)).await,
        }
    }

    async fn write_counted(
        &self,
        outcome: &Outcome,
        update: Update,
        batch: &BatchMember,
    ) -> Result<Option<Refused>, Error> {
        let counting = counting_of(batch, self.counting)?;
        let mut count = counting(&self.context, batch, outcome.writes.len(), 0)?;
        loop {
            let writes = count.with(&outcome.writes);
            match self.write_outcome(update.clone(), writes.once()).await {
                Err(error) => count.recover(error).await?,
                written => return written,
            }
        }
    }

    /// Somebody may have begun to wait for the end since the start, so the item that the write leaves is looked at.
    async fn write_outcome(&self, update: Update, actions: Option<Actions>) -> Result<Option<Refused>, Error> {
        let tells = self.context.callbacks.is_some();
        match self.write_wanting("record its outcome", update, actions, tells).await? {
            Ok(item) => {
                // A transaction shows nothing.
                self.state().may_owe = tells && item.is_none_or(|item| item.contains_key(attr::CALLBACK));
                Ok(None)
            }
            Err(refused) => {
                self.state().may_owe = tells;
                Ok(Some(refused))
            }
        }
    }
}
