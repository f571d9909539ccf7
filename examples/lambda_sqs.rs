//! A Lambda function on an SQS queue, which pays for each order once however often its message is sent or delivered.
//!
//!     cargo build --profile lambda --example lambda_sqs --features lambda
//!
//! It takes messages such as `{"order_id": "A1", "amount": 1200}`, with the amount in cents; the key is the `order_id`. A failure
//! has its message come again, and no other; after the attempts that the client allows, the order is exhausted, and the queue
//! moves its message to the dead letters. A negative amount fails, to show that. `infra/lambda.yaml` deploys it.
//!
//! `DYNAMO_TRACKER_TABLE` names the table.

use aws_config::BehaviorVersion;
use dynamo_tracker::lambda::batch::{SqsBatch, SqsDelivery};
use dynamo_tracker::lambda::{Idempotency, Key};
use dynamo_tracker::{TrackerClient, WorkError};
use lambda_runtime::Error;
use serde::Deserialize;

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
        .namespace("orders")
        .build()?;
    let idempotency = Idempotency::builder(client).build()?;
    let order_id = Key::new(|body| Some(body["order_id"].as_str()?.to_owned()));
    lambda_runtime::run(SqsBatch::new(idempotency).key(order_id).concurrency(10).service(pay)).await
}

/// Stands for a call of another service. Given the fencing token as well, that could refuse what is late.
async fn pay(delivery: SqsDelivery<Order>) -> Result<(), WorkError> {
    let Order { order_id, amount } = &delivery.body;
    if *amount < 0 {
        return Err(WorkError::from("an order can't cost less than nothing"));
    }
    println!("paid {amount} for {order_id}, with fencing token {}", delivery.generation);
    Ok(())
}
