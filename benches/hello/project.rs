//! What somebody begins with: a package of their own that has a few dependencies.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A package in a temporary folder. Its dependencies have the versions that this repository is locked to.
pub(crate) struct Project(TempDir);

impl Project {
    /// Sends one update by the AWS SDK alone.
    pub(crate) fn bare() -> Self {
        Self::new("", include_str!("bare.rs"))
    }

    /// Runs one task by this crate, with its default features.
    pub(crate) fn tracked() -> Self {
        Self::new(&format!("dynamo-tracker = {{ path = {ROOT:?} }}\n"), include_str!("tracked.rs"))
    }

    fn new(dependency: &str, program: &str) -> Self {
        let project = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder"));
        fs::create_dir(project.folder().join("src")).expect("a folder in it");
        let manifest = manifest() + dependency;
        for (file, text) in [("Cargo.toml", manifest.as_str()), ("src/main.rs", program)] {
            fs::write(project.folder().join(file), text).expect("a file in it");
        }
        fs::copy(Path::new(ROOT).join("Cargo.lock"), project.folder().join("Cargo.lock")).expect("the locked versions");
        // Takes out what the project does not need, and leaves the versions of the rest.
        project.cargo(&["update", "--workspace", "--quiet"]);
        project
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// What cargo prints. It needs no network: whoever has built this program has all that the projects are made of.
    ///
    /// # Panics
    ///
    /// When cargo fails.
    pub(crate) fn cargo(&self, args: &[&str]) -> String {
        cargo(self.folder(), args)
    }
}

fn cargo(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).arg("--offline").current_dir(folder).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "cargo {args:?} fails: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints text")
}

/// Without the crate: the SDK, asked for as this crate asks for it, and the runtime that it needs.
fn manifest() -> String {
    let own = cargo(Path::new(ROOT), &["metadata", "--format-version=1", "--no-deps"]);
    let own: Value = serde_json::from_str(&own).expect("it is JSON");
    let own = own["packages"][0]["dependencies"].as_array().expect("this package has some");
    let own =
        |name: &str| own.iter().find(|one| one["name"] == name && one["kind"].is_null()).expect("it is one of ours");
    let (sdk, tokio) = (own("aws-sdk-dynamodb"), own("tokio"));
    // The workspace is of this package alone, although the folder lies in that of another one.
    format!(
        "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         aws-sdk-dynamodb = {{ version = {}, default-features = {}, features = {} }}\n\
         tokio = {{ version = {}, features = [\"macros\", \"rt\"] }}\n",
        sdk["req"], sdk["uses_default_features"], sdk["features"], tokio["req"],
    )
}
