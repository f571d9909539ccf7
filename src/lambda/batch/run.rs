//! A batch from its event to its response.

use std::future::Future;

use futures_util::future::join_all;
use lambda_runtime::{Context, LambdaEvent};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SetOnce};
use tracing::Instrument;
use tracing::field::Empty;

use super::identity::Identity;
use super::malformed::Malformed;
use super::order::{Before, order};
use super::record::{Ended, Turn};
use super::report::RecordOutcome;
use super::{Batch, BatchError, Delivery, Source};
use crate::error::Error;
use crate::lambda::Idempotency;
use crate::lambda::idempotency::Budget;
use crate::work_error::WorkError;

/// One record of the batch, and what is known of it before it is begun.
struct Entry<R> {
    place: usize,
    record: R,
    identifier: String,
    identity: Identity,
}

/// What others need to know of a record that is over.
struct Over {
    acknowledged: bool,
    /// Whether those with its key have to come again as well.
    holds_key: bool,
    /// What is wrong, where it is wrong for all records.
    general: Option<Error>,
}

/// A batch that is being handled.
struct Shift<'a, S> {
    batch: &'a Batch<S>,
    idempotency: Idempotency,
    budget: Budget,
    order: Vec<Before>,
    places: Semaphore,
    over: Vec<SetOnce<Over>>,
}

impl<S: Source> Batch<S> {
    /// Handles the records of an event, each once, and returns which of them are to come again.
    ///
    /// The handler is given a [`Delivery`], with the body read from JSON. Its records run concurrently on the task that calls this,
    /// so what blocks or computes for long belongs on threads of its own. Of what it returns, only whether it failed is kept.
    ///
    /// Two requests to DynamoDB for a record, one for a record that was done before. To `tracing`, each record is a span with its
    /// task, attempt, and whether it was replayed.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::builder(store.client()).table("tasks").namespace("orders").build()?;
    /// # client.create_table().await?;
    /// # let idempotency = dynamo_tracker::lambda::Idempotency::builder(client).build()?;
    /// use aws_lambda_events::sqs::SqsEvent;
    /// use dynamo_tracker::lambda::batch::{SqsBatch, SqsDelivery};
    /// use lambda_runtime::{Context, LambdaEvent};
    ///
    /// let event: SqsEvent = serde_json::from_str(
    ///     r#"{"Records": [{"messageId": "m1", "body": "1999"}, {"messageId": "m2", "body": "-5"}]}"#,
    /// )?;
    /// let batch = SqsBatch::new(idempotency);
    /// let pay = |cents: SqsDelivery<i64>| async move {
    ///     if cents.body < 0 {
    ///         return Err("less than nothing".into());
    ///     }
    ///     Ok(())
    /// };
    /// let response = batch.run(LambdaEvent::new(event, Context::default()), pay).await?;
    /// assert_eq!(response.batch_item_failures[0].item_identifier, "m2");
    /// assert_eq!(response.batch_item_failures.len(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`BatchError`]. What fails of a batch is no error, but part of the response.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime. A panic of the handler is recorded as a failure of its record.
    pub async fn run<T, O, F, Fut>(&self, event: LambdaEvent<S::Event>, handler: F) -> Result<S::Response, BatchError>
    where
        T: DeserializeOwned,
        F: Fn(Delivery<T, S::Record>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        self.process(event, S::body, handler).await
    }

    /// The same for records whose body is no JSON, or is not to be read. The handler is given the record alone, in
    /// [`Delivery::record`].
    ///
    /// ```no_run
    /// # async fn example(
    /// #     batch: dynamo_tracker::lambda::batch::KinesisBatch,
    /// #     event: lambda_runtime::LambdaEvent<aws_lambda_events::kinesis::KinesisEvent>,
    /// # ) -> Result<(), dynamo_tracker::lambda::batch::BatchError> {
    /// use dynamo_tracker::lambda::batch::KinesisDelivery;
    ///
    /// let response = batch.run_raw(event, |delivery: KinesisDelivery<()>| async move {
    ///     let text = std::str::from_utf8(&delivery.record.kinesis.data.0)?;
    ///     println!("{text}");
    ///     Ok(())
    /// });
    /// let response = response.await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub async fn run_raw<O, F, Fut>(&self, event: LambdaEvent<S::Event>, handler: F) -> Result<S::Response, BatchError>
    where
        F: Fn(Delivery<(), S::Record>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        self.process(event, |_| Ok(()), handler).await
    }

