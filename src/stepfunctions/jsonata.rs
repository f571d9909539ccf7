//! Texts in JSONata, the language of the values in a state machine.

use serde_json::{Map, Value};

/// A value that is what this comes to.
pub(super) fn expression(text: &str) -> Value {
    Value::String(format!("{{% {text} %}}"))
}

/// A text as it is.
pub(super) fn literal(text: &str) -> String {
    let is_plain = !text.contains(['\'', '\\']) && !text.contains(char::is_control);
    // JSONata knows JSON's own texts too.
    if is_plain { format!("'{text}'") } else { Value::from(text).to_string() }
}

/// `one` where the condition holds, else `other`: alike but for some texts, each of which becomes a choice.
///
/// # Panics
///
/// Where they differ in anything else.
pub(super) fn either(condition: &str, one: &Value, other: &Value) -> Value {
    match (one, other) {
        _ if one == other => one.clone(),
        (Value::Object(one), Value::Object(other)) => {
            assert!(one.keys().eq(other.keys()), "{one:?} and {other:?} have the same keys");
            let choice = |(name, value): (&String, &Value)| (name.clone(), either(condition, value, &other[name]));
            Value::Object(one.iter().map(choice).collect::<Map<_, _>>())
        }
        (Value::String(one), Value::String(other)) => {
            expression(&format!("{condition} ? {} : {}", inner(one), inner(other)))
        }
        _ => panic!("{one} and {other} are texts"),
    }
}

/// What a value comes to, within an expression.
fn inner(value: &str) -> String {
    match value.strip_prefix("{% ").and_then(|text| text.strip_suffix(" %}")) {
        Some(expression) => format!("({expression})"),
        None => literal(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_stays_what_it_is() {
        assert_eq!(literal("orders#"), "'orders#'");
        assert_eq!(literal("it's"), "\"it's\"");
        assert_eq!(literal("a\\b\n"), r#""a\\b\n""#);
    }

    #[test]
    fn what_is_the_same_needs_no_choice() {
        let one = json!({"a": "1", "b": "{% $x %}", "c": ["d"]});
        let other = json!({"a": "1", "b": "it's", "c": ["d"]});
        let choice = json!({"a": "1", "b": "{% $ok ? ($x) : \"it's\" %}", "c": ["d"]});
        assert_eq!(either("$ok", &one, &other), choice);
    }
}
