//! Selecting a part of an event.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;
use jmespath::functions::{ArgumentType, CustomFunction, Signature};
use jmespath::{Context, ErrorReason, Expression, JmespathError, Rcvar, Runtime, Variable};
use serde_json::Value;

use crate::error::{Error, ErrorKind};

/// The most bytes that `powertools_base64_gzip` unpacks. A Lambda event has at most 6 MB, but gzip can pack a thousand times
/// as much into it, and a function has little memory.
const MAX_UNPACKED: u64 = 16 * 1024 * 1024;

/// Base64 as Python decodes it: padded, and the bits that the padding leaves over may be anything.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// All functions of JMESPath, and those of Powertools.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Runtime::new();
    runtime.register_builtin_functions();
    register(&mut runtime, "powertools_json", json);
    register(&mut runtime, "powertools_base64", |text| decode(text).map(Variable::String));
    register(&mut runtime, "powertools_base64_gzip", |text| unpack(text).map(Variable::String));
    runtime
});

/// A compiled [JMESPath](https://jmespath.org/specification.html) expression, which selects a part of an event.
///
/// It knows the functions that Powertools for AWS Lambda adds. Each takes a string, and anything else, or a string that is
/// not what it should be, is an error:
///
/// * `powertools_json(s)`: the value that is written in `s` as JSON.
/// * `powertools_base64(s)`: the UTF-8 text that is in `s` in Base64; white space in it is skipped.
/// * `powertools_base64_gzip(s)`: the same, unpacked; at most 16 MB.
///
/// Numbers that are selected stay as they are: 64-bit integers keep all digits, and `1` and `1.0` stay apart. Functions that
/// calculate, such as `sum`, give floats, and `to_string` writes as Rust does. `keys`, `values` and `*` give an object's fields in the order of their code points,
/// where Python and JavaScript have the order of the event; put `sort` around them where a key must equal theirs.
///
/// A clone costs a reference count, and threads may share it.
///
/// ```
/// use dynamo_tracker::lambda::JmesPath;
/// use serde_json::json;
///
/// let key = JmesPath::new("powertools_json(body).[user, order]")?;
/// let event = json!({"body": r#"{"user": "ada", "order": 42}"#});
/// assert_eq!(key.search(&event)?, json!(["ada", 42]));
///
/// let error = JmesPath::new("body.[").unwrap_err();
/// assert!(error.to_string().starts_with(r#"the JMESPath expression "body.[" is no good at character 7: "#), "{error}");
/// # Ok::<(), dynamo_tracker::Error>(())
/// ```
#[derive(Clone)]
pub struct JmesPath(Arc<Expression<'static>>);

impl JmesPath {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: it is no JMESPath expression; the error says at which character. A function that does
    /// not exist is found by [`search`](Self::search).
    pub fn new(expression: &str) -> Result<Self, Error> {
        RUNTIME.compile(expression).map(|compiled| Self(Arc::new(compiled))).map_err(|error| {
            let message = format!(
                "the JMESPath expression {expression:?} is no good at character {}: {}; mend it",
                position(expression, error.offset),
                reason(&error)
            );
            Error::new(ErrorKind::InvalidArgument, message)
        })
    }

    /// What the expression selects from an event; `null` where there is no such thing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: the event is not what a function in the expression takes, there is no such function, or
    /// the expression selects another expression (`&a`). The error shows none of the event.
    pub fn search(&self, event: &Value) -> Result<Value, Error> {
        let found = self.0.search(event).map_err(|error| self.not_found(error.offset, &reason(&error)))?;
        to_json(&found).ok_or_else(|| self.not_found(0, "it selects an expression, not a value"))
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn not_found(&self, offset: usize, reason: &str) -> Error {
        let expression = self.as_str();
        let message = format!(
            "the JMESPath expression {expression:?} does not fit the event, at character {}: {reason}; look at the event, \
             or mend the expression",
            position(expression, offset)
        );
        Error::new(ErrorKind::InvalidArgument, message)
    }
}

impl fmt::Debug for JmesPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JmesPath").field(&self.as_str()).finish()
    }
}

