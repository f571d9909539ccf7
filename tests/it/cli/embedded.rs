//! `--embedded FILE`: no AWS at all.

use std::path::Path;
use std::process::{Command, Stdio};

use futures_util::future::join_all;
use libtest_mimic::Trial;
use serde_json::json;
use tempfile::TempDir;

use super::{finish, lines, program, said};
use crate::bed::{Backend, Bed};

/// They have a file of their own, so once is enough.
pub(crate) fn tests(backend: Backend) -> Vec<Trial> {
    if backend != Backend::Embedded {
        return Vec::new();
    }
    vec![
        crate::test("cli::embedded::everything_works_on_a_file", backend, everything_works_on_a_file),
        crate::test("cli::embedded::processes_share_a_file_safely", backend, processes_share_a_file_safely),
        crate::test("cli::embedded::a_file_that_is_no_table_is_told", backend, a_file_that_is_no_table_is_told),
    ]
}

fn on_file(file: &Path) -> Command {
    let mut command = program();
    command.envs([("DYNAMO_TRACKER_TABLE", "tasks"), ("DYNAMO_TRACKER_NAMESPACE", "test")]);
    command.arg("--embedded").arg(file);
    command
}

async fn everything_works_on_a_file(_: Bed) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("tasks.db");
    assert_eq!(said(on_file(&file).args(["init", "--json"])).await.exits(0).json()["created"], true);
    said(on_file(&file).args(["create", "t", "--data", "1"])).await.exits(0);
    let started = said(on_file(&file).args(["start", "t", "--json"])).await.exits(0).json();
    let lock = started["lock"].as_str().unwrap();
    said(on_file(&file).args(["heartbeat", "t", "--lock", lock])).await.exits(0);
    said(on_file(&file).args(["fail", "t", "--lock", lock, "--error", "x", "--fatal"])).await.exits(0);
    said(on_file(&file).args(["redrive", "t"])).await.exits(0);
    said(on_file(&file).args(["run", "t", "--", "true"])).await.exits(0);
    let shown = said(on_file(&file).args(["show", "t", "--json"])).await.exits(0).json();
    assert_eq!((&shown["status"], &shown["data"], &shown["generation"]), (&json!("succeeded"), &json!(1), &json!(2)));
    said(on_file(&file).args(["delete", "t", "--yes"])).await.exits(0);
    said(on_file(&file).args(["show", "t"])).await.exits(66);
}

async fn processes_share_a_file_safely(_: Bed) {
    let folder = TempDir::new().unwrap();
    let (file, effects) = (folder.path().join("tasks.db"), folder.path().join("effects"));
    // The table too is made by all at once.
    let inits = (0..4).map(|_| {
        let child = on_file(&file).args(["init", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        finish(child.unwrap())
    });
    let made = join_all(inits).await.into_iter().filter(|said| said.json()["created"] == json!(true)).count();
    assert_eq!(made, 1);
    // Eight processes at a time, each task twice: run once, by whoever was first.
    let runs = (0..8).map(|process| {
        let (file, effects) = (file.clone(), effects.clone());
        async move {
            for task in 0..10 {
                let task = (task + process / 2) % 10;
                let command = format!("echo {task} >> {}", effects.display());
                let args = ["run", &task.to_string(), "--wait", "1m", "--", "sh", "-c", &command];
                said(on_file(&file).args(args)).await.exits(0);
            }
        }
    });
    join_all(runs).await;
    let mut done = lines(&effects);
    done.sort();
    assert_eq!(done, (0..10).map(|task| task.to_string()).collect::<Vec<_>>());
}

async fn a_file_that_is_no_table_is_told(_: Bed) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "these are notes, and no database at all; ".repeat(100)).unwrap();
    let said = said(on_file(&file).args(["show", "t", "--json"])).await.exits(69);
    assert!(said.error()["message"].as_str().unwrap().contains("notes.txt"), "{said:?}");
}
