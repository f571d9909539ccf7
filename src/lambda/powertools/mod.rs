//! The idempotency records of Powertools for AWS Lambda, read and written by its own rules.
//!
//! A Rust function can share a table with Powertools functions in Python or TypeScript, or take over from one, without an event
//! being handled twice: the keys are equal, each side replays what the other has recorded, and refuses what the other works on.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
//! # let sdk_client = store.client();
//! # use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
//! # let attribute = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build()?;
//! # let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build()?;
//! # sdk_client.create_table().table_name("idempotency").attribute_definitions(attribute).key_schema(key)
//! #     .billing_mode(BillingMode::PayPerRequest).send().await?;
//! use std::time::Duration;
//! use dynamo_tracker::lambda::JmesPath;
//! use dynamo_tracker::lambda::powertools::{Outcome, Powertools};
//! use serde_json::{Value, json};
//!
//! // The handler `handler` in `app.py` of the function `orders-fn`.
//! let powertools = Powertools::builder(sdk_client)
//!     .table("idempotency")
//!     .name("orders-fn.app.handler")
//!     .key(JmesPath::new("order_id")?)
//!     .build()?;
//!
//! let event = json!({"order_id": "o-42", "sent": "12:00"});
//! let outcome = powertools.run(&event, Duration::from_secs(30), || async { Ok(json!({"paid": 1999})) }).await?;
//! assert!(matches!(outcome, Outcome::Executed(_)));
//!
//! let again = json!({"order_id": "o-42", "sent": "12:01"});
//! let outcome = powertools.run(&again, Duration::from_secs(30), || async { Ok(Value::Null) }).await?;
//! assert!(outcome.is_replayed());
//! assert_eq!(outcome.into_response(), json!({"paid": 1999}));
//! # Ok(()) }
//! ```
//!
//! # What it does better, and what it can't
//!
//! Its writes are those of Powertools, with a token in an attribute of its own (`dynamo_tracker_token`), which Powertools
//! leaves alone, and with conditions on it:
//!
//! * An answer that is lost does not block the event: the SDK's second copy is refused, and the token in the refusal says that
//!   the record is ours.
//! * Whoever took longer than they said, and was taken over, can neither overwrite nor delete the record of whoever took over,
//!   nor what was completed in the meantime.
//! * Work that is done is never recorded as not done: a response that is too large is left out, and the record is complete.
//!
//! What the other side writes has no such conditions: a Powertools function that ran out of time and still goes on can
//! complete or delete our record. Then our completion is refused ([`PowertoolsError::TakenOver`]), or makes the record again.
//! There is no heartbeat and no fencing token in the format, nor does it allow for clocks that differ. And a copy of the
//! first write that the network delivers after a failure has deleted the record blocks the event until its time is over.
//! Where no other language is involved, [`TrackerClient`](crate::TrackerClient) has none of these limits.

mod attributes;
mod builder;
mod decimal;
mod error;
mod flavor;
mod identity;
mod python;
mod record;
mod run;
mod store;
mod stored;
mod typescript;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use builder::PowertoolsBuilder;
pub use error::PowertoolsError;
pub use flavor::Flavor;
pub use run::Outcome;
pub use stored::{Stored, StoredStatus};

use crate::error::{Error, ErrorKind};
use crate::time::{Clock, plus};
use identity::{Identities, Identity};
use record::Record;
use store::Store;

/// As long as a Lambda function can run.
const MOST_TIME: Duration = Duration::from_secs(900);
/// A record must be in progress for some time, even where the function has none.
const LEAST_TIME: Duration = Duration::from_millis(1);

/// The records of one function's events in a Powertools table. The [module's page](self) has an example.
///
/// A clone costs little, and shares everything.
#[derive(Clone, Debug)]
pub struct Powertools {
    store: Arc<Store>,
    identities: Arc<Identities>,
    expires_after: Duration,
    clock: Arc<dyn Clock>,
}

impl Powertools {
    /// Begins to say where the records are, and how events are told apart.
    pub fn builder(client: aws_sdk_dynamodb::Client) -> PowertoolsBuilder {
        PowertoolsBuilder::new(client)
    }

