//! `list`, `stats`, `work`, `watch`, and operations on all tasks in a state.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use dynamo_tracker::{Status, SystemClock, TrackerClient};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::run::send;
use super::terminal::Terminal;
use super::{finish, lines, said, until};
use crate::bed::Bed;

crate::tests![
    tasks_are_listed_by_state_and_page_by_page,
    all_tasks_are_listed,
    states_are_counted,
    without_an_index_counts_and_lists_read_the_table,
    all_tasks_in_a_state_are_operated_on,
    a_worker_runs_a_command_for_each_task,
    a_worker_tries_again_what_failed,
    a_worker_stops_when_it_is_told_to,
    a_worker_gives_back_what_does_not_end,
    workers_may_be_killed,
    watch_prints_lines_and_draws,
];

/// A client as the program has it.
fn client(bed: &Bed) -> TrackerClient<Value> {
    bed.builder().index(8).clock(SystemClock).build().unwrap()
}

/// So many tasks in each state, `STATE-NUMBER`.
async fn fill(bed: &Bed, counts: &[(&str, usize)]) {
    let client = client(bed);
    for (state, count) in counts {
        for number in 0..*count {
            let id = format!("{state}-{number}");
            let start = async || client.start(&id).await.unwrap();
            match *state {
                "pending" => drop(client.create(id.as_str()).await.unwrap()),
                "in_progress" => drop(start().await),
                "failed" => drop(start().await.fail("no paper").await.unwrap()),
                "exhausted" => drop(start().await.mark_as_exhausted("on fire").await.unwrap()),
                "succeeded" => drop(start().await.succeed().await.unwrap()),
                _ => drop(start().await.mark_as_ignored().await.unwrap()),
            }
        }
    }
}

fn records(out: &str) -> (Vec<Value>, Option<String>) {
    let mut lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cursor = lines.last().and_then(|last| last["cursor"].as_str()).map(str::to_owned);
    if cursor.is_some() {
        lines.pop();
    }
    (lines, cursor)
}

