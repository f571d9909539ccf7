//! How many crates the default features add to those that a program of the SDK has anyway.

use serde_json::{Value, json};

use crate::crates;
use crate::gate::{Gate, Options, at_most, no_more};
use crate::project::Project;

const LIMIT: f64 = 12.0;

pub(crate) const GATE: Gate = Gate { name: "dependencies", measure, judge };

/// Needs no build: cargo knows what it would compile.
fn measure(_: &Options) -> Result<Value, String> {
    let added = crates::added(&crates::all(&Project::bare()), &crates::all(&Project::tracked()));
    // Without their versions, so that an update of one is no news.
    let names: Vec<_> = added.iter().filter_map(|name| name.split(' ').next()).collect();
    Ok(json!(names))
}

fn judge(recorded: &Value, measured: &Value) -> Result<(), String> {
    let [recorded, measured] = [recorded, measured].map(names);
    at_most("crates beyond the SDK's own", measured.len() as f64, LIMIT)?;
    no_more("crates beyond the SDK's own", &measured, &recorded)
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
