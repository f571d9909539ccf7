//! How long a state is to wait, in the words of its language.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

/// A time as `Timestamp` and `TimestampPath` of a `Wait` take it.
pub(super) fn timestamp(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How long that is from now in whole seconds, as `Seconds` and `SecondsPath` take it, and never too few.
pub(super) fn seconds(until: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    (until - now).num_milliseconds().max(1).unsigned_abs().div_ceil(1000)
}

/// The text of an error that says until when to wait, for a definition to read.
pub(super) fn until_as_json(message: &str, until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    json!({"message": message, "until": timestamp(&until), "seconds": seconds(until, now)}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_never_too_few() {
        let now = DateTime::from_timestamp(100, 0).unwrap();
        let at = |millis| now + chrono::TimeDelta::milliseconds(millis);
        assert_eq!([-5000, 0, 1, 1000, 1001].map(|millis| seconds(at(millis), now)), [1, 1, 1, 1, 2]);
        let expected = r#"{"message":"locked","seconds":1,"until":"1970-01-01T00:01:41.000Z"}"#;
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&until_as_json("locked", at(1000), now)), value(expected));
    }
}
