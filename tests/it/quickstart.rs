//! The README's first command, as a user runs it: the built example.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::bed::{Backend, Bed, example};

pub(crate) fn tests() -> Vec<Trial> {
    let embedded = [
        ("it_processes_the_crates_own_sources", it_processes_the_crates_own_sources as fn()),
        ("a_file_fails_until_it_is_exhausted", a_file_fails_until_it_is_exhausted),
        ("a_second_run_skips_what_is_done", a_second_run_skips_what_is_done),
        ("killed_in_the_middle_it_finishes_the_rest_and_does_nothing_twice", killed_in_the_middle),
    ];
    let wanted = Backend::Embedded.is_wanted();
    let trial = |(name, body): (&str, fn())| {
        let trial = crate::patience::trial(format!("embedded::quickstart::{name}"), move || {
            body();
            Ok(())
        });
        trial.with_ignored_flag(!wanted)
    };
    let endpoint =
        crate::test("quickstart::it_runs_on_a_real_endpoint", Backend::DynamodbLocal, it_runs_on_a_real_endpoint);
    embedded.into_iter().map(trial).chain([endpoint]).collect()
}

fn quickstart() -> Command {
    let mut command = Command::new(example("quickstart"));
    command.env_remove("AWS_ENDPOINT_URL_DYNAMODB");
    command
}

fn finish(command: &mut Command) -> (String, Output) {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {text}{errors}", output.status);
    (text, output)
}

/// A folder with so many small files.
fn folder(files: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..files {
        std::fs::write(folder.path().join(format!("file-{number:03}")), format!("{number}\n").repeat(number)).unwrap();
    }
    folder
}

fn it_processes_the_crates_own_sources() {
    let (text, _) = finish(&mut quickstart());
    let sources = walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).into_iter();
    let count = sources.filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count();
    assert!(text.contains(&format!("{count} done now, 0 done before, 0 exhausted, 0 errors")), "{text}");
}

fn a_file_fails_until_it_is_exhausted() {
    let folder = folder(9);
    let (text, _) = finish(quickstart().arg(folder.path()).args(["--fail", "file-003"]));
    assert!(text.contains("8 done now, 0 done before, 1 exhausted, 0 errors"), "{text}");
    let row = text.lines().find(|line| line.contains("file-003")).expect("a row");
    assert!(row.contains("exhausted") && row.contains('3') && row.contains("it fails on purpose"), "{row}");
    let row = text.lines().find(|line| line.contains("file-002")).expect("a row");
    // printf '2\n2\n' | sha256sum
    let expected: Vec<_> = ["done", "now", "1", "2", "4", "8d58f634a5b5051d"].into();
    assert_eq!(row.split_whitespace().skip(1).collect::<Vec<_>>(), expected);
}

fn a_second_run_skips_what_is_done() {
    let folder = folder(12);
    let store = folder.path().join("store.db");
    let run = |command: &mut Command| {
        let files = (0..12).map(|number| folder.path().join(format!("file-{number:03}")));
        finish(command.args(files).arg("--store").arg(&store)).0
    };
    let first = run(quickstart().args(["--fail", "file-007"]));
    assert!(first.contains("11 done now, 0 done before, 1 exhausted"), "{first}");
    let second = run(&mut quickstart());
    assert!(second.contains("0 done now, 11 done before, 1 exhausted"), "{second}");
}

fn killed_in_the_middle() {
    const FILES: usize = 40;
    let (folder, elsewhere) = (folder(FILES), tempfile::tempdir().unwrap());
    let run = || {
        let mut command = quickstart();
        command.arg(folder.path()).arg("--store").arg(elsewhere.path().join("store.db"));
        command.args(["--workers", "4", "--pause", "20", "--lease", "5"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    let mut first = run().spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    let mut done: Vec<String> = lines.by_ref().take(FILES / 4).map(Result::unwrap).collect();
    first.kill().unwrap();
    assert!(!first.wait().unwrap().success());
    done.extend(lines.map(Result::unwrap));
    assert!(done.len() < FILES, "it was killed in the middle");

    let second = run().output().unwrap();
    let lines = String::from_utf8(second.stderr).unwrap();
    assert!(second.status.success(), "{lines}");
    let mut runs: HashMap<String, u32> = HashMap::new();
    let mut before = 0;
    for line in done.iter().map(String::as_str).chain(lines.lines()) {
        let (file, what) = line.rsplit_once(": ").expect("FILE: WHAT");
        match what {
            "done now" => *runs.entry(file.to_owned()).or_default() += 1,
            "done before" => before += 1,
            other => panic!("{file}: {other}"),
        }
    }
    assert!(before >= done.len(), "what was done before the kill is not done again");
    assert!(runs.values().all(|runs| *runs == 1), "nothing is done twice: {runs:?}");
    assert_eq!(lines.lines().count(), FILES, "and all is done in the end");
}

async fn it_runs_on_a_real_endpoint(bed: Bed) {
    let folder = folder(5);
    let run = || {
        let mut command = quickstart();
        command.arg(folder.path()).args(["--endpoint-url", &bed.endpoint, "--table", &format!("{}-quick", bed.table)]);
        finish(&mut command).0
    };
    assert!(run().contains("5 done now, 0 done before"));
    assert!(run().contains("0 done now, 5 done before"));
}
