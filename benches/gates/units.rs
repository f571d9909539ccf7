//! What each operation takes of what AWS bills.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::gate::{Gate, Options, RECORD};
use crate::rows::{self, Data, Row};

pub(crate) const GATE: Gate = Gate { name: "units", measure, judge };

fn measure(_: &Options) -> Result<Value, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let rows = runtime.block_on(rows::measure(Backend::Local));
    Ok(json!(rows.iter().map(|row| (name(row), say(row))).collect::<BTreeMap<_, _>>()))
}

fn name(row: &Row) -> String {
    let data = match row.data {
        Data::None => String::new(),
        data => format!(", {}", <&str>::from(data)),
    };
    format!("{}{data}{}", row.operation, if row.index { ", with the index" } else { "" })
}

fn say(row: &Row) -> String {
    let write_units = row.write_units.map_or("unsaid".to_owned(), |units| units.to_string());
    format!("requests {}, write units {write_units}, read units {}", row.requests, row.read_units)
}

/// They are counts, so they are the same or they are not.
fn judge(recorded: &Value, measured: &Value) -> Result<(), String> {
    let [recorded, measured] = [recorded, measured].map(|value| value.as_object().cloned().unwrap_or_default());
    let all: std::collections::BTreeSet<_> = recorded.keys().chain(measured.keys()).collect();
    let changed = all.into_iter().filter(|name| recorded.get(*name) != measured.get(*name));
    let said = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    let changes: Vec<_> = changed
        .map(|name| format!("{name}: {}, and recorded is {}", said(measured.get(name)), said(recorded.get(name))))
        .collect();
    if changes.is_empty() {
        return Ok(());
    }
    Err(format!("{}; look at what has changed, or record it with `{RECORD}`", changes.join("; ")))
}
