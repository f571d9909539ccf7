//! No item makes decoding panic.
//!
//!     cargo install cargo-fuzz
//!     cargo +nightly fuzz run decode_item
#![no_main]

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};
use dynamo_tracker::TrackerClient;
use libfuzzer_sys::fuzz_target;

/// The names that the crate reads.
const NAMES: [&str; 18] = [
    "id", "status", "attempts", "max_attempts", "generation", "create_time", "update_time", "lock", "last_lock", "step",
    "lock_owner", "lock_time", "lock_expire_time", "data", "errors", "shard", "due_time", "expire_at",
];

/// An item: a value or none for each name that is known, and others.
#[derive(Arbitrary, Debug)]
struct Item {
    known: [Option<Value>; 18],
    /// Data that looks packed: a frame, or what takes the place of one.
    packed: Option<Vec<u8>>,
    key: Option<String>,
    others: BTreeMap<String, Value>,
}

#[derive(Arbitrary, Debug)]
enum Value {
    Text(String),
    Number(i64),
    Digits(String),
    Bytes(Vec<u8>),
    Flag(bool),
    Null,
    Texts(Vec<String>),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

impl From<Value> for AttributeValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => AttributeValue::S(text),
            Value::Number(number) => AttributeValue::N(number.to_string()),
            Value::Digits(digits) => AttributeValue::N(digits),
            Value::Bytes(bytes) => AttributeValue::B(bytes.into()),
            Value::Flag(flag) => AttributeValue::Bool(flag),
            Value::Null => AttributeValue::Null(true),
            Value::Texts(texts) => AttributeValue::Ss(texts),
            Value::List(list) => AttributeValue::L(list.into_iter().map(Into::into).collect()),
            Value::Map(map) => AttributeValue::M(map.into_iter().map(|(name, value)| (name, value.into())).collect()),
        }
    }
}

/// One that does not unpack data, and one that does.
static CLIENTS: LazyLock<[TrackerClient<HashMap<String, Vec<u32>>>; 2]> = LazyLock::new(|| {
    let sdk = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
    let plain = TrackerClient::builder(sdk.clone()).table("fuzz").namespace("fuzz").build().expect("a client");
    let packing = TrackerClient::builder(sdk).table("fuzz").namespace("fuzz").pack_data_over(0).build().expect("a client");
    [plain, packing]
});

fuzz_target!(|item: Item| {
    let mut decoded: HashMap<String, AttributeValue> =
        item.others.into_iter().map(|(name, value)| (name, value.into())).collect();
    for (name, value) in NAMES.into_iter().zip(item.known) {
        decoded.extend(value.map(|value| (name.to_owned(), value.into())));
    }
    let looks_packed = |behind: Vec<u8>| AttributeValue::B([b"dynamo-tracker:zstd:1", &*behind].concat().into());
    decoded.extend(item.packed.map(|behind| ("data".to_owned(), looks_packed(behind))));
    decoded.extend(item.key.map(|key| ("id".to_owned(), AttributeValue::S(format!("fuzz#{key}")))));
    for client in &*CLIENTS {
        let _ = client.decode(decoded.clone());
    }
});
