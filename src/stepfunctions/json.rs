//! A task's data as JSON, whatever wrote it.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::base64;
use serde_json::Value;

/// The value as JSON. What JSON has no form for is the nearest: bytes are base64, a set is a list.
pub(super) fn to_json(value: &AttributeValue) -> Value {
    let number = |digits: &String| serde_json::from_str(digits).unwrap_or_else(|_| Value::String(digits.clone()));
    let bytes = |bytes: &aws_sdk_dynamodb::primitives::Blob| Value::String(base64::encode(bytes));
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(digits) => number(digits),
        AttributeValue::Bool(truth) => Value::Bool(*truth),
        AttributeValue::L(values) => values.iter().map(to_json).collect(),
        AttributeValue::M(fields) => fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect(),
        AttributeValue::B(blob) => bytes(blob),
        AttributeValue::Ss(texts) => texts.iter().cloned().map(Value::String).collect(),
        AttributeValue::Ns(numbers) => numbers.iter().map(number).collect(),
        AttributeValue::Bs(blobs) => blobs.iter().map(bytes).collect(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::to_value;

    #[test]
    fn what_was_json_is_the_same_json() {
        let value = json!({"a": [1, -2.5, "x", true, null, {}], "big": u64::MAX, "small": i64::MIN, "empty": ""});
        assert_eq!(to_json(&to_value(&value).unwrap()), value);
    }

    #[test]
    fn what_json_has_no_form_for_is_the_nearest() {
        let blob = || b"\x00\xff".to_vec().into();
        let table = [
            (AttributeValue::B(blob()), json!("AP8=")),
            (AttributeValue::Bs(vec![blob()]), json!(["AP8="])),
            (AttributeValue::Ss(vec!["a".to_owned()]), json!(["a"])),
            (AttributeValue::Ns(vec!["1".to_owned(), "2.5".to_owned()]), json!([1, 2.5])),
            (AttributeValue::N("1E+20".to_owned()), json!(1e20)),
            (AttributeValue::Null(true), json!(null)),
        ];
        for (value, expected) in table {
            assert_eq!(to_json(&value), expected);
        }
    }
}
