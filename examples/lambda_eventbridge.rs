//! A Lambda function on an EventBridge rule, which ships each order once however often the rule sends it.
//!
//!     cargo build --profile lambda --example lambda_eventbridge --features lambda
//!
//! It takes events with a `detail` such as `{"order_id": "A1"}`. The key is what EventBridge tells events apart by: source,
//! detail-type and id. A failure is an error of the invocation, so Lambda tries again; after the attempts that the client
//! allows, the event is exhausted, and goes where the function's `OnFailure` destination says.
//!
//! `DYNAMO_TRACKER_TABLE` names the table.

use aws_config::BehaviorVersion;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use dynamo_tracker::lambda::{Idempotency, IdempotencyLayer, Key};
use dynamo_tracker::{TrackerClient, WorkError};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tower::Layer;

#[derive(Serialize, Deserialize)]
struct Order {
    order_id: String,
}

#[derive(Serialize, Deserialize)]
struct Shipped {
    order_id: String,
    parcel: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config))
        .table(std::env::var("DYNAMO_TRACKER_TABLE")?)
        .namespace("shipping")
        .build()?;
    let idempotency = Idempotency::builder(client).key(Key::eventbridge()).build()?;
    lambda_runtime::run(IdempotencyLayer::new(idempotency).layer(service_fn(ship))).await
}

async fn ship(event: LambdaEvent<EventBridgeEvent<Order>>) -> Result<Shipped, WorkError> {
    let Order { order_id } = event.payload.detail;
    if order_id.is_empty() {
        // No other attempt would mend it, so there is none: the event is exhausted at once.
        return Err(WorkError::fatal("the order has no id"));
    }
    Ok(Shipped { order_id, parcel: uuid::Uuid::new_v4().to_string() })
}
