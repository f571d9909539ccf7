//! What a lease holds, without the type of its data: the writes under a lock.

mod outcome;

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
use crate::countdown::Counting;
use crate::error::{Error, ErrorKind};
use crate::expression::{self, Update};
use crate::protocol::Extend;
use crate::record::{LockToken, RawData, TaskId, Tracker};
use crate::schema::Item;
use crate::table::{Actions, Want, Writes, Written};
use crate::time::{Sleep, plus, to_millis};
pub(crate) use outcome::Outcome;

/// A write that was not taken is sent again after so long, besides what the SDK does: soon, since the lease goes on running out.
pub(super) const AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

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
    Unconfirmed(Arc<Outcome>),
    /// An outcome is recorded.
    Ended,
    /// Somebody else has the task, or nobody.
    Lost(Error),
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

    /// Whether it is known that somebody else has the task.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
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

    /// Sets data to be written. It is packed here, if it is, so that every copy of the write has the same.
    pub(crate) fn set_unsaved(&self, data: AttributeValue) -> Result<(), Error> {
        let data = self.context.codec.store(data).map_err(|error| error.about(&self.id))?;
        let mut state = self.state();
        (state.unsaved, state.not_kept) = (Some(data), None);
        Ok(())
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
            && !write.is_in(refused.shown.as_deref())
        {
            if let Some(record) = refused.shown.as_deref().filter(|record| record.lock == Some(self.token)) {
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
                Ok(shown) => Refused { shown: shown.map(Box::new), unreadable: None },
                Err(error) => Refused { shown: None, unreadable: Some(error) },
            })),
        }
    }

    /// Nothing more is sent through a lease that is known to be over.
    fn check(&self, action: &str) -> Result<(), Error> {
        match &self.state().standing {
            Standing::Open | Standing::Unconfirmed(_) => Ok(()),
            Standing::Lost(error) => Err(error.clone()),
            Standing::Ended => {
                let message = format!("can't {action}: this lease has ended already; start the task again");
                Err(Error::new(ErrorKind::LeaseLost, message).about(&self.id))
            }
        }
    }

    #[cold]
    fn lost(&self, refused: Refused) -> Error {
        let error = match refused.unreadable {
            Some(source) => lost("its item can't be read", None, &self.id).with_source(source),
            None => not_held(refused.shown.map(|shown| *shown), &self.id),
        };
        tracing::warn!(attempt = self.attempt, generation = self.generation, "{error}");
        self.lose(error.clone());
        error
    }

    fn lose(&self, error: Error) {
        self.state().standing = Standing::Lost(error);
        self.lost.cancel();
    }

    /// Not inlined, since each task does this many times.
    #[inline(never)]
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
