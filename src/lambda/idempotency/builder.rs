//! Making an [`Idempotency`]. Every bad value is an error here, not at the first event.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::cache::{Cache, in_memory};
use super::{Idempotency, Inner, Key, Replay, switch};
use crate::client::{TrackerClient, check};
use crate::countdown::COUNTING;
use crate::error::Error;
use crate::record::Tracker;

/// Enough to record a failure: DynamoDB answers in milliseconds, and a lost answer is asked for again.
const MARGIN: Duration = Duration::from_millis(500);

pub(super) type OnReplay = dyn Fn(Value, &Tracker<()>) -> Value + Send + Sync;

/// What becomes of an event without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingKey {
    /// It is refused as [`MissingKey`](super::IdempotencyErrorKind::MissingKey). The default.
    Refuse,
    /// The work is run, each time, with no record.
    Skip,
}

/// What becomes of an event that somebody else is handling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InProgress {
    /// It is refused as [`TaskLocked`](super::IdempotencyErrorKind::TaskLocked). The default.
    Refuse,
    /// It waits for the other's response for at most so long, and no longer than the function has time. It asks every second or
    /// sooner, which is a write unit each time. Where the other fails, the work is run here.
    Wait(Duration),
}

/// What becomes of a response that has no room in the record: DynamoDB's items have 400 KB. Whichever it is, the work is not
/// run again because of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLarge {
    /// The success is recorded without the response. Whoever comes first gets it, later ones
    /// [`ResponseNotKept`](super::IdempotencyErrorKind::ResponseNotKept). The default.
    KeepNothing,
    /// It is packed by zlib, as programs of other languages can read. If it is still too large, as above.
    Compress,
    /// A failure for good is recorded, and all get [`ResponseTooLarge`](super::IdempotencyErrorKind::ResponseTooLarge) or
    /// [`TaskExhausted`](super::IdempotencyErrorKind::TaskExhausted): for functions whose callers can't do without the response.
    Fail,
}

/// An [`Idempotency`] in the making.
///
/// ```
/// # use dynamo_tracker::TrackerClient;
/// use std::time::Duration;
/// use dynamo_tracker::lambda::{Idempotency, InProgress, Key, MissingKey, Replay, TooLarge};
///
/// # fn example(client: TrackerClient<Replay>) -> Result<Idempotency, dynamo_tracker::Error> {
/// Idempotency::builder(client)
///     .key(Key::http_header("Idempotency-Key"))
///     .missing_key(MissingKey::Skip)
///     .while_in_progress(InProgress::Wait(Duration::from_secs(5)))
///     .too_large(TooLarge::Compress)
///     .cache(1000, Duration::from_secs(300))
///     .build()
/// # }
/// ```
#[must_use]
pub struct IdempotencyBuilder {
    client: TrackerClient<Replay>,
    inner: Inner,
    cache: Option<CacheSize>,
}

/// How large the cache is to be, and what makes it: a function, for its code to be there only where a cache is asked for.
struct CacheSize {
    entries: u64,
    ttl: Duration,
    make: fn(u64, Duration) -> Arc<dyn Cache>,
}

impl IdempotencyBuilder {
    pub(super) fn new(client: TrackerClient<Replay>) -> Self {
        let inner = Inner {
            key: Key::whole(),
            validate: None,
            missing_key: MissingKey::Refuse,
            in_progress: InProgress::Refuse,
            too_large: TooLarge::KeepNothing,
            pack: |_| None,
            counting: None,
            margin: MARGIN,
            cache: None,
            on_replay: None,
            off: false,
        };
        Self { client, inner, cache: None }
    }

    /// What tells events apart. [`Key::whole`] by default.
    pub fn key(mut self, key: Key) -> Self {
        self.inner.key = key;
        self
    }

    /// What must be the same in events with one key, such as an order's amount. Its SHA-256 is kept with the response; an event
    /// that differs is refused as [`PayloadMismatch`](super::IdempotencyErrorKind::PayloadMismatch). Nothing by default.
    pub fn validate(mut self, part: Key) -> Self {
        self.inner.validate = Some(part);
        self
    }

    /// What becomes of an event without a key.
    pub fn missing_key(mut self, choice: MissingKey) -> Self {
        self.inner.missing_key = choice;
        self
    }

