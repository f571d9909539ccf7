//! The crate's examples as programs to run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The example of this name, built as cargo builds it now: under `cargo test --test it` cargo itself builds none of them,
/// and what a run before has left may be old. With nothing to do, that takes a moment.
pub(crate) fn example(name: &str) -> PathBuf {
    static BUILT: Mutex<Vec<String>> = Mutex::new(Vec::new());
    // One at a time: cargo would make the others wait anyway.
    let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let profile = profile();
    if !built.iter().any(|other| other == name) {
        build(name, &profile);
        built.push(name.to_owned());
    }
    let program = profile.join("examples").join(name);
    assert!(program.exists(), "cargo has built the example {name}, but it is not at {}", program.display());
    program
}

/// The folder `target/PROFILE`. This program is in its `deps`.
fn profile() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(Path::parent).expect("the profile's folder").to_owned()
}

fn build(name: &str, profile: &Path) {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--example", name, "--manifest-path"]);
    build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().unwrap_or_else(|error| panic!("can't run {}: {error}", env!("CARGO")));
    assert!(status.success(), "`cargo build --example {name}` fails; is examples/{name} there?");
}
