//! `lambda_http` without dynamo-tracker: what the crate is measured against in size and start-up.
//!
//!     cargo build --profile lambda --example lambda_bare --features lambda
//!
//! The same handler makes the same two updates by the AWS SDK alone. It is no example of how to do that right: an answer that
//! is lost blocks the key, a function that is killed blocks it for ever, and a failure may be tried without end.

use std::collections::{BTreeMap, HashMap};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    headers: HashMap<String, String>,
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
    let client = Client::new(&config);
    let table = std::env::var("DYNAMO_TRACKER_TABLE")?;
    lambda_runtime::run(service_fn(|event| handle(&client, &table, event))).await
}

async fn handle(client: &Client, table: &str, event: LambdaEvent<Request>) -> Result<Response, Error> {
    let Some(key) = event.payload.headers.get("idempotency-key").cloned() else {
        return Ok(answer(400, json!({ "error": "MissingKey" })));
    };
    let id = AttributeValue::S(format!("bare#{key}"));
    let start = client.update_item().table_name(table).key("id", id.clone());
    let start = start.update_expression("SET #status = :doing").expression_attribute_names("#status", "status");
    let start = start.expression_attribute_values(":doing", AttributeValue::N("1".to_owned()));
    let start = start.condition_expression("attribute_not_exists(id)").return_values(ReturnValue::AllNew);
    let start = start.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    if let Err(error) = start.send().await {
        let error = error.into_service_error();
        let aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(refused) =
            &error
        else {
            return Err(error.into());
        };
        let kept = refused.item().and_then(|item| item.get("data")?.as_s().ok());
        return match kept {
            Some(kept) => Ok(serde_json::from_str(kept)?),
            None => Ok(answer(409, json!({ "error": "TaskLocked" }))),
        };
    }
    let response = pay(&event.payload.body)?;
    let end = client.update_item().table_name(table).key("id", id);
    let end = end.update_expression("SET #status = :done, #data = :data");
    let end = end.expression_attribute_names("#status", "status").expression_attribute_names("#data", "data");
    let end = end.expression_attribute_values(":done", AttributeValue::N("2".to_owned()));
    let end = end.expression_attribute_values(":data", AttributeValue::S(serde_json::to_string(&response)?));
    end.send().await?;
    Ok(response)
}

fn pay(body: &str) -> Result<Response, Error> {
    let Ok(order) = serde_json::from_str::<Order>(body) else {
        return Ok(answer(400, json!({ "error": "the body is no order" })));
    };
    if order.amount < 0 {
        return Err("the amount is negative".into());
    }
    Ok(answer(200, json!({ "payment_id": uuid::Uuid::new_v4().to_string(), "order_id": order.order_id })))
}

fn answer(status_code: u16, body: Value) -> Response {
    let headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
    Response { status_code, headers, body: body.to_string() }
}
