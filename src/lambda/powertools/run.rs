//! Beginning, work and completion in one call.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::identity::Identity;
use super::record::{Record, Verdict};
use super::store::Times;
use super::{Powertools, PowertoolsError};
use crate::error::{Error, ErrorKind};
use crate::record::LockToken;
use crate::schema::Item;
use crate::table::Written;
use crate::time::plus;
use crate::work_error::WorkError;

/// A record can run out between DynamoDB's look at it and ours, and an answer can come too late. Then the first write is sent
/// again; so often it is sent in all.
const ROUNDS: u32 = 3;

/// How an event got its response. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<R> {
    /// The work was run just now, and its response is recorded.
    Executed(R),
    /// The event was handled before, and this is the response of then.
    Replayed(R),
}

impl<R> Outcome<R> {
    /// The response, whenever it was made.
    #[must_use]
    pub fn into_response(self) -> R {
        match self {
            Outcome::Executed(response) | Outcome::Replayed(response) => response,
        }
    }

    /// True where the event was handled before.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        matches!(self, Outcome::Replayed(_))
    }
}

impl<R> fmt::Debug for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_replayed() { "Replayed(..)" } else { "Executed(..)" })
    }
}

/// A record that we began.
struct Held {
    identity: Identity,
    token: String,
    /// When its time is over, by the monotonic clock.
    ends: Duration,
}

impl Held {
    fn not_started<R>(&self, error: Error) -> PowertoolsError<R> {
        PowertoolsError::NotStarted(self.identity.name_in(error))
    }
}

/// What the first write came to.
enum Begun {
    Held(Held),
    Completed(Record),
}

impl Powertools {
    /// Handles an event, unless it was handled before: two writes, or one where there is nothing to do.
    ///
    /// `in_progress_for` is how long the work may take, which in a Lambda function is the time to its deadline. After that,
    /// whoever gets the event next takes it over. The work is not stopped then, since Lambda does so; where it still goes on,
    /// its completion counts if nobody has taken over.
    ///
    /// An `Err` of the work deletes the record, so that the event may come again; what a [`WorkError`] says of that is not
    /// heeded, as the format has no attempts. A panic does likewise, and goes on. A future that is dropped leaves the record, and the
    /// event is refused until its time is over.
    ///
    /// The [module's page](super) has an example.
    ///
    /// # Errors
    ///
    /// See [`PowertoolsError`].
    ///
    /// # Panics
    ///
    /// Where the work does.
    pub async fn run<R, F, Fut>(
        &self,
        event: &Value,
        in_progress_for: Duration,
        work: F,
    ) -> Result<Outcome<R>, PowertoolsError<R>>
    where
        R: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, WorkError>>,
    {
        let Some(identity) = self.identities.of(event).map_err(PowertoolsError::InvalidEvent)? else {
            return without_record(work).await;
        };
        match self.begin(identity, in_progress_for).await? {
            Begun::Held(held) => self.execute(held, work).await,
            Begun::Completed(record) => {
                self.response(&record).map(Outcome::Replayed).map_err(PowertoolsError::Unreadable)
            }
        }
    }

