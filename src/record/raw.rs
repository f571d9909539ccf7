//! The caller's data, before it is known what it should be.

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;

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
