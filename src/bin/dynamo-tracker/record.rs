//! A record as JSON: the names that programs rely on.

use chrono::{DateTime, SecondsFormat, Utc};
use dynamo_tracker::{AttemptError, Tracker};
use serde_json::{Value, json};

/// The record as one JSON object. Absent values are `null`.
pub(crate) fn to_json<D>(tracker: &Tracker<D>, data: &Value, now: DateTime<Utc>) -> Value {
    json!({
        "namespace": tracker.id.namespace(),
        "id": tracker.id.as_str(),
        "status": tracker.status.name(),
        "status_code": tracker.status.code(),
        "attempts": tracker.attempts,
        "max_attempts": tracker.max_attempts,
        "generation": tracker.generation,
        "create_time": time(tracker.create_time),
        "update_time": time(tracker.update_time),
        "locked": tracker.is_locked(None, now),
        "lock": tracker.lock.map(|token| token.to_string()),
        "last_lock": tracker.last_lock.map(|token| token.to_string()),
        "step": tracker.step,
        "lock_owner": tracker.lock_owner,
        "lock_time": tracker.lock_time.map(time),
        "lock_expire_time": tracker.lock_expire_time.map(time),
        "data": data,
        "errors": tracker.errors.iter().map(error).collect::<Vec<_>>(),
        // Which partition of the index it is in is the index's own business.
        "shard": null,
        "due_time": tracker.due_time.map(time),
        "expire_at": tracker.expire_at.map(time),
    })
}

fn error(error: &AttemptError) -> Value {
    json!({
        "attempt": error.attempt,
        "time": time(error.time),
        "type": error.error_type,
        "message": error.message,
        "trace": error.trace,
    })
}

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
