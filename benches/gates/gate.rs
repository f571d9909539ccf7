//! What a gate is, and what it says when it does not hold.

use clap::Args;
use serde_json::{Map, Value};

const NEXT: &str = "look at what has grown, or record it with `cargo bench --bench gates -- --record`";
/// What writes `recorded.json`.
pub(crate) const RECORD: &str = "cargo bench --bench gates -- --record";

/// What the gates can be asked.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The profile of cargo's that programs are built with.
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub(crate) profile: String,
}

/// Something that must not get worse.
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    /// What there is now, or why that can't be said.
    pub(crate) measure: fn(&Options) -> Result<Value, String>,
    /// Whether there may be this, after what was recorded; or else what is wrong, and what to do.
    pub(crate) judge: fn(&Value, &Value) -> Result<(), String>,
}

impl Gate {
    /// Judges by what was recorded for this gate.
    pub(crate) fn hold(&self, recorded: &Map<String, Value>, measured: &Value) -> Result<(), String> {
        match recorded.get(self.name) {
            Some(recorded) => (self.judge)(recorded, measured),
            None => Err(format!("nothing is recorded to compare it with; {NEXT}")),
        }
    }
}

/// Holds a figure to what the README promises.
pub(crate) fn at_most(what: &str, measured: f64, limit: f64) -> Result<(), String> {
    if measured <= limit {
        return Ok(());
    }
    Err(format!(
        "{what}: {measured}, and the limit is {limit}; look at what has grown, since to record it does not help"
    ))
}

/// Holds a figure to what was recorded, and to a small part of that more.
pub(crate) fn no_worse(what: &str, measured: f64, recorded: f64, part: f64) -> Result<(), String> {
    if measured <= recorded * (1.0 + part) {
        return Ok(());
    }
    Err(format!("{what}: {measured}, and recorded is {recorded}, of which {} % more would do; {NEXT}", part * 100.0))
}

/// Holds a figure to what was recorded, and to a small part of that more or less.
pub(crate) fn about_the_same(what: &str, measured: f64, recorded: f64, part: f64) -> Result<(), String> {
    if measured < recorded * (1.0 - part) {
        return Err(format!("{what}: {measured}, and recorded is {recorded}; well done, record it with `{RECORD}`"));
    }
    no_worse(what, measured, recorded, part)
}

/// Holds names to those that were recorded.
pub(crate) fn no_more(what: &str, measured: &[&str], recorded: &[&str]) -> Result<(), String> {
    let mut came = measured.to_vec();
    let mut went = recorded.to_vec();
    // Of a name that is there twice, each counts.
    came.retain(|name| went.iter().position(|other| other == name).map(|at| went.remove(at)).is_none());
    if came.is_empty() {
        return Ok(());
    }
    let went = if went.is_empty() { String::new() } else { format!(", and {} went", went.join(", ")) };
    Err(format!("{what}: {} came{went}; {NEXT}", came.join(", ")))
}
