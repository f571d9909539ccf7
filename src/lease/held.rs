//! What a lease holds, without the type of its data: the writes under a lock.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures_util::future::select;
use tokio_util::sync::CancellationToken;

use super::refused::{Refused, lost, not_held};
use crate::backoff::Backoff;
use crate::context::Context;
use crate::countdown::{Counting, MAX_OWN, counting_of};
use crate::error::{Error, ErrorKind};
use crate::expression::{self, Update};
use crate::protocol::{End, Extend};
use crate::record::{BatchMember, DATA_NOT_KEPT, LockToken, RawData, TaskId, TaskToken, Tracker};
use crate::schema::{Item, attr};
use crate::status::Status;
use crate::table::{Actions, Want, Writes, Written};
use crate::time::{Sleep, plus, to_millis};
use crate::work_error::{Decision, WorkError};

/// An outcome that was not taken is sent again after so long, besides what the SDK does.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// A checkpoint that is in conflict with another transaction is sent again this often.
const CHECKPOINT_TRIES: u32 = 10;

/// How long the record is looked for once the lease has run out, so that the error can say who has the task.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// How often a step gets another number since its own was used by another process.
const MAX_RENUMBERED: u32 = 8;

/// A held lock. Shared by a [`Lease`](super::Lease) and whoever runs its work.
pub(crate) struct Held {
    context: Arc<Context>,
    pub(crate) id: TaskId,
    pub(crate) token: LockToken,
    pub(crate) attempt: u32,
    pub(crate) generation: u64,
    lease: Duration,
    /// What counts the task in its batch, if it has one, when it ends.
    counting: Option<Counting>,
    /// Fires when the lease is lost.
    lost: CancellationToken,
    state: Mutex<State>,
    /// One write at a time, so that steps go out in their order.
    writing: tokio::sync::Mutex<()>,
}

struct State {
    record: Tracker<()>,
    /// Data that was set and not yet written.
    unsaved: Option<AttributeValue>,
    /// Why the data that the work came to can't be kept, where it can't.
    not_kept: Option<String>,
    /// When the lease ends, on the process's monotonic clock.
    deadline: Duration,
    /// The number of the latest step that was sent, whatever became of it. None is used twice.
    step: u32,
    standing: Standing,
    /// Whether somebody may be waiting for the task's end.
    may_owe: bool,
}

/// How the lease stands, as far as this process knows.
#[derive(Clone)]
pub(crate) enum Standing {
    /// It is held.
    Open,
    /// This outcome was sent, and it is not known whether it is in. Only the same may be sent again: another would give the
    /// lie to it.
    Unconfirmed(Box<Outcome>),
    /// An outcome is recorded.
    Ended,
    /// Somebody else has the task, or nobody.
    Lost(Error),
}

/// An outcome, and the caller's own writes that go with it.
#[derive(Clone)]
pub(crate) struct Outcome {
    end: End,
    writes: Writes,
}

