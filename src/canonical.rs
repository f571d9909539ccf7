//! One text for equal values, and a hash of it.

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// The first float above all `u64`: 2^64.
const ABOVE_U64: f64 = 18_446_744_073_709_551_616.0;
/// The least `i64` as a float: -2^63.
const LEAST_I64: f64 = -9_223_372_036_854_775_808.0;

/// The value as JSON that depends on nothing but the value: no spaces, and the keys of each object in the order of their
/// code points, in whatever order the object keeps them.
///
/// Numbers that are equal have the same text: JSON knows one kind of number, and what passes through JavaScript or
/// DynamoDB comes back as `1` though it was sent as `1.0`. Integers of 64 bits keep all their digits. A number and a
/// string are never equal, nor are `null` and a key that is not there.
///
/// Powertools hashes another text in each language; see [`Flavor`](crate::lambda::powertools::Flavor).
///
/// ```
/// use dynamo_tracker::lambda::canonical_json;
/// use serde_json::json;
///
/// assert_eq!(canonical_json(&json!({"b": [1.0, "1"], "a": null})), r#"{"a":null,"b":[1,"1"]}"#);
/// ```
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

/// The SHA-256 of [`canonical_json`], as 64 hexadecimal digits in lower case.
///
/// ```
/// use dynamo_tracker::lambda::sha256_hex;
/// use serde_json::json;
///
/// assert_eq!(sha256_hex(&json!({"a": 1, "b": 2})), sha256_hex(&json!({"b": 2.0, "a": 1})));
/// assert!(sha256_hex(&json!(1)).starts_with("6b86b273"));
/// ```
#[must_use]
pub fn sha256_hex(value: &Value) -> String {
    let digest = Sha256::digest(canonical_json(value).as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Whether there is nothing in the value to identify an event by: `null`, `""`, `[]`, `{}`, and arrays and objects with
/// only such values, at any depth.
///
/// A JMESPath expression that selects several fields gives `[null,null]` for an event that has none of them, and all such
/// events would share one key. `0` and `false` are values. So is `[null,"a"]`, as for Powertools; unlike Powertools,
/// `[[],null]` and `["",null]` are missing, since nothing is in them either.
///
/// ```
/// use dynamo_tracker::lambda::is_missing;
/// use serde_json::json;
///
/// assert!(is_missing(&json!([null, {"id": ""}])));
/// assert!(!is_missing(&json!([null, 0])));
/// ```
#[must_use]
pub fn is_missing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.iter().all(is_missing),
        Value::Object(fields) => fields.values().all(is_missing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&canonical_number(number)),
        Value::Array(values) => write_list(text, ('[', ']'), values, write),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            // UTF-8 sorts as its code points do.
            fields.sort_unstable_by_key(|(key, _)| key.as_str());
            write_list(text, ('{', '}'), fields, |(key, value), text| {
                text.push_str(&quoted(key));
                text.push(':');
                write(value, text);
            });
        }
        // As serde_json writes them, which has one way to.
        Value::Null | Value::Bool(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

fn quoted(key: &str) -> String {
    Value::from(key).to_string()
}

fn write_list<T>(
    text: &mut String,
    brackets: (char, char),
    values: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    text.push(brackets.0);
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(value, text);
    }
    text.push(brackets.1);
}

/// A float that is a whole number, in the range of 64 bits, is written as that integer; `-0.0` is 0. The casts are exact,
/// since a float in the range that has no fraction is such an integer.
fn canonical_number(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 => match float {
            0.0..ABOVE_U64 => (float as u64).to_string(),
            LEAST_I64..0.0 => (float as i64).to_string(),
            _ => number.to_string(),
        },
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn each_value_has_one_text() {
        let table = [
            (json!(null), "null"),
            (json!(true), "true"),
            (json!(1), "1"),
            (json!("1"), r#""1""#),
            (json!(1.0), "1"),
            (json!(-1.0), "-1"),
            (json!(-0.0), "0"),
            (json!(0.1), "0.1"),
            (json!(1e16), "10000000000000000"),
            (json!(9_007_199_254_740_993_u64), "9007199254740993"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(LEAST_I64), "-9223372036854775808"),
            (json!(ABOVE_U64), "1.8446744073709552e+19"),
            (json!(1e300), "1e+300"),
            (json!("é\n\"\u{1F600}"), "\"é\\n\\\"\u{1F600}\""),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!([1, [2, {}], "x"]), r#"[1,[2,{}],"x"]"#),
            (json!({"b": 1, "a": {"d": null, "c": []}, "B": 2}), r#"{"B":2,"a":{"c":[],"d":null},"b":1}"#),
            // In UTF-16, the surrogates of the emoji would come first.
            (json!({"\u{1F600}": 1, "\u{FFFD}": 2}), "{\"\u{FFFD}\":2,\"\u{1F600}\":1}"),
        ];
        for (value, text) in table {
            assert_eq!(canonical_json(&value), text);
        }
    }

    #[test]
    fn the_hash_is_sha_256_of_the_text() {
        // printf '{"a":1}' | sha256sum
        let hash = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
        assert_eq!(sha256_hex(&json!({"a": 1.0})), hash);
    }

    #[test]
    fn nothing_is_missing_and_zero_is_not() {
        for missing in [
            json!(null),
            json!(""),
            json!([]),
            json!({}),
            json!([null, null]),
            json!([[], null]),
            json!({"a": null, "b": ""}),
            json!([{"a": [{}]}]),
        ] {
            assert!(is_missing(&missing), "{missing}");
        }
        for there in [json!(0), json!(false), json!(0.0), json!(" "), json!([null, "a"]), json!({"a": null, "b": 0})] {
            assert!(!is_missing(&there), "{there}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    /// The same value with each object's fields put in backwards, which shows where a map keeps their order.
    fn backwards(value: &Value) -> Value {
        match value {
            Value::Array(values) => values.iter().map(backwards).collect(),
            Value::Object(fields) => {
                let mut reversed = Map::new();
                for (key, value) in fields.iter().collect::<Vec<_>>().into_iter().rev() {
                    reversed.insert(key.clone(), backwards(value));
                }
                Value::Object(reversed)
            }
            other => other.clone(),
        }
    }

    proptest! {
        #[test]
        fn the_text_is_the_value(value in any_json()) {
            let text = canonical_json(&value);
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical_json(&back), text);
        }

        #[test]
        fn the_order_of_fields_does_not_matter(value in any_json()) {
            prop_assert_eq!(sha256_hex(&backwards(&value)), sha256_hex(&value));
        }

        #[test]
        fn different_values_have_different_texts(one in any_json(), other in any_json()) {
            // Integers and floats compare as different to serde_json even where they are equal; none are drawn that are.
            prop_assert_eq!(canonical_json(&one) == canonical_json(&other), one == other);
        }

        #[test]
        fn integers_keep_all_digits(number: u64, negative: i64) {
            prop_assert_eq!(canonical_json(&json!([number, negative])), format!("[{number},{negative}]"));
        }

        #[test]
        fn a_value_in_it_makes_it_present(value in any_json()) {
            prop_assert!(!is_missing(&json!([value.clone(), 0])));
            prop_assert_eq!(is_missing(&json!({"a": [value.clone()]})), is_missing(&value));
        }
    }
}
