//! Runs one task.

use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::{Client, Config};
use dynamo_tracker::{StartOptions, TrackerClient};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let tracker = TrackerClient::<()>::builder(Client::from_conf(config.build()));
    let tracker = tracker.table("tasks").namespace("hello").build()?;
    tracker.run("1", StartOptions::new(), |_lease| async { Ok(()) }).await?;
    Ok(())
}
