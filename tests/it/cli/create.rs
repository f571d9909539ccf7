//! `init` and `create`.

use std::io::Write;
use std::process::Stdio;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{finish, on, said};
use crate::bed::Bed;

crate::tests![
    init_makes_the_table_once,
    a_task_is_created_once,
    a_due_time_may_be_a_duration,
    tasks_come_from_a_file_and_from_standard_input,
];

async fn init_makes_the_table_once(bed: Bed) {
    let table = format!("{}-2", bed.table);
    for created in [true, false] {
        let done = said(on(&bed.endpoint, &table).args(["init", "--json"])).await.exits(0);
        assert_eq!(done.json(), json!({"table": table, "created": created}));
    }
    let done = said(on(&bed.endpoint, &table).arg("init")).await.exits(0);
    assert_eq!(done.out, format!("the table {table} is there already\n"));
    assert_eq!(said(on(&bed.endpoint, &table).args(["create", "t", "--json"])).await.exits(0).json()["id"], "t");
}

async fn a_task_is_created_once(bed: Bed) {
    let data = r#"{"a": [1, 2.5, "é", null, true]}"#;
    let created =
        bed.cli(["create", "t", "--data", data, "--due", "2100-01-01T00:00:00+01:00", "--json"]).await.exits(0).json();
    assert_eq!(created["data"], serde_json::from_str::<Value>(data).unwrap());
    assert_eq!(created["due_time"], "2099-12-31T23:00:00.000Z");
    let again = bed.cli(["create", "t", "--json"]).await.exits(77);
    assert_eq!((&again.error()["error"], again.out.as_str()), (&json!("already_exists"), ""));
    // An id that begins with a dash comes after two.
    assert_eq!(bed.cli(["create", "--json", "--", "--t"]).await.exits(0).json()["id"], "--t");
}

async fn a_due_time_may_be_a_duration(bed: Bed) {
    let created = bed.cli(["create", "t", "--due", "2h 30m", "--json"]).await.exits(0).json();
    let due: DateTime<Utc> = created["due_time"].as_str().unwrap().parse().unwrap();
    let after = due - Utc::now();
    assert!(after <= TimeDelta::minutes(150) && after > TimeDelta::minutes(149), "{after}");
    for bad in ["tomorrow", "2026-13-01T00:00:00Z", "-5m", "200000y"] {
        bed.cli(["create", "u", "--due", bad]).await.exits(64);
    }
}

async fn tasks_come_from_a_file_and_from_standard_input(bed: Bed) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for number in 0..50 {
        writeln!(file, r#"{{"id": "task-{number}", "data": {{"n": {number}}}, "due": "2100-01-01T00:00:00Z"}}"#)
            .unwrap();
    }
    writeln!(file).unwrap();
    let path = file.path().to_str().unwrap();
    let done = bed.cli(["create", "--from", path, "--json"]).await.exits(0).json();
    assert_eq!(done, json!({"created": 50, "existing": 0, "failed": 0}));
    let record = bed.client::<Value>().load("task-7").await.unwrap().unwrap();
    assert_eq!(
        (record.data, record.due_time.map(|due| due.to_rfc3339())),
        (json!({"n": 7}), Some("2100-01-01T00:00:00+00:00".to_owned()))
    );
    // Once more, with others, of which some are no good.
    let mut child = bed.program();
    child.args(["create", "--from", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let lines = "{\"id\": \"task-1\"}\n{\"id\": \"new\"}\nnonsense\n{\"id\": \"x\", \"dada\": 1}\n{\"id\": \"\"}\n";
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = finish(child).await.exits(1);
    assert_eq!(done.out, "1 created, 1 were there already, 3 failed\n");
    for line in ["line 3: ", "line 4: unknown field `dada`", "the task id is empty"] {
        assert!(done.err.contains(line), "{line}: {done:?}");
    }
    bed.cli(["create", "--from", "/nowhere/at/all"]).await.exits(64);
    bed.cli(["create", "--from", "/"]).await.exits(64);
    // What would fail each task in the same way ends it, with its own exit code.
    let missing = said(on(&bed.endpoint, "no-such-table").args(["create", "--json", "--from", path])).await.exits(66);
    assert_eq!((&missing.error()["error"], missing.out.as_str()), (&json!("table_not_found"), ""));
    // A line that is no text is a bad line, and others follow.
    std::fs::write(path, b"{\"id\": \"\xff\"}\n{\"id\": \"last\"}\n").unwrap();
    assert_eq!(bed.cli(["create", "--from", path]).await.exits(1).out, "1 created, 0 were there already, 1 failed\n");
}
