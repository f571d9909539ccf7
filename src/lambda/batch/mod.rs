//! Batches of queues and streams: each record once, and of a batch only what failed comes again.
//!
//! [`SqsBatch`] is for SQS, standard and FIFO; [`KinesisBatch`] and [`DynamoDbBatch`] are for streams. Each record is a task:
//! one that is done is not done again, however often it comes; one that fails counts an attempt, and is exhausted when
//! none are left. The event source mapping must have `FunctionResponseTypes: [ReportBatchItemFailures]`; without it Lambda
//! takes each response for a success, and what failed is lost.
//!
//! ```no_run
//! use dynamo_tracker::WorkError;
//! use dynamo_tracker::lambda::Idempotency;
//! use dynamo_tracker::lambda::batch::{SqsBatch, SqsDelivery};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     order_id: String,
//! }
//!
//! async fn pay(order: SqsDelivery<Order>) -> Result<(), WorkError> {
//!     println!("paying for {}, attempt {}", order.body.order_id, order.attempt);
//!     Ok(())
//! }
//!
//! # async fn example(idempotency: Idempotency) -> Result<(), lambda_runtime::Error> {
//! lambda_runtime::run(SqsBatch::new(idempotency).concurrency(10).service(pay)).await
//! # }
//! ```
//!
//! # What becomes of a record
//!
//! | | the handler is called | it |
//! | --- | --- | --- |
//! | succeeds now | yes | is acknowledged |
//! | had succeeded before | no | is acknowledged |
//! | fails, or panics | yes | comes again |
//! | is exhausted, now or before | at most for its last attempt | comes again, or is acknowledged: [`Exhausted`] |
//! | was [ignored](crate::TrackerClient::ignore) by an operator | no | is acknowledged |
//! | is worked on by somebody else, or is due later | no | comes again |
//! | has a body that the handler can't take | no, but the attempt counts | comes again; the attempt's error is a `MalformedBody` |
//! | has no key | no, but the attempt counts | comes again; the attempt's error is a `MissingKey`, and its task that of its own id |
//! | had succeeded before, and differs in what must be the same | no | comes again |
//! | has its turn when too little time is left | no | comes again |
//! | is still being handled a margin before the deadline | it is stopped | comes again; the attempt counts |
//! | is behind another that comes again, in its group or with its key | no | comes again |
//! | succeeds, and DynamoDB does not take that | yes | is acknowledged, since the work is done |
//!
//! # Order
//!
//! Records of one group are handled one after the other, and groups at the same time. A group is a message group of a FIFO
//! queue, a partition key of Kinesis, an item of a DynamoDB table; records of a standard queue have none. When one is
//! to come again, the rest of its group is, and is not begun: else a queue would forget the order.
//!
//! Of two records with one key, the second waits for the first. If that succeeds, the second is a duplicate; if that
//! fails, the second comes again as well, so that one delivery costs one attempt.
//!
//! # Streams
//!
//! Lambda goes on from the lowest sequence number in a response, and sends again whatever follows it (*Configuring partial
//! batch response with Kinesis Data Streams and Lambda*, AWS Lambda Developer Guide). So the response has the first
//! failure only. Other groups are handled to the end of the batch nevertheless: a record that fails for an hour holds up
//! its own group, and not those behind it in the batch, which are done when they come again and cost a request each.
//!
//! Lambda tries a record until it expires, unless the event source mapping says less, and all that time its shard stands still.
//! So an exhausted record of a stream is acknowledged by default, and the one of a queue is not.

mod delivery;
mod error;
mod identity;
mod malformed;
mod order;
mod record;
mod report;
mod run;
mod service;
mod source;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_lambda_events::dynamodb::EventRecord;
use aws_lambda_events::kinesis::KinesisEventRecord;
use aws_lambda_events::sqs::SqsMessage;

pub use delivery::Delivery;
pub use error::BatchError;
pub use report::{RecordOutcome, RecordReport};
pub use service::BatchService;
pub use source::{DynamoDb, Kinesis, Source, Sqs};

use super::{Idempotency, Key};

/// More at a time than this is a mistake.
const MOST: usize = 10_000;

/// Batches of SQS, standard and FIFO.
pub type SqsBatch = Batch<Sqs>;
/// Batches of a stream of Kinesis Data Streams.
pub type KinesisBatch = Batch<Kinesis>;
/// Batches of a stream of a DynamoDB table. The body of a record is the item as it is now, or as it was where it is
/// deleted, or its key where the stream has no more.
pub type DynamoDbBatch = Batch<DynamoDb>;