impl Held {
    pub(crate) fn new(
        context: Arc<Context>,
        record: Tracker<()>,
        token: LockToken,
        lease: Duration,
        deadline: Duration,
        counting: Option<Counting>,
    ) -> Self {
        Self {
            context,
            id: record.id.clone(),
            token,
            attempt: record.attempts,
            generation: record.generation,
            lease,
            counting,
            lost: CancellationToken::new(),
            state: Mutex::new(State {
                step: record.step,
                record,
                unsaved: None,
                not_kept: None,
                deadline,
                standing: Standing::Open,
                may_owe: false,
            }),
            writing: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn record(&self) -> Tracker<()> {
        self.state().record.clone()
    }

    pub(crate) fn time_left(&self) -> Duration {
        self.state().deadline.saturating_sub(self.context.clock.monotonic())
    }

    /// Whether the lease is over by its own monotonic clock, or by the wall clock: that one goes on while a process is
    /// suspended.
    pub(crate) fn has_run_out(&self) -> bool {
        let expiry = self.state().record.lock_expire_time;
        self.time_left().is_zero() || expiry.is_some_and(|expiry| expiry <= self.context.now())
    }

    /// Waits until the lease is lost or has run out.
    pub(crate) async fn until_over(&self) {
        let run_out = async {
            while !self.time_left().is_zero() {
                let deadline = self.state().deadline;
                self.context.clock.sleep_until(deadline).await;
            }
        };
        select(pin!(self.lost.cancelled()), pin!(run_out)).await;
    }

    /// Takes the lease for lost: nothing more is written under it, and whoever watches is told. Returns how it was lost,
    /// where DynamoDB has said so.
    pub(crate) fn give_up(&self) -> Option<Error> {
        if let Standing::Lost(error) = self.standing() {
            return Some(error);
        }
        tracing::warn!(task = ?self.id, attempt = self.attempt, "the lease ran out");
        self.lose(self.ran_out(None));
        None
    }

    /// That the lease ran out, and who has the task now, where that can soon be found out.
    pub(crate) async fn look_who_has_it(&self) -> Error {
        let item = self.context.table.get(&self.id, Some(LAST_LOOK)).await;
        self.ran_out(item.and_then(|item| self.context.decode(&self.id, item)).ok().flatten())
    }

    pub(super) fn ran_out(&self, shown: Option<Tracker<RawData>>) -> Error {
        let message =
            "the lease ran out before DynamoDB answered an extension; stop this work, and start the task again";
        Error::new(ErrorKind::LeaseLost, message).with_tracker(shown).about(&self.id)
    }

    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Waits until the lease is to be extended, counted from when it was last. By a time and not by how long it is until then, which
    /// would be wrong by the time that the wait begins.
    pub(crate) fn until_beat(&self) -> Sleep {
        let period = self.context.heartbeat.unwrap_or(self.lease / 3);
        let time = self.state().deadline.saturating_sub(self.lease.saturating_sub(period));
        self.context.clock.sleep_until(time)
    }

    /// The time that the work is given to tidy up.
    pub(crate) fn grace(&self) -> Duration {
        self.context.grace
    }

    pub(crate) fn sleep(&self, duration: Duration) -> Sleep {
        self.context.clock.sleep(duration)
    }

    pub(crate) fn standing(&self) -> Standing {
        self.state().standing.clone()
    }

    pub(crate) fn set_unsaved(&self, data: AttributeValue) {
        let mut state = self.state();
        (state.unsaved, state.not_kept) = (Some(data), None);
    }

    pub(crate) fn drop_data(&self, why: &str) {
        let mut state = self.state();
        (state.unsaved, state.not_kept) = (None, Some(why.to_owned()));
    }

    /// Extends the lease by its whole length from now.
    pub(crate) async fn extend(&self) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        for _ in 0..MAX_RENUMBERED {
            let begun = self.context.clock.monotonic();
            let write = self.next_step(Some(to_millis(plus(self.context.now(), self.lease))));
            if self.write_step(&write, expression::extend(&write, None), None).await? {
                self.state().deadline = begun + self.lease;
                tracing::debug!(task = ?self.id, step = write.step, "extended the lease");
                return Ok(());
            }
        }
        Err(self.crowded())
    }

    /// Writes the data that was set.
    pub(crate) async fn checkpoint(&self, writes: Writes) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        for _ in 0..MAX_RENUMBERED {
            let write = self.next_step(None);
            if self.checkpoint_as(&write, &writes).await? {
                self.state().unsaved = None;
                tracing::debug!(task = ?self.id, step = write.step, "wrote a checkpoint");
                return Ok(());
            }
        }
        Err(self.crowded())
    }

