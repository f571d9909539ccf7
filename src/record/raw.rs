//! The caller's data, before it is known what it should be.

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::error::{Error, ErrorKind};

/// A task's data as DynamoDB has it. `Debug` does not show it.
#[derive(Clone, Default, PartialEq)]
pub struct RawData {
    value: Option<AttributeValue>,
    /// Why it is still packed, if it is.
    still_packed: Option<&'static str>,
}

impl RawData {
    pub(crate) fn new(value: Option<AttributeValue>) -> Self {
        Self { value, still_packed: None }
    }

    /// Data that could not be unpacked: the attribute `data` … and why.
    pub(crate) fn still_packed(value: Option<AttributeValue>, why: &'static str) -> Self {
        Self { value, still_packed: Some(why) }
    }

    /// The value of the attribute `data`, where the item has one.
    ///
    /// Packed data is unpacked, by a client that packs. To another it is the bytes that are stored, and so is what is broken.
    #[must_use]
    pub fn as_attribute_value(&self) -> Option<&AttributeValue> {
        self.value.as_ref()
    }

    /// The same, where it is not still packed.
    pub(crate) fn unpacked(&self) -> Result<Option<&AttributeValue>, Error> {
        match self.still_packed {
            None => Ok(self.value.as_ref()),
            Some(why) => Err(Error::new(ErrorKind::Unreadable, format!("the attribute `data` {why}"))),
        }
    }

    /// The same, for whoever needs it no more.
    pub(crate) fn into_unpacked(self) -> Result<Option<AttributeValue>, Error> {
        self.unpacked()?;
        Ok(self.value)
    }
}

impl fmt::Debug for RawData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawData(…)")
    }
}
