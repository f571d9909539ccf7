//! What every call needs: the table, its form, the settings and the clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use crate::backoff::Backoff;
use crate::callback::CallBack;
use crate::error::{Error, ErrorKind};
use crate::record::{RawData, TaskId, Tracker};
use crate::schema::{Codec, Item};
use crate::status::Status;
use crate::table::Table;
use crate::time::{Clock, minus, plus, to_millis};
use crate::usual_start::UsualStart;

/// The number of shards is read again after so long. Whoever raises it waits as long before writing to the new ones.
const SHARDS_ARE_GOOD_FOR: Duration = Duration::from_secs(60);

/// Shared by a client, its clones and its leases.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) table: Table,
    pub(crate) codec: Codec,
    pub(crate) usual_start: UsualStart,
    pub(crate) namespace: String,
    pub(crate) lease: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) skew: Duration,
    pub(crate) retention: Option<Duration>,
    pub(crate) error_history: usize,
    /// How often a lease is extended; `None` for every third of its length.
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) backoff: Option<Backoff>,
    pub(crate) outcome_patience: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    /// How many shards the table says there are, and when that was read on the monotonic clock.
    pub(crate) shards: Mutex<Option<(u16, Duration)>>,
    /// What tells those who wait for the end of tasks.
    pub(crate) callbacks: Option<Arc<dyn CallBack>>,
}

impl Context {
    /// The clock's time in whole milliseconds.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        to_millis(self.clock.now())
    }

    /// When DynamoDB may delete a task that is over at `now`: whole seconds, so never too early.
    pub(crate) fn expire_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let expiry = plus(now, self.retention?);
        DateTime::from_timestamp(expiry.timestamp().saturating_add(i64::from(expiry.timestamp_subsec_nanos() > 0)), 0)
    }

    /// The same for a record that ends. While somebody is to be told of its end, it stays.
    pub(crate) fn expire_after<D>(&self, record: &Tracker<D>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if record.callback.is_some() { None } else { self.expire_at(now) }
    }

    /// Where a task that goes to `status` at `now` stands in the index: at the time that it is due, else so early that it is
    /// due at once by every clock that the skew allows for. Without an index, what is due is all there is to say.
    pub(crate) fn due_time(
        &self,
        status: Status,
        due: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        match &self.codec.index {
            None => due,
            Some(_) => self.codec.statuses.is_indexed(status).then(|| due.unwrap_or(self.at_once(now))),
        }
    }

    /// How many shards there are to look into: as many as the table says, or as this client writes to, if that is more. It is
    /// read again from time to time, since it may grow.
    pub(crate) async fn shards(&self) -> Result<u16, Error> {
        let Some(index) = self.codec.index else {
            let message = "this client keeps no index; build it with index(shards), or scan";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        };
        let mut known = self.shards.lock().await;
        let now = self.clock.monotonic();
        let stored = match *known {
            Some((stored, read)) if now < read + SHARDS_ARE_GOOD_FOR => stored,
            _ => {
                let stored = self.table.stored_shards().await?.unwrap_or_default();
                *known = Some((stored, now));
                stored
            }
        };
        Ok(stored.max(index.shards))
    }

    /// A due time that has passed at `now` for every clock that the skew allows for.
    pub(crate) fn at_once(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        minus(now, self.skew)
    }

    /// The record of an item that DynamoDB showed, where it showed one.
    pub(crate) fn decode(&self, id: &TaskId, item: Option<Item>) -> Result<Option<Tracker<RawData>>, Error> {
        item.map(|item| self.codec.decode_of(id, item)).transpose()
    }

    /// The record of an item that a write must have given back.
    pub(crate) fn decode_written(&self, id: &TaskId, item: Option<Item>) -> Result<Tracker<RawData>, Error> {
        let missing =
            || Error::new(ErrorKind::Service, "DynamoDB took the write, but did not show the item; try again");
        self.decode(id, item)?.ok_or_else(|| missing().about(id))
    }
}
