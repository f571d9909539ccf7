//! Where a query goes on, as text that means nothing to anybody else.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::base64;

use crate::error::{Error, ErrorKind};
use crate::record::TaskId;
use crate::schema::{Item, KeySchema, hash};

/// The form of the text. Another form gets another number.
const VERSION: u32 = 1;

/// The due time that a query has come to, and the last task of each partition that it has passed at that very time.
///
/// Every partition goes on at that time, and those that had tasks at it after the last of them. So a page that ends among
/// tasks of one millisecond loses none, and repeats none, and the text stays short whatever the number of shards.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cursor {
    fingerprint: u64,
    pub(super) time: Option<i64>,
    last: BTreeMap<usize, TaskId>,
}

/// What a cursor is good for: the same partitions in the same order.
pub(super) fn fingerprint(namespace: &str, codes: &[u32], shards: u16, newest_first: bool) -> u64 {
    hash(&format!("{namespace}#{codes:?}#{shards}#{newest_first}"))
}

impl Cursor {
    pub(super) fn start(fingerprint: u64) -> Self {
        Self { fingerprint, time: None, last: BTreeMap::new() }
    }

    /// The last task of this partition at the cursor's time.
    pub(super) fn last_of(&self, source: usize) -> Option<&TaskId> {
        self.last.get(&source)
    }

    /// The query has passed this task.
    pub(super) fn passed(&mut self, source: usize, time: i64, id: &TaskId) {
        if self.time != Some(time) {
            self.time = Some(time);
            self.last.clear();
        }
        self.last.insert(source, id.clone());
    }

    pub(super) fn to_text(&self) -> String {
        let time = self.time.unwrap_or_default();
        let mut text = format!("{VERSION} {} {time}", self.fingerprint);
        for (source, id) in &self.last {
            let key = id.key();
            text.push_str(&format!(" {source} {} {key}", key.len()));
        }
        base64::encode(text)
    }

    pub(super) fn parse(text: &str, fingerprint: u64) -> Result<Self, Error> {
        let text = base64::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
        let cursor = parse(&text).ok_or_else(bad)?;
        if cursor.fingerprint == fingerprint {
            return Ok(cursor);
        }
        let message =
            "this cursor is for another namespace, other states, another order or another number of shards; begin anew";
        Err(Error::new(ErrorKind::InvalidArgument, message))
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let mut rest = text;
    let mut number = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        word.parse::<i128>().ok()
    };
    if number()? != i128::from(VERSION) {
        return None;
    }
    let fingerprint = number()?.try_into().ok()?;
    let time = number()?.try_into().ok()?;
    let mut last = BTreeMap::new();
    while !rest.is_empty() {
        let (source, after) = rest.split_once(' ')?;
        let (length, after) = after.split_once(' ')?;
        let (key, after) = after.split_at_checked(length.parse().ok()?)?;
        last.insert(source.parse().ok()?, TaskId::from_key(key).ok()?);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Some(Cursor { fingerprint, time: Some(time), last })
}

/// The key of an item of the table as text. In a table that is shared, it may be somebody else's item.
pub(super) fn key_text(key: &Item, schema: &KeySchema) -> String {
    let text = |name: &str| key.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str);
    let (partition, sort) = (text(&schema.partition), schema.sort.as_ref().map_or("", |(name, _)| text(name)));
    base64::encode(format!("{VERSION} {} {partition}{sort}", partition.len()))
}

/// The key that a text stands for.
pub(super) fn parse_key(text: &str, schema: &KeySchema) -> Result<Item, Error> {
    let text = base64::decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(bad)?;
    let key = text.strip_prefix(&format!("{VERSION} ")).and_then(|rest| rest.split_once(' '));
    let key = key.and_then(|(length, keys)| keys.split_at_checked(length.parse().ok()?));
    let (partition, sort) = key.filter(|(partition, _)| !partition.is_empty()).ok_or_else(bad)?;
    let mut item = Item::from([(schema.partition.clone(), AttributeValue::S(partition.to_owned()))]);
    item.extend(schema.sort.as_ref().map(|(name, _)| (name.clone(), AttributeValue::S(sort.to_owned()))));
    Ok(item)
}

fn bad() -> Error {
    Error::new(ErrorKind::InvalidArgument, "this is no cursor; pass one on as a page gave it, or begin anew")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_as_it_was_written(
            fingerprint: u64,
            time: i64,
            last in prop::collection::btree_map(0..3000_usize, "[^#]{1,9}#.{1,30}", 0..5),
        ) {
            let last = last.into_iter().map(|(at, key)| (at, TaskId::from_key(&key).unwrap())).collect();
            let cursor = Cursor { fingerprint, time: Some(time), last };
            prop_assert_eq!(Cursor::parse(&cursor.to_text(), fingerprint).unwrap(), cursor);
        }

        #[test]
        fn nonsense_is_refused(text in ".{0,60}") {
            for text in [text.clone(), base64::encode(&text), base64::encode(format!("1 7 {text}"))] {
                if let Ok(cursor) = Cursor::parse(&text, 7) {
                    prop_assert_eq!(cursor.fingerprint, 7);
                }
            }
        }
    }
}
