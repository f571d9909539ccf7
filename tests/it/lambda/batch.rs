//! What the tests' handler does with a batch of a queue: what the body of each message says.

use std::collections::HashSet;

use lambda_runtime::Error;
use serde_json::{Value, json};

/// A body is `{"do": …}`, and may have more that only makes it another one.
pub(super) fn answer(records: &[Value]) -> Result<Value, Error> {
    let mut failed = Failed::default();
    for record in records {
        let body: Value = serde_json::from_str(record["body"].as_str().unwrap_or_default())?;
        println!("message {body}");
        match body["do"].as_str().unwrap_or_default() {
            "succeed" => failed.skip_after_failure(record),
            "fail" => failed.add(record),
            "fail_first" if record["attributes"]["ApproximateReceiveCount"] == "1" => failed.add(record),
            "fail_first" => failed.skip_after_failure(record),
            "fail_carelessly" => failed.ids.push(record["messageId"].clone()),
            // With this very answer, whatever there is in the batch.
            "answer" => return Ok(body["answer"].clone()),
            "answer_twice" => return Ok(failures(&[record["messageId"].clone(), record["messageId"].clone()])),
            "hang" => hang(),
            "throw" => return Err("it throws".into()),
            other => return Err(format!("there is no {other:?}").into()),
        }
    }
    Ok(failures(&failed.ids))
}

/// Until the process is killed.
fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

fn failures(ids: &[Value]) -> Value {
    json!({ "batchItemFailures": ids.iter().map(|id| json!({ "itemIdentifier": id })).collect::<Vec<_>>() })
}

#[derive(Default)]
struct Failed {
    ids: Vec<Value>,
    groups: HashSet<String>,
}

impl Failed {
    fn add(&mut self, record: &Value) {
        self.ids.push(record["messageId"].clone());
        self.groups.extend(group(record));
    }

    /// The rest of a group is not done once one of it has failed.
    fn skip_after_failure(&mut self, record: &Value) {
        if group(record).is_some_and(|group| self.groups.contains(&group)) {
            self.add(record);
        }
    }
}

fn group(record: &Value) -> Option<String> {
    record["attributes"]["MessageGroupId"].as_str().map(str::to_owned)
}
