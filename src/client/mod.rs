//! The client: everything begins here.

mod acquire;
mod builder;
mod new_task;
mod operators;
mod run;

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use tracing::Instrument;

pub use builder::TrackerClientBuilder;
#[cfg(feature = "lambda")]
pub(crate) use builder::check_table;
#[cfg(any(feature = "lambda", feature = "stepfunctions"))]
pub(crate) use builder::{LONGEST, check};
#[cfg(feature = "stepfunctions")]
pub(crate) use builder::{check_lease, check_max_attempts};
pub use new_task::NewTask;
pub use run::{Recorded, RunError};

use crate::context::Context;
use crate::countdown::{COUNTING, Counting};
use crate::error::{Error, ErrorKind};
use crate::expression::{self, Update};
use crate::lease::Lease;
use crate::protocol::StartOptions;
use crate::record::{BatchMember, Loaded, LockToken, RawData, TaskId, Tracker, Version};
use crate::schema::{Data, Item};
use crate::status::Status;
use crate::table::{Want, Written};

/// Tracks the tasks of one namespace in one table. Their data is a `D`.
///
/// Cheap to clone; clones share everything.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let sdk_client = store.client();
/// use dynamo_tracker::{StartOptions, TrackerClient};
///
/// let client = TrackerClient::<u64>::builder(sdk_client).table("tasks").namespace("orders").build()?;
/// client.create_table().await?;
///
/// let paid = client.run("order-42", StartOptions::new(), |mut lease| async move {
///     lease.set_data(1999)?;
///     Ok("paid")
/// });
/// assert_eq!(paid.await?, "paid");
///
/// let again = client.start("order-42").await.unwrap_err();
/// assert!(again.is_already_succeeded());
/// # Ok(()) }
/// ```
pub struct TrackerClient<D> {
    pub(crate) context: Arc<Context>,
    data: PhantomData<fn() -> D>,
}

impl<D> Clone for TrackerClient<D> {
    fn clone(&self) -> Self {
        Self { context: Arc::clone(&self.context), data: PhantomData }
    }
}

impl<D> fmt::Debug for TrackerClient<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrackerClient")
            .field("table", &self.context.table.name)
            .field("namespace", &self.context.namespace)
            .finish_non_exhaustive()
    }
}

impl<D: Data> TrackerClient<D> {
    /// Begins a client on the user's own SDK client. Table and namespace must be set; the rest has defaults.
    pub fn builder(client: aws_sdk_dynamodb::Client) -> TrackerClientBuilder<D> {
        TrackerClientBuilder::new(client)
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.context.table.name
    }