    /// The idempotency key of an event: `name#hash`. `None` for an event without one, where that is
    /// [allowed](PowertoolsBuilder::allow_missing_key).
    ///
    /// ```
    /// # let client = aws_sdk_dynamodb::Client::from_conf(aws_sdk_dynamodb::Config::builder()
    /// #     .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest()).build());
    /// use dynamo_tracker::lambda::powertools::Powertools;
    /// use serde_json::json;
    ///
    /// let powertools = Powertools::builder(client).table("idempotency").name("orders-fn.app.handler").build()?;
    /// let key = powertools.key(&json!({"order_id": "o-42"}))?;
    /// assert_eq!(key.as_deref(), Some("orders-fn.app.handler#116f49d728164ea9f5b44350419d48e4"));
    /// # Ok::<(), dynamo_tracker::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: the event has no key, or an expression does not fit it.
    pub fn key(&self, event: &Value) -> Result<Option<String>, Error> {
        Ok(self.identities.of(event)?.map(|identity| identity.key))
    }

    /// The record of an event, if there is one, read consistently. It decides nothing: the next moment it may be another.
    ///
    /// ```no_run
    /// # async fn example(powertools: dynamo_tracker::lambda::powertools::Powertools) -> Result<(), dynamo_tracker::Error> {
    /// use dynamo_tracker::lambda::powertools::StoredStatus;
    /// use serde_json::{Value, json};
    ///
    /// match powertools.lookup::<Value>(&json!({"order_id": "o-42"})).await? {
    ///     Some(stored) if stored.status == StoredStatus::Completed => println!("done; kept until {}", stored.expires_at),
    ///     Some(stored) => println!("{:?} until {:?}", stored.status, stored.in_progress_until),
    ///     None => println!("nobody has begun"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] as for [`key`](Self::key); [`ErrorKind::Unreadable`]: the item is no record, or its
    /// response is nothing that an `R` can be read from; and those of a request.
    pub async fn lookup<R: DeserializeOwned>(&self, event: &Value) -> Result<Option<Stored<R>>, Error> {
        let Some(identity) = self.identities.of(event)? else { return Ok(None) };
        let found = self.store.get(&identity.key).await.map_err(|error| identity.name_in(error))?;
        let Some(item) = found else { return Ok(None) };
        let read = Record::read(&item, &self.store.names).and_then(|record| self.stored(&identity, &record));
        read.map(Some).map_err(|error| identity.name_in(error))
    }

    fn stored<R: DeserializeOwned>(&self, identity: &Identity, record: &Record) -> Result<Stored<R>, Error> {
        let now = self.clock.now();
        let status = match (record.is_expired(now), record.completed) {
            (true, _) => StoredStatus::Expired,
            (false, true) => StoredStatus::Completed,
            (false, false) => StoredStatus::InProgress,
        };
        Ok(Stored {
            key: identity.key.clone(),
            status,
            expires_at: DateTime::from_timestamp(record.expiration, 0).unwrap_or(DateTime::<Utc>::MAX_UTC),
            in_progress_until: record.in_progress_expiration.and_then(DateTime::from_timestamp_millis),
            payload_matches: record.matches(identity.validation.as_deref()),
            response: if record.completed { Some(self.response(record)?) } else { None },
        })
    }

    /// The response in a record. What is wrong with it is not said, since that would show it.
    fn response<R: DeserializeOwned>(&self, record: &Record) -> Result<R, Error> {
        let value = self.identities.flavor.decode(record.data.as_ref());
        value.and_then(|value| serde_json::from_value(value).ok()).ok_or_else(|| {
            let message = format!(
                "the event has been handled, but the response in its record is no `{}` as Powertools for {:?} writes it; \
                 read it as another type, or delete the record to have the event handled again",
                std::any::type_name::<R>(),
                self.identities.flavor
            );
            Error::new(ErrorKind::Unreadable, message)
        })
    }

    /// How long a Lambda function still has, by this clock: 15 minutes, as long as one can run, where its context does not say.
    pub(super) fn left(&self, context: &lambda_runtime::Context) -> Duration {
        let deadline = i64::try_from(context.deadline).ok().filter(|deadline| *deadline > 0);
        let Some(deadline) = deadline.and_then(DateTime::from_timestamp_millis) else { return MOST_TIME };
        (deadline - self.clock.now()).to_std().unwrap_or_default().max(LEAST_TIME)
    }

    fn expires(&self) -> DateTime<Utc> {
        plus(self.clock.now(), self.expires_after)
    }
}
