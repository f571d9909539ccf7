//! The two functions that are compared: the example `lambda_http`, and the same without the crate, `lambda_bare`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The crate's, and what it is measured against.
pub(crate) const PROGRAMS: [&str; 2] = ["lambda_http", "lambda_bare"];

/// Builds both with a profile of cargo's, and returns where they are.
pub(crate) fn build(profile: &str) -> Result<[PathBuf; 2], String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--profile", profile, "--features", "lambda"]);
    cargo.args(PROGRAMS.iter().flat_map(|program| ["--example", program]));
    // Cargo knows where it puts them; the folder depends on its configuration and on the profile.
    let built = cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| format!("cargo does not run: {error}"))?;
    if !built.status.success() {
        return Err(format!("the examples do not build with the profile {profile}; cargo says above why"));
    }
    let said: Vec<Value> = built.stdout.split(|byte| *byte == b'\n').flat_map(serde_json::from_slice).collect();
    let program = |name: &str| said.iter().find(|line| line["target"]["name"] == name)?["executable"].as_str();
    Ok(PROGRAMS.map(|name| program(name).expect("cargo names each program that it has built").into()))
}
