//! What one would write by hand: the two calls of the SDK, with the same conditions and updates as the crate's, and no look at
//! the answers.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

/// Takes a task and records that it is done.
pub(crate) async fn task(sdk: &Client, table: &str, key: &str) {
    let lock = uuid::Uuid::new_v4().to_string();
    start(sdk, table, key, &lock).await.expect("it starts");
    end(sdk, table, key, &lock, 40, None).await;
}

/// The same, and sets its data anew.
#[allow(dead_code, reason = "not every bench has data")]
pub(crate) async fn task_with_data(sdk: &Client, table: &str, key: &str, data: AttributeValue) {
    let lock = uuid::Uuid::new_v4().to_string();
    start(sdk, table, key, &lock).await.expect("it starts");
    end(sdk, table, key, &lock, 40, Some(("data", data))).await;
}

/// Takes a task and records that it has failed, with an error.
pub(crate) async fn failing_task(sdk: &Client, table: &str, key: &str) {
    let lock = uuid::Uuid::new_v4().to_string();
    start(sdk, table, key, &lock).await.expect("it starts");
    let error = [
        ("attempt", number(1)),
        ("time", number(chrono::Utc::now().timestamp_millis())),
        ("message", AttributeValue::S("the amount is negative".to_owned())),
    ];
    let error = HashMap::from(error.map(|(name, value)| (name.to_owned(), value)));
    let errors = AttributeValue::L(vec![AttributeValue::M(error)]);
    end(sdk, table, key, &lock, 20, Some(("errors", errors))).await;
}

/// Tries to take a task that is done.
pub(crate) async fn refused(sdk: &Client, table: &str, key: &str) {
    let error = start(sdk, table, key, &uuid::Uuid::new_v4().to_string()).await.expect_err("it is done");
    assert!(matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_))), "{error:?}");
}

async fn start(sdk: &Client, table: &str, key: &str, lock: &str) -> Result<(), SdkError<UpdateItemError>> {
    let now = chrono::Utc::now().timestamp_millis();
    sdk.update_item()
        .table_name(table)
        .key("id", AttributeValue::S(key.to_owned()))
        .update_expression(
            "SET #status = :in_progress, #lock = :token, lock_time = :now, lock_expire_time = :expires, \
             update_time = :now, max_attempts = :max, step = :zero, \
             generation = if_not_exists(generation, :zero) + :one, \
             attempts = if_not_exists(attempts, :zero) + :one, create_time = if_not_exists(create_time, :now) \
             REMOVE due_time, expire_at, lock_owner",
        )
        .condition_expression(
            "attribute_not_exists(#pk) OR (NOT #lock = :token AND NOT last_lock = :token \
             AND #status IN (:status0, :status1, :status2) \
             AND (attribute_not_exists(#lock) OR lock_expire_time <= :ran_out) AND attempts < :max \
             AND (#status = :in_progress OR attribute_not_exists(due_time) OR due_time <= :now))",
        )
        .expression_attribute_names("#pk", "id")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_values(":in_progress", number(10))
        .expression_attribute_values(":status0", number(0))
        .expression_attribute_values(":status1", number(20))
        .expression_attribute_values(":status2", number(10))
        .expression_attribute_values(":token", AttributeValue::S(lock.to_owned()))
        .expression_attribute_values(":now", number(now))
        .expression_attribute_values(":expires", number(now + 900_000))
        .expression_attribute_values(":ran_out", number(now - 1000))
        .expression_attribute_values(":max", number(3))
        .expression_attribute_values(":zero", number(0))
        .expression_attribute_values(":one", number(1))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .map(|_| ())
}

/// Ends a task. `more` is another attribute to set, if there is one.
async fn end(
    sdk: &Client,
    table: &str,
    key: &str,
    lock: &str,
    status: i64,
    more: Option<(&'static str, AttributeValue)>,
) {
    let set = if more.is_some() { ", #more = :more" } else { "" };
    let (name, value) = more.unzip();
    sdk.update_item()
        .table_name(table)
        .key("id", AttributeValue::S(key.to_owned()))
        .update_expression(format!(
            "SET update_time = :now, last_lock = :lock, #status = :status{set} \
             REMOVE #lock, lock_owner, lock_time, lock_expire_time, due_time, expire_at"
        ))
        .condition_expression("#lock = :lock")
        .set_expression_attribute_names(name.map(|name| HashMap::from([("#more".to_owned(), name.to_owned())])))
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#lock", "lock")
        .set_expression_attribute_values(value.map(|value| HashMap::from([(":more".to_owned(), value)])))
        .expression_attribute_values(":lock", AttributeValue::S(lock.to_owned()))
        .expression_attribute_values(":now", number(chrono::Utc::now().timestamp_millis()))
        .expression_attribute_values(":status", number(status))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .expect("it ends");
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
