//! Making a client. Every bad value is an error here, not at the first request.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::TrackerClient;
use crate::backoff::Backoff;
use crate::callback::CallBack;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::record::check_namespace;
use crate::schema::{ATTRIBUTES, Codec, Data, Index, KeySchema, MAX_SHARDS, Packing};
use crate::status::StatusSet;
use crate::table::{RequestPolicy, Table};
use crate::time::{Clock, SystemClock};
use crate::usual_start::UsualStart;

/// A lease or retention longer than this is a mistake in its unit.
pub(crate) const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
/// DynamoDB's limit for a sort key's value.
const MAX_SORT_KEY_BYTES: usize = 1024;
/// DynamoDB's limit for the name of a key attribute.
const MAX_KEY_NAME_BYTES: usize = 255;
/// More errors than this would take too much of an item's 400 KB.
const MAX_ERROR_HISTORY: usize = 50;

/// A client in the making.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let sdk_client = store.client();
/// use std::time::Duration;
/// use dynamo_tracker::TrackerClient;
///
/// let client = TrackerClient::<String>::builder(sdk_client)
///     .table("tasks")
///     .namespace("orders")
///     .lease(Duration::from_secs(60))
///     .max_attempts(5)
///     .retention(Duration::from_secs(7 * 24 * 3600))
///     .build()?;
/// # Ok(()) }
/// ```
#[must_use]
pub struct TrackerClientBuilder<D> {
    client: aws_sdk_dynamodb::Client,
    table: String,
    namespace: String,
    lease: Duration,
    max_attempts: u32,
    skew: Duration,
    statuses: StatusSet,
    key: KeySchema,
    index: Option<Index>,
    packing: Option<Packing>,
    retention: Option<Duration>,
    error_history: usize,
    heartbeat: Option<Duration>,
    grace: Duration,
    backoff: Option<Backoff>,
    outcome_patience: Duration,
    clock: Arc<dyn Clock>,
    requests: RequestPolicy,
    callbacks: Option<Arc<dyn CallBack>>,
    data: PhantomData<fn() -> D>,
}

impl<D: Data> TrackerClientBuilder<D> {
    pub(super) fn new(client: aws_sdk_dynamodb::Client) -> Self {
        Self {
            client,
            table: String::new(),
            namespace: String::new(),
            lease: Duration::from_secs(900),
            max_attempts: 3,
            skew: Duration::from_secs(1),
            statuses: StatusSet::default(),
            key: KeySchema { partition: "id".to_owned(), sort: None },
            index: None,
            packing: None,
            retention: None,
            error_history: 10,
            heartbeat: None,
            grace: Duration::ZERO,
            backoff: None,
            outcome_patience: Duration::MAX,
            clock: Arc::new(SystemClock),
            requests: RequestPolicy::default(),
            callbacks: None,
            data: PhantomData,
        }
    }

    /// The table's name or ARN. Required.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// The use case that the ids belong to; one table serves many. Not empty, without `#`. Required.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// How long a worker may work before another may take the task over. 900 seconds by default, as long as a Lambda
    /// function can run. Longer than the skew.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often a task is tried before it is exhausted. 3 by default, at least 1.
    pub fn max_attempts(mut self, limit: u32) -> Self {
        self.max_attempts = limit;
        self
    }

    /// The clock error that is tolerated between machines. 1 second by default. A task is taken over that much after its
    /// lease has ended.
    pub fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// The codes and names of the states.
    pub fn statuses(mut self, statuses: StatusSet) -> Self {
        self.statuses = statuses;
        self
    }

    /// The name of the table's partition key, a string. `id` by default.
    pub fn key_attribute(mut self, name: impl Into<String>) -> Self {
        self.key.partition = name.into();
        self
    }

    /// The name of the table's sort key, a string, and the value that every tracker has there. None by default.
    pub fn sort_key(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.key.sort = Some((name.into(), value.into()));
        self
    }

    /// Keeps the index, from which tasks are listed, counted and worked off, with each state spread over so many shards: from
    /// 1 to 1024. None is kept by default, and no attribute of one written.
    ///
    /// Take one shard for each 500 tasks that are taken in a second. All clients of a table should say the same; to have more,
    /// say so to [`create_table`](TrackerClient::create_table) first, and a minute later to those who write: by then all who
    /// read know. What is in the shards that there were stays there and is found. A client without an index must not work on
    /// the same tasks: it leaves their places in the index as they were. The index doubles what a task costs to write: 3
    /// write units to take it, 2 to end it, 3 to extend its lease.
    pub fn index(mut self, shards: u16) -> Self {
        self.index = Some(Index { shards });
        self
    }

