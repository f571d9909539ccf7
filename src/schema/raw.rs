//! The caller's data, before it is known what it should be.

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::record::Tracker;

/// What a task's data can be: anything that serde reads and writes and that has a default, which stands for "no data".
///
/// A type without a sensible default is used as `Option<T>`.
pub trait Data: Serialize + DeserializeOwned + Default + Send + Sync + 'static {}

impl<D: Serialize + DeserializeOwned + Default + Send + Sync + 'static> Data for D {}

/// A task's data as DynamoDB has it. `Debug` does not show it.
#[derive(Clone, Default, PartialEq)]
pub struct RawData(pub(crate) Option<AttributeValue>);

impl RawData {
    /// The value of the attribute `data`, where the item has one.
    #[must_use]
    pub fn as_attribute_value(&self) -> Option<&AttributeValue> {
        self.0.as_ref()
    }
}

impl fmt::Debug for RawData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawData(…)")
    }
}

impl Tracker<RawData> {
    /// The record with its data as `D`; absent data is `D::default()`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`]: the data is no `D`.
    pub fn typed<D: DeserializeOwned + Default>(mut self) -> Result<Tracker<D>, Error> {
        let data = match self.data.0.take() {
            None => D::default(),
            Some(value) => serde_dynamo::from_attribute_value(value).map_err(|error| {
                let message = "the attribute `data` can't be read as the type that this program expects; \
                               compare the item with the type, or start from a redriven task without data";
                Error::new(ErrorKind::Unreadable, message).with_source(error).about(&self.id)
            })?,
        };
        Ok(self.with_data(data))
    }
}

/// `data` in DynamoDB's form.
pub(crate) fn to_value<D: Serialize>(data: &D) -> Result<AttributeValue, Error> {
    serde_dynamo::to_attribute_value(data).map_err(|error| {
        let message = "the data can't be written as a DynamoDB value; it is a type whose Serialize fails";
        Error::new(ErrorKind::Unwritable, message).with_source(error)
    })
}
