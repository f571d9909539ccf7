//! `redrive`, `ignore`, `unlock`, `delete`.

use std::io::Write;
use std::process::Stdio;

use dynamo_tracker::Status;
use serde_json::json;

use super::finish;
use super::lease::start;
use super::terminal::Terminal;
use crate::bed::Bed;

crate::tests![
    each_operation_does_what_it_says,
    a_dry_run_does_nothing,
    some_may_fail_and_are_named,
    ids_come_from_standard_input,
    deletion_asks_first,
];

async fn exhaust(bed: &Bed, id: &str) {
    bed.client::<()>().start(id).await.unwrap().mark_as_exhausted("no").await.unwrap();
}

async fn status(bed: &Bed, id: &str) -> Option<Status> {
    bed.client::<()>().load(id).await.unwrap().map(|record| record.status)
}

async fn each_operation_does_what_it_says(bed: Bed) {
    exhaust(&bed, "t").await;
    let redriven = bed.cli(["redrive", "t", "--json"]).await.exits(0).json();
    assert_eq!((&redriven["status"], &redriven["attempts"]), (&json!("pending"), &json!(0)));
    start(&bed, "t").await;
    let unlocked = bed.cli(["unlock", "t", "--json"]).await.exits(0).json();
    assert_eq!(
        (&unlocked["status"], &unlocked["locked"], &unlocked["attempts"]),
        (&json!("in_progress"), &json!(false), &json!(1))
    );
    assert_eq!(bed.cli(["ignore", "t", "--json"]).await.exits(0).json()["status"], "ignored");
    let deleted = bed.cli(["delete", "t", "--yes", "--json"]).await.exits(0).json();
    assert_eq!((&deleted["id"], &deleted["status"]), (&json!("t"), &json!("ignored")));
    assert_eq!(status(&bed, "t").await, None);
    exhaust(&bed, "u").await;
    assert_eq!(bed.cli(["redrive", "u"]).await.exits(0).out, "redriven u\n");
}

async fn a_dry_run_does_nothing(bed: Bed) {
    exhaust(&bed, "t").await;
    start(&bed, "u").await;
    assert_eq!(bed.cli(["redrive", "t", "--dry-run"]).await.exits(0).out, "would redrive t, which is exhausted\n");
    let said = bed.cli(["delete", "t", "u", "--dry-run"]).await.exits(0);
    assert_eq!(
        said.out,
        "would delete t, which is exhausted\nwould delete u, which is in_progress\n2 would be done, 0 failed\n"
    );
    let said = bed.cli(["unlock", "u", "--dry-run", "--json"]).await.exits(0).json();
    assert_eq!((&said["dry_run"], &said["locked"]), (&json!(true), &json!(true)));
    bed.cli(["redrive", "u", "--dry-run"]).await.exits(77);
    assert_eq!((status(&bed, "t").await, status(&bed, "u").await), (Some(Status::Exhausted), Some(Status::InProgress)));
}

async fn some_may_fail_and_are_named(bed: Bed) {
    exhaust(&bed, "a").await;
    start(&bed, "b").await;
    let said = bed.cli(["redrive", "a", "b", "c"]).await.exits(1);
    assert_eq!(said.out, "redriven a\n1 redriven, 2 failed\n");
    assert!(said.err.contains("\"test#b\"") && said.err.contains("\"test#c\""), "{said:?}");
    exhaust(&bed, "d").await;
    let said = bed.cli(["redrive", "d", "b", "c", "--json"]).await.exits(1).json();
    assert_eq!((&said["done"], &said["failed"]), (&json!(1), &json!(2)));
    assert_eq!((&said["results"][0]["id"], &said["results"][0]["tracker"]["status"]), (&json!("d"), &json!("pending")));
    assert_eq!((&said["results"][1]["error"], &said["results"][2]["error"]), (&json!("changed"), &json!("not_found")));
    // Where all fail for one reason, the exit code is that reason's.
    bed.cli(["redrive", "c", "e"]).await.exits(66);
    bed.cli(["redrive", "c"]).await.exits(66);
    bed.cli(["unlock", "a"]).await.exits(77);
}

async fn ids_come_from_standard_input(bed: Bed) {
    for id in ["a", "b c", "d"] {
        exhaust(&bed, id).await;
    }
    let mut child = bed.program();
    child.args(["redrive", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a\n\n  b c\nd").unwrap();
    let said = finish(child).await.exits(0);
    assert_eq!(said.out, "redriven a\nredriven b c\nredriven d\n3 redriven, 0 failed\n");
}

async fn deletion_asks_first(bed: Bed) {
    exhaust(&bed, "t").await;
    let said = bed.cli(["delete", "t", "--json"]).await.exits(64);
    assert!(said.error()["message"].as_str().unwrap().contains("--yes"), "{said:?}");
    assert_eq!(status(&bed, "t").await, Some(Status::Exhausted));
    for (answer, left) in [("n\n", Some(Status::Exhausted)), ("y\n", None)] {
        let mut terminal = Terminal::open(80);
        let child = terminal.spawn(bed.program().args(["delete", "t"]));
        terminal.input.write_all(answer.as_bytes()).unwrap();
        let said = terminal.finish(child).await;
        assert!(said.out.contains("Delete the task \"t\"? This can't be undone. [y/N]"), "{said:?}");
        assert_eq!((said.exit, status(&bed, "t").await), (if left.is_none() { 0 } else { 64 }, left), "{said:?}");
    }
}
