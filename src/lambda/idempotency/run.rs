//! One event, from its key to its response.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use tracing::field::Empty;

use super::budget::Budget;
use super::replay::{room, unreadable};
use super::stop::{DeadlineExceeded, ResponseTooLarge, kind_of};
use super::{Idempotency, IdempotencyError, IdempotencyErrorKind, InProgress, Outcome, Owner, Replay, TooLarge};
use crate::backoff::Backoff;
use crate::client::RunError;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::lease::Lease;
use crate::protocol::StartOptions;
use crate::record::Tracker;
use crate::work_error::WorkError;

/// How often somebody else's work is asked after.
const ASK: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

/// What the start came to.
pub(in crate::lambda) enum Begun {
    /// The work is ours, with or without a heartbeat.
    Ours(Lease<Replay>, bool),
    /// It was done before.
    Done(Arc<Tracker<Replay>>),
}

/// What the work came to, and what is kept of it.
struct Done<R> {
    response: R,
    replay: Replay,
}

impl Idempotency {
    /// Runs the work for an id, or gives the response that is kept of it. [`run`](Self::run) makes the arguments of an event.
    ///
    /// `validation` is compared with that of the first call: any text, such as a hash. `left` is how long this process may go on
    /// before it is killed; without it, the lease is the client's, and a heartbeat extends it.
    ///
    /// # Errors
    ///
    /// See [`IdempotencyErrorKind`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; and where the work does.
    pub async fn run_keyed<R, E, F, Fut>(
        &self,
        id: &str,
        validation: Option<String>,
        left: Option<Duration>,
        work: F,
    ) -> Result<Outcome<R>, IdempotencyError>
    where
        R: Serialize + DeserializeOwned,
        E: Into<WorkError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        if self.inner.off {
            return self.without_record(left, work).await;
        }
        let namespace = self.client.namespace();
        let span = tracing::info_span!("idempotent", task = id, namespace, attempt = Empty, replayed = Empty);
        let handle = span.clone();
        async {
            let budget = Budget::new(&self.client.context, left, self.inner.margin);
            let tell = |attempt: u32, replayed: bool| {
                handle.record("attempt", attempt).record("replayed", replayed);
            };
            match self.begin(id, budget).await? {
                Begun::Ours(lease, beats) => {
                    tell(lease.attempt(), false);
                    self.execute(lease, beats, budget, validation, work).await
                }
                Begun::Done(record) => {
                    tell(record.attempts, true);
                    tracing::info!("done before: its response is given again");
                    self.replay(&record, validation.as_deref())
                }
            }
        }
        .instrument(span)
        .await
    }

    /// Takes the task, or finds that it is done. Waits for somebody else where it may.
    pub(in crate::lambda) async fn begin(&self, id: &str, budget: Budget) -> Result<Begun, IdempotencyError> {
        if let Some(record) = self.cached(id) {
            return Ok(Begun::Done(record));
        }
        let context = &self.client.context;
        let mut waited_for = 0;
        let patient_until = context.clock.monotonic().saturating_add(self.patience(budget));
        loop {
            let error = match self.take(id, budget).await {
                Ok(begun) => return Ok(begun),
                Err(error) => error,
            };
            let left = patient_until.saturating_sub(context.clock.monotonic());
            if !error.is_locked() || left.is_zero() {
                return Err(IdempotencyError::not_started(error));
            }
            waited_for += 1;
            context.clock.sleep(ASK.delay(waited_for).min(left)).await;
        }
    }

    /// One start.
    async fn take(&self, id: &str, budget: Budget) -> Result<Begun, Error> {
        let (lease, covered) = budget.lease(&self.client.context);
        let mut options = StartOptions::new().expire(lease);
        if covered {
            options = options.no_heartbeat();
        }
        options = match &self.owner {
            Some(Owner::Named(name)) => options.owner(&**name),
            Some(Owner::Reentrant(name)) => options.reentrant_owner(&**name),
            None => options,
        };
        match self.client.start_counting(id, options, self.inner.counting).await {
            Ok(lease) => Ok(Begun::Ours(lease, !covered)),
            Err(error) if error.is_already_succeeded() => {
                let record = error.tracker_as::<Replay>().ok_or(error)??;
                Ok(Begun::Done(self.remember(record)))
            }
            Err(error) => Err(error),
        }
    }

    /// How long somebody else is waited for.
    fn patience(&self, budget: Budget) -> Duration {
        match self.inner.in_progress {
            InProgress::Refuse => Duration::ZERO,
            InProgress::Wait(limit) => limit.min(budget.for_work(&self.client.context).unwrap_or(limit)),
        }
    }

    /// A finished result in memory, unless its retention is over.
    fn cached(&self, id: &str) -> Option<Arc<Tracker<Replay>>> {
        let record = self.inner.cache.as_ref()?.get(id)?;
        (!record.has_expired(self.client.context.now())).then_some(record)
    }

    pub(in crate::lambda) fn remember(&self, record: Tracker<Replay>) -> Arc<Tracker<Replay>> {
        let record = Arc::new(record);
        if let Some(cache) = &self.inner.cache {
            cache.insert(record.id.as_str(), Arc::clone(&record));
        }
        record
    }

    /// The response that is kept.
    fn replay<R: DeserializeOwned>(
        &self,
        record: &Tracker<Replay>,
        validation: Option<&str>,
    ) -> Result<Outcome<R>, IdempotencyError> {
        self.compare(record, validation)?;
        let response = self.read(record).map_err(|error| {
            IdempotencyError::new(IdempotencyErrorKind::ResponseUnreadable, error.about(&record.id))
        })?;
        let response = response.filter(|_| !record.data_not_kept()).ok_or_else(|| not_kept(record))?;
        tracing::debug!(task = ?record.id, attempt = record.attempts, "gave the response again");
        Ok(Outcome { response, replayed: true, attempt: record.attempts })
    }

    /// # Errors
    ///
    /// [`PayloadMismatch`](IdempotencyErrorKind::PayloadMismatch).
    pub(in crate::lambda) fn compare(
        &self,
        record: &Tracker<Replay>,
        validation: Option<&str>,
    ) -> Result<(), IdempotencyError> {
        if record.data.matches(validation) { Ok(()) } else { Err(self.mismatch(record)) }
    }

    fn read<R: DeserializeOwned>(&self, record: &Tracker<Replay>) -> Result<Option<R>, Error> {
        let Some(change) = &self.inner.on_replay else { return record.data.response() };
        let Some(response) = record.data.response()? else { return Ok(None) };
        let changed = change(response, &record.clone().with_data(()));
        serde_json::from_value(changed).map(Some).map_err(|_| unreadable::<R>())
    }

    /// Runs the work under its lease, and records what comes of it.
    async fn execute<R, E, F, Fut>(
        &self,
        lease: Lease<Replay>,
        beats: bool,
        budget: Budget,
        validation: Option<String>,
        work: F,
    ) -> Result<Outcome<R>, IdempotencyError>
    where
        R: Serialize,
        E: Into<WorkError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let work = |mut lease: Lease<Replay>| async move {
            let context = &self.client.context;
            let response = in_time(context, budget.for_work(context), work).await?;
            let replay = self.keep(&response, validation, room(&lease.tracker()))?;
            // It has been measured, so it fits. If it does not, the work is done all the same.
            if let Err(error) = lease.set_data(replay.clone()) {
                tracing::warn!("the response is not kept: {error}");
                lease.drop_data(&error.to_string());
            }
            Ok(Done { response, replay })
        };
        match lease.run(beats, work).await {
            Ok(recorded) => {
                let Done { response, replay } = recorded.value;
                let attempt = self.remember(recorded.tracker.with_data(replay)).attempts;
                Ok(Outcome { response, replayed: false, attempt })
            }
            Err(RunError::DataNotKept { value, error, tracker }) => {
                tracing::warn!("the work is done, and its response is not kept: {error}");
                Ok(Outcome { response: value.response, replayed: false, attempt: tracker.attempts })
            }
            Err(error) => Err(IdempotencyError::unfinished(error, |done| done.replay.json().ok().flatten())),
        }
    }

    /// What is kept of a response.
    fn keep<R: Serialize>(&self, response: &R, validation: Option<String>, room: usize) -> Result<Replay, WorkError> {
        // What can't be written as JSON is as if it were too large: the work is done, and Lambda itself says what is wrong.
        let Ok(json) = serde_json::to_string(response) else { return Ok(Replay::not_kept(validation)) };
        let plain = Replay::plain(json, validation);
        let bytes = plain.size();
        if bytes <= room {
            return Ok(plain);
        }
        let packed = match self.inner.too_large {
            TooLarge::Fail => return Err(WorkError::fatal(ResponseTooLarge { bytes, room })),
            TooLarge::KeepNothing => None,
            TooLarge::Compress => (self.inner.pack)(&plain).filter(|packed| packed.size() <= room),
        };
        tracing::warn!(bytes, room, packed = packed.is_some(), "the response is too large to be kept as it is");
        Ok(packed.unwrap_or_else(|| plain.emptied()))
    }

    /// Runs the work alone. It is stopped before the deadline as ever.
    pub(super) async fn without_record<R, E, F, Fut>(
        &self,
        left: Option<Duration>,
        work: F,
    ) -> Result<Outcome<R>, IdempotencyError>
    where
        E: Into<WorkError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let context = &self.client.context;
        let budget = Budget::new(context, left, self.inner.margin);
        match in_time(context, budget.for_work(context), work).await {
            Ok(response) => Ok(Outcome { response, replayed: false, attempt: 0 }),
            Err(error) => Err(IdempotencyError::of_work(kind_of(&error), error)),
        }
    }

    fn mismatch(&self, record: &Tracker<Replay>) -> IdempotencyError {
        let what = self.inner.validate.as_ref().map_or("what must be the same", super::Key::name);
        let message = format!(
            "it was done for an event with the same key that differs in {what}; send the event as it was, or with another key"
        );
        let error = Error::new(ErrorKind::InvalidArgument, message).about(&record.id);
        IdempotencyError::new(IdempotencyErrorKind::PayloadMismatch, error)
    }
}

fn not_kept(record: &Tracker<Replay>) -> IdempotencyError {
    let message = "it is done, but its response was too large to be kept; find its effect where the work left it, or \
                   keep responses small, such as the address of a file in S3";
    let error = Error::new(ErrorKind::ItemTooLarge, message).about(&record.id);
    IdempotencyError::new(IdempotencyErrorKind::ResponseNotKept, error)
}

/// Runs the work for at most so long. Where there is no time at all, it is not begun, and no attempt counts.
pub(in crate::lambda) async fn in_time<R, E, F, Fut>(
    context: &Context,
    time: Option<Duration>,
    work: F,
) -> Result<R, WorkError>
where
    E: Into<WorkError>,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    let Some(time) = time else { return work().await.map_err(Into::into) };
    if time.is_zero() {
        return Err(WorkError::release(DeadlineExceeded { begun: false }));
    }
    match select(pin!(work()), context.clock.sleep(time)).await {
        Either::Left((result, _)) => result.map_err(Into::into),
        Either::Right(_) => Err(WorkError::from(DeadlineExceeded { begun: true })),
    }
}