async fn tasks_are_listed_by_state_and_page_by_page(bed: Bed) {
    fill(&bed, &[("pending", 7), ("failed", 3), ("exhausted", 2), ("in_progress", 1)]).await;
    let mut found = BTreeSet::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut program = bed.program();
        program.args(["list", "--json", "--status", "pending", "--status", "failed", "--limit", "4"]);
        program.args(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let (page, next) = records(&said(&mut program).await.exits(0).out);
        assert!(page.len() <= 4 && page.iter().all(|record| record["namespace"] == "test"));
        found.extend(page.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found.len(), 10);
    let due = records(&bed.cli(["list", "--due", "--json"]).await.exits(0).out).0;
    assert_eq!(due.len(), 10, "the one in progress is not due until its lease ends");
    let said = bed.cli(["list", "--status", "exhausted"]).await.exits(0);
    assert!(said.out.contains("exhausted-0") && said.out.contains("on fire"), "{said:?}");
    assert!(!said.out.contains("pending-0"));
    let said = bed.cli(["list", "--status", "pending", "--limit", "2"]).await.exits(0);
    assert!(said.err.contains("go on with --cursor "), "{said:?}");
    assert!(bed.cli(["list", "--status", "done"]).await.exits(64).err.contains("it is one of pending, in_progress"));
    let bad = bed.cli(["list", "--status", "pending", "--cursor", "nonsense", "--json"]).await.exits(64);
    assert!(bad.error()["message"].as_str().unwrap().contains("this is no cursor"), "{bad:?}");
}

async fn all_tasks_are_listed(bed: Bed) {
    fill(&bed, &[("pending", 3), ("succeeded", 4), ("ignored", 1)]).await;
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut program = bed.program();
        program.args(["list", "--json", "--limit", "3"]).args(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let (page, next) = records(&said(&mut program).await.exits(0).out);
        found.extend(page.iter().map(|record| record["id"].as_str().unwrap().to_owned()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (8, 8));
    let done = records(&bed.cli(["list", "--status", "succeeded", "--json"]).await.exits(0).out).0;
    assert!(done.len() == 4 && done.iter().all(|record| record["status"] == "succeeded"));
    for bad in [vec!["list", "--due", "--status", "succeeded"], vec!["list", "--limit", "0"], vec!["list", "--newest"]]
    {
        bed.cli(bad).await.exits(64);
    }
}

async fn states_are_counted(bed: Bed) {
    fill(
        &bed,
        &[("pending", 2), ("in_progress", 1), ("failed", 3), ("exhausted", 1), ("succeeded", 4), ("ignored", 1)],
    )
    .await;
    let all = json!({"pending": 2, "in_progress": 1, "failed": 3, "exhausted": 1, "succeeded": 4, "ignored": 1});
    assert_eq!(bed.cli(["stats", "--json"]).await.exits(0).json(), all);
    assert_eq!(bed.cli(["stats", "--json", "--index-only"]).await.exits(0).json()["succeeded"], Value::Null);
    let said = bed.cli(["stats"]).await.exits(0);
    assert!(
        said.out.contains("failed                 3\n") && said.out.contains("succeeded              4\n"),
        "{said:?}"
    );
}

async fn without_an_index_counts_and_lists_read_the_table(bed: Bed) {
    fill(&bed, &[("pending", 2), ("succeeded", 1)]).await;
    let stats = bed.cli(["--shards", "0", "stats", "--json"]).await.exits(0).json();
    assert_eq!((&stats["pending"], &stats["succeeded"]), (&json!(2), &json!(1)));
    let list = bed.cli(["--shards", "0", "list", "--status", "pending", "--json"]).await.exits(0);
    assert_eq!(records(&list.out).0.len(), 2);
    bed.cli(["--shards", "0", "create", "t"]).await.exits(0);
    assert_eq!(
        bed.cli(["stats", "--json", "--index-only"]).await.exits(0).json()["pending"],
        2,
        "it is not in the index"
    );
    bed.cli(["--shards", "0", "work", "--", "true"]).await.exits(64);
}

async fn all_tasks_in_a_state_are_operated_on(bed: Bed) {
    fill(&bed, &[("exhausted", 5), ("failed", 2), ("pending", 1)]).await;
    let said = bed.cli(["redrive", "--all", "--status", "exhausted", "--dry-run"]).await.exits(0);
    assert_eq!(said.out, "would redrive 5 tasks that are exhausted\n");
    let said = bed.cli(["redrive", "--all", "--status", "exhausted", "--json"]).await.exits(0);
    assert_eq!(said.json(), json!({"done": 5, "skipped": 0, "failed": 0}));
    let said = bed.cli(["ignore", "--all", "--status", "failed", "--status", "pending"]).await.exits(0);
    assert_eq!(said.out, "8 ignored, 0 left as they are, 0 failed\n");
    bed.cli(["delete", "--all", "--status", "ignored"]).await.exits(64);
    bed.cli(["delete", "--all", "--status", "ignored", "--yes"]).await.exits(0);
    assert_eq!(client(&bed).scan_stats(1).await.unwrap().ignored, 0);
    for bad in [
        vec!["redrive", "--all"],
        vec!["redrive", "--status", "failed"],
        vec!["redrive", "a", "--all", "--status", "failed"],
    ] {
        bed.cli(bad).await.exits(64);
    }
}

async fn a_worker_runs_a_command_for_each_task(bed: Bed) {
    let client = client(&bed);
    for number in 0..12 {
        client.create(dynamo_tracker::NewTask::new(format!("t{number}")).data(json!(number))).await.unwrap();
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    let command = format!(
        "echo \"$DYNAMO_TRACKER_ID $DYNAMO_TRACKER_DATA\" >> {}; echo '{{\"done\": true}}' > \"$DYNAMO_TRACKER_OUTPUT\"",
        file.display()
    );
    let work = ["work", "--until-empty", "--concurrency", "4", "--json", "--", "sh", "-c", &command];
    let said = bed.cli(work).await.exits(0);
    assert_eq!(
        (&said.json()["succeeded"], &said.json()["failed"], &said.json()["refused"]),
        (&json!(12), &json!(0), &json!(0))
    );
    let mut done = lines(&file);
    done.sort();
    let mut wanted: Vec<_> = (0..12).map(|number| format!("t{number} {number}")).collect();
    wanted.sort();
    assert_eq!(done, wanted);
    let record = client.load("t3").await.unwrap().unwrap();
    assert_eq!((record.status, record.data), (Status::Succeeded, json!({"done": true})));
}

async fn a_worker_tries_again_what_failed(bed: Bed) {
    fill(&bed, &[("pending", 3)]).await;
    let command = "test \"$DYNAMO_TRACKER_ID\" != pending-1 || { echo no paper >&2; exit 3; }";
    let work = ["work", "--until-empty", "--backoff", "50ms", "--max-attempts", "2", "--", "sh", "-c", command];
    let said = bed.cli(work).await.exits(0);
    assert_eq!(said.out, "2 succeeded, 2 failed, 0 given back\n");
    assert!(said.err.contains("exit code 3 (attempt 2 of 2, exhausted now)"), "{said:?}");
    let record = client(&bed).load("pending-1").await.unwrap().unwrap();
    assert_eq!((record.status, record.errors[1].trace.as_deref()), (Status::Exhausted, Some("no paper")));
}

async fn a_worker_stops_when_it_is_told_to(bed: Bed) {
    fill(&bed, &[("pending", 5)]).await;
    let mut program = bed.program();
    program.args(["work", "--", "sh", "-c", "sleep 0.5"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    let client = client(&bed);
    until("it works", async || client.stats().await.unwrap().in_progress > 0).await;
    send(child.id(), Signal::TERM);
    let said = finish(child).await.exits(0);
    assert_eq!(said.out, "1 succeeded, 0 failed, 0 given back\n");
    assert_eq!(client.stats().await.unwrap().pending, 4);
}

async fn a_worker_gives_back_what_does_not_end(bed: Bed) {
    fill(&bed, &[("pending", 2)]).await;
    let mut program = bed.program();
    program.args(["work", "--concurrency", "2", "--", "sleep", "60"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    let client = client(&bed);
    until("it works", async || client.stats().await.unwrap().in_progress == 2).await;
    // Once is a request; the second time, it is an order.
    send(child.id(), Signal::TERM);
    tokio::time::sleep(Duration::from_millis(300)).await;
    send(child.id(), Signal::TERM);
    assert_eq!(finish(child).await.exits(0).out, "0 succeeded, 0 failed, 2 given back\n");
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.pending, client.load("pending-0").await.unwrap().unwrap().attempts), (2, 0));
}

async fn workers_may_be_killed(bed: Bed) {
    fill(&bed, &[("pending", 12)]).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("effects");
    let command = format!("sleep 0.1; echo $DYNAMO_TRACKER_ID >> {}", file.display());
    let worker = || {
        let mut program = bed.program();
        program.args(["work", "--until-empty", "--lease", "2s", "--concurrency", "2", "--", "sh", "-c", &command]);
        program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let (mut one, other) = (worker(), worker());
    until("some are done", async || lines(&file).len() >= 3).await;
    one.kill().unwrap();
    one.wait().unwrap();
    finish(other).await.exits(0);
    assert_eq!(client(&bed).scan_stats(1).await.unwrap().succeeded, Some(12), "also what the dead one had in hand");
    let effects: BTreeSet<_> = lines(&file).into_iter().collect();
    assert_eq!(effects.len(), 12);
}

async fn watch_prints_lines_and_draws(bed: Bed) {
    fill(&bed, &[("exhausted", 1), ("succeeded", 1)]).await;
    let said = bed.cli(["watch", "--until-empty"]).await.exits(0);
    assert!(said.out.contains("0 pending, 0 in_progress, 0 failed, 1 exhausted, 0 ignored; no pace yet"), "{said:?}");
    let seen = bed.cli(["watch", "--until-empty", "--interval", "50ms", "--json"]).await.exits(0);
    let seen: Value = serde_json::from_str(seen.out.lines().last().unwrap()).unwrap();
    assert_eq!((&seen["exhausted"], &seen["per_second"]), (&json!(1), &Value::Null));
    let terminal = Terminal::open(60);
    let child = terminal.spawn(bed.program().args(["watch", "--until-empty"]));
    let shown = terminal.finish(child).await.exits(0).out;
    assert!(shown.contains("exhausted") && shown.contains("exhausted-0 exhausted: on fire"), "{shown:?}");
    // It goes on until somebody has seen enough, and shows the pace meanwhile.
    fill(&bed, &[("pending", 2)]).await;
    let mut program = bed.program();
    program.args(["watch", "--interval", "100ms", "--until-empty"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.spawn().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    for id in ["pending-0", "pending-1"] {
        client(&bed).start(id).await.unwrap().succeed().await.unwrap();
    }
    let said = finish(child).await.exits(0);
    assert!(said.out.contains(" a second, ") && said.out.lines().count() > 2, "{said:?}");
}
