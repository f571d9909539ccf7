//! An item's attributes as a record's fields.

use std::str::FromStr;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::{Item, Packing, attr, packing};
use crate::error::{Error, ErrorKind};
use crate::record::{AttemptError, RawData, TaskId, Tracker};
use crate::status::{Status, StatusSet};

/// The task's name, which its partition key says.
pub(super) fn id(item: &Item, partition: &str) -> Result<TaskId, Error> {
    let key = item.get(partition).ok_or_else(|| missing(partition))?;
    let key = key.as_s().map_err(|found| wrong(partition, "a string", found))?;
    TaskId::from_key(key).map_err(|error| Error::new(ErrorKind::Unreadable, error.to_string()))
}

/// The record of an item, with its own name. Attributes that are none of ours are left out.
pub(super) fn record(
    id: TaskId,
    item: Item,
    statuses: &StatusSet,
    packing: Option<Packing>,
) -> Result<Tracker<RawData>, Error> {
    let mut record = Tracker::new(id, RawData::new(None), 0, DateTime::UNIX_EPOCH);
    let mut required = Required::default();
    // One walk over what is there. To look for each attribute would take several times as long.
    for (name, value) in item {
        let name = name.as_str();
        match name {
            attr::STATUS => required.status = Some(statuses.status(number(name, &value)?)),
            attr::ATTEMPTS => required.attempts = Some(number(name, &value)?),
            attr::MAX_ATTEMPTS => required.max_attempts = Some(number(name, &value)?),
            attr::GENERATION => required.generation = Some(number(name, &value)?),
            attr::CREATE_TIME => required.create_time = Some(time(name, &value)?),
            attr::UPDATE_TIME => required.update_time = Some(time(name, &value)?),
            attr::STEP => required.step = Some(number(name, &value)?),
            attr::LOCK => record.lock = Some(parsed(name, value, "lock token")?),
            attr::LAST_LOCK => record.last_lock = Some(parsed(name, value, "lock token")?),
            attr::LOCK_OWNER => record.lock_owner = Some(text(name, value)?),
            attr::LOCK_TIME => record.lock_time = Some(time(name, &value)?),
            attr::LOCK_EXPIRE_TIME => record.lock_expire_time = Some(time(name, &value)?),
            attr::DATA => record.data = packing::load(value, packing),
            attr::ERRORS => record.errors = errors(value)?,
            attr::DUE_TIME => record.due_time = Some(time(name, &value)?),
            attr::EXPIRE_AT => record.expire_at = Some(time_in_seconds(name, &value)?),
            attr::BATCH => record.batch = Some(parsed(name, value, "part of a batch")?),
            attr::LAST_BATCH => record.last_batch = Some(parsed(name, value, "part of a batch")?),
            attr::CALLBACK => record.callback = Some(parsed(name, value, "task token")?),
            _ => {}
        }
    }
    required.fill(&mut record)?;
    if record.lock.is_some() && record.lock_expire_time.is_none() {
        return Err(missing(attr::LOCK_EXPIRE_TIME));
    }
    record.set_stored();
    Ok(record)
}

/// What each record has.
#[derive(Default)]
struct Required {
    status: Option<Status>,
    attempts: Option<u32>,
    max_attempts: Option<u32>,
    generation: Option<u64>,
    create_time: Option<DateTime<Utc>>,
    update_time: Option<DateTime<Utc>>,
    step: Option<u32>,
}

impl Required {
    fn fill(self, record: &mut Tracker<RawData>) -> Result<(), Error> {
        record.status = self.status.ok_or_else(|| missing(attr::STATUS))?;
        record.attempts = self.attempts.ok_or_else(|| missing(attr::ATTEMPTS))?;
        record.max_attempts = self.max_attempts.ok_or_else(|| missing(attr::MAX_ATTEMPTS))?;
        record.generation = self.generation.ok_or_else(|| missing(attr::GENERATION))?;
        record.create_time = self.create_time.ok_or_else(|| missing(attr::CREATE_TIME))?;
        record.update_time = self.update_time.ok_or_else(|| missing(attr::UPDATE_TIME))?;
        record.step = self.step.ok_or_else(|| missing(attr::STEP))?;
        Ok(())
    }
}

fn number<N: FromStr>(name: &str, value: &AttributeValue) -> Result<N, Error> {
    let digits = value.as_n().map_err(|found| wrong(name, "a number", found))?;
    digits.parse().map_err(|_| out_of_range(name))
}

/// Not inlined, since many attributes are times.
#[inline(never)]
fn time(name: &str, value: &AttributeValue) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_millis(number(name, value)?).ok_or_else(|| out_of_range(name))
}

fn time_in_seconds(name: &str, value: &AttributeValue) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp(number(name, value)?, 0).ok_or_else(|| out_of_range(name))
}

fn text(name: &str, value: AttributeValue) -> Result<String, Error> {
    match value {
        AttributeValue::S(text) => Ok(text),
        other => Err(wrong(name, "a string", &other)),
    }
}

fn parsed<T>(name: &str, value: AttributeValue, wanted: &str) -> Result<T, Error>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text(name, value)?.parse().map_err(|error| {
        let message = format!("the attribute `{name}` is no {wanted}; mend or remove it");
        Error::new(ErrorKind::Unreadable, message).with_source(error)
    })
}

fn errors(value: AttributeValue) -> Result<Vec<AttemptError>, Error> {
    serde_dynamo::from_attribute_value(value).map_err(|_| {
        let message = format!("the attribute `{}` is no list of attempts' errors; mend or remove it", attr::ERRORS);
        Error::new(ErrorKind::Unreadable, message)
    })
}

#[cold]
fn missing(name: &str) -> Error {
    let message =
        format!("the item has no attribute `{name}`; it was not written by this crate, or was changed by hand");
    Error::new(ErrorKind::Unreadable, message)
}

#[cold]
fn wrong(name: &str, wanted: &str, found: &AttributeValue) -> Error {
    let message = format!("the attribute `{name}` is not {wanted} but {}; mend the item", type_of(found));
    Error::new(ErrorKind::Unreadable, message)
}

#[cold]
fn out_of_range(name: &str) -> Error {
    let message = format!("the attribute `{name}` is a number outside of what it can be; mend the item");
    Error::new(ErrorKind::Unreadable, message)
}

fn type_of(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "a string",
        AttributeValue::N(_) => "a number",
        AttributeValue::B(_) => "binary",
        AttributeValue::Bool(_) => "a boolean",
        AttributeValue::Null(_) => "null",
        AttributeValue::L(_) => "a list",
        AttributeValue::M(_) => "a map",
        AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => "a set",
        _ => "of an unknown type",
    }
}
