//! Python's `json.dumps(value, sort_keys=True)`.

use std::fmt::Write;

use serde_json::{Number, Value};

use super::decimal::Decimal;

/// Where the point of a float is that Python writes without an exponent: from 0.0001 to below 10^16.
const PLAIN: std::ops::Range<i32> = -3..17;

/// The value as Python writes it: `", "` and `": "`, keys in the order of their code points, nothing but ASCII.
pub(super) fn dumps(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// What Powertools for Python takes for an event without a key: nothing, an empty string, and arrays and objects that have
/// only `null` in them.
pub(super) fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.iter().all(Value::is_null),
        Value::Object(fields) => fields.values().all(Value::is_null),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => text.push_str(&number(value)),
        Value::String(value) => write_string(value, text),
        Value::Array(values) => {
            text.push('[');
            separated(values, text, write);
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| key.as_str());
            text.push('{');
            separated(fields, text, |(key, value), text| {
                write_string(key, text);
                text.push_str(": ");
                write(value, text);
            });
            text.push('}');
        }
    }
}

fn separated<T>(values: impl IntoIterator<Item = T>, text: &mut String, write: impl Fn(T, &mut String)) {
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        write(value, text);
    }
}

fn number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            let text = Decimal::of(float).text(PLAIN, 2);
            // A float never looks like an integer.
            if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
        }
        _ => number.to_string(),
    }
}

fn write_string(value: &str, text: &mut String) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            ' '..='~' => text.push(character),
            other => write_escaped(other, text),
        }
    }
    text.push('"');
}

/// By its UTF-16 units: two for what is beyond the first 65,536 characters.
fn write_escaped(character: char, text: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a String can't fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What Python 3.11 printed for each, by `json.dumps(json.loads(TEXT), sort_keys=True)`.
    const GOLDEN: &[(&str, &str)] = &[
        (
            "[1,1.0,-0.0,1e15,1e16,1.5e16,123456789012345680.0]",
            "[1, 1.0, -0.0, 1000000000000000.0, 1e+16, 1.5e+16, 1.2345678901234568e+17]",
        ),
        ("[0.1,0.0001,0.00001,1.25e-5,1e-7,5e-324]", "[0.1, 0.0001, 1e-05, 1.25e-05, 1e-07, 5e-324]"),
        ("[1e22,1e100,1.7976931348623157e308,-2.5e-10]", "[1e+22, 1e+100, 1.7976931348623157e+308, -2.5e-10]"),
        (
            "[9007199254740993,18446744073709551615,-9223372036854775808]",
            "[9007199254740993, 18446744073709551615, -9223372036854775808]",
        ),
        (r#"{"b":{"d":1,"c":[]},"a":{},"B":null}"#, r#"{"B": null, "a": {}, "b": {"c": [], "d": 1}}"#),
        ("\"é \u{7f} \u{1F600} </>\"", r#""\u00e9 \u007f \ud83d\ude00 </>""#),
        (r#""\b\f\n\r\t\"\\\u0000\u001f\/""#, r#""\b\f\n\r\t\"\\\u0000\u001f/""#),
        ("{\"\u{1F600}\":1,\"\u{FFFD}\":2}", r#"{"\ufffd": 2, "\ud83d\ude00": 1}"#),
    ];

    #[test]
    fn it_writes_as_python_does() {
        for (value, text) in GOLDEN {
            assert_eq!(dumps(&serde_json::from_str(value).unwrap()), *text);
        }
    }

    #[test]
    fn what_has_only_null_is_missing() {
        for missing in [json!(null), json!(""), json!([]), json!({}), json!([null, null]), json!({"a": null})] {
            assert!(is_missing(&missing), "{missing}");
        }
        for there in [json!(0), json!(0.0), json!(false), json!([null, ""]), json!([[]]), json!({"a": null, "b": {}})] {
            assert!(!is_missing(&there), "{there}");
        }
    }
}
