//! `Idempotency::run`, as the layer of a Lambda function calls it.

use std::time::{Duration, SystemTime};

use dynamo_tracker::TrackerClient;
use dynamo_tracker::lambda::{Idempotency, IdempotencyErrorKind, JmesPath, Key, Replay};
use lambda_runtime::Context;
use serde_json::json;

use super::{Payment, amount, pay};
use crate::command::Operation;

/// How long the function still has, at each event.
const LEFT: Duration = Duration::from_secs(30);

pub(super) struct Once(Idempotency);

impl Once {
    pub(super) fn new(client: TrackerClient<Replay>) -> Self {
        let key = Key::path(JmesPath::new("order_id").expect("a path"));
        Self(Idempotency::builder(client).key(key).build().expect("it is right"))
    }

    pub(super) async fn task(&self, operation: Operation, order_id: &str) {
        let amount = amount(operation);
        let event = json!({"order_id": order_id, "amount": amount});
        match self.0.run(&event, Some(&context()), || pay(order_id, amount)).await {
            Ok(outcome) => assert_eq!(outcome.response, Payment::of(order_id)),
            Err(error) => {
                let kinds = (operation, error.kind());
                assert_eq!(kinds, (Operation::Failure, IdempotencyErrorKind::HandlerFailed), "{error}");
            }
        }
    }
}

/// What Lambda tells of the invocation, as far as it is asked for.
fn context() -> Context {
    let deadline = SystemTime::now() + LEFT;
    let mut context = Context::default();
    context.request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned();
    context.deadline = deadline.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    context
}
