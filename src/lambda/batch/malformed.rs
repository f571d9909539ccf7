//! Bodies that are not what the handler takes.

use std::fmt;

use serde_json::error::Category;

use crate::work_error::WorkError;

/// Why a body could not be read. It says where, and shows none of the body, which serde's own message may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    pub(super) fn check<T>(parsed: serde_json::Result<T>) -> Result<T, Self> {
        parsed.map_err(|error| {
            let what = match error.classify() {
                Category::Data => format!("is JSON, but no `{}`", std::any::type_name::<T>()),
                Category::Syntax | Category::Eof | Category::Io => "is no JSON".to_owned(),
            };
            Self(format!("the body {what}, at line {}, column {}", error.line(), error.column()))
        })
    }

    /// The same of an item of DynamoDB.
    pub(super) fn item() -> Self {
        Self("the item has not the attributes that the handler takes".to_owned())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Malformed> for WorkError {
    /// Another attempt may come to another version of the handler, so it is no fatal error.
    fn from(malformed: Malformed) -> Self {
        Self::from_parts("MalformedBody", malformed.0, None)
    }
}
