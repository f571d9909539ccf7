//! How many instructions a task takes, over the SDK's two calls.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::compare::Bench;
use crate::gate::{Gate, Options, about_the_same, at_most};
use crate::instructions;

const LIMIT: f64 = 1.05;
/// Either way: what is saved unseen could be lost again unseen.
const TOLERANCE: f64 = 0.03;

pub(crate) const GATE: Gate = Gate { name: "instructions", measure, judge };

/// The table is in this process, and what is counted is in others.
fn measure(_: &Options) -> Result<Value, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let bench = runtime.block_on(Bench::new(Backend::Embedded));
    let [raw, run, lease] = ["raw", "run", "lease"].map(|side| instructions::per_task(side, bench.endpoint()));
    let (raw, run, lease) = (raw?, run?, lease?);
    let ratio = |of: u64| of as f64 / raw as f64;
    Ok(json!({"raw": raw, "run": run, "run_ratio": ratio(run), "lease": lease, "lease_ratio": ratio(lease)}))
}

/// Judges the ratios and not the counts: another compiler or C library changes those of both sides.
fn judge(recorded: &Value, measured: &Value) -> Result<(), String> {
    for (name, what) in [("run_ratio", "instructions of run"), ("lease_ratio", "instructions of start and succeed")] {
        let ratio =
            |value: &Value| value[name].as_f64().ok_or_else(|| format!("{value} has no {name}; record it anew"));
        let (recorded, measured) = (ratio(recorded)?, ratio(measured)?);
        at_most(&format!("{what} over the two calls"), measured, LIMIT)?;
        about_the_same(&format!("{what} over the two calls"), measured, recorded, TOLERANCE)?;
    }
    Ok(())
}
