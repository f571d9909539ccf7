//! A payment behind an HTTP API: a Lambda function that takes money once for each `Idempotency-Key`.
//!
//!     cargo build --profile lambda --example lambda_http --features lambda
//!
//! It takes what API Gateway's HTTP API or a function URL sends, with a body such as `{"order_id": "A1", "amount": 1200}`, and
//! answers with a `payment_id`. Whoever sends the request again gets the same answer, byte for byte.
//!
//! `DYNAMO_TRACKER_TABLE` names the table. All else is from the environment that Lambda gives.

use std::collections::BTreeMap;

use aws_config::BehaviorVersion;
use chrono::Utc;
use dynamo_tracker::lambda::{Idempotency, IdempotencyError, IdempotencyErrorKind, IdempotencyLayer, Key};
use dynamo_tracker::{TrackerClient, WorkError};
use lambda_runtime::tower::ServiceExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::Layer;

/// What of the event the handler needs. The key is made of the whole event, as it came.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    body: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status_code: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Deserialize)]
struct Order {
    order_id: String,
    amount: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config))
        .table(std::env::var("DYNAMO_TRACKER_TABLE")?)
        .namespace("payments")
        .retention(std::time::Duration::from_secs(7 * 24 * 3600))
        .build()?;
    let idempotency = Idempotency::builder(client)
        .key(Key::http_header("Idempotency-Key"))
        .validate(Key::new(|event| Some(event["body"].as_str()?.to_owned())))
        .build()?;
    // Errors become answers outside of the layer, so that no error is kept as if it were the response.
    let handler = IdempotencyLayer::new(idempotency).layer(service_fn(pay));
    lambda_runtime::run(handler.map_result(|result| Ok::<_, Error>(result.unwrap_or_else(refuse)))).await
}

/// Takes the money. What it returns is kept, and given to whoever sends the request again.
async fn pay(event: LambdaEvent<Request>) -> Result<Response, WorkError> {
    let Ok(order) = serde_json::from_str::<Order>(&event.payload.body) else {
        return Ok(answer(400, json!({ "error": "the body is no order" })));
    };
    if order.amount < 0 {
        // An attempt that failed. It is recorded, and the request may come again.
        return Err("the amount is negative".into());
    }
    Ok(answer(200, json!({ "payment_id": uuid::Uuid::new_v4().to_string(), "order_id": order.order_id })))
}

/// 409 with `Retry-After` while another call takes the money, 422 for a key that is used with another body, 400 without a key,
/// 500 for a failure and for a request whose attempts are used up; the rest as [`IdempotencyError::http_status`] says.
fn refuse(error: IdempotencyError) -> Response {
    lambda_runtime::tracing::warn!(kind = error.kind().name(), "refused");
    let text = match error.kind() {
        // The text of the handler's own error is for the log and the record, not for the customer.
        IdempotencyErrorKind::HandlerFailed => "the payment failed; try again".to_owned(),
        kind => kind.name().to_owned(),
    };
    let mut response = answer(error.http_status(), json!({ "error": text }));
    if let Some(until) = error.until() {
        let seconds = (until - Utc::now()).num_seconds().max(0) + 1;
        response.headers.insert("Retry-After".to_owned(), seconds.to_string());
    }
    response
}

fn answer(status_code: u16, body: Value) -> Response {
    let headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
    Response { status_code, headers, body: body.to_string() }
}
