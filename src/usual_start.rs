//! The request of the usual start, which is nearly always the same.

use std::fmt;
use std::sync::OnceLock;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::expression::{self, Update};
use crate::protocol::{Acquire, Path};
use crate::record::TaskId;
use crate::schema::{Codec, millis, number, string};
use crate::status::Status;
use crate::time::minus;

/// The update of a client's usual start, put together once. Only some values change from one task to the next.
#[derive(Default)]
pub(crate) struct UsualStart(OnceLock<Template>);

struct Template {
    /// Its texts and names, and room for as many values.
    same: Update,
    values: Vec<(String, Value)>,
}

enum Value {
    Same(AttributeValue),
    Token,
    Now,
    Expires,
    RanOut,
    MaxAttempts,
    Shard,
}

impl UsualStart {
    /// The same as [`expression::acquire`], always with the same `codec`.
    pub(crate) fn update(&self, write: &Acquire, id: &TaskId, codec: &Codec) -> Update {
        if !is_usual(write) {
            return expression::acquire(write, id, codec);
        }
        let template = self.0.get_or_init(|| Template::of(expression::acquire(write, id, codec)));
        let mut update = template.same.clone();
        for (placeholder, value) in &template.values {
            update.values.insert(placeholder.clone(), value.of(write, id, codec));
        }
        update
    }
}

impl Template {
    fn of(mut update: Update) -> Self {
        let values = update.values.drain().map(|(placeholder, value)| {
            let value = Value::behind(&placeholder, value);
            (placeholder, value)
        });
        Self { values: values.collect(), same: update }
    }
}

impl Value {
    fn behind(placeholder: &str, value: AttributeValue) -> Self {
        match placeholder {
            ":token" => Self::Token,
            ":now" => Self::Now,
            ":expires" => Self::Expires,
            ":ran_out" => Self::RanOut,
            ":max" => Self::MaxAttempts,
            ":shard" => Self::Shard,
            _ => Self::Same(value),
        }
    }

    fn of(&self, write: &Acquire, id: &TaskId, codec: &Codec) -> AttributeValue {
        match self {
            Self::Same(value) => value.clone(),
            Self::Token => string(write.token),
            Self::Now => millis(write.now),
            Self::Expires => millis(write.expires()),
            Self::RanOut => millis(minus(write.now, write.skew)),
            Self::MaxAttempts => number(write.max_attempts),
            Self::Shard => AttributeValue::S(codec.partition_of(id, Status::InProgress).unwrap_or_default()),
        }
    }
}

/// Whether its text depends on nothing but the client. Every field is named, so that a new one is thought of here.
fn is_usual(write: &Acquire) -> bool {
    matches!(
        write,
        Acquire {
            token: _,
            now: _,
            lease: _,
            skew: _,
            max_attempts: _,
            held: None,
            owner: None,
            reentrant: false,
            ignore_lock: false,
            force_execution: false,
            only_existing: false,
            at_most_once: false,
            previous_succeeded: _,
            indexed: _,
            callback: None,
            path: Path::Ordinary,
        }
    )
}

impl fmt::Debug for UsualStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsualStart").field("known", &self.0.get().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{StartOptions, Terms};
    use crate::record::LockToken;
    use crate::schema::{Index, KeySchema};
    use crate::status::StatusSet;

    prop_compose! {
        fn start()(
            id in "[a-z]{1,8}",
            token in any::<u128>(),
            now in 0_i64..9_000_000_000_000,
            (lease, skew) in (1_u64..100_000, 0_u64..10_000),
            max_attempts in 1_u32..100,
            options in prop::option::weighted(0.3, 0_u8..6),
        ) -> (TaskId, Duration, Duration, u32, LockToken, DateTime<chrono::Utc>, StartOptions) {
            let options = match options {
                None => StartOptions::new(),
                Some(0) => StartOptions::new().owner("somebody"),
                Some(1) => StartOptions::new().ignore_lock(),
                Some(2) => StartOptions::new().force_execution(),
                Some(3) => StartOptions::new().only_existing(),
                Some(4) => StartOptions::new().at_most_once(),
                Some(_) => StartOptions::new().lock(LockToken::from_u128(7)),
            };
            let now = DateTime::from_timestamp_millis(now).expect("a time");
            let [lease, skew] = [lease, skew].map(Duration::from_millis);
            (TaskId::new("ns", &id).expect("an id"), lease, skew, max_attempts, LockToken::from_u128(token), now, options)
        }
    }

    proptest! {
        /// Whatever was started before, the request is the one that is put together anew.
        #[test]
        fn it_is_the_same_request(starts in prop::collection::vec(start(), 1..6), shards in prop::option::of(1_u16..9)) {
            let key = KeySchema { partition: "id".to_owned(), sort: None };
            let index = shards.map(|shards| Index { shards });
            let codec = Codec { key, statuses: StatusSet::default(), index, packing: None };
            let usual = UsualStart::default();
            for (id, lease, skew, max_attempts, token, now, options) in starts {
                let terms = Terms { now, lease, skew, max_attempts, previous_succeeded: None, indexed: index.is_some() };
                let write = Acquire::new(&options, token, terms);
                let (ours, anew) = (usual.update(&write, &id, &codec), expression::acquire(&write, &id, &codec));
                prop_assert_eq!(ours.update(), anew.update());
                prop_assert_eq!(ours.condition, anew.condition);
                prop_assert_eq!(ours.names, anew.names);
                prop_assert_eq!(ours.values, anew.values);
            }
        }
    }
}