/// A message of SQS with a body of type `T`.
pub type SqsDelivery<T> = Delivery<T, SqsMessage>;
/// A record of Kinesis with data of type `T`.
pub type KinesisDelivery<T> = Delivery<T, KinesisEventRecord>;
/// A change of an item of type `T`.
pub type DynamoDbDelivery<T> = Delivery<T, EventRecord>;

/// What becomes of a record whose task has no attempts left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exhausted {
    /// It is done with. Its dead letter is its record in the table, which has the errors of its attempts, but not the
    /// message. The default for streams, where it would hold up its shard.
    Acknowledge,
    /// It comes again, without being run, until its source gives up: a queue moves it to its dead letters, message and
    /// all, after `maxReceiveCount` receives. The default for SQS.
    ///
    /// Let a task's attempts be fewer than these. Where the queue has no dead letters, it comes again until it expires.
    Report,
}

/// How batches of one source are handled. The [module's page](self) has an example, and the rules.
///
/// ```
/// use dynamo_tracker::lambda::batch::{Exhausted, SqsBatch};
/// use dynamo_tracker::lambda::{Idempotency, JmesPath, Key};
///
/// fn orders(idempotency: Idempotency) -> Result<SqsBatch, dynamo_tracker::Error> {
///     let batch = SqsBatch::new(idempotency).concurrency(25).key(Key::path(JmesPath::new("order_id")?));
///     Ok(batch.exhausted(Exhausted::Acknowledge))
/// }
/// ```
///
/// A clone costs little, and shares everything.
#[must_use]
pub struct Batch<S> {
    idempotency: Idempotency,
    key: Option<Key>,
    concurrency: usize,
    exhausted: Exhausted,
    error_if_all_fail: bool,
    hook: Option<report::Hook>,
    source: PhantomData<fn() -> S>,
}

impl<S: Source> Batch<S> {
    /// Batches whose records are tasks of this `idempotency`, ten of them at a time. Of its options, the key is not used, since a
    /// batch has its own; what must be the same is looked for in the body.
    ///
    /// Two sources need namespaces of their own, or two streams may have records of one id.
    pub fn new(idempotency: Idempotency) -> Self {
        Self {
            idempotency,
            key: None,
            concurrency: 10,
            exhausted: S::EXHAUSTED,
            error_if_all_fail: false,
            hook: None,
            source: PhantomData,
        }
    }

    /// How many records are handled at a time. 10 by default, at least 1.
    pub fn concurrency(mut self, records: usize) -> Self {
        self.concurrency = records.clamp(1, MOST);
        self
    }

    /// What tells records apart, as selected from their body. By default it is what the source itself tells them apart by: the id
    /// of a message, or the shard and sequence number of a record in a stream.
    ///
    /// A record without a key fails, as the task of its own id; with [`MissingKey::Skip`](super::MissingKey::Skip) it is handled as
    /// that.
    ///
    /// A message that somebody sends twice has two ids, so it takes a key from the body to do it once. What comes twice
    /// from the source has one.
    pub fn key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// What becomes of records without attempts left. For SQS they are left to the queue's own dead letters by default, and for streams
    /// they are acknowledged.
    pub fn exhausted(mut self, exhausted: Exhausted) -> Self {
        self.exhausted = exhausted;
        self
    }

    /// Makes it an error of the invocation when not one record is acknowledged, so that Lambda's metrics show it and Lambda
    /// polls less often. The records come again either way. Off by default.
    pub fn error_if_all_fail(mut self) -> Self {
        self.error_if_all_fail = true;
        self
    }

    /// Calls this for each record when it is over: for metrics or a log of one's own. It should be quick.
    pub fn on_record(mut self, hook: impl Fn(&RecordReport<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }
}

impl<S> Clone for Batch<S> {
    fn clone(&self) -> Self {
        Self {
            idempotency: self.idempotency.clone(),
            key: self.key.clone(),
            concurrency: self.concurrency,
            exhausted: self.exhausted,
            error_if_all_fail: self.error_if_all_fail,
            hook: self.hook.clone(),
            source: PhantomData,
        }
    }
}

impl<S> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("idempotency", &self.idempotency)
            .field("key", &self.key)
            .field("concurrency", &self.concurrency)
            .field("exhausted", &self.exhausted)
            .field("error_if_all_fail", &self.error_if_all_fail)
            .finish_non_exhaustive()
    }
}
