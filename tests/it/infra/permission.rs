//! What a policy allows, and what the requests that were sent need.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bed::Bed;

/// An action, and what it is done to: `dynamodb:Query` and `Table/index/by_due_time`.
pub(super) type Permission = (String, String);

/// What a policy allows to be done to tables.
pub(super) fn allowed(policy: &Value) -> BTreeSet<Permission> {
    let statements = policy["Statement"].as_array().expect("a policy has statements");
    let of = |statement: &Value| {
        assert_eq!(statement["Effect"], "Allow");
        let resource = resource(&statement["Resource"]);
        let actions = statement["Action"].as_array().expect("actions").clone();
        actions.into_iter().map(move |action| (action.as_str().expect("an action").to_owned(), resource.clone()))
    };
    statements.iter().flat_map(of).filter(|(action, _)| action.starts_with("dynamodb:")).collect()
}

/// The one thing that a statement is about, as people would write it.
fn resource(resource: &Value) -> String {
    if let Some([name, attribute]) = resource["Fn::GetAtt"].as_array().map(Vec::as_slice) {
        assert_eq!(attribute, "Arn");
        return name.as_str().expect("a name").to_owned();
    }
    resource["Fn::Sub"].as_str().expect("a statement is about one resource").replace("${Table.Arn}", "Table")
}

/// What DynamoDB asks of whoever sends what was sent, as far as it is about the bed's own table.
pub(super) fn needed(bed: &Bed) -> BTreeSet<Permission> {
    let requests = bed.http.sent().into_iter().zip(bed.http.bodies());
    requests.flat_map(|(operation, body)| of_request(&bed.table, &operation, &body)).collect()
}

fn of_request(table: &str, operation: &str, body: &str) -> Vec<Permission> {
    let body: Value = serde_json::from_str(body).expect("a request is JSON");
    match operation {
        "TransactWriteItems" => of_transaction(table, &body),
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().expect("a batch is about tables").keys();
            tables.filter(|name| *name == table).map(|_| permission(operation, None)).collect()
        }
        _ if body["TableName"] == table => vec![permission(operation, body["IndexName"].as_str())],
        _ => Vec::new(),
    }
}

/// There is no permission for a transaction, but one for each of its actions (*Using IAM with DynamoDB transactions*,
/// Amazon DynamoDB Developer Guide).
fn of_transaction(table: &str, body: &Value) -> Vec<Permission> {
    let actions = body["TransactItems"].as_array().expect("a transaction has actions").iter();
    let actions = actions.flat_map(|action| action.as_object().expect("an action has a kind"));
    let ours = actions.filter(|(_, action)| action["TableName"] == table);
    ours.map(|(kind, _)| permission(&format!("{kind}Item"), None)).collect()
}

fn permission(operation: &str, index: Option<&str>) -> Permission {
    let resource = index.map_or_else(|| "Table".to_owned(), |index| format!("Table/index/{index}"));
    (format!("dynamodb:{operation}"), resource)
}
