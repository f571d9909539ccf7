//! How much larger a function's program is with the crate.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::gate::{Gate, Options, at_most, no_worse};
use crate::programs;

/// What the README promises, of the profile that functions are built with. Others make more of what they inline: there, the record
/// alone counts, which is measured in a minute where those programs are built anyway.
const LIMIT: f64 = 1.05;
const PROMISED: &str = "lambda";
/// Of the ratio. Whoever updates the compiler or a dependency need not record it anew for some bytes.
const TOLERANCE: f64 = 0.01;

pub(crate) const GATE: Gate = Gate { name: "size", measure, judge };

fn measure(options: &Options) -> Result<Value, String> {
    let [size, bare_size] = programs::build(&options.profile)?.map(|program| stripped_size(&program));
    let (size, bare_size) = (size?, bare_size?);
    let ratio = size as f64 / bare_size as f64;
    Ok(json!({"profile": options.profile, "bare_size": bare_size, "size": size, "ratio": ratio}))
}

/// In bytes, without symbols, which are no part of what a function loads, and whose size depends on names and paths. The
/// program itself is left as it is: to have cargo strip it would be another profile, so all would be built again.
fn stripped_size(program: &Path) -> Result<u64, String> {
    let copy = tempfile::NamedTempFile::new().map_err(|error| format!("there is no temporary file: {error}"))?;
    let strip = Command::new("strip").arg("-o").args([copy.path(), program]).status();
    match strip {
        Ok(status) if status.success() => {
            copy.path().metadata().map(|file| file.len()).map_err(|error| error.to_string())
        }
        Ok(status) => Err(format!("strip of {} fails: {status}", program.display())),
        Err(error) => Err(format!("strip is not here ({error}); install the system's binutils")),
    }
}

/// Judges the ratio and not the bytes: what another compiler does to one of the programs, it does to both.
fn judge(recorded: &Value, measured: &Value) -> Result<(), String> {
    let [[recorded_by, recorded], [measured_by, measured]] =
        [recorded, measured].map(|value| [&value["profile"], &value["ratio"]]);
    if recorded_by != measured_by {
        return Err(format!("recorded with the profile {recorded_by}, and measured with {measured_by}; use the same"));
    }
    let ratio = |value: &Value| value.as_f64().ok_or_else(|| format!("{value} is no ratio; record it anew"));
    let (recorded, measured) = (ratio(recorded)?, ratio(measured)?);
    if measured_by == PROMISED {
        at_most("size over that without the crate", measured, LIMIT)?;
    }
    no_worse("size over that without the crate", measured, recorded, TOLERANCE)
}
