//! What differs between the languages of Powertools.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde_json::Value;

use super::{python, typescript};

/// Which language's Powertools wrote, or will read, the records: each hashes and keeps values in its own way.
///
/// Powertools for Java and for .NET have ways of their own, which are not covered: their keys would differ.
///
/// ```
/// use dynamo_tracker::lambda::powertools::Flavor;
/// use serde_json::json;
///
/// let order = json!({"id": "o-1", "total": 12.0});
/// assert_eq!(Flavor::Python.hash(&order), "14be63b9804f958ccb2e27f5bd2acd5c");
/// assert_eq!(Flavor::TypeScript.hash(&order), "M+MiI5Sb09bk8qSYLeEhzA==");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flavor {
    /// Powertools for AWS Lambda (Python). The hash is hexadecimal, and the response is kept as JSON in a string.
    ///
    /// Held to version 3.37.0. It keeps what Rust's `serde_json` does not: integers beyond 64 bits, the difference between
    /// `-0` and `0`, and single surrogates. Keys with such values are not equal.
    Python,
    /// Powertools for AWS Lambda (TypeScript). The hash is Base64, and the response is kept as DynamoDB's own values.
    ///
    /// Held to version 2.35.0. It does not tell keys of an object apart that differ in case alone, and sorts them as they come;
    /// here they come in the order of their code points. In a response, it reads no integers beyond 2^53.
    TypeScript,
}

impl Flavor {
    /// The hash that this Powertools has of a value: the MD5 of its JSON as that language writes it.
    #[must_use]
    pub fn hash(self, value: &Value) -> String {
        match self {
            Flavor::Python => hex(&Md5::digest(python::dumps(value).as_bytes())),
            Flavor::TypeScript => BASE64_STANDARD.encode(Md5::digest(typescript::stringify(value).as_bytes())),
        }
    }

    /// Whether this Powertools finds nothing in the value to make a key of.
    pub(super) fn is_missing(self, value: &Value) -> bool {
        match self {
            Flavor::Python => python::is_missing(value),
            Flavor::TypeScript => typescript::is_missing(value),
        }
    }

    /// A response as the attribute that this Powertools would write. `None` where DynamoDB has no such value.
    pub(super) fn encode(self, response: &Value) -> Option<AttributeValue> {
        match self {
            Flavor::Python => Some(AttributeValue::S(python::dumps(response))),
            Flavor::TypeScript => serde_dynamo::to_attribute_value(response).ok(),
        }
    }

    /// The response in such an attribute. `None` where it is nothing that this Powertools writes. A record without one has
    /// nothing to return.
    pub(super) fn decode(self, data: Option<&AttributeValue>) -> Option<Value> {
        match (self, data) {
            (_, None) => Some(Value::Null),
            (Flavor::Python, Some(AttributeValue::S(text))) if text.is_empty() => Some(Value::Null),
            (Flavor::Python, Some(AttributeValue::S(text))) => serde_json::from_str(text).ok(),
            (Flavor::Python, Some(_)) => None,
            (Flavor::TypeScript, Some(data)) => serde_dynamo::from_attribute_value(data.clone()).ok(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_response_is_read_as_it_was_written() {
        let response = json!({"a": [1, -2, 0.5, "é", null, true, {}], "n": 9_007_199_254_740_993_u64});
        for flavor in [Flavor::Python, Flavor::TypeScript] {
            let data = flavor.encode(&response).unwrap();
            assert_eq!(flavor.decode(Some(&data)), Some(response.clone()));
            assert_eq!(flavor.decode(None), Some(Value::Null));
        }
    }

    #[test]
    fn each_keeps_a_response_in_its_own_way() {
        let python = Flavor::Python.encode(&json!({"b": 1, "a": "é"}));
        assert_eq!(python, Some(AttributeValue::S(r#"{"a": "\u00e9", "b": 1}"#.to_owned())));
        let typescript = Flavor::TypeScript.encode(&json!("é"));
        assert_eq!(typescript, Some(AttributeValue::S("é".to_owned())));
        assert_eq!(Flavor::Python.decode(Some(&AttributeValue::S("no JSON".to_owned()))), None);
        assert_eq!(Flavor::Python.decode(Some(&AttributeValue::Bool(true))), None);
        assert_eq!(Flavor::Python.decode(Some(&AttributeValue::S(String::new()))), Some(Value::Null));
    }
}
