//! A task step of a state machine: a Lambda function that takes the money for an order once, however often Step Functions
//! retries it.
//!
//!     cargo build --profile lambda --example lambda_step --features lambda,stepfunctions
//!
//! The state passes on its input, such as `{"order_id": "A1", "amount": 1200}`, and its context object:
//! `"Payload": {"input.$": "$", "context.$": "$$"}`. The output is a `payment_id`. An order that was paid before, in this
//! execution or another, has the same output again. The order is the key, so the same order with another amount is refused, with
//! `PayloadMismatch`.
//!
//! `DYNAMO_TRACKER_TABLE` names the table. With `DYNAMO_TRACKER_SHARDS`, the index of so many shards is kept, so that the orders of a
//! fan-out can be counted: see the example `lambda_summary`.

use aws_config::BehaviorVersion;
use dynamo_tracker::lambda::{Idempotency, Key};
use dynamo_tracker::stepfunctions::{StepEvent, StepLayer};
use dynamo_tracker::{TrackerClient, WorkError};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tower::Layer;

#[derive(Deserialize)]
struct Order {
    order_id: String,
    amount: i64,
}

#[derive(Serialize, Deserialize)]
struct Payment {
    payment_id: String,
    order_id: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config))
        .table(std::env::var("DYNAMO_TRACKER_TABLE")?)
        .namespace("payments");
    let client = match std::env::var("DYNAMO_TRACKER_SHARDS") {
        Ok(shards) => client.index(shards.parse()?).build()?,
        Err(_) => client.build()?,
    };
    let idempotency = Idempotency::builder(client)
        .key(Key::new(|input| Some(input["order_id"].as_str()?.to_owned())))
        .validate(Key::new(|input| Some(input["amount"].to_string())))
        .build()?;
    lambda_runtime::run(StepLayer::new(idempotency).layer(service_fn(charge))).await
}

async fn charge(event: LambdaEvent<StepEvent<Order>>) -> Result<Payment, WorkError> {
    let StepEvent { input: Order { order_id, amount }, step, .. } = event.payload;
    if amount < 0 {
        // An attempt that failed, which `Retry` of the state may repeat.
        return Err(WorkError::from_parts("NegativeAmount", "the amount is negative", None));
    }
    lambda_runtime::tracing::info!(execution = step.execution(), "takes the money");
    Ok(Payment { payment_id: uuid::Uuid::new_v4().to_string(), order_id })
}
