//! One build of a project, from nothing.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::project::Project;

/// What it took, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) wall: f64,
    /// Of the processor, by cargo and by all that it starts.
    pub(crate) cpu: f64,
    /// How many packages were compiled.
    pub(crate) packages: usize,
}

/// Builds it with the profile `dev` into a folder that is empty before, and deleted after.
pub(crate) fn build(project: &Project) -> Taken {
    let target = tempfile::tempdir_in(project.folder()).expect("a folder");
    let mut shell = Command::new("sh");
    // A shell can say how much of the processor its children took; the standard library cannot.
    shell.args(["-c", r#""$@" && times"#, "sh", env!("CARGO"), "build", "--quiet", "--locked", "--offline"]);
    shell.args(["--message-format=json-render-diagnostics", "--target-dir"]).arg(target.path());
    // What is needed to compile again is not made for crates from a registry, as dynamo-tracker is to its users. And nothing is
    // taken from a cache.
    shell.envs([("CARGO_INCREMENTAL", "0"), ("RUSTC_WRAPPER", ""), ("LC_ALL", "C")]);
    let begun = Instant::now();
    let output = shell.current_dir(project.folder()).stderr(Stdio::inherit()).output().expect("sh runs");
    let wall = begun.elapsed().as_secs_f64();
    assert!(output.status.success(), "the project does not build");
    let said = String::from_utf8(output.stdout).expect("cargo prints text");
    let times = said.lines().last().expect("the shell says its times last");
    Taken { wall, cpu: seconds(times), packages: packages(&said) }
}

/// How many seconds there are in words such as `1m2.5s 0m3.25s`.
fn seconds(words: &str) -> f64 {
    let one = |word: &str| -> Option<f64> {
        let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    words.split(' ').map(|word| one(word).unwrap_or_else(|| panic!("the shell says {word:?} for a time"))).sum()
}

/// How many different packages are in cargo's messages of what it has compiled.
fn packages(said: &str) -> usize {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let compiled = messages.filter(|message| message["reason"] == "compiler-artifact");
    compiled.map(|message| message["package_id"].to_string()).collect::<BTreeSet<_>>().len()
}
