//! What Lambda makes of a function's answer to a batch, where the event source mapping has `ReportBatchItemFailures`.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

use std::collections::HashSet;

use serde_json::Value;

use crate::bed::lambda::Answer;

/// The messages of the batch that have failed. An error says why the whole batch has.
pub(super) fn failed(answer: &Answer, batch: &[&str]) -> Result<HashSet<String>, String> {
    let body = match answer {
        Answer::Ok(body) => body,
        Answer::Error { error_type, .. } => return Err(format!("the function fails with {error_type}")),
    };
    let mut failed = HashSet::new();
    for id in listed(body)? {
        if !batch.contains(&id) {
            return Err(format!("{id:?} is not in the batch"));
        }
        if !failed.insert(id.to_owned()) {
            return Err(format!("{id:?} is named twice"));
        }
    }
    Ok(failed)
}

/// A response without a list, and a list of nothing, say that all is well.
fn listed(body: &Value) -> Result<Vec<&str>, String> {
    let list = match body {
        Value::Null => return Ok(Vec::new()),
        Value::Object(response) => response.get("batchItemFailures"),
        other => return Err(format!("{other} is no response to a batch")),
    };
    match list {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(identifier).collect(),
        Some(other) => Err(format!("{other} is no list")),
    }
}

fn identifier(item: &Value) -> Result<&str, String> {
    match item.get("itemIdentifier") {
        Some(Value::String(id)) if !id.is_empty() => Ok(id),
        Some(other) => Err(format!("{other} is no identifier")),
        None => Err(format!("{item} has no itemIdentifier")),
    }
}
