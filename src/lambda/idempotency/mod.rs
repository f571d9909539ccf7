//! Work that is done once for each event, and whose response is given again.

mod budget;
mod builder;
mod cache;
mod error;
mod events;
mod key;
mod replay;
mod run;
mod stop;
mod switch;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lambda_runtime::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use builder::{IdempotencyBuilder, InProgress, MissingKey, TooLarge};
pub use error::{IdempotencyError, IdempotencyErrorKind};
pub use key::Key;
pub use replay::Replay;

use crate::client::TrackerClient;
use crate::countdown::Counting;
use crate::error::{Error, ErrorKind};
use crate::work_error::WorkError;
pub(super) use budget::Budget;
use builder::OnReplay;
use cache::Cache;
pub(super) use run::{Begun, in_time};

/// Makes work happen once for each event. Whoever comes with the event again gets the response that is kept.
///
/// The first call is two writes, a duplicate one, and one that the [cache](IdempotencyBuilder::cache) knows none. A failure is
/// recorded with its error, and the event may come again until the client's
/// [attempts](crate::TrackerClientBuilder::max_attempts) are used up.
///
/// In a Lambda function, the lease is as long as the function has time, so there is no heartbeat to pay for, and an event
/// whose function was killed can be taken again soon after. [`IdempotencyLayer`](super::IdempotencyLayer) does this for a whole
/// handler. A clone costs little, and shares everything.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let sdk_client = store.client();
/// use dynamo_tracker::TrackerClient;
/// use dynamo_tracker::lambda::{Idempotency, JmesPath, Key};
/// use serde_json::json;
///
/// let client = TrackerClient::builder(sdk_client).table("tasks").namespace("payments").build()?;
/// client.create_table().await?;
/// let idempotency = Idempotency::builder(client)
///     .key(Key::path(JmesPath::new("order")?))
///     .validate(Key::path(JmesPath::new("amount")?))
///     .build()?;
///
/// let event = json!({"order": "A1", "amount": 1200});
/// for replayed in [false, true] {
///     let outcome = idempotency.run(&event, None, || async { Ok::<_, std::io::Error>("paid".to_owned()) }).await?;
///     assert_eq!((outcome.response.as_str(), outcome.replayed, outcome.attempt), ("paid", replayed, 1));
/// }
/// let other = json!({"order": "A1", "amount": 1});
/// let error = idempotency.run(&other, None, || async { Ok::<_, std::io::Error>(String::new()) }).await.unwrap_err();
/// assert_eq!(error.kind().name(), "PayloadMismatch");
/// # Ok(()) }
/// ```
///
/// # Switches
///
/// Where the environment says `DYNAMO_TRACKER_IDEMPOTENCY_DISABLED=true`, or `POWERTOOLS_IDEMPOTENCY_DISABLED=true` as for
/// Powertools, work is run each time, and nothing is recorded: for tests of a handler without DynamoDB. They are read once, when
/// it is built.
#[derive(Clone)]
pub struct Idempotency {
    client: TrackerClient<Replay>,
    inner: Arc<Inner>,
    owner: Option<Owner>,
}

/// In whose name it works.
#[derive(Clone)]
enum Owner {
    /// For people.
    Named(Arc<str>),
    /// Who may take its own lock again.
    Reentrant(Arc<str>),
}

struct Inner {
    key: Key,
    validate: Option<Key>,
    missing_key: MissingKey,
    in_progress: InProgress,
    too_large: TooLarge,
    // A function, for its code to be there only where something is said of what is too large.
    pack: fn(&Replay) -> Option<Replay>,
    // Likewise.
    counting: Option<Counting>,
    margin: Duration,
    cache: Option<Arc<dyn Cache>>,
    on_replay: Option<Box<OnReplay>>,
    off: bool,
}

/// The response to an event, and how it came about. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome<R> {
    /// What the work returned, now or before.
    pub response: R,
    /// True where that was before, and the work was not run.
    pub replayed: bool,
    /// In which attempt it was, counted from 1. 0 where there is no record: the event has no key, or idempotency is off.
    pub attempt: u32,
}

