//! The README's examples of the command line, held to what the program says.

use std::path::Path;

use libtest_mimic::Trial;
use regex::Regex;
use tempfile::TempDir;

use super::said;
use crate::bed::{Backend, Bed};

/// They are on a file of their own, so once is enough.
pub(crate) fn tests(backend: Backend) -> Vec<Trial> {
    let trial = || crate::test("cli::readme::the_examples_are_what_the_program_says", backend, examples);
    (backend == Backend::Embedded).then(trial).into_iter().collect()
}

async fn examples(_: Bed) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let session = sessions(&std::fs::read_to_string(readme).unwrap());
    assert!(session.lines().filter(|line| line.starts_with("$ ")).count() > 10, "the examples are found: {session}");
    let folder = TempDir::new().unwrap();
    // Each command is said before it is done, so that the shell's own output is the whole session.
    let script: String = session.lines().filter_map(|line| line.strip_prefix("$ ")).map(spoken).collect();
    let program = Path::new(env!("CARGO_BIN_EXE_dynamo-tracker")).parent().unwrap();
    let mut shell = std::process::Command::new("sh");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    shell.env_clear().env("PATH", path).current_dir(&folder).args(["-c", &format!("exec 2>&1\n{script}")]);
    assert_eq!(masked(&said(&mut shell).await.out), masked(&session));
}

fn spoken(command: &str) -> String {
    format!("echo '$ {}'\n{command}\n", command.replace('\'', r"'\''"))
}

/// All that stands between the fences of `console` blocks.
fn sessions(readme: &str) -> String {
    let blocks = readme.split("```console\n").skip(1);
    blocks.filter_map(|block| block.split("```").next()).collect()
}

/// Without what differs from run to run.
fn masked(text: &str) -> String {
    let time = Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z \([^)]*\)").unwrap();
    time.replace_all(text, "TIME").into_owned()
}