    async fn begin<R>(&self, identity: Identity, time: Duration) -> Result<Begun, PowertoolsError<R>> {
        let mut held = Held { identity, token: LockToken::random().to_string(), ends: Duration::ZERO };
        check_time(time).map_err(|error| held.not_started(error))?;
        for _ in 0..ROUNDS {
            held.ends = self.clock.monotonic().saturating_add(time);
            match self.put(&held, time).await.map_err(|error| held.not_started(error))? {
                Written::Done(_) if self.is_in_time(&held) => return Ok(Begun::Held(held)),
                Written::Refused { item: Some(item), .. } => match self.judge(&held, &item)? {
                    (Verdict::Completed, record) => return Ok(Begun::Completed(record)),
                    (Verdict::Ours, record) => {
                        held.ends = held.ends.min(self.end_of(&record));
                        if self.is_in_time(&held) {
                            return Ok(Begun::Held(held));
                        }
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        Err(held.not_started(unsettled()))
    }

    /// Where the answer took longer than the work may, the work is not begun: somebody may have taken over.
    fn is_in_time(&self, held: &Held) -> bool {
        !self.time_left(held).is_zero()
    }

    /// When the time in a record of ours is over, by the monotonic clock. It may have been begun by an earlier request.
    fn end_of(&self, record: &Record) -> Duration {
        let until = record.in_progress_expiration.unwrap_or_default();
        let left = until.saturating_sub(self.clock.now().timestamp_millis());
        self.clock.monotonic() + Duration::from_millis(u64::try_from(left).unwrap_or_default())
    }

    async fn put(&self, held: &Held, time: Duration) -> Result<Written, Error> {
        let now = self.clock.now();
        let times = Times { now, in_progress_until: plus(now, time), expires: self.expires() };
        self.store.begin(&held.identity, &held.token, times, time).await
    }

    /// What follows from the record that is in the way, unless that is a refusal.
    fn judge<R>(&self, held: &Held, item: &Item) -> Result<(Verdict, Record), PowertoolsError<R>> {
        let Held { identity, token, .. } = held;
        let record = Record::read(item, &self.store.names).map_err(|error| held.not_started(error))?;
        match record.judge(token, identity.validation.as_deref(), self.clock.now()) {
            Verdict::Mismatch => Err(PowertoolsError::PayloadMismatch(identity.name_in(mismatch()))),
            Verdict::InProgress(until) => {
                Err(PowertoolsError::InProgress { until, error: identity.name_in(in_progress()) })
            }
            other => Ok((other, record)),
        }
    }

    async fn execute<R, F, Fut>(&self, held: Held, work: F) -> Result<Outcome<R>, PowertoolsError<R>>
    where
        R: Serialize,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<R, WorkError>>,
    {
        match AssertUnwindSafe(async { work().await }).catch_unwind().await {
            Ok(Ok(response)) => self.complete(&held, response).await,
            Ok(Err(error)) => Err(PowertoolsError::Failed { error, not_released: self.release(&held).await.err() }),
            Err(panic) => {
                if let Err(error) = self.release(&held).await {
                    tracing::warn!("the work panicked, and its record could not be deleted: {error}");
                }
                resume_unwind(panic)
            }
        }
    }

    async fn complete<R: Serialize>(&self, held: &Held, response: R) -> Result<Outcome<R>, PowertoolsError<R>> {
        let error = match self.encode(&response) {
            Some(data) => match self.record(held, Some(&data)).await {
                Ok(()) => return Ok(Outcome::Executed(response)),
                Err(error) => error,
            },
            None => unwritable(),
        };
        match error.kind() {
            ErrorKind::ItemTooLarge | ErrorKind::Unwritable => self.complete_without(held, response, error).await,
            ErrorKind::LeaseLost => Err(PowertoolsError::TakenOver { response, error }),
            _ => Err(PowertoolsError::NotRecorded { response, error }),
        }
    }

    fn encode<R: Serialize>(&self, response: &R) -> Option<AttributeValue> {
        serde_json::to_value(response).ok().and_then(|value| self.identities.flavor.encode(&value))
    }

    /// That the work is done matters more than its response.
    async fn complete_without<R>(
        &self,
        held: &Held,
        response: R,
        error: Error,
    ) -> Result<Outcome<R>, PowertoolsError<R>> {
        let error = held.identity.name_in(error);
        Err(match self.record(held, None).await {
            Ok(()) => PowertoolsError::ResponseNotKept { response, error },
            Err(error) if error.kind() == ErrorKind::LeaseLost => PowertoolsError::TakenOver { response, error },
            Err(error) => PowertoolsError::NotRecorded { response, error },
        })
    }

    /// # Errors
    ///
    /// [`ErrorKind::LeaseLost`]: the record is somebody else's by now; and those of a request.
    async fn record(&self, held: &Held, data: Option<&AttributeValue>) -> Result<(), Error> {
        let Held { identity, token, .. } = held;
        let written = self.store.complete(identity, token, data, self.expires(), self.time_left(held)).await;
        match written.map_err(|error| identity.name_in(error))? {
            Written::Done(_) => Ok(()),
            Written::Refused { item: Some(item), .. } if self.is_in(&item, token, data) => Ok(()),
            Written::Refused { .. } => Err(identity.name_in(taken_over())),
        }
    }

    /// Whether a completion is in: our own, whose answer was lost. A Powertools function that we took over may have completed
    /// our record with another response.
    fn is_in(&self, item: &Item, token: &str, data: Option<&AttributeValue>) -> bool {
        let record = Record::read(item, &self.store.names);
        record.is_ok_and(|record| {
            record.completed && record.token.as_deref() == Some(token) && record.data.as_ref() == data
        })
    }

    /// Where the record is not ours any more, or is gone, there is nothing to delete.
    async fn release(&self, held: &Held) -> Result<(), Error> {
        let released = self.store.release(&held.identity.key, &held.token, self.time_left(held)).await;
        released.map(|_| ()).map_err(|error| held.identity.name_in(error))
    }

    fn time_left(&self, held: &Held) -> Duration {
        held.ends.saturating_sub(self.clock.monotonic())
    }
}

async fn without_record<R, F, Fut>(work: F) -> Result<Outcome<R>, PowertoolsError<R>>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<R, WorkError>>,
{
    let response = work().await.map_err(|error| PowertoolsError::Failed { error, not_released: None })?;
    Ok(Outcome::Executed(response))
}

fn check_time(in_progress_for: Duration) -> Result<(), Error> {
    if in_progress_for >= Duration::from_millis(1) {
        return Ok(());
    }
    let message = "the work has no time: in_progress_for must be a millisecond or more; is the deadline over?";
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

fn in_progress() -> Error {
    Error::new(ErrorKind::Locked, "somebody else works on the event; let it come again later")
}

fn mismatch() -> Error {
    let message = "the event has the key of one that was begun before, but what is compared differs; look at who sent both, \
                   or select more of the event as its key";
    Error::new(ErrorKind::InvalidArgument, message)
}

fn taken_over() -> Error {
    let message = "the work took longer than it said, and somebody else has taken the event over; give it more time";
    Error::new(ErrorKind::LeaseLost, message)
}

fn unsettled() -> Error {
    let message = "the event's record ran out each time before it could be used; is the time very short, or a clock wrong? let the event \
                   come again later";
    Error::new(ErrorKind::Conflict, message)
}

fn unwritable() -> Error {
    let message =
        "the response can't be kept: it is nothing that serde_json and DynamoDB have a value for; return another";
    Error::new(ErrorKind::Unwritable, message)
}