impl<R> fmt::Debug for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Outcome");
        debug.field("replayed", &self.replayed).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl Idempotency {
    /// Begins one. The client says where the records are, how long they are kept, how often an event is tried, and how long a
    /// lease is at most.
    pub fn builder(client: TrackerClient<Replay>) -> IdempotencyBuilder {
        IdempotencyBuilder::new(client)
    }

    /// The client that it works with: for operators, and to look at records.
    #[must_use]
    pub fn client(&self) -> &TrackerClient<Replay> {
        &self.client
    }

    /// The same, working in this name, such as a request's id. The record shows it to whoever finds the event locked.
    #[must_use]
    pub fn owner(&self, name: &str) -> Self {
        Self { owner: Some(Owner::Named(name.into())), ..self.clone() }
    }

    /// The same, working in a name that takes its own lock again at once, as after a crash. For callers of which there is never
    /// more than one at a time: see [`StartOptions::reentrant_owner`](crate::StartOptions::reentrant_owner).
    #[must_use]
    pub fn reentrant_owner(&self, name: &str) -> Self {
        Self { owner: Some(Owner::Reentrant(name.into())), ..self.clone() }
    }

    /// The id of an event's task, by which [`client`](Self::client) finds its record; `None` where the event has no key, and may have none.
    ///
    /// # Errors
    ///
    /// [`MissingKey`](IdempotencyErrorKind::MissingKey), [`InvalidEvent`](IdempotencyErrorKind::InvalidEvent).
    pub fn id(&self, event: &Value) -> Result<Option<String>, IdempotencyError> {
        let id = self.inner.key.of(event).map_err(invalid)?;
        match (id, self.inner.missing_key) {
            (None, MissingKey::Refuse) => Err(self.no_key()),
            (id, _) => Ok(id),
        }
    }

    /// The hash of what must be the same in events with one key, where something must.
    ///
    /// # Errors
    ///
    /// [`InvalidEvent`](IdempotencyErrorKind::InvalidEvent).
    pub fn validation(&self, event: &Value) -> Result<Option<String>, IdempotencyError> {
        let Some(part) = &self.inner.validate else { return Ok(None) };
        // An event in which there is no such part differs from one that has it.
        let part = part.of(event).map_err(invalid)?;
        Ok(Some(super::sha256_hex(&part.into())))
    }

    /// Runs the work for an event, or gives the response that is kept of it.
    ///
    /// With the context of a Lambda function, the lease lasts as long as the function has time, and a margin before the end of
    /// that the work is stopped, and recorded as failed. Without, the lease is the client's, and a heartbeat extends it.
    ///
    /// A future that is dropped records nothing, and the event can be taken again when its lease is over. A panic is recorded as
    /// a failure, and goes on.
    ///
    /// # Errors
    ///
    /// See [`IdempotencyErrorKind`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime; and where the work does.
    pub async fn run<R, E, F, Fut>(
        &self,
        event: &Value,
        context: Option<&Context>,
        work: F,
    ) -> Result<Outcome<R>, IdempotencyError>
    where
        R: Serialize + DeserializeOwned,
        E: Into<WorkError>,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let left = context.and_then(|context| self.left(context));
        match context {
            Some(context) => self.owner(&context.request_id).run_event(event, left, work).await,
            None => self.run_event(event, left, work).await,
        }
    }

    /// The same in the name that it works in, in a process that may go on for so long.
    pub(crate) async fn run_event<R, E, F, Fut>(
        &self,
        event: &Value,
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
        let Some(id) = self.id(event)? else {
            tracing::warn!(
                namespace = self.client.namespace(),
                "the event has no key, so it is handled without a record"
            );
            return self.without_record(left, work).await;
        };
        let validation = self.validation(event)?;
        self.run_keyed(&id, validation, left, work).await
    }

    /// How long a Lambda function still has, by this client's clock. `None` for a context that was made without a deadline, as
    /// tests make it.
    #[must_use]
    pub fn left(&self, context: &Context) -> Option<Duration> {
        let deadline = i64::try_from(context.deadline).ok().filter(|deadline| *deadline > 0)?;
        let deadline = DateTime::<Utc>::from_timestamp_millis(deadline)?;
        Some((deadline - self.client.context.now()).to_std().unwrap_or_default())
    }

    /// How records without a key are dealt with.
    pub(super) fn missing_key(&self) -> MissingKey {
        self.inner.missing_key
    }

    /// Whether something must be the same in events with one key.
    pub(super) fn validates(&self) -> bool {
        self.inner.validate.is_some()
    }

    /// Whether nothing is recorded.
    pub(super) fn is_off(&self) -> bool {
        self.inner.off
    }

    /// The budget of a process that may go on for so long.
    pub(super) fn budget(&self, left: Option<Duration>) -> Budget {
        Budget::new(&self.client.context, left, self.inner.margin)
    }

    fn no_key(&self) -> IdempotencyError {
        let message = format!(
            "namespace {:?}: {} is not there, so the event has no key; look at the event, or make the key of something else",
            self.client.namespace(),
            self.inner.key.name()
        );
        IdempotencyError::new(IdempotencyErrorKind::MissingKey, Error::new(ErrorKind::InvalidArgument, message))
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("client", &self.client)
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

fn invalid(error: Error) -> IdempotencyError {
    IdempotencyError::new(IdempotencyErrorKind::InvalidEvent, error)
}

/// Runs any work once for each id: outside of Lambda, or a part of a handler that must not happen twice on its own.
///
/// The lease is the client's, and a heartbeat extends it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let client = dynamo_tracker::TrackerClient::builder(store.client()).table("tasks").namespace("charges").build()?;
/// # client.create_table().await?;
/// use dynamo_tracker::lambda::{Idempotency, idempotent};
///
/// async fn charge(cents: u64) -> Result<u64, std::num::ParseIntError> {
///     Ok(cents)
/// }
/// let charges = Idempotency::builder(client).build()?;
/// let first = idempotent(&charges, "order-42", || charge(1200)).await?;
/// let again = idempotent(&charges, "order-42", || charge(9999)).await?;
/// assert_eq!((first.response, again.response), (1200, 1200));
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// See [`IdempotencyErrorKind`].
///
/// # Panics
///
/// Outside of a tokio runtime; and where the work does.
pub async fn idempotent<R, E, F, Fut>(
    idempotency: &Idempotency,
    id: &str,
    work: F,
) -> Result<Outcome<R>, IdempotencyError>
where
    R: Serialize + DeserializeOwned,
    E: Into<WorkError>,
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    idempotency.run_keyed(id, None, None, work).await
}
