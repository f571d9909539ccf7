//! The caller's data, to and from DynamoDB's form.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::record::{RawData, Tracker};

/// What a task's data can be: anything that serde reads and writes and that has a default, which stands for "no data".
///
/// A type without a sensible default is used as `Option<T>`.
pub trait Data: Serialize + DeserializeOwned + Default + Send + Sync + 'static {}

impl<D: Serialize + DeserializeOwned + Default + Send + Sync + 'static> Data for D {}

impl RawData {
    /// The data as `D`; absent data is `D::default()`.
    pub(crate) fn typed<D: DeserializeOwned + Default>(self) -> Result<D, Error> {
        match self.into_unpacked()? {
            None => Ok(D::default()),
            // What serde says quotes the data, so it is not passed on.
            Some(value) => serde_dynamo::from_attribute_value(value).map_err(|_| {
                let message = format!(
                    "the attribute `data` can't be read as the type that this program expects, {}; compare the two",
                    std::any::type_name::<D>()
                );
                Error::new(ErrorKind::Unreadable, message)
            }),
        }
    }
}

impl Tracker<RawData> {
    /// The record with its data as `D`; absent data is `D::default()`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`]: the data is no `D`, or is packed, and the client that read it can't unpack it.
    pub fn typed<D: DeserializeOwned + Default>(mut self) -> Result<Tracker<D>, Error> {
        let data = std::mem::take(&mut self.data).typed().map_err(|error| error.about(&self.id))?;
        Ok(self.with_data(data))
    }
}

impl Error {
    /// The record, with its data as `D`: how a caller gets at the result of a task that has already succeeded.
    ///
    /// # Errors
    ///
    /// `None` where there is no record; [`ErrorKind::Unreadable`] where its data is no `D`.
    #[must_use]
    pub fn tracker_as<D: DeserializeOwned + Default>(&self) -> Option<Result<Tracker<D>, Error>> {
        self.tracker().cloned().map(Tracker::typed)
    }
}

/// `data` in DynamoDB's form, whatever its size.
pub(crate) fn to_value<D: Serialize>(data: &D) -> Result<AttributeValue, Error> {
    // What serde says may quote the data, so it is not passed on.
    let value = serde_dynamo::to_attribute_value(data).map_err(|_| {
        let message = format!("{} can't be written as a DynamoDB value", std::any::type_name::<D>());
        Error::new(ErrorKind::Unwritable, message)
    })?;
    check(&value, 1)?;
    Ok(value)
}

/// What no item has room for is refused here, before anything is sent.
pub(super) fn check_size(value: &AttributeValue) -> Result<(), Error> {
    match size_of(value) {
        ..=MAX_ITEM_BYTES => Ok(()),
        size => Err(Error::new(ErrorKind::ItemTooLarge, format!("the data is {size} bytes, {ITEM_TOO_LARGE}"))),
    }
}

/// How deep lists and maps may be within one another (*Service, account, and table quotas*, Amazon DynamoDB Developer Guide).
const MAX_DEPTH: u32 = 32;

/// What DynamoDB would refuse is refused here, before any work is done: otherwise the outcome that brings it is lost with it.
fn check(value: &AttributeValue, depth: u32) -> Result<(), Error> {
    let unwritable = |message| Err(Error::new(ErrorKind::Unwritable, message));
    match value {
        _ if depth > MAX_DEPTH => {
            unwritable("the data has lists or maps more than 32 levels deep, which DynamoDB can't hold")
        }
        AttributeValue::N(digits) if !fits(digits) => unwritable(BAD_NUMBER),
        AttributeValue::Ns(numbers) if !numbers.iter().all(|digits| fits(digits)) => unwritable(BAD_NUMBER),
        AttributeValue::L(list) => list.iter().try_for_each(|value| check(value, depth + 1)),
        AttributeValue::M(map) if map.contains_key("") => {
            unwritable("the data has an empty name, which DynamoDB can't hold")
        }
        AttributeValue::M(map) => map.values().try_for_each(|value| check(value, depth + 1)),
        _ => Ok(()),
    }
}

const BAD_NUMBER: &str =
    "the data has a number that DynamoDB can't hold: not finite, of more than 125 digits, or too near to 0";

/// Whether a number is within DynamoDB's range (*Naming rules and data types*, Amazon DynamoDB Developer Guide).
fn fits(digits: &str) -> bool {
    digits.parse().is_ok_and(|number: f64| number == 0.0 || (1e-130..1e126).contains(&number.abs()))
}

/// DynamoDB's limit for an item, in bytes.
pub(crate) const MAX_ITEM_BYTES: usize = 400 * 1024;

/// What to say of an item that is over it.
pub(crate) const ITEM_TOO_LARGE: &str =
    "over DynamoDB's limit of 400 KB for an item; keep large data elsewhere, such as in S3, and its address here";

/// The size of an item, or of the values of an update.
pub(crate) fn item_size(item: &super::Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of(value)).sum()
}

/// The size of a value as DynamoDB counts it (*Item sizes and formats*, Amazon DynamoDB Developer Guide), or a little less
/// for numbers.
pub(super) fn size_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + size_of(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + size_of(value)).sum::<usize>(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|digits| digits.len().div_ceil(2)).sum(),
        AttributeValue::Bs(blobs) => blobs.iter().map(|bytes| bytes.as_ref().len()).sum(),
        _ => 1,
    }
}