impl PartialEq for JmesPath {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// Which character it is, counted from 1. The parser counts bytes from 0.
fn position(expression: &str, offset: usize) -> usize {
    1 + expression.char_indices().take_while(|(at, _)| *at < offset).count()
}

/// The reason alone, in one line: the error's own text draws an arrow below the expression.
fn reason(error: &JmespathError) -> String {
    match &error.reason {
        ErrorReason::Parse(reason) => reason.trim_start_matches("Parse error: ").to_owned(),
        ErrorReason::Runtime(reason) => reason.to_string(),
    }
}

/// Adds a function of one string.
fn register(runtime: &mut Runtime, name: &'static str, function: fn(&str) -> Result<Variable, String>) {
    let call = move |arguments: &[Rcvar], context: &mut Context<'_>| {
        let text = arguments[0].as_string().map(String::as_str).unwrap_or_default();
        let result = function(text).map_err(|why| format!("{name} has a string that {why}"));
        result.map(Rcvar::new).map_err(|why| JmespathError::from_ctx(context, ErrorReason::Parse(why)))
    };
    let signature = Signature::new(vec![ArgumentType::String], None);
    runtime.register_function(name, Box::new(CustomFunction::new(signature, Box::new(call))));
}

fn json(text: &str) -> Result<Variable, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("is no JSON at line {}, column {}", error.line(), error.column()))
}

fn decode(text: &str) -> Result<String, String> {
    String::from_utf8(bytes(text)?).map_err(|_| "is no UTF-8 when it is decoded".to_owned())
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let text: String = text.split_ascii_whitespace().collect();
    BASE64.decode(text).map_err(|_| "is no Base64".to_owned())
}

fn unpack(text: &str) -> Result<String, String> {
    let packed = bytes(text)?;
    let mut unpacked = Vec::new();
    // One more, so that what is cut shows.
    let read = MultiGzDecoder::new(packed.as_slice()).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked);
    let size = read.map_err(|_| "is no gzip when it is decoded".to_owned())?;
    if size as u64 > MAX_UNPACKED {
        return Err(format!("has more than {MAX_UNPACKED} bytes when it is unpacked"));
    }
    String::from_utf8(unpacked).map_err(|_| "is no UTF-8 when it is unpacked".to_owned())
}

/// `None` where it is, or has in it, an expression.
fn to_json(found: &Variable) -> Option<Value> {
    Some(match found {
        Variable::Null => Value::Null,
        Variable::Bool(value) => Value::Bool(*value),
        Variable::Number(number) => Value::Number(number.clone()),
        Variable::String(text) => Value::String(text.clone()),
        Variable::Array(values) => values.iter().map(|value| to_json(value)).collect::<Option<Vec<_>>>()?.into(),
        Variable::Object(fields) => object(fields)?,
        Variable::Expref(_) => return None,
    })
}

