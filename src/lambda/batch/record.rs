//! One record: whose task it is, its attempt, and what came of it.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use super::identity::Identity;
use super::malformed::Malformed;
use super::report::{Hook, RecordOutcome, RecordReport};
use super::{Delivery, Exhausted};
use crate::client::{Recorded, RunError};
use crate::error::Error;
use crate::lambda::Idempotency;
use crate::lambda::idempotency::{Begun, Budget, IdempotencyError, IdempotencyErrorKind, Replay, in_time};
use crate::lease::Lease;
use crate::status::Status;
use crate::work_error::WorkError;

/// What came of a record.
pub(super) struct Ended {
    outcome: RecordOutcome,
    attempt: Option<u32>,
    work_error: Option<WorkError>,
    error: Option<Error>,
}

impl Ended {
    fn new(outcome: RecordOutcome, attempt: Option<u32>) -> Self {
        Self { outcome, attempt, work_error: None, error: None }
    }

    /// The handler was not called.
    pub(super) fn without_attempt(outcome: RecordOutcome) -> Self {
        Self::new(outcome, None)
    }

    /// The task could not be taken.
    fn not_begun(error: &IdempotencyError) -> Self {
        let outcome = match (error.kind(), error.error()) {
            (IdempotencyErrorKind::TaskExhausted, _) => RecordOutcome::Exhausted,
            (IdempotencyErrorKind::TaskIgnored, _) => RecordOutcome::Ignored,
            (IdempotencyErrorKind::PayloadMismatch, _) => RecordOutcome::PayloadMismatch,
            (_, Some(error)) if error.is_refused() => RecordOutcome::Refused,
            _ => RecordOutcome::NotStarted,
        };
        Self { error: error.error().cloned(), ..Self::without_attempt(outcome) }
    }

    fn of<T>(attempt: u32, result: Result<Recorded<T>, RunError<T>>) -> Self {
        let ended = |outcome| Self::new(outcome, Some(attempt));
        match result {
            Ok(_) | Err(RunError::DataNotKept { .. }) => ended(RecordOutcome::Succeeded),
            Err(RunError::Failed { error, tracker }) => {
                Self { work_error: Some(error), ..ended(failure(tracker.status)) }
            }
            Err(RunError::NotRecorded { outcome: Ok(_), error }) => {
                Self { error: Some(error), ..ended(RecordOutcome::NotRecorded) }
            }
            Err(RunError::NotRecorded { outcome: Err(failed), error }) => {
                Self { work_error: Some(failed), error: Some(error), ..ended(RecordOutcome::Failed) }
            }
            Err(RunError::LeaseLost { error, .. } | RunError::Refused(error) | RunError::NotStarted(error)) => {
                Self { error: Some(error), ..ended(RecordOutcome::LeaseLost) }
            }
        }
    }

    pub(super) fn is_acknowledged(&self, exhausted: Exhausted) -> bool {
        match self.outcome {
            RecordOutcome::Succeeded
            | RecordOutcome::Replayed
            | RecordOutcome::Ignored
            | RecordOutcome::NotRecorded => true,
            RecordOutcome::Exhausted => exhausted == Exhausted::Acknowledge,
            _ => false,
        }
    }

    /// Whether the next with the same key has to come again with this one. One that is only not like the first says nothing
    /// of the next.
    pub(super) fn holds_key(&self, acknowledged: bool) -> bool {
        !acknowledged && self.outcome != RecordOutcome::PayloadMismatch
    }

    /// What is wrong for all records alike.
    pub(super) fn general(&self) -> Option<&Error> {
        self.error.as_ref().filter(|error| self.outcome == RecordOutcome::NotStarted && error.is_general())
    }

