//! Help, completions, manual; terminals, wide and narrow; and readers that go away.

use std::io::Read;
use std::process::Stdio;

use super::lease::start;
use super::terminal::Terminal;
use super::{program, said};
use crate::bed::Bed;

crate::tests![
    every_command_has_help_with_an_example,
    completions_and_manual_come_from_the_same_definition,
    a_terminal_gets_colours,
    a_narrow_terminal_gets_all_of_it,
    a_reader_that_goes_away_is_no_error,
    output_that_can_not_be_written_is_an_error,
    a_task_s_name_does_nothing_to_the_terminal,
];

const COMMANDS: [&str; 18] = [
    "list",
    "stats",
    "work",
    "watch",
    "init",
    "create",
    "start",
    "heartbeat",
    "succeed",
    "fail",
    "run",
    "show",
    "redrive",
    "ignore",
    "unlock",
    "delete",
    "completions",
    "man",
];

async fn every_command_has_help_with_an_example(_: Bed) {
    let help = said(program().arg("--help")).await.exits(0);
    for command in COMMANDS {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}: {help:?}");
        let help = said(program().args([command, "--help"])).await.exits(0);
        assert!(
            help.out.contains("Example") && help.out.contains(&format!("dynamo-tracker {command}"))
                || command == "init"
                || command == "start",
            "{help:?}"
        );
        assert!(help.out.contains("dynamo-tracker ") && help.err.is_empty());
    }
    let version = said(program().arg("--version")).await.exits(0);
    assert_eq!(version.out, format!("dynamo-tracker {}\n", env!("CARGO_PKG_VERSION")));
}

async fn completions_and_manual_come_from_the_same_definition(_: Bed) {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(program().args(["completions", shell])).await.exits(0).out;
        for word in COMMANDS.iter().chain(&["ignore-lock", "max-attempts"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let mut check = std::process::Command::new("bash");
    let command = format!("eval \"$({} completions bash)\"", env!("CARGO_BIN_EXE_dynamo-tracker"));
    said(check.args(["-c", &command])).await.exits(0);
    let page = said(program().arg("man")).await.exits(0).out;
    assert!(page.contains(".TH dynamo-tracker 1") && page.contains("heartbeat"), "{page}");
    let page = said(program().args(["man", "run"])).await.exits(0).out;
    assert!(page.contains("DYNAMO_TRACKER_OUTPUT") && page.contains("retries"), "{page}");
    said(program().args(["man", "nonsense"])).await.exits(64);
}

async fn a_terminal_gets_colours(bed: Bed) {
    start(&bed, "t").await;
    let terminal = Terminal::open(80);
    let child = terminal.spawn(bed.program().args(["show", "t"]));
    let shown = terminal.finish(child).await.exits(0).out;
    assert!(shown.contains("\u{1b}[36min_progress\u{1b}["), "{shown:?}");
    let terminal = Terminal::open(80);
    let child = terminal.spawn(bed.program().env("NO_COLOR", "1").args(["show", "t"]));
    let shown = terminal.finish(child).await.exits(0).out;
    assert!(shown.contains("status     in_progress") && !shown.contains('\u{1b}'), "{shown:?}");
    let terminal = Terminal::open(80);
    let child = terminal.spawn(bed.program().args(["show", "t", "--json"]));
    assert!(!terminal.finish(child).await.exits(0).out.contains('\u{1b}'));
}

async fn a_narrow_terminal_gets_all_of_it(bed: Bed) {
    bed.cli(["create", "t", "--data", r#""a long text that is wider than the terminal is""#]).await.exits(0);
    let terminal = Terminal::open(20);
    let child = terminal.spawn(bed.program().args(["show", "t"]));
    assert!(terminal.finish(child).await.exits(0).out.contains("a long text that is wider than the terminal is"));
    let terminal = Terminal::open(30);
    let child = terminal.spawn(program().args(["run", "--help"]));
    let help = terminal.finish(child).await.exits(0).out;
    assert!(help.contains("--retries") && help.lines().count() > 60, "it is wrapped: {help}");
}

async fn a_reader_that_goes_away_is_no_error(bed: Bed) {
    let data = format!("\"{}\"", "x".repeat(100_000));
    bed.cli(["create", "t", "--data", &data]).await.exits(0);
    let mut child = bed.program().args(["show", "t"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    let mut stderr = child.stderr.take().unwrap();
    let (status, errors) = tokio::task::spawn_blocking(move || {
        stderr.read_to_string(&mut errors).unwrap();
        (child.wait().unwrap(), errors)
    })
    .await
    .unwrap();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    // What was to be done is done, whoever reads of it.
    let mut child = bed
        .program()
        .args(["run", "u", "--", "sh", "-c", "echo x >&2; exit 3"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(3));
    assert_eq!(bed.client::<()>().load("u").await.unwrap().unwrap().errors.len(), 1);
}

async fn output_that_can_not_be_written_is_an_error(bed: Bed) {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut program = bed.program();
    program.args(["start", "t", "--json"]).stdout(full);
    let status = tokio::task::spawn_blocking(move || program.status().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(74));
    let told = said(super::program().args(["man", "nonsense", "--json"])).await.exits(64);
    assert_eq!(told.error()["error"], "invalid_argument");
    let told = bed.cli(["run", "u", "--nonsense", "--", "echo", "--json"]).await.exits(64);
    assert!(told.err.starts_with("error: unexpected argument '--nonsense'"), "{told:?}");
}

async fn a_task_s_name_does_nothing_to_the_terminal(bed: Bed) {
    let id = "x\u{1b}]0;pwned\u{7}\ny";
    bed.cli(["create", id]).await.exits(0);
    for command in [vec!["show", id], vec!["ignore", id], vec!["start", id], vec!["delete", id, "--yes"]] {
        let said = bed.cli(command).await;
        assert!(!said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'), "{said:?}");
    }
}
