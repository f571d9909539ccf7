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

/// A record can run out between DynamoDB's look at it and ours; then the first write is sent again, so often.
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

    async fn begin<R>(&self, identity: Identity, in_progress_for: Duration) -> Result<Begun, PowertoolsError<R>> {
        let named = |error| identity.name_in(error);
        check_time(in_progress_for).map_err(|error| PowertoolsError::NotStarted(named(error)))?;
        let token = LockToken::random().to_string();
        for _ in 0..ROUNDS {
            let sent = self.clock.monotonic();
            let written = self.put(&identity, &token, in_progress_for).await;
            let ends = sent.saturating_add(in_progress_for);
            match written.map_err(|error| PowertoolsError::NotStarted(named(error)))? {
                // An answer that took longer than the work may is not begun with: somebody may have taken over.
                _ if self.clock.monotonic() >= ends => {}
                Written::Done(_) => return Ok(Begun::Held(Held { identity, token, ends })),
                Written::Refused { item: None, .. } => {}
                Written::Refused { item: Some(item), .. } => {
                    let record = Record::read(&item, &self.store.names);
                    let record = record.map_err(|error| PowertoolsError::NotStarted(named(error)))?;
                    match record.judge(&token, identity.validation.as_deref(), self.clock.now()) {
                        Verdict::Ours => return Ok(Begun::Held(Held { identity, token, ends })),
                        Verdict::Completed => return Ok(Begun::Completed(record)),
                        Verdict::Over => {}
                        Verdict::Mismatch => return Err(PowertoolsError::PayloadMismatch(named(mismatch()))),
                        Verdict::InProgress(until) => {
                            return Err(PowertoolsError::InProgress { until, error: named(in_progress()) });
                        }
                    }
                }
            }
        }
        Err(PowertoolsError::NotStarted(named(unsettled())))
    }

    async fn put(&self, identity: &Identity, token: &str, in_progress_for: Duration) -> Result<Written, Error> {
        let now = self.clock.now();
        let times = Times { now, in_progress_until: plus(now, in_progress_for), expires: self.expires() };
        self.store.begin(identity, token, times, in_progress_for).await
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
    let message =
        "the event's record ran out each time while it was looked at; are the clocks right? let it come again later";
    Error::new(ErrorKind::Conflict, message)
}

fn unwritable() -> Error {
    let message =
        "the response can't be kept: it is nothing that serde_json and DynamoDB have a value for; return another";
    Error::new(ErrorKind::Unwritable, message)
}