    /// The namespace that this client's ids belong to.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.context.namespace
    }

    /// Makes the table, with payment per request, TTL on and the [index](TrackerClientBuilder::index) where this client keeps
    /// one, and waits until it can be used. Returns whether this call made it; a table that exists is left as it is, but for a
    /// TTL that is off, an index that is missing, and a number of shards that is lower.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: a table of that name exists, and has another key or its TTL on another attribute.
    /// Else what DynamoDB refuses.
    pub async fn create_table(&self) -> Result<bool, Error> {
        self.context.table.create(self.context.codec.index).await
    }

    /// Makes the first task as quick as those after it: finds the credentials, and opens a connection that stays open. For a Lambda
    /// function before it asks for events, since its first event waits for that otherwise.
    ///
    /// One `UpdateItem` that DynamoDB refuses, of a task that there is not. It costs a write unit, writes nothing, and needs no other
    /// permission than a start does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::<String>::builder(store.client()).table("tasks").namespace("demo").build()?;
    /// # client.create_table().await?;
    /// if let Err(error) = client.warm_up().await {
    ///     eprintln!("the first task will be slower, if it can be done at all: {error}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// What DynamoDB refuses besides, such as a missing table or permission: what a start would be told as well.
    pub async fn warm_up(&self) -> Result<(), Error> {
        // Another one each time, so that many functions which begin at once do not all write to one key.
        let id = self.id(&format!("warm-up/{}", LockToken::random()))?;
        let want = Want { known_by_token: true, ..Want::default() };
        self.context.table.update("warm up", &id, expression::refused(&self.context.codec), want).await.map(drop)
    }

    /// Makes a pending task. Takes an id, or a [`NewTask`] with data and due time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`], with the record that exists; [`ErrorKind::InvalidArgument`] for a bad id; else what
    /// DynamoDB refuses.
    pub async fn create(&self, task: impl Into<NewTask<D>>) -> Result<Tracker<D>, Error> {
        let task = task.into();
        let (mut record, item) = self.new_item(&task)?;
        let id = record.id.clone();
        if let Written::Refused { item: existing, repeated } = self.context.table.put_new(&id, item).await? {
            let mut existing = self.context.decode(&id, existing)?;
            let ours = repeated && is_version(&existing, record.version());
            if let Some(existing) = existing.as_mut().filter(|existing| existing.has_expired(record.create_time)) {
                self.context.settle(existing).await;
            }
            let expired = existing.as_ref().filter(|existing| existing.has_expired(record.create_time));
            match expired {
                _ if ours => {}
                Some(expired) => record = self.create_anew(record, &task, expired).await?,
                None => return Err(already_exists(existing, &id)),
            }
        }
        tracing::debug!(task = ?id, "created the task");
        Ok(record.with_data(task.data.unwrap_or_default()))
    }

    /// The write that makes a pending task, for a transaction of the caller's own: the task exists exactly if that commits
    /// (the *transactional outbox*). Its condition is that there is no such task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let sdk_client = store.client();
    /// # let client = dynamo_tracker::TrackerClient::<()>::builder(store.client()).table("tasks").namespace("demo").build()?;
    /// # client.create_table().await?;
    /// let task = client.create_item("send-receipt-42")?;
    /// sdk_client.transact_write_items().transact_items(task).send().await?; // with the order's own writes
    /// assert!(client.load("send-receipt-42").await?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for a bad id; [`ErrorKind::Unwritable`] or [`ErrorKind::ItemTooLarge`] for the data.
    pub fn create_item(&self, task: impl Into<NewTask<D>>) -> Result<TransactWriteItem, Error> {
        let (record, item) = self.new_item(&task.into())?;
        self.context.table.put_action(item).map_err(|error| error.about(&record.id))
    }

    /// The record of a task to be made, and its item.
    pub(crate) fn new_item(&self, task: &NewTask<D>) -> Result<(Tracker<()>, Item), Error> {
        self.new_item_in(task, |_| None)
    }

    /// The same, of a task that counts for a batch.
    pub(crate) fn new_item_in(
        &self,
        task: &NewTask<D>,
        batch: impl FnOnce(&TaskId) -> Option<BatchMember>,
    ) -> Result<(Tracker<()>, Item), Error> {
        let id = self.id(&task.id)?;
        let data = self.data_of(task).map_err(|error| error.about(&id))?;
        let mut record = Tracker::new(id, (), self.context.max_attempts, self.context.now());
        record.due_time = self.context.due_time(record.status, task.due, record.create_time);
        record.batch = batch(&record.id);
        record.callback.clone_from(&task.callback);
        let record = record.into_stored();
        let item = self.context.codec.encode(&record, data).map_err(|error| error.about(&record.id))?;
        Ok((record, item))
    }

    /// The data of a task to be made, as its item is to have it.
    fn data_of(&self, task: &NewTask<D>) -> Result<Option<AttributeValue>, Error> {
        task.data.as_ref().map(|data| self.context.codec.encode_data(data)).transpose()
    }

    /// Makes the task in place of a record that has expired, which DynamoDB has not deleted yet.
    async fn create_anew(
        &self,
        mut record: Tracker<()>,
        task: &NewTask<D>,
        expired: &Tracker<RawData>,
    ) -> Result<Tracker<()>, Error> {
        record.generation = expired.generation;
        let record = record.into_stored();
        let update = self.whole(&record, self.data_of(task)?, Some(expired.version()))?;
        let update = expression::anew(update, expired.callback.as_ref(), record.callback.as_ref());
        self.write_whole(&record, update).await?;
        Ok(record)
    }

    /// Reads a task, consistently. `None` where there is none, or where its retention is over and DynamoDB has just not
    /// deleted it yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`] where the item is no tracker, or its data no `D`; [`ErrorKind::InvalidArgument`] for a
    /// bad id; else what DynamoDB refuses.
    pub async fn load(&self, id: impl AsRef<str>) -> Result<Option<Tracker<D>>, Error> {
        let id = self.id(id.as_ref())?;
        let item = self.context.table.get(&id, None).await?;
        let Some(mut record) = self.context.decode(&id, item)? else { return Ok(None) };
        // What is owed comes before the retention, which counts from then on.
        self.context.settle(&mut record).await;
        if record.has_expired(self.context.now()) { Ok(None) } else { record.typed().map(Some) }
    }

    /// The record of an item that was read otherwise: from a stream, an export, or a query of the caller's own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`]: the item is no tracker, or its data no `D`.
    pub fn decode(&self, item: HashMap<String, AttributeValue>) -> Result<Tracker<D>, Error> {
        self.context.codec.decode(item)?.typed()
    }

    /// Takes a task, as the client was built to. See [`start_with`](Self::start_with).
    ///
    /// # Errors
    ///
    /// As [`start_with`](Self::start_with).
    pub async fn start(&self, id: impl AsRef<str>) -> Result<Lease<D>, Error> {
        self.start_with(id, StartOptions::new()).await
    }

    /// Takes a task: one conditional write, which makes the task if there is none.
    ///
    /// Where it must be refused, the error says why ([`Error::refusal`]) and has the record ([`Error::tracker_as`]), with
    /// no further request. [`run`](Self::run) does this, the work and the outcome in one call.
    ///
    /// # Errors
    ///
    /// A refusal ([`Error::is_refused`]); [`ErrorKind::InvalidArgument`] for a bad id or option; [`ErrorKind::Unreadable`]
    /// where the data is no `D`, which is recorded as a failed attempt; else what DynamoDB refuses.
    pub async fn start_with(&self, id: impl AsRef<str>, options: StartOptions) -> Result<Lease<D>, Error> {
        self.start_counting(id.as_ref(), options, Some(COUNTING)).await
    }

    /// The same by a program that may leave out the counting of batches, and then refuses their tasks.
    pub(crate) async fn start_counting(
        &self,
        id: &str,
        options: StartOptions,
        counting: Option<Counting>,
    ) -> Result<Lease<D>, Error> {
        let id = self.id(id)?;
        let span = tracing::debug_span!("start", task = ?id);
        async {
            let (held, data) = acquire::acquire(&self.context, id, options, counting).await?;
            match data.typed() {
                Ok(data) => Ok(Lease::new(held, data)),
                Err(error) => Err(Box::pin(acquire::give_up(&held, error.about(&held.id))).await),
            }
        }
        .instrument(span)
        .await
    }

    /// The lease on a task that was started elsewhere, by its lock token: in another process, or in an earlier call of a
    /// program that keeps nothing in between. One read, and no attempt is counted.
    ///
    /// Its time left is counted by this machine's clock until the first [extension](Lease::mark_as_in_progress), which
    /// makes the lease as long as this client's. An outcome may be recorded even after the lease has ended, while nobody
    /// has taken the task. Two processes may extend one lease; of two outcomes, the first counts.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
    /// # let client = dynamo_tracker::TrackerClient::<u32>::builder(store.client()).table("tasks").namespace("demo").build()?;
    /// # client.create_table().await?;
    /// let token = client.start("order-42").await?.token();
    /// // In another process, which was told the token:
    /// client.resume("order-42", token).await?.succeed().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`], with the record, where the task's lock is another or none; [`ErrorKind::NotFound`];
    /// [`ErrorKind::Unreadable`]; [`ErrorKind::InvalidArgument`] for a bad id; else what DynamoDB refuses.
    pub async fn resume(&self, id: impl AsRef<str>, token: LockToken) -> Result<Lease<D>, Error> {
        let (held, data) = acquire::resume(&self.context, self.id(id.as_ref())?, token).await?;
        let data = data.typed().map_err(|error| error.about(&held.id))?;
        Ok(Lease::new(held, data))
    }

    /// Writes a record whole, as it is in memory, provided that the stored one is still the one that was loaded.
    ///
    /// A record from [`Tracker::new`] is written provided that there is none yet. This is the original's way of doing
    /// things, for what no other call does. Attributes of others on the item are left alone.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`], with the stored record, where it is another one by now; [`ErrorKind::InvalidArgument`] for a
    /// lock that would never end, a task of another namespace, or the end of one that a batch counts; else what DynamoDB refuses.
    pub async fn dump(&self, tracker: &mut Tracker<D>) -> Result<(), Error> {
        let (id, seen) = (tracker.id.clone(), tracker.loaded.0);
        self.own(&id)?;
        if tracker.lock.is_some() && tracker.lock_expire_time.is_none() {
            let message = "a lock without lock_expire_time would never end; lock it with lock_it";
            return Err(Error::new(ErrorKind::InvalidArgument, message).about(&id));
        }
        if tracker.batch.is_some() && tracker.status.is_final() {
            let message = "its batch would not count its end; end it by its lease, or ignore or delete it";
            return Err(Error::new(ErrorKind::InvalidArgument, message).about(&id));
        }
        let before = (tracker.update_time, tracker.step, tracker.due_time, tracker.expire_at);
        if let (Some(index), false) = (&self.context.codec.index, matches!(tracker.status, Status::Other(_))) {
            tracker.due_time =
                index.due_time_of(tracker, &self.context.codec.statuses, self.context.at_once(self.context.now()));
        }
        // The step tells two dumps of one record in the same millisecond apart.
        (tracker.update_time, tracker.step) = (self.context.now(), tracker.step.saturating_add(1));
        let written = self.dump_as_seen(tracker, seen).await;
        match &written {
            Ok(()) => {
                tracker.loaded = Loaded(Some(tracker.version()));
                if tracker.owes_callback() {
                    self.context.settle_stored(tracker).await;
                }
            }
            Err(_) => (tracker.update_time, tracker.step, tracker.due_time, tracker.expire_at) = before,
        }
        written.map_err(|error| error.about(&id))
    }

    /// Writes it with its expiry, unless somebody waits for the task by now: a record that owes does not expire.
    async fn dump_as_seen(&self, tracker: &mut Tracker<D>, seen: Option<Version>) -> Result<(), Error> {
        let update = self.whole(tracker, Some(self.context.codec.encode_data(&tracker.data)?), seen)?;
        let bound = expression::unless_waited_for(update, tracker.expire_at);
        let Err(error) = self.write_whole(tracker, bound).await else { return Ok(()) };
        let unchanged = error.tracker().filter(|stored| tracker.expire_at.is_some() && Some(stored.version()) == seen);
        let Some(callback) = unchanged.and_then(|stored| stored.callback.clone()) else { return Err(error) };
        (tracker.expire_at, tracker.callback) = (None, Some(callback));
        let update = self.whole(tracker, Some(self.context.codec.encode_data(&tracker.data)?), seen)?;
        self.write_whole(tracker, update).await
    }

    /// The write of a whole record, on the condition that the stored one is of the version that was seen, or that there is none.
    fn whole<T>(
        &self,
        tracker: &Tracker<T>,
        data: Option<AttributeValue>,
        seen: Option<Version>,
    ) -> Result<Update, Error> {
        let codec = &self.context.codec;
        Ok(expression::dump(codec.encode(tracker, data)?, tracker.status, seen, codec))
    }

    /// Writes a whole record.
    async fn write_whole<T>(&self, tracker: &Tracker<T>, update: Update) -> Result<(), Error> {
        let (context, id) = (&self.context, &tracker.id);
        if let Written::Refused { item, repeated } =
            context.table.update("dump it", id, update, Want::default()).await?
        {
            let stored = context.decode(id, item)?;
            if !(repeated && is_version(&stored, tracker.version())) {
                return Err(Error::changed(stored, id));
            }
        }
        Ok(())
    }

    fn id(&self, id: &str) -> Result<TaskId, Error> {
        Ok(TaskId::new(&self.context.namespace, id)?)
    }

    /// A record that was passed in is one of this client's namespace.
    fn own(&self, id: &TaskId) -> Result<(), Error> {
        if id.namespace() == self.context.namespace {
            return Ok(());
        }
        let message =
            format!("this client is for the namespace {:?}; use one for the task's own", self.context.namespace);
        Err(Error::new(ErrorKind::InvalidArgument, message).about(id))
    }
}

/// Whether the stored record is of the version that we wrote: after the request was sent twice, it is the first copy's.
fn is_version(stored: &Option<Tracker<RawData>>, written: Version) -> bool {
    stored.as_ref().is_some_and(|stored| stored.version() == written)
}

pub(crate) fn already_exists(existing: Option<Tracker<RawData>>, id: &TaskId) -> Error {
    let state = existing.as_ref().map_or("unknown".to_owned(), |record| record.status.to_string());
    let message = format!("it exists already, and is {state}; start it, or create one with another id");
    Error::new(ErrorKind::AlreadyExists, message).with_tracker(existing).about(id)
}