fn object(fields: &BTreeMap<String, Rcvar>) -> Option<Value> {
    fields.iter().map(|(key, value)| Some((key.clone(), to_json(value)?))).collect::<Option<_>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn search(expression: &str, event: &Value) -> Result<Value, String> {
        JmesPath::new(expression).unwrap().search(event).map_err(|error| error.to_string())
    }

    fn base64(bytes: &[u8]) -> String {
        BASE64.encode(bytes)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn it_is_shared_by_threads() {
        fn check<T: Clone + fmt::Debug + Send + Sync + 'static>(_: &T) {}
        let path = JmesPath::new("a").unwrap();
        check(&path);
        assert_eq!(format!("{path:?}"), r#"JmesPath("a")"#);
    }

    #[test]
    fn parts_of_an_event_are_selected() {
        let logs = base64(&gzip(br#"{"logEvents": [{"id": "e1"}]}"#));
        // As the envelopes of Powertools select them.
        let table = [
            ("@", json!(7), json!(7)),
            ("a.b", json!({"a": {"b": "x"}}), json!("x")),
            ("a.b", json!({}), json!(null)),
            ("[a, b]", json!({}), json!([null, null])),
            ("x.[a, b]", json!({}), json!(null)),
            ("{x: a}", json!({"a": [1]}), json!({"x": [1]})),
            ("powertools_json(body)", json!({"body": "{\"a\": [1, null]}"}), json!({"a": [1, null]})),
            ("Records[*].powertools_json(body).id", json!({"Records": [{"body": "{\"id\":1}"}]}), json!([1])),
            ("powertools_base64(data)", json!({"data": "YcOp\nYQ=="}), json!("aéa")),
            ("powertools_json(powertools_base64(@))", json!(base64(b"[1]")), json!([1])),
            (
                "awslogs.powertools_base64_gzip(data) | powertools_json(@).logEvents[*].id",
                json!({"awslogs": {"data": logs}}),
                json!(["e1"]),
            ),
        ];
        for (expression, event, expected) in table {
            assert_eq!(search(expression, &event), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn numbers_stay_as_they_are() {
        let event = json!({"n": [9_007_199_254_740_993_i64, u64::MAX, i64::MIN, 1, 1.0, 0.1, -0.0]});
        assert_eq!(search("n", &event).unwrap().to_string(), event["n"].to_string());
        let text = "[9007199254740993,18446744073709551615,-9223372036854775808,1,1.0,0.1]";
        assert_eq!(search("powertools_json(@)", &json!(text)).unwrap().to_string(), text);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_shows_none_of_the_event() {
        let bomb = base64(&gzip(&vec![b' '; 16 * 1024 * 1024 + 1]));
        let table = [
            (
                "powertools_json(@)",
                json!("{\"secret\": "),
                "powertools_json has a string that is no JSON at line 1, column 11",
            ),
            ("powertools_json(@)", json!(1), "Argument 0 expects type string, given number"),
            ("powertools_json(body)", json!({}), "Argument 0 expects type string, given null"),
            ("powertools_json()", json!({}), "Not enough arguments: expected 1, found 0"),
            ("powertools_base64(@)", json!("secret!"), "is no Base64"),
            ("powertools_base64(@)", json!("YQ"), "is no Base64"),
            ("powertools_base64(@)", json!("/w=="), "is no UTF-8 when it is decoded"),
            ("powertools_base64_gzip(@)", json!("c2VjcmV0"), "is no gzip when it is decoded"),
            ("powertools_base64_gzip(@)", json!(base64(&gzip(b"\xff"))), "is no UTF-8 when it is unpacked"),
            ("powertools_base64_gzip(@)", json!(bomb), "more than 16777216 bytes"),
            ("powertool_json(@)", json!("1"), "Call to undefined function powertool_json"),
            ("&secret", json!({}), "it selects an expression"),
        ];
        for (expression, event, expected) in table {
            let error = search(expression, &event).unwrap_err();
            assert!(error.contains(expected), "{expression}: {error}");
            assert!(error.contains(&format!("{expression:?}")) && !error.contains('\n'), "{error}");
            assert!(!error.replace(expression, "").contains("secret"), "{error}");
        }
    }

    #[test]
    fn exactly_as_much_as_is_allowed_is_unpacked() {
        let event = json!(base64(&gzip(&vec![b' '; 16 * 1024 * 1024])));
        assert_eq!(search("length(powertools_base64_gzip(@))", &event), Ok(json!(16 * 1024 * 1024)));
    }

    #[test]
    fn a_bad_expression_is_shown_with_its_place() {
        for (expression, place) in
            [("a..b", "at character 3: "), (r#""é"."ü"..b"#, "at character 9: "), ("", "at character 1: ")]
        {
            let error = JmesPath::new(expression).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains(&format!("{expression:?} is no good {place}")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives_encoding(text: String) {
            let packed = json!({"plain": base64(text.as_bytes()), "packed": base64(&gzip(text.as_bytes()))});
            prop_assert_eq!(search("powertools_base64(plain)", &packed), Ok(json!(text)));
            prop_assert_eq!(search("powertools_base64_gzip(packed)", &packed), Ok(json!(text)));
        }

        #[test]
        fn any_number_survives(unsigned: u64, signed: i64, float in any::<f64>().prop_filter("JSON", |x| x.is_finite())) {
            let event = json!([unsigned, signed, float]);
            prop_assert_eq!(search("@", &event), Ok(event.clone()));
            prop_assert_eq!(search("powertools_json(@)", &json!(event.to_string())), Ok(event));
        }

        #[test]
        fn no_expression_makes_it_panic(expression in "[-a-c0-9.*@&|(){}\\[\\]:,`'\"? é]{0,16}") {
            if let Ok(path) = JmesPath::new(&expression) {
                let _ = path.search(&json!({"a": [{"b": 1}], "c": "x"}));
            }
        }
    }
}
