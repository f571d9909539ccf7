//! JavaScript's `JSON.stringify(deepSort(value))`, with the `deepSort` of Powertools for TypeScript.

use std::ops::Range;

use serde_json::{Map, Value};

use super::decimal::Decimal;

/// Where the point of a number is that JavaScript writes without an exponent: from 0.000001 to below 10^21.
const PLAIN: Range<i32> = -5..22;
/// The greatest key that JavaScript keeps as an index, before all others.
const MAX_INDEX: u32 = u32::MAX - 1;

/// The value as JavaScript writes it: no spaces, every number a float, and keys in the order of their lower case.
pub(super) fn stringify(value: &Value) -> String {
    match value {
        Value::Number(number) => number_text(number.as_f64().unwrap_or_default()),
        Value::Array(values) => format!("[{}]", values.iter().map(stringify).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let field = |key: &str| format!("{}:{}", Value::from(key), stringify(&fields[key]));
            format!("{{{}}}", sorted(fields).into_iter().map(field).collect::<Vec<_>>().join(","))
        }
        // serde_json escapes as JavaScript does.
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// What Powertools for TypeScript takes for an event without a key: whatever JavaScript takes for false, and arrays and
/// objects that have only such values in them.
pub(super) fn is_missing(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(is_false),
        Value::Object(fields) => fields.values().all(is_false),
        other => is_false(other),
    }
}

fn is_false(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// The keys as they stand in the object that `deepSort` makes: indices first, in the order of their numbers, then the others
/// by their lower case in UTF-16. A field `__proto__` is lost, since it is assigned, and that sets the object's prototype.
fn sorted(fields: &Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<_> = fields.keys().map(String::as_str).filter(|key| *key != "__proto__").collect();
    keys.sort_by_cached_key(|key| match index(key) {
        Some(index) => (0, index, Vec::new()),
        None => (1, 0, key.to_lowercase().encode_utf16().collect::<Vec<_>>()),
    });
    keys
}

fn index(key: &str) -> Option<u32> {
    let index: u32 = key.parse().ok().filter(|index| *index <= MAX_INDEX)?;
    // Neither `01` nor `+1` is one.
    (index.to_string() == key).then_some(index)
}

fn number_text(number: f64) -> String {
    match number {
        // Minus zero as well.
        0.0 => "0".to_owned(),
        number => Decimal::of(number).text(PLAIN, 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the package printed for each; see `tests/it/powertools/golden.mjs`.
    const GOLDEN: &str = include_str!("typescript.golden.jsonl");

    #[test]
    fn it_writes_as_javascript_does() {
        let mut lines = 0;
        for line in GOLDEN.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let value: Value = serde_json::from_str(line["json"].as_str().unwrap()).unwrap();
            assert_eq!(stringify(&value), line["text"].as_str().unwrap());
            assert_eq!(super::super::Flavor::TypeScript.hash(&value), line["hash"].as_str().unwrap());
            lines += 1;
        }
        assert!(lines > 100, "only {lines} lines");
    }

    #[test]
    fn what_has_only_what_is_false_is_missing() {
        for missing in [json!(null), json!(0), json!(-0.0), json!(""), json!(false), json!([]), json!([0, "", null])] {
            assert!(is_missing(&missing), "{missing}");
        }
        for there in [json!(1), json!("0"), json!([[]]), json!({"a": {}}), json!([null, "a"])] {
            assert!(!is_missing(&there), "{there}");
        }
    }
}
