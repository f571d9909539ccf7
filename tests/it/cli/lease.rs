//! `start`, `heartbeat`, `succeed`, `fail`, `show`: a task step by step.

use chrono::{DateTime, TimeDelta};
use dynamo_tracker::{NewTask, Status};
use serde_json::{Value, json};

use crate::bed::Bed;

crate::tests![
    a_task_goes_from_start_to_success,
    each_field_is_there,
    a_failure_goes_by_the_limit_in_the_record,
    a_fatal_failure_exhausts,
    each_refusal_has_its_exit_code,
    a_held_lock_and_force_take_a_task_again,
    an_outcome_said_twice_is_no_error,
    a_lost_lease_is_told,
    show_is_for_people_too,
];

async fn a_task_goes_from_start_to_success(bed: Bed) {
    let started = bed.cli(["start", "t", "--json", "--owner", "me"]).await.exits(0).json();
    assert_eq!(
        (&started["status"], &started["locked"], &started["lock_owner"]),
        (&json!("in_progress"), &json!(true), &json!("me"))
    );
    let lock = started["lock"].as_str().unwrap();
    assert_eq!(lease_of(&started), TimeDelta::minutes(15));
    let extended = bed.cli(["heartbeat", "t", "--lock", lock, "--lease", "2h", "--json"]).await.exits(0).json();
    assert_eq!(extended["step"], 1);
    assert!(lease_of(&extended) >= TimeDelta::hours(2));
    let done =
        bed.cli(["succeed", "t", "--lock", lock, "--data", r#"{"cents": 1999}"#, "--json"]).await.exits(0).json();
    assert_eq!(
        (&done["status"], &done["status_code"], &done["data"]),
        (&json!("succeeded"), &json!(40), &json!({"cents": 1999}))
    );
    let shown = bed.cli(["show", "t", "--json"]).await.exits(0).json();
    assert_eq!(shown, done);
}

fn lease_of(record: &Value) -> TimeDelta {
    let time = |name: &str| DateTime::parse_from_rfc3339(record[name].as_str().unwrap()).unwrap();
    time("lock_expire_time") - time("lock_time")
}

async fn each_field_is_there(bed: Bed) {
    let names = [
        "attempts",
        "create_time",
        "data",
        "due_time",
        "errors",
        "expire_at",
        "generation",
        "id",
        "last_lock",
        "lock",
        "lock_expire_time",
        "lock_owner",
        "lock_time",
        "locked",
        "max_attempts",
        "namespace",
        "shard",
        "status",
        "status_code",
        "step",
        "update_time",
    ];
    // Without an index, a task that is due at once has no due time.
    let pending = bed.cli(["--shards", "0", "create", "a#b", "--json"]).await.exits(0).json();
    let mut found: Vec<_> = pending.as_object().unwrap().keys().collect();
    found.sort();
    assert_eq!(found, names);
    assert_eq!((&pending["namespace"], &pending["id"]), (&json!("test"), &json!("a#b")));
    let absent =
        ["data", "due_time", "expire_at", "last_lock", "lock", "lock_expire_time", "lock_owner", "lock_time", "shard"];
    for name in absent {
        assert_eq!(pending[name], Value::Null, "{name}");
    }
    let numbers = ["attempts", "generation", "max_attempts", "status_code", "step"].map(|name| pending[name].as_u64());
    assert_eq!(numbers, [Some(0), Some(0), Some(3), Some(0), Some(0)]);
    assert_eq!((&pending["locked"], &pending["errors"]), (&json!(false), &json!([])));
    let time = pending["create_time"].as_str().unwrap();
    assert!(time.len() == "2026-11-24T10:00:00.000Z".len() && time.ends_with('Z'), "{time}");
}

async fn a_failure_goes_by_the_limit_in_the_record(bed: Bed) {
    for attempt in 1..=2 {
        let started = bed.cli(["start", "t", "--max-attempts", "2", "--json"]).await.exits(0).json();
        assert_eq!((&started["attempts"], &started["max_attempts"]), (&json!(attempt), &json!(2)));
        let lock = started["lock"].as_str().unwrap();
        let failed =
            bed.cli(["fail", "t", "--lock", lock, "--error", "printer on fire", "--json"]).await.exits(0).json();
        assert_eq!(failed["status"], ["failed", "exhausted"][attempt - 1]);
        let error = &failed["errors"][attempt - 1];
        assert_eq!(
            (&error["attempt"], &error["message"], &error["type"]),
            (&json!(attempt), &json!("printer on fire"), &json!("Error"))
        );
        assert_eq!((&error["trace"], error["time"].as_str().map(str::len)), (&Value::Null, Some(24)));
    }
}

async fn a_fatal_failure_exhausts(bed: Bed) {
    let lock = start(&bed, "t").await;
    let failed = bed.cli(["fail", "t", "--lock", &lock, "--error", "no such order", "--fatal", "--json"]).await;
    assert_eq!(failed.exits(0).json()["status"], "exhausted");
}

pub(super) async fn start(bed: &Bed, id: &str) -> String {
    bed.cli(["start", id, "--json"]).await.exits(0).json()["lock"].as_str().unwrap().to_owned()
}

async fn each_refusal_has_its_exit_code(bed: Bed) {
    start(&bed, "locked").await;
    let client = bed.builder::<()>().clock(dynamo_tracker::SystemClock).build().unwrap();
    client.create(NewTask::new("not_due").due(chrono::Utc::now() + TimeDelta::hours(1))).await.unwrap();
    client.start("already_succeeded").await.unwrap().succeed().await.unwrap();
    client.start("exhausted").await.unwrap().mark_as_exhausted("no").await.unwrap();
    client.start("ignored").await.unwrap().mark_as_ignored().await.unwrap();
    client.create("not_ready").await.unwrap();
    bed.set("not_ready", "status", aws_sdk_dynamodb::types::AttributeValue::N("7".to_owned())).await;
    let refusals = [
        ("locked", 75),
        ("not_due", 75),
        ("already_succeeded", 77),
        ("exhausted", 77),
        ("ignored", 77),
        ("not_ready", 77),
    ];
    for (refused, exit) in refusals {
        let said = bed.cli(["--json", "start", refused]).await.exits(exit);
        assert_eq!((&said.json()["refused"], &said.json()["tracker"]["id"]), (&json!(refused), &json!(refused)));
        assert_eq!(said.err, "");
        let said = bed.cli(["start", refused]).await.exits(exit);
        assert_eq!(said.out, format!("refused: {refused}\n"));
        assert!(said.err.starts_with(&format!("dynamo-tracker: task \"test#{refused}\": ")), "{said:?}");
        // `run` says the same, but that a task is done is what its caller wanted.
        let exit = if refused == "already_succeeded" { 0 } else { exit };
        let said = bed.cli(["--json", "run", refused, "--", "false"]).await.exits(exit);
        assert_eq!((&said.json()["refused"], &said.json()["tracker"]["id"]), (&json!(refused), &json!(refused)));
    }
}

async fn a_held_lock_and_force_take_a_task_again(bed: Bed) {
    let lock = start(&bed, "t").await;
    bed.cli(["start", "t"]).await.exits(75);
    let again = bed.cli(["start", "t", "--lock", &lock, "--json"]).await.exits(0).json();
    assert_eq!((&again["generation"], again["lock"] == json!(lock)), (&json!(2), false));
    let stolen = bed.cli(["start", "t", "--ignore-lock", "--lease", "90s", "--json"]).await.exits(0).json();
    assert_eq!((&stolen["generation"], lease_of(&stolen)), (&json!(3), TimeDelta::seconds(90)));
    bed.cli(["succeed", "t", "--lock", stolen["lock"].as_str().unwrap()]).await.exits(0);
    assert_eq!(bed.cli(["start", "t", "--force", "--json"]).await.exits(0).json()["generation"], 4);
}

async fn an_outcome_said_twice_is_no_error(bed: Bed) {
    let lock = start(&bed, "t").await;
    for _ in 0..2 {
        let done = bed.cli(["succeed", "t", "--lock", &lock, "--json"]).await.exits(0).json();
        assert_eq!((&done["status"], &done["attempts"]), (&json!("succeeded"), &json!(1)));
    }
    let lock = start(&bed, "u").await;
    for _ in 0..2 {
        let failed = bed.cli(["fail", "u", "--lock", &lock, "--error", "x", "--json"]).await.exits(0).json();
        assert_eq!((&failed["status"], failed["errors"].as_array().unwrap().len()), (&json!("failed"), 1));
    }
    // Another outcome than the recorded one is not in, and can't be; nor other data.
    let lock = start(&bed, "v").await;
    bed.cli(["succeed", "v", "--lock", &lock, "--data", "1"]).await.exits(0);
    bed.cli(["succeed", "v", "--lock", &lock, "--data", "1"]).await.exits(0);
    bed.cli(["succeed", "v", "--lock", &lock, "--data", "2"]).await.exits(70);
    // A task that there is not has no lease to lose.
    bed.cli(["succeed", "w", "--lock", &lock]).await.exits(66);
    let lock = start(&bed, "x").await;
    bed.cli(["fail", "x", "--lock", &lock, "--error", "x"]).await.exits(0);
    assert_eq!(bed.cli(["succeed", "x", "--lock", &lock, "--json"]).await.exits(70).error()["error"], "lease_lost");
}

async fn a_lost_lease_is_told(bed: Bed) {
    let lock = start(&bed, "t").await;
    bed.cli(["unlock", "t"]).await.exits(0);
    for command in [vec!["heartbeat"], vec!["succeed"], vec!["fail", "--error", "x"]] {
        let said = bed.cli(command.iter().copied().chain(["t", "--lock", &lock, "--json"])).await.exits(70);
        assert_eq!((&said.error()["error"], said.out.as_str()), (&json!("lease_lost"), ""));
    }
    assert_eq!(bed.client::<()>().load("t").await.unwrap().unwrap().status, Status::InProgress);
}

async fn show_is_for_people_too(bed: Bed) {
    let lock = start(&bed, "t").await;
    let said = bed.cli(["show", "t"]).await.exits(0);
    for line in [
        "task       t",
        "namespace  test",
        "status     in_progress",
        "attempts   1 of 3",
        "generation 1",
        "lease      until 2",
    ] {
        assert!(said.out.lines().any(|shown| shown.starts_with(line)), "{line}: {said:?}");
    }
    assert!(said.out.contains(&format!("lock       {lock}\n")) && said.out.contains("(now)"), "{said:?}");
    assert!(!said.out.contains('\u{1b}'), "no colours where nobody sees them");
    bed.cli(["fail", "t", "--lock", &lock, "--error", "printer \u{1b}[31mon fire"]).await.exits(0);
    let said = bed.cli(["show", "t"]).await.exits(0);
    assert!(
        said.out.contains("errors\n  attempt 1, 2") && said.out.contains("    Error: printer \u{fffd}[31mon fire\n"),
        "{said:?}"
    );
    assert_eq!(bed.cli(["show", "nothing", "--json"]).await.exits(66).error()["error"], "not_found");
}