    /// What becomes of an event that somebody else is handling.
    pub fn while_in_progress(mut self, choice: InProgress) -> Self {
        self.inner.in_progress = choice;
        self
    }

    /// What becomes of a response that is too large to be kept.
    pub fn too_large(mut self, choice: TooLarge) -> Self {
        self.inner.too_large = choice;
        self.inner.pack = Replay::pack;
        self
    }

    /// Keeps so many finished results in this process's memory, each for so long: a duplicate of one costs no request at all.
    /// Not at all by default.
    ///
    /// What an operator does to a record meanwhile (a redrive, a deletion) is seen when its time is over.
    pub fn cache(mut self, entries: u64, ttl: Duration) -> Self {
        self.cache = Some(CacheSize { entries, ttl, make: in_memory });
        self
    }

    /// Takes tasks of a [`Batch`](crate::Batch) too, and counts them there when they end. Without it they are refused, and the
    /// program need not have the SDK's code for transactions in it, which is 2 % of a small function.
    pub fn counts_batches(mut self) -> Self {
        self.inner.counting = Some(COUNTING);
        self
    }

    /// How long before the function's deadline the work is stopped, so that there is time to record it as failed. 500 ms by
    /// default; never more than half of the time that there is.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.inner.margin = margin;
        self
    }

    /// Changes each response that is given again, such as to mark it. It gets the response and the record.
    ///
    /// ```
    /// # use dynamo_tracker::TrackerClient;
    /// # use dynamo_tracker::lambda::{Idempotency, Replay};
    /// # fn example(client: TrackerClient<Replay>) -> Result<Idempotency, dynamo_tracker::Error> {
    /// Idempotency::builder(client)
    ///     .on_replay(|mut response, record| {
    ///         response["headers"]["Idempotency-Replayed"] = record.attempts.to_string().into();
    ///         response
    ///     })
    ///     .build()
    /// # }
    /// ```
    pub fn on_replay(mut self, change: impl Fn(Value, &Tracker<()>) -> Value + Send + Sync + 'static) -> Self {
        self.inner.on_replay = Some(Box::new(change));
        self
    }

    /// What was said so far, if it is good. Reads the [switches](Idempotency#switches) from the environment.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument): a value or a switch is no good; the message says which and why.
    pub fn build(self) -> Result<Idempotency, Error> {
        let mut inner = self.inner;
        if let Some(CacheSize { entries, ttl, make }) = self.cache {
            check(entries > 0, "the cache must have room for at least one entry; or ask for no cache")?;
            check(
                !ttl.is_zero() && ttl <= LONGEST_TTL,
                "the cache must keep entries for up to a year, and not for nothing",
            )?;
            inner.cache = Some(make(entries, ttl));
        }
        if let InProgress::Wait(limit) = inner.in_progress {
            check(!limit.is_zero(), "there must be some time to wait for; or refuse an event that is in progress")?;
        }
        inner.off = switch::is_off(|name| std::env::var(name).ok())?;
        if inner.off {
            tracing::warn!(namespace = self.client.namespace(), "idempotency is turned off by the environment");
        }
        Ok(Idempotency { client: self.client, inner: Arc::new(inner), owner: None })
    }
}

const LONGEST_TTL: Duration = Duration::from_secs(366 * 24 * 3600);

impl fmt::Debug for IdempotencyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyBuilder")
            .field("client", &self.client)
            .field("key", &self.inner.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Config;
    use aws_sdk_dynamodb::config::BehaviorVersion;

    use super::*;

    fn good() -> IdempotencyBuilder {
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).build();
        let client = aws_sdk_dynamodb::Client::from_conf(config);
        Idempotency::builder(TrackerClient::builder(client).table("tasks").namespace("test").build().unwrap())
    }

    #[test]
    fn bad_values_are_said() {
        good().cache(1, Duration::from_secs(1)).build().unwrap();
        let table = [
            (good().cache(0, Duration::from_secs(1)), "room for at least one entry"),
            (good().cache(1, Duration::ZERO), "must keep entries for up to a year"),
            (good().cache(1, Duration::from_secs(367 * 24 * 3600)), "must keep entries for up to a year"),
            (good().while_in_progress(InProgress::Wait(Duration::ZERO)), "some time to wait for"),
        ];
        for (builder, expected) in table {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
