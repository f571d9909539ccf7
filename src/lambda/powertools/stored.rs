//! A record as callers see it.

use std::fmt;

use chrono::{DateTime, Utc};

/// How far the handling of an event is, by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoredStatus {
    /// Somebody works on it, or has died doing so: see [`Stored::in_progress_until`].
    InProgress,
    /// It is done.
    Completed,
    /// The record is past its expiration, and only waits for being deleted: the next run replaces it.
    Expired,
}

/// A record that [`lookup`](super::Powertools::lookup) has found. `Debug` does not show the response.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored<R> {
    /// The idempotency key: `name#hash`.
    pub key: String,
    /// How far it is, by this machine's clock.
    pub status: StoredStatus,
    /// When the record expires, to the second.
    pub expires_at: DateTime<Utc>,
    /// Until when whoever began may work, to the millisecond. It stays when they are done, and may be missing.
    pub in_progress_until: Option<DateTime<Utc>>,
    /// False where a part of the event is [compared](super::PowertoolsBuilder::validate), and was another one when the record
    /// was made.
    pub payload_matches: bool,
    /// The response, where it is done.
    pub response: Option<R>,
}

impl<R> fmt::Debug for Stored<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("key", &self.key)
            .field("status", &self.status)
            .field("expires_at", &self.expires_at)
            .field("in_progress_until", &self.in_progress_until)
            .field("payload_matches", &self.payload_matches)
            .finish_non_exhaustive()
    }
}