    /// Packs data of more bytes than this by zstd, as DynamoDB counts them, and unpacks packed data when it is read. Neither by
    /// default. `usize::MAX` unpacks and never packs.
    ///
    /// DynamoDB charges each write for the whole item, a write unit for each KB, and so also an extension of the lease that does not
    /// touch the data. And an item has at most 400 KB: data that is larger is kept if it is under that when packed, and at most 64 MB
    /// of JSON before. What packing does not make smaller stays as it is. 1024 is a good threshold: with less data, most items take one
    /// unit anyway.
    ///
    /// All who read the tasks must ask for this too, and first: to a client without it, packed data is
    /// [`Unreadable`](ErrorKind::Unreadable), and an attempt that it starts fails by that. Step Functions' own states take tasks and
    /// end them all the same, since they neither read nor write data. The attribute is binary: a console and programs in other
    /// languages see `dynamo-tracker:zstd:1`, and behind that a zstd frame with DynamoDB's JSON of the data.
    ///
    /// Data is packed when it is set, and unpacked whenever a record is read, by a refusal too, whether or not anybody looks at it.
    /// `benches/packing.rs` says what that takes of the processor; the thread that calls does nothing else meanwhile.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let sdk_client = store.client();
    /// use dynamo_tracker::{NewTask, TrackerClient};
    ///
    /// let client = TrackerClient::<String>::builder(sdk_client).table("tasks").namespace("pages").pack_data_over(1024).build()?;
    /// # client.create_table().await?;
    /// let page = "All work and no play makes Jack a dull boy. ".repeat(20_000); // 880 KB
    /// client.create(NewTask::new("page-7").data(page.clone())).await?;
    /// assert_eq!(*client.start("page-7").await?.data(), page);
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "zstd")]
    pub fn pack_data_over(mut self, bytes: usize) -> Self {
        let (pack, unpack) = (crate::schema::pack, crate::schema::unpack);
        self.packing = Some(Packing { over: bytes, pack, unpack });
        self
    }

    /// How long a task is kept once it is over: succeeded, exhausted or ignored. For ever by default.
    ///
    /// From then on it is as good as gone: a start begins it anew, whether or not DynamoDB has deleted it.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// How many errors are kept in a record, the latest. 10 by default, from 1 to 50.
    pub fn error_history(mut self, kept: usize) -> Self {
        self.error_history = kept;
        self
    }

    /// How often a lease is extended while its work runs. Every third of the lease by default; at most every half, so that
    /// one lost extension does not lose the lease.
    pub fn heartbeat(mut self, period: Duration) -> Self {
        self.heartbeat = Some(period);
        self
    }

    /// How long work whose lease is lost may go on to tidy up, once its [token](crate::Lease::cancellation) has fired.
    /// Nothing by default: somebody else may be working on the task by then.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a failed task waits before it may be tried again, unless its error says. Not at all by default. It is
    /// written as the task's due time.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// How long the recording of an outcome is tried, besides what a single request is tried: until the lease's end by
    /// default, which the heartbeat of a [`run`](TrackerClient::run) moves on. Zero for callers who can't wait, such as a
    /// Lambda function near its deadline: they are told at once, and the work is run again.
    pub fn outcome_patience(mut self, patience: Duration) -> Self {
        self.outcome_patience = patience;
        self
    }

    /// Where the time comes from. The machine's clock by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How requests are retried.
    pub fn requests(mut self, policy: RequestPolicy) -> Self {
        self.requests = policy;
        self
    }

    /// Tells states of AWS Step Functions that wait for a task (`waitForTaskToken`) when it is over, whichever process ends it.
    /// None by default: their tokens are kept, and whichever client looks next that has this tells them. See
    /// [`Callbacks`](crate::stepfunctions::Callbacks).
    #[cfg(feature = "stepfunctions")]
    pub fn callbacks(mut self, callbacks: crate::stepfunctions::Callbacks) -> Self {
        self.callbacks = Some(Arc::new(callbacks));
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: a value is missing or no good; the message says which and why.
    pub fn build(self) -> Result<TrackerClient<D>, Error> {
        check_table(&self.table)?;
        check_namespace(&self.namespace)?;
        check_lease(self.lease, self.skew)?;
        check_max_attempts(self.max_attempts)?;
        check_heartbeat(self.heartbeat, self.lease)?;
        check_key(&self.key)?;
        if let Some(index) = self.index {
            check((1..=MAX_SHARDS).contains(&index.shards), "the index must have from 1 to 1024 shards")?;
        }
        if let Some(retention) = self.retention {
            let sensible = (Duration::from_secs(1)..=LONGEST).contains(&retention);
            check(sensible, "the retention must be from one second to ten years")?;
        }
        let sensible = (1..=MAX_ERROR_HISTORY).contains(&self.error_history);
        check(sensible, "the history of errors must be from 1 to 50")?;
        let context = Context {
            table: Table::new(self.client, self.table, self.key.clone(), self.requests),
            usual_start: UsualStart::default(),
            codec: Codec { key: self.key, statuses: self.statuses, index: self.index, packing: self.packing },
            namespace: self.namespace,
            lease: self.lease,
            max_attempts: self.max_attempts,
            skew: self.skew,
            retention: self.retention,
            error_history: self.error_history,
            heartbeat: self.heartbeat,
            grace: self.grace,
            backoff: self.backoff,
            outcome_patience: self.outcome_patience,
            clock: self.clock,
            shards: Mutex::new(None),
            callbacks: self.callbacks,
        };
        Ok(TrackerClient { context: Arc::new(context), data: PhantomData })
    }
}

