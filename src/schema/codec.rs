//! Item to record and back.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::raw::{check_size, to_value};
use super::{Index, Item, KeySchema, Packing, attr, decode, packing};
use crate::error::Error;
use crate::record::{AttemptError, RawData, TaskId, Tracker};
use crate::status::{Status, StatusSet};

/// What is needed to read and write items.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    pub(crate) key: KeySchema,
    pub(crate) statuses: StatusSet,
    /// Where it is kept.
    pub(crate) index: Option<Index>,
    /// Where data is packed and unpacked.
    pub(crate) packing: Option<Packing>,
}

impl Codec {
    /// The record of an item. Attributes that it does not know are left out.
    pub(crate) fn decode(&self, item: Item) -> Result<Tracker<RawData>, Error> {
        self.decode_of(&decode::id(&item, &self.key.partition)?, item)
    }

    /// The same where it is known whose item it is.
    pub(crate) fn decode_of(&self, id: &TaskId, item: Item) -> Result<Tracker<RawData>, Error> {
        decode::record(id.clone(), item, &self.statuses, self.packing).map_err(|error| error.about(id))
    }

    /// What the item's partition key says, if it is one of ours.
    pub(crate) fn key_of<'a>(&self, item: &'a Item) -> Option<&'a str> {
        item.get(&self.key.partition)?.as_s().ok().map(String::as_str)
    }

    /// The partition of the index that a task in this state is in; `None` where it is in none.
    pub(crate) fn partition_of(&self, id: &TaskId, status: Status) -> Option<String> {
        self.index.as_ref()?.partition_of(id, status, &self.statuses)
    }

    /// The caller's data as an item has it.
    pub(crate) fn encode_data<D: Serialize>(&self, data: &D) -> Result<AttributeValue, Error> {
        self.store(to_value(data)?)
    }

    /// The same of data that is in DynamoDB's form.
    pub(crate) fn store(&self, data: AttributeValue) -> Result<AttributeValue, Error> {
        packing::store(data, self.packing)
    }

    /// The item of a record with this data, its key included. What is absent in the record is absent in the item.
    pub(crate) fn encode<D>(&self, record: &Tracker<D>, data: Option<AttributeValue>) -> Result<Item, Error> {
        let mut item = self.key.key(&record.id);
        let mut put = |name: &str, value| item.insert(name.to_owned(), value);
        put(attr::STATUS, number(self.statuses.code(record.status)));
        put(attr::ATTEMPTS, number(record.attempts));
        put(attr::MAX_ATTEMPTS, number(record.max_attempts));
        put(attr::GENERATION, number(record.generation));
        put(attr::CREATE_TIME, millis(record.create_time));
        put(attr::UPDATE_TIME, millis(record.update_time));
        put(attr::STEP, number(record.step));
        for (name, value) in [
            (attr::LOCK, record.lock.map(string)),
            (attr::LAST_LOCK, record.last_lock.map(string)),
            (attr::LOCK_OWNER, record.lock_owner.as_deref().map(string)),
            (attr::LOCK_TIME, record.lock_time.map(millis)),
            (attr::LOCK_EXPIRE_TIME, record.lock_expire_time.map(millis)),
            (attr::DATA, data),
            (attr::ERRORS, (!record.errors.is_empty()).then(|| encode_errors(&record.errors)).transpose()?),
            (attr::SHARD, self.partition_of(&record.id, record.status).map(AttributeValue::S)),
            (attr::DUE_TIME, record.due_time.map(millis)),
            (attr::EXPIRE_AT, record.expire_at.map(seconds)),
            (attr::BATCH, record.batch.as_ref().map(string)),
            (attr::LAST_BATCH, record.last_batch.as_ref().map(string)),
            (attr::CALLBACK, record.callback.as_ref().map(|token| string(token.as_str()))),
        ] {
            if let Some(value) = value {
                put(name, value);
            }
        }
        Ok(item)
    }
}