    async fn process<T, O, F, Fut>(
        &self,
        event: LambdaEvent<S::Event>,
        body: impl Fn(&S::Record) -> Result<T, Malformed>,
        handler: F,
    ) -> Result<S::Response, BatchError>
    where
        F: Fn(Delivery<T, S::Record>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        let (event, context) = event.into_parts();
        let entries = self.entries(S::records(event))?;
        let identifiers: Vec<_> = entries.iter().map(|entry| entry.identifier.clone()).collect();
        let shift = Shift::new(self, &context, &entries);
        join_all(entries.into_iter().map(|entry| shift.handle(entry, &body, &handler))).await;
        shift.answer(identifiers)
    }

    fn entries(&self, records: Vec<S::Record>) -> Result<Vec<Entry<S::Record>>, BatchError> {
        let entry = |(place, record): (usize, S::Record)| {
            let identifier = S::identifier(&record).to_owned();
            // Lambda takes an empty one for a failure of the whole batch.
            if identifier.is_empty() || S::id(&record).is_empty() {
                return Err(BatchError::InvalidEvent { place });
            }
            let identity = Identity::of(self, &record);
            Ok(Entry { place, record, identifier, identity })
        };
        records.into_iter().enumerate().map(entry).collect()
    }
}

impl<'a, S: Source> Shift<'a, S> {
    fn new(batch: &'a Batch<S>, context: &Context, entries: &[Entry<S::Record>]) -> Self {
        let idempotency = batch.idempotency.owner(&context.request_id);
        Self {
            batch,
            budget: idempotency.budget(idempotency.left(context)),
            idempotency,
            order: order(entries.iter().map(|entry| (S::group(&entry.record), entry.identity.id.clone()))),
            places: Semaphore::new(batch.concurrency),
            over: entries.iter().map(|_| SetOnce::new()).collect(),
        }
    }

    async fn handle<T, O, F, Fut>(
        &self,
        entry: Entry<S::Record>,
        body: &impl Fn(&S::Record) -> Result<T, Malformed>,
        handler: &F,
    ) where
        F: Fn(Delivery<T, S::Record>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        let Entry { place, record, identifier, identity } = entry;
        let span = tracing::info_span!(
            "record",
            record = identifier,
            task = identity.id,
            namespace = self.idempotency.client().namespace(),
            attempt = Empty,
            replayed = Empty
        );
        let turn = Turn { record, identity: &identity, body, handler };
        let ended = self.attempt(place, turn).instrument(span.clone()).await;
        let acknowledged = ended.is_acknowledged(self.batch.exhausted);
        span.in_scope(|| ended.tell(self.batch.hook.as_ref(), &identifier, &identity.id, acknowledged));
        let over = Over { acknowledged, holds_key: ended.holds_key(acknowledged), general: ended.general().cloned() };
        // It is set here alone, once for each record.
        let _ = self.over[place].set(over);
    }

    async fn attempt<T, O, B, F, Fut>(&self, place: usize, turn: Turn<'_, S::Record, B, F>) -> Ended
    where
        B: Fn(&S::Record) -> Result<T, Malformed>,
        F: Fn(Delivery<T, S::Record>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        if self.is_behind(place).await {
            return Ended::without_attempt(RecordOutcome::Behind);
        }
        // Only who need not wait for others takes a place, so the places are never all taken by those who wait.
        let _place = self.places.acquire().await.expect("it is never closed");
        if self.is_out_of_time() {
            return Ended::without_attempt(RecordOutcome::OutOfTime);
        }
        // In a box of its own, or each of ten thousand records would take the room that only those need whose turn it is.
        Box::pin(turn.take(&self.idempotency, self.budget)).await
    }

    fn is_out_of_time(&self) -> bool {
        self.budget.for_work(&self.idempotency.client().context).is_some_and(|left| left.is_zero())
    }

    /// Whether one that this one waits for is to come again, and this one with it: else a group would lose its order, and
    /// duplicates use up each other's attempts.
    async fn is_behind(&self, place: usize) -> bool {
        let Before { in_group, same_key } = self.order[place];
        if let Some(other) = in_group
            && !self.over[other].wait().await.acknowledged
        {
            return true;
        }
        match same_key {
            Some(other) => self.over[other].wait().await.holds_key,
            None => false,
        }
    }

    fn answer(&self, identifiers: Vec<String>) -> Result<S::Response, BatchError> {
        let over = || self.over.iter().filter_map(SetOnce::get);
        let records = identifiers.len();
        let failed: Vec<_> = identifiers.into_iter().zip(over()).filter(|(_, over)| !over.acknowledged).collect();
        if failed.len() == records && records > 0 {
            if let Some(error) = over().find_map(|over| over.general.clone()) {
                return Err(BatchError::Unusable(error));
            }
            if self.batch.error_if_all_fail {
                return Err(BatchError::BatchFailed { records });
            }
        }
        Ok(S::response(failed.into_iter().map(|(identifier, _)| identifier).collect()))
    }
}
