//! What tells tasks and their acquisitions apart: the keys of events, and lock tokens.

use dynamo_tracker::LockToken;
use dynamo_tracker::lambda::{JmesPath, Key};
use serde_json::{Value, json};

use crate::measure::Measure;
use crate::orders;

pub(crate) const GROUP: &str = "key";
/// The whole event, in each of the two sizes.
pub(crate) const WHOLE: [&str; 2] = ["whole-small-event", "whole-large-event"];

pub(crate) fn measure(measure: &mut Measure) {
    measure.piece(GROUP, "lock-token", LockToken::random);
    let (small, large) = (event(&json!(orders::small())), event(&json!(orders::large())));
    for (name, event) in WHOLE.into_iter().zip([&small, &large]) {
        measure_key(measure, name, &Key::whole(), event);
    }
    let path = JmesPath::new("powertools_json(body).[number, customer]").expect("a path");
    measure_key(measure, "path-in-small-event", &Key::path(path), &small);
}

fn measure_key(measure: &mut Measure, name: &str, key: &Key, event: &Value) {
    measure.piece(GROUP, name, || key.of(event).expect("it fits").expect("it has a key"));
}

/// As API Gateway sends it: the body is text, beside what the request was like.
fn event(body: &Value) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /orders",
        "rawPath": "/orders",
        "headers": {"content-type": "application/json", "host": "id.execute-api.eu-west-1.amazonaws.com"},
        "requestContext": {"accountId": "123456789012", "requestId": "id=", "timeEpoch": 1_583_348_638_390_u64},
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}