/// A number.
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A string.
pub(crate) fn string(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A time in milliseconds since 1970, as everywhere but in the TTL attribute.
///
/// Not inlined, since many attributes are times.
#[inline(never)]
pub(crate) fn millis(time: DateTime<Utc>) -> AttributeValue {
    number(time.timestamp_millis())
}

/// A time in seconds since 1970, as DynamoDB's TTL wants it.
pub(crate) fn seconds(time: DateTime<Utc>) -> AttributeValue {
    number(time.timestamp())
}

/// The history of errors.
pub(crate) fn encode_errors(errors: &[AttemptError]) -> Result<AttributeValue, Error> {
    let value = to_value(&errors)?;
    check_size(&value)?;
    Ok(value)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::record::{BatchMember, LockToken, TaskToken};
    use crate::schema::ATTRIBUTES;

    /// One that does not pack, and one that packs all that it can.
    fn codecs() -> Vec<Codec> {
        #[allow(unused_mut, reason = "packing is a feature")]
        let mut codecs = vec![codec()];
        #[cfg(feature = "zstd")]
        codecs.push(Codec {
            packing: Some(Packing { over: 0, pack: crate::schema::pack, unpack: crate::schema::unpack }),
            ..codec()
        });
        codecs
    }

    /// Bytes that look like packed data: any, or some that are packed, with something behind them.
    fn look_alike() -> impl Strategy<Value = AttributeValue> {
        #[cfg(not(feature = "zstd"))]
        let packed = Just(packing::MAGIC.to_vec());
        #[cfg(feature = "zstd")]
        let packed = prop_oneof![
            Just(packing::MAGIC.to_vec()),
            value().prop_map(|value| crate::schema::pack(&value).expect("it is small"))
        ];
        (packed, prop_oneof![Just(Vec::new()), any::<Vec<u8>>()])
            .prop_map(|(packed, behind)| AttributeValue::B([packed, behind].concat().into()))
    }

    fn codec() -> Codec {
        let key = KeySchema { partition: "id".to_owned(), sort: Some(("sk".to_owned(), "TRACKER".to_owned())) };
        Codec { key, statuses: StatusSet::default(), index: None, packing: None }
    }

    /// A time that an item can hold, in whole milliseconds.
    fn time() -> impl Strategy<Value = DateTime<Utc>> {
        (-8_000_000_000_000_i64..8_000_000_000_000_000)
            .prop_map(|millis| DateTime::from_timestamp_millis(millis).expect("within chrono's range"))
    }

    fn token() -> impl Strategy<Value = LockToken> {
        any::<u128>().prop_map(LockToken::from_u128)
    }

    fn error() -> impl Strategy<Value = AttemptError> {
        let texts = (any::<String>(), any::<String>(), prop::option::of(any::<String>()));
        (any::<u32>(), time(), texts).prop_map(|(attempt, time, (kind, message, trace))| {
            AttemptError::from_parts(attempt, time, &kind, &message, trace.as_deref())
        })
    }

    /// Any value that DynamoDB has a type for, numbers of every kind included.
    pub(in crate::schema) fn value() -> impl Strategy<Value = AttributeValue> {
        let number = prop_oneof![
            any::<i128>().prop_map(|number| number.to_string()),
            any::<f64>().prop_map(|number| number.to_string()),
            "-?[0-9]{1,38}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        ];
        let leaf = prop_oneof![
            any::<String>().prop_map(AttributeValue::S),
            number.prop_map(AttributeValue::N),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null(true)),
            any::<Vec<u8>>().prop_map(|bytes| AttributeValue::B(bytes.into())),
            any::<Vec<String>>().prop_map(AttributeValue::Ss),
            any::<Vec<i64>>().prop_map(|all| AttributeValue::Ns(all.iter().map(ToString::to_string).collect())),
            any::<Vec<Vec<u8>>>().prop_map(|all| AttributeValue::Bs(all.into_iter().map(Into::into).collect())),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(AttributeValue::M),
            ]
        })
    }

    prop_compose! {
        fn record()(
            (id, data) in (".{1,20}", prop::option::of(value())),
            status in prop_oneof![prop::sample::select(Status::ALL.to_vec()), (60_u32..).prop_map(Status::Other)],
            (attempts, max_attempts, generation, step) in any::<(u32, u32, u64, u32)>(),
            (create_time, update_time, due_time) in (time(), time(), prop::option::of(time())),
            lock in prop::option::of((token(), time(), time(), prop::option::of(any::<String>()))),
            last_lock in prop::option::of(token()),
            errors in prop::collection::vec(error(), 0..4),
            expire_at in prop::option::of(0_i64..99_999_999_999),
            (batch, last_batch) in any::<(Option<u16>, Option<u16>)>(),
            callback in prop::option::of(".{1,20}"),
        ) -> Tracker<RawData> {
            let id = TaskId::new("ns", &id).expect("a good id");
            let mut record = Tracker::new(id, RawData::new(data), max_attempts, create_time);
            (record.status, record.attempts, record.generation, record.step) = (status, attempts, generation, step);
            (record.update_time, record.due_time, record.last_lock) = (update_time, due_time, last_lock);
            if let Some((token, begun, expiry, owner)) = lock {
                (record.lock, record.lock_time, record.lock_expire_time) = (Some(token), Some(begun), Some(expiry));
                record.lock_owner = owner;
            }
            record.errors = errors;
            record.batch = batch.map(|part| BatchMember::new("a batch", "i", part));
            record.last_batch = last_batch.map(|part| BatchMember::new("#", "i", part));
            record.callback = callback.map(|text| TaskToken::new(text).expect("a good token"));
            record.expire_at = expire_at.map(|seconds| DateTime::from_timestamp(seconds, 0).expect("a time"));
            record
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_record_reads_back_equal(record in record()) {
            for codec in codecs() {
                let data = record.data.as_attribute_value().map(|data| codec.store(data.clone())).transpose().unwrap();
                let item = codec.encode(&record, data).unwrap();
                prop_assert_eq!(&item["sk"], &AttributeValue::S("TRACKER".to_owned()));
                prop_assert_eq!(codec.decode(item).unwrap(), record.clone());
            }
        }

        /// Any item at all, with values of any type under our own names and others, is a record or an error.
        #[test]
        fn no_item_makes_it_panic(
            record in record(),
            changes in prop::collection::vec((prop::sample::select(ATTRIBUTES.to_vec()), prop::option::of(value())), 0..5),
            others in prop::collection::hash_map(any::<String>(), value(), 0..3),
            id in prop::option::of(value()),
            look_alike in prop::option::of(look_alike()),
        ) {
            let data = look_alike.or(record.data.as_attribute_value().cloned());
            let mut item = codec().encode(&record, data).unwrap();
            item.extend(others);
            for (name, value) in changes {
                match value {
                    Some(value) => item.insert(name.to_owned(), value),
                    None => item.remove(name),
                };
            }
            item.extend(id.map(|id| ("id".to_owned(), id)));
            for codec in codecs() {
                match codec.decode(item.clone()) {
                    Ok(record) => {
                        let _ = record.clone().typed::<HashMap<String, Vec<u32>>>();
                        let _ = record.typed::<f64>();
                    }
                    Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Unreadable),
                }
            }
        }
    }
}
