//! A function that pays for the orders in a queue, each once.
//!
//!     cargo lambda build --release --arm64 --example lambda_sqs
//!
//! The body of a message is `{"order_id": "A1", "amount": 1200}`, in cents. An order is paid for once, however often it is
//! sent or delivered. Where the payment fails, the message comes again, until the order's three attempts are used up; then the queue
//! moves it to its dead letters. The table is `DYNAMO_TRACKER_TABLE`. `infra/lambda.yaml` deploys it.

use aws_config::BehaviorVersion;
use dynamo_tracker::lambda::batch::{SqsBatch, SqsDelivery};
use dynamo_tracker::lambda::{Idempotency, Key};
use dynamo_tracker::{TrackerClient, WorkError};
use serde::Deserialize;

#[derive(Deserialize)]
struct Order {
    order_id: String,
    amount: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config))
        .table(std::env::var("DYNAMO_TRACKER_TABLE")?)
        .namespace("orders")
        .build()?;
    let batch = SqsBatch::new(Idempotency::builder(client).build()?)
        .key(Key::new(|body| Some(body["order_id"].as_str()?.to_owned())));
    lambda_runtime::run(batch.service(pay)).await
}

/// Stands for the call of another service, which is told `generation` so that it can refuse what is late.
async fn pay(delivery: SqsDelivery<Order>) -> Result<(), WorkError> {
    let Order { order_id, amount } = &delivery.body;
    if *amount < 0 {
        return Err(WorkError::from("an order can't cost less than nothing"));
    }
    println!("paid {amount} for {order_id}, with fencing token {}", delivery.generation);
    Ok(())
}
