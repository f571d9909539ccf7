//! How a record is stored: attribute names, the key, the item's form, the table.

mod codec;
mod decode;
mod definition;
#[cfg(feature = "zstd")]
mod frame;
mod index;
mod packing;
mod raw;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

pub use raw::Data;

pub(crate) use raw::{ITEM_TOO_LARGE, MAX_ITEM_BYTES, item_size, to_value};

pub(crate) use codec::{Codec, encode_errors, millis, number, seconds, string};
pub(crate) use definition::{add_index, create_table_request};
#[cfg(feature = "zstd")]
pub(crate) use frame::{pack, unpack};
pub(crate) use index::{INDEX, Index, MAX_SHARDS, hash, partition, share};
pub(crate) use packing::Packing;

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The attributes of a tracker, apart from its key. They are the fields of [`Tracker`](crate::Tracker).
pub(crate) mod attr {
    pub(crate) const STATUS: &str = "status";
    pub(crate) const ATTEMPTS: &str = "attempts";
    pub(crate) const MAX_ATTEMPTS: &str = "max_attempts";
    pub(crate) const GENERATION: &str = "generation";
    pub(crate) const CREATE_TIME: &str = "create_time";
    pub(crate) const UPDATE_TIME: &str = "update_time";
    pub(crate) const LOCK: &str = "lock";
    pub(crate) const LAST_LOCK: &str = "last_lock";
    pub(crate) const STEP: &str = "step";
    pub(crate) const LOCK_OWNER: &str = "lock_owner";
    pub(crate) const LOCK_TIME: &str = "lock_time";
    pub(crate) const LOCK_EXPIRE_TIME: &str = "lock_expire_time";
    pub(crate) const DATA: &str = "data";
    pub(crate) const ERRORS: &str = "errors";
    /// The index's partition key.
    pub(crate) const SHARD: &str = "shard";
    pub(crate) const DUE_TIME: &str = "due_time";
    pub(crate) const EXPIRE_AT: &str = "expire_at";
    pub(crate) const BATCH: &str = "batch";
    pub(crate) const LAST_BATCH: &str = "last_batch";
    pub(crate) const CALLBACK: &str = "callback";
}

/// All of them, for whoever must not use one for something else.
pub(crate) const ATTRIBUTES: [&str; 20] = [
    attr::STATUS,
    attr::ATTEMPTS,
    attr::MAX_ATTEMPTS,
    attr::GENERATION,
    attr::CREATE_TIME,
    attr::UPDATE_TIME,
    attr::LOCK,
    attr::LAST_LOCK,
    attr::STEP,
    attr::LOCK_OWNER,
    attr::LOCK_TIME,
    attr::LOCK_EXPIRE_TIME,
    attr::DATA,
    attr::ERRORS,
    attr::SHARD,
    attr::DUE_TIME,
    attr::EXPIRE_AT,
    attr::BATCH,
    attr::LAST_BATCH,
    attr::CALLBACK,
];

/// Where an item's key is: the attribute with `namespace#id`, and a sort key of a fixed value in a table that has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySchema {
    pub(crate) partition: String,
    pub(crate) sort: Option<(String, String)>,
}

impl KeySchema {
    /// The key of a task's item.
    pub(crate) fn key(&self, id: &crate::TaskId) -> Item {
        self.key_of(id.key())
    }

    /// The key of the item with this value in the partition key.
    pub(crate) fn key_of(&self, partition: &str) -> Item {
        let mut key = Item::with_capacity(2);
        key.insert(self.partition.clone(), AttributeValue::S(partition.to_owned()));
        if let Some((name, value)) = &self.sort {
            key.insert(name.clone(), AttributeValue::S(value.clone()));
        }
        key
    }
}