    /// As [`write_step`](Self::write_step), and again where another transaction was in the way.
    async fn checkpoint_as(&self, write: &Extend, writes: &Writes) -> Result<bool, Error> {
        let data = self.state().unsaved.clone();
        let token = self.request_token(write.step);
        let mut tries = 0;
        loop {
            let update = expression::extend(write, data.clone());
            let error = match self.write_step(write, update, writes.with_token(&token)).await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            };
            tries += 1;
            // Without writes of the caller's, the SDK has tried often enough.
            if writes.is_empty() || !error.is_temporary() || self.time_left().is_zero() || tries > CHECKPOINT_TRIES {
                return Err(error);
            }
            self.sleep(AGAIN.delay(tries)).await;
        }
    }

    fn crowded(&self) -> Error {
        let message = "others write under the same lock all the time, and this was not written; let one process do it";
        Error::new(ErrorKind::Conflict, message).about(&self.id)
    }

    /// The same for every copy of a write, and for no other write: the lock, which is random, and a number within it. One
    /// after the other, they would be longer than the 36 characters that DynamoDB takes.
    fn request_token(&self, number: u32) -> String {
        uuid::Uuid::from_u128(self.token.as_u128() ^ u128::from(number)).to_string()
    }

    /// A step is counted before it is sent: a copy that comes late, or whose sender was cancelled, keeps its number.
    fn next_step(&self, expires: Option<DateTime<Utc>>) -> Extend {
        let mut state = self.state();
        state.step = state.step.saturating_add(1);
        Extend {
            token: self.token,
            now: self.context.now(),
            step: state.step,
            expires,
            indexed: self.context.codec.index.is_some(),
        }
    }

    /// Returns whether it is in. It is not where another process, which was given the lock, has used its number: then we count
    /// on from there.
    async fn write_step(&self, write: &Extend, update: Update, actions: Option<Actions>) -> Result<bool, Error> {
        if let Some(refused) = self.write("extend its lease", update, actions).await?
            && !write.is_in(refused.shown.as_ref())
        {
            if let Some(record) = refused.shown.as_ref().filter(|record| record.lock == Some(self.token)) {
                let mut state = self.state();
                state.step = state.step.max(record.step);
                return Ok(false);
            }
            // An outcome that was sent may be what has ended the lock. Whoever sent it finds out.
            if let Standing::Unconfirmed(_) = self.standing() {
                return Err(Error::new(ErrorKind::Conflict, "its outcome is being recorded").about(&self.id));
            }
            return Err(self.lost(refused));
        }
        let mut state = self.state();
        state.record = write.apply(state.record.clone()).into_stored();
        Ok(true)
    }

    /// Records a failure as its error decides: failed while attempts are left, else exhausted; or no failure at all.
    pub(crate) async fn fail(&self, error: &WorkError) -> Result<Tracker<()>, Error> {
        self.fail_with(error, Writes::default()).await
    }

    /// The same, with writes of the caller's.
    pub(crate) async fn fail_with(&self, error: &WorkError, writes: Writes) -> Result<Tracker<()>, Error> {
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
    pub(crate) async fn release(&self, after: Option<Duration>, writes: Writes) -> Result<Tracker<()>, Error> {
        let attempts = Some(self.attempt.saturating_sub(1));
        self.state().unsaved = None;
        let end = self.ending(Status::Pending, None);
        let due_time = after.map(|after| to_millis(plus(end.now, after)));
        let due_time = self.context.due_time(Status::Pending, due_time, end.now);
        self.end(End { attempts, due_time, ..end }, writes).await
    }

    /// Records that the task is `status` now. A failure drops the data that was set.
    pub(crate) async fn end_as(
        &self,
        status: Status,
        error: Option<&WorkError>,
        writes: Writes,
    ) -> Result<Tracker<()>, Error> {
        if error.is_some() {
            self.state().unsaved = None;
        }
        self.end(self.ending(status, error), writes).await
    }

    fn ending(&self, status: Status, error: Option<&WorkError>) -> End {
        let now = self.context.now();
        let due_time = error.filter(|_| status == Status::Failed).and_then(|error| self.due_after(error, now));
        let due_time = self.context.due_time(status, due_time, now);
        let not_kept = self.state().not_kept.clone().filter(|_| status == Status::Succeeded);
        let not_kept = not_kept.map(|why| WorkError::from_parts(DATA_NOT_KEPT, &why, None));
        let error = error.or(not_kept.as_ref()).map(|error| error.to_attempt_error(self.attempt, now));
        let history = self.context.error_history;
        End {
            due_time,
            token: self.token,
            now,
            status,
            attempts: None,
            errors: error.map(|error| End::history(self.state().record.errors.clone(), &error, history)),
            expire_at: status.is_final().then(|| self.context.expire_after(&self.state().record, now)).flatten(),
        }
    }

    /// Records the success alone, after its data turned out to be too large, and that there was data. The work is done, and must not
    /// be run again: where the item has no room for both, the history makes room, and else the mark is left out.
    pub(crate) async fn succeed_without_data(&self, too_large: &Error) -> Result<Tracker<()>, Error> {
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

    /// Sends an outcome again of which it is not known whether it is in.
    pub(crate) async fn confirm(&self, outcome: Outcome) -> Result<Tracker<()>, Error> {
        self.end(outcome.end, outcome.writes).await
    }

    /// When a failed task may be tried again: as its error says, else by the client's backoff.
    fn due_after(&self, error: &WorkError, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let backoff = || self.context.backoff.map(|backoff| backoff.delay(self.attempt));
        let delay = error.retry_after().or_else(backoff)?;
        Some(to_millis(plus(now, delay)))
    }

    /// Records an outcome. One that DynamoDB does not take is sent again until the lease's end: the work is done, and
    /// giving up early means doing it twice.
    async fn end(&self, end: End, writes: Writes) -> Result<Tracker<()>, Error> {
        let mut outcome = Outcome { end, writes };
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
                Ok(mut record) => {
                    if self.state().may_owe {
                        self.context.settle_stored(&mut record).await;
                        self.state().record = record.clone();
                    }
                    return Ok(record);
                }
            }
        }
    }

    async fn end_once(&self, outcome: &mut Outcome) -> Result<Tracker<()>, Error> {
        let _turn = self.writing.lock().await;
        self.check("record its outcome")?;
        let batch = self.counting_batch(&outcome.end);
        if batch.is_some() {
            self.check_room(outcome)?;
        }
        let mut written = self.send_end(outcome, batch.as_ref()).await?;
        if let Some(token) = written.as_ref().and_then(|refused| self.late_callback(refused))
            && outcome.end.expire_at.take().is_some()
        {
            // Somebody has begun to wait for the end since the start, and a record that owes does not expire. It is still locked,
            // so no copy of the refused write can be in, nor come in once this one is.
            self.state().record.callback = Some(token);
            written = self.send_end(outcome, batch.as_ref()).await?;
        }
        let write = &outcome.end;
        if let Some(refused) = written
            && !write.is_in(refused.shown.as_ref())
        {
            return Err(self.lost(refused));
        }
        let mut state = self.state();
        state.standing = Standing::Ended;
        state.record = write.apply(state.record.clone()).into_stored();
        if write.status.is_final() {
            state.record.count_off();
        }
        tracing::info!(task = ?self.id, attempt = self.attempt, status = %write.status, "recorded the outcome");
        Ok(state.record.clone())
    }

    /// Sends an outcome, and returns what was shown where it was refused.
    async fn send_end(&self, outcome: &Outcome, batch: Option<&BatchMember>) -> Result<Option<Refused>, Error> {
        let update = self.end_update(&outcome.end, batch).map_err(|error| error.about(&self.id))?;
        self.state().standing = Standing::Unconfirmed(Box::new(outcome.clone()));
        let written = self.write_end(outcome, update, batch).await.map_err(|error| error.about(&self.id));
        if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::ActionRefused) {
            // Nothing of it is in, and the caller may well decide on another outcome.
            self.state().standing = Standing::Open;
        }
        written
    }

    /// Who waits for the end of the task that is still ours.
    fn late_callback(&self, refused: &Refused) -> Option<TaskToken> {
        refused.shown.as_ref().filter(|record| record.lock == Some(self.token))?.callback.clone()
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

    /// Sends a write that is bound to our lock. `None` means that it is in.
    async fn write(&self, action: &str, update: Update, actions: Option<Actions>) -> Result<Option<Refused>, Error> {
        self.write_wanting(action, update, actions, false).await.map(Result::err)
    }

    /// The same, with the item as it is then, where that is wanted and there is no transaction.
    async fn write_wanting(
        &self,
        action: &str,
        update: Update,
        actions: Option<Actions>,
        item: bool,
    ) -> Result<Result<Option<Item>, Refused>, Error> {
        self.check(action)?;
        let want = Want { item, within: Some(self.time_left()), known_by_token: true };
        let table = &self.context.table;
        let written = match actions {
            None => table.update(action, &self.id, update, want).await?,
            Some(actions) => actions.send(table, action, &self.id, update, want).await?,
        };
        match written {
            Written::Done(item) => Ok(Ok(item)),
            Written::Refused { item, .. } => Ok(Err(match self.context.decode(&self.id, item) {
                Ok(shown) => Refused { shown, unreadable: None },
                Err(error) => Refused { shown: None, unreadable: Some(error) },
            })),
        }
    }

    /// Nothing more is sent through a lease that is known to be over.
    fn check(&self, action: &str) -> Result<(), Error> {
        match self.standing() {
            Standing::Open | Standing::Unconfirmed(_) => Ok(()),
            Standing::Lost(error) => Err(error),
            Standing::Ended => {
                let message = format!("can't {action}: this lease has ended already; start the task again");
                Err(Error::new(ErrorKind::LeaseLost, message).about(&self.id))
            }
        }
    }

    fn lost(&self, refused: Refused) -> Error {
        let error = match refused.unreadable {
            Some(source) => lost("its item can't be read", None, &self.id).with_source(source),
            None => not_held(refused.shown, &self.id),
        };
        tracing::warn!(attempt = self.attempt, generation = self.generation, "{error}");
        self.lose(error.clone());
        error
    }

    fn lose(&self, error: Error) {
        self.state().standing = Standing::Lost(error);
        self.lost.cancel();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