impl<D> fmt::Debug for TrackerClientBuilder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerClientBuilder")
            .field("table", &self.table)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

pub(crate) fn check(good: bool, message: &str) -> Result<(), Error> {
    if good { Ok(()) } else { Err(Error::new(ErrorKind::InvalidArgument, message)) }
}

/// DynamoDB's naming rules (*Naming rules*, Amazon DynamoDB Developer Guide). An ARN names a table of another account.
pub(crate) fn check_table(name: &str) -> Result<(), Error> {
    check(!name.is_empty(), "the table's name is missing; set it with .table(\"…\")")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let good = name.starts_with("arn:") || ((3..=255).contains(&name.len()) && name.chars().all(plain));
    let message =
        format!("{name:?} can't name a table: that takes 3 to 255 letters, digits, '_', '-' and '.', or an ARN");
    check(good, &message)
}

/// A lease that some clock could see ended before it began is none.
pub(crate) fn check_lease(lease: Duration, skew: Duration) -> Result<(), Error> {
    check(lease >= Duration::from_millis(1) && lease <= LONGEST, "the lease must be from a millisecond to ten years")?;
    check(lease > skew, "the lease must be longer than the skew, the clock error that is tolerated")
}

pub(crate) fn check_max_attempts(limit: u32) -> Result<(), Error> {
    check(limit >= 1, "max_attempts must be at least 1, or nothing could ever be started")
}

pub(super) fn check_heartbeat(period: Option<Duration>, lease: Duration) -> Result<(), Error> {
    let good = period.is_none_or(|period| !period.is_zero() && period <= lease / 2);
    check(
        good,
        "the heartbeat must be more than nothing, and at most half of the lease, or one that is lost loses the lease",
    )
}

fn check_key(key: &KeySchema) -> Result<(), Error> {
    let names: Vec<&str> =
        std::iter::once(key.partition.as_str()).chain(key.sort.as_ref().map(|(name, _)| name.as_str())).collect();
    for name in &names {
        let len = name.len();
        check((1..=MAX_KEY_NAME_BYTES).contains(&len), "a key attribute's name must be from 1 to 255 bytes long")?;
        let message = format!("the key attribute {name:?} is also the name of one of the tracker's own attributes");
        check(!ATTRIBUTES.contains(name), &message)?;
    }
    let distinct: HashSet<_> = names.iter().collect();
    check(distinct.len() == names.len(), "partition key and sort key must have different names")?;
    if let Some((_, value)) = &key.sort {
        let len = value.len();
        check((1..=MAX_SORT_KEY_BYTES).contains(&len), "the sort key's value must be from 1 to 1,024 bytes long")?;
    }
    Ok(())
}
