//! The summary of a fan-out: a Lambda function that counts the tasks in each state, for a state machine to decide by.
//!
//!     cargo build --profile lambda --example lambda_summary --features lambda
//!
//! Its answer is `{"pending": 0, "in_progress": 0, "failed": 3, "exhausted": 1, "ignored": 0, "open": 3}`, where `open` is what is
//! still to be done. It counts by the index, so those that have succeeded are not among them, and what it costs does not grow with them.
//!
//! `DYNAMO_TRACKER_TABLE` names the table, `DYNAMO_TRACKER_NAMESPACE` the tasks, `payments` by default, and
//! `DYNAMO_TRACKER_SHARDS` says how many shards the index has.

use aws_config::BehaviorVersion;
use dynamo_tracker::TrackerClient;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let client = TrackerClient::<Value>::builder(aws_sdk_dynamodb::Client::new(&config))
        .table(std::env::var("DYNAMO_TRACKER_TABLE")?)
        .namespace(std::env::var("DYNAMO_TRACKER_NAMESPACE").unwrap_or_else(|_| "payments".to_owned()))
        .index(std::env::var("DYNAMO_TRACKER_SHARDS")?.parse()?)
        .build()?;
    let client = &client;
    lambda_runtime::run(service_fn(move |_: LambdaEvent<Value>| count(client))).await
}

async fn count(client: &TrackerClient<Value>) -> Result<Value, Error> {
    let stats = client.stats().await?;
    Ok(json!({
        "pending": stats.pending,
        "in_progress": stats.in_progress,
        "failed": stats.failed,
        "exhausted": stats.exhausted,
        "ignored": stats.ignored,
        "open": stats.open(),
    }))
}
