//! Sends one update to DynamoDB.

use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config, Error};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1"));
    let client = Client::from_conf(config.build());
    let update = client.update_item().table_name("tasks").key("id", AttributeValue::S("hello#1".to_owned()));
    let update = update.update_expression("SET done = :done");
    update.expression_attribute_values(":done", AttributeValue::Bool(true)).send().await?;
    Ok(())
}
