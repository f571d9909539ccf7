//! What one would write by hand: the two calls of the SDK, with the same conditions and updates as the crate's, and no look at
//! the answers.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

/// Takes a task and records that it is done.
pub(crate) async fn task(sdk: &Client, table: &str, key: &str) {
    let lock = uuid::Uuid::new_v4().to_string();
    start(sdk, table, AttributeValue::S(key.to_owned()), &lock).await;
    succeed(sdk, table, AttributeValue::S(key.to_owned()), &lock).await;
}

async fn start(sdk: &Client, table: &str, key: AttributeValue, lock: &str) {
    let now = chrono::Utc::now().timestamp_millis();
    sdk.update_item()
        .table_name(table)
        .key("id", key)
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
        .expect("it starts");
}

async fn succeed(sdk: &Client, table: &str, key: AttributeValue, lock: &str) {
    sdk.update_item()
        .table_name(table)
        .key("id", key)
        .update_expression(
            "SET update_time = :now, last_lock = :lock, #status = :status \
             REMOVE #lock, lock_owner, lock_time, lock_expire_time, due_time, expire_at",
        )
        .condition_expression("#lock = :lock")
        .expression_attribute_names("#status", "status")
        .expression_attribute_names("#lock", "lock")
        .expression_attribute_values(":lock", AttributeValue::S(lock.to_owned()))
        .expression_attribute_values(":now", number(chrono::Utc::now().timestamp_millis()))
        .expression_attribute_values(":status", number(40))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .expect("it ends");
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