    /// Tells the hook, and the log, within the record's span.
    pub(super) fn tell(&self, hook: Option<&Hook>, identifier: &str, task: &str, acknowledged: bool) {
        let Self { outcome, attempt, .. } = *self;
        let replayed = outcome == RecordOutcome::Replayed;
        tracing::Span::current().record("replayed", replayed);
        tracing::debug!(acknowledged, "the record is over: {outcome}");
        if let (RecordOutcome::NotStarted | RecordOutcome::NotRecorded, Some(error)) = (outcome, &self.error) {
            tracing::warn!("DynamoDB did not take it: {error}");
        }
        if let Some(hook) = hook {
            let (work_error, error) = (self.work_error.as_ref(), self.error.as_ref());
            hook(&RecordReport { identifier, task, attempt, outcome, acknowledged, work_error, error });
        }
    }
}

fn failure(status: Status) -> RecordOutcome {
    match status {
        Status::Exhausted => RecordOutcome::Exhausted,
        Status::Pending => RecordOutcome::Released,
        _ => RecordOutcome::Failed,
    }
}

/// A record whose turn it is.
pub(super) struct Turn<'a, R, B, F> {
    pub(super) record: R,
    pub(super) identity: &'a Identity,
    pub(super) body: &'a B,
    pub(super) handler: &'a F,
}

impl<R, B, F> Turn<'_, R, B, F> {
    /// Begins the record's task, and runs the handler where it is to be run.
    pub(super) async fn take<T, O, Fut>(self, idempotency: &Idempotency, budget: Budget) -> Ended
    where
        B: Fn(&R) -> Result<T, Malformed>,
        F: Fn(Delivery<T, R>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        if idempotency.is_off() {
            return self.without_record(idempotency, budget).await;
        }
        match idempotency.begin(&self.identity.id, budget).await {
            Ok(Begun::Ours(lease, beats)) => self.execute(lease, beats, idempotency, budget).await,
            Ok(Begun::Done(done)) => match idempotency.compare(&done, self.identity.validation.as_deref()) {
                Ok(()) => Ended::without_attempt(RecordOutcome::Replayed),
                Err(error) => Ended::not_begun(&error),
            },
            Err(error) => Ended::not_begun(&error),
        }
    }

    async fn execute<T, O, Fut>(
        self,
        lease: Lease<Replay>,
        beats: bool,
        idempotency: &Idempotency,
        budget: Budget,
    ) -> Ended
    where
        B: Fn(&R) -> Result<T, Malformed>,
        F: Fn(Delivery<T, R>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        let (attempt, generation) = (lease.attempt(), lease.generation());
        tracing::Span::current().record("attempt", attempt);
        let replay = Replay::plain("null".to_owned(), self.identity.validation.clone());
        let context = &idempotency.client().context;
        let work = |mut lease: Lease<Replay>| async move {
            in_time(context, budget.for_work(context), || self.call(attempt, generation)).await?;
            lease.set_data(replay.clone())?;
            Ok(replay)
        };
        let result = lease.run(beats, work).await;
        if let Ok(recorded) = &result {
            idempotency.remember(recorded.tracker.clone().with_data(recorded.value.clone()));
        }
        Ended::of(attempt, result)
    }

    /// Runs the handler, whatever was done before: idempotency is off.
    async fn without_record<T, O, Fut>(self, idempotency: &Idempotency, budget: Budget) -> Ended
    where
        B: Fn(&R) -> Result<T, Malformed>,
        F: Fn(Delivery<T, R>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        let context = &idempotency.client().context;
        match in_time(context, budget.for_work(context), || self.call(0, 0)).await {
            Ok(_) => Ended::without_attempt(RecordOutcome::Succeeded),
            Err(error) => Ended { work_error: Some(error), ..Ended::without_attempt(RecordOutcome::Failed) },
        }
    }

    /// The handler's own outcome. A panic of it is its failure, and those of other records go on.
    async fn call<T, O, Fut>(self, attempt: u32, generation: u64) -> Result<O, WorkError>
    where
        B: Fn(&R) -> Result<T, Malformed>,
        F: Fn(Delivery<T, R>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        let Self { record, identity, body, handler } = self;
        identity.check()?;
        let call = async {
            let body = body(&record)?;
            handler(Delivery { body, record, attempt, generation }).await
        };
        AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| Err(WorkError::from_panic(&*panic)))
    }
}
