//! The command line tells states that wait for a task, and finds Step Functions only when one does.

use std::process::Command;

use dynamo_tracker::TaskToken;
use serde_json::json;

use crate::bed::Bed;
use crate::bed::states::{States, Told};
use crate::cli::{Said, said};

crate::tests![
    every_command_that_ends_a_task_tells,
    a_token_comes_by_the_environment_and_goes_no_further,
    what_could_not_be_told_is_said_and_told_by_show,
    in_another_region_it_is_owed,
    a_task_that_exists_is_waited_for_as_it_is,
    a_start_of_what_is_over_answers,
    nobody_waits_so_nothing_is_looked_up,
];

/// The program, which finds Step Functions at `endpoint`.
fn program(bed: &Bed, endpoint: &str) -> Command {
    let mut program = bed.program();
    program.env("AWS_ENDPOINT_URL_SFN", endpoint);
    program
}

async fn run(bed: &Bed, states: &States, args: &[&str]) -> Said {
    said(program(bed, &states.endpoint()).args(args)).await
}

/// Makes a task that a state waits for.
async fn create(bed: &Bed, states: &States, id: &str) -> TaskToken {
    let token = states.wait();
    let made = run(bed, states, &["create", id, "--callback", token.as_str(), "--json"]).await.exits(0);
    assert!(made.json()["status"] == "pending" && !made.out.contains(token.as_str()), "{made:?}");
    token
}

/// Starts it, and returns its lock.
async fn start(bed: &Bed, states: &States, id: &str) -> String {
    run(bed, states, &["start", id, "--json"]).await.exits(0).json()["lock"].as_str().unwrap().to_owned()
}

async fn every_command_that_ends_a_task_tells(bed: Bed) {
    let states = States::new();
    let (succeeds, fails) = (create(&bed, &states, "succeeds").await, create(&bed, &states, "fails").await);
    let lock = start(&bed, &states, "succeeds").await;
    run(&bed, &states, &["succeed", "succeeds", "--lock", &lock, "--data", r#"{"receipt": 7}"#]).await.exits(0);
    assert_eq!(states.told(&succeeds), Some(Told::Success(json!({"receipt": 7}))));
    let lock = start(&bed, &states, "fails").await;
    run(&bed, &states, &["fail", "fails", "--lock", &lock, "--error", "no paper"]).await.exits(0);
    assert_eq!(states.told(&fails), None, "it may be tried again");
    let lock = start(&bed, &states, "fails").await;
    run(&bed, &states, &["fail", "fails", "--lock", &lock, "--error", "no printer", "--fatal"]).await.exits(0);
    assert_eq!(states.told(&fails), Some(Told::Failure("TaskExhausted".to_owned(), "Error: no printer".to_owned())));

    let (ignored, deleted) = (create(&bed, &states, "ignored").await, create(&bed, &states, "deleted").await);
    run(&bed, &states, &["ignore", "ignored"]).await.exits(0);
    run(&bed, &states, &["delete", "deleted", "--yes"]).await.exits(0);
    assert_eq!(states.told(&ignored).unwrap().failure().0, "TaskIgnored");
    assert_eq!(states.told(&deleted).unwrap().failure().0, "TaskDeleted");

    let (ran, worked) = (create(&bed, &states, "ran").await, create(&bed, &states, "worked").await);
    run(&bed, &states, &["run", "ran", "--", "sh", "-c", "echo 5 > \"$DYNAMO_TRACKER_OUTPUT\""]).await.exits(0);
    assert_eq!(states.told(&ran), Some(Told::Success(json!(5))));
    let unkept = states.wait();
    run(&bed, &states, &["create", "unkept", "--data", "1", "--callback", unkept.as_str()]).await.exits(0);
    let script = "printf '\"%0500000d\"' 0 > \"$DYNAMO_TRACKER_OUTPUT\"";
    run(&bed, &states, &["run", "unkept", "--", "sh", "-c", script]).await.exits(0);
    let (error, cause) = states.told(&unkept).unwrap().failure();
    assert!(error == "ResponseNotKept" && cause.contains("400 KB"), "{error}: {cause}");
    run(&bed, &states, &["work", "--until-empty", "--", "true"]).await.exits(0);
    assert_eq!(states.told(&worked), Some(Told::Success(json!(null))));
}

async fn a_token_comes_by_the_environment_and_goes_no_further(bed: Bed) {
    let states = States::new();
    let token = states.wait();
    let script = "echo \"[$DYNAMO_TRACKER_CALLBACK]\"";
    let mut program = program(&bed, &states.endpoint());
    program.env("DYNAMO_TRACKER_CALLBACK", token.as_str()).args(["run", "t", "--", "sh", "-c", script]);
    assert_eq!(said(&mut program).await.exits(0).out, "[]\n");
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    let help = said(bed.program().env("DYNAMO_TRACKER_CALLBACK", "secret").args(["run", "--help"])).await.exits(0);
    assert!(help.out.contains("DYNAMO_TRACKER_CALLBACK") && !help.out.contains("secret"), "{}", help.out);
}

async fn what_could_not_be_told_is_said_and_told_by_show(bed: Bed) {
    let states = States::new();
    let token = create(&bed, &states, "t").await;
    let lock = start(&bed, &states, "t").await;
    let nowhere = |args: &[&str]| {
        // Nobody listens at this port.
        let mut program = program(&bed, "http://127.0.0.1:9");
        program.args(args);
        program
    };
    let ended = said(&mut nowhere(&["succeed", "t", "--lock", &lock, "--json"])).await.exits(69);
    assert_eq!(ended.json()["status"], "succeeded");
    let error = ended.error();
    let message = error["message"].as_str().unwrap();
    assert!(error["error"] == "unreachable" && message.contains("the next look at it tells the state"), "{error}");
    let shown = said(&mut nowhere(&["show", "t"])).await.exits(69);
    assert!(shown.out.contains("owed to a state machine") && shown.err.contains("test#t"), "{shown:?}");
    // It can't be told once it is deleted, so it is not.
    let kept = said(&mut nowhere(&["delete", "t", "--yes"])).await.exits(69);
    assert!(kept.err.contains("was not deleted"), "{kept:?}");
    assert!(!format!("{ended:?} {shown:?} {kept:?}").contains(token.as_str()));
    assert_eq!(states.told(&token), None);
    let shown = run(&bed, &states, &["show", "t"]).await.exits(0);
    assert!(!shown.out.contains("callback"), "{shown:?}");
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    assert_eq!(run(&bed, &states, &["show", "t"]).await.exits(0).err, "");
    assert_eq!(states.calls(), ["SendTaskSuccess"]);
}

async fn in_another_region_it_is_owed(bed: Bed) {
    let (states, elsewhere) = (States::new(), States::new());
    let token = create(&bed, &states, "t").await;
    let lock = start(&bed, &elsewhere, "t").await;
    let ended = run(&bed, &elsewhere, &["succeed", "t", "--lock", &lock]).await.exits(69);
    assert!(ended.err.contains("InvalidToken") && ended.err.contains("region"), "{ended:?}");
    run(&bed, &states, &["show", "t"]).await.exits(0);
    assert_eq!(states.told(&token), Some(Told::Success(json!(null))));
    // A token that nobody knows does not keep its record for ever.
    let lock = start(&bed, &elsewhere, "u").await;
    run(&bed, &elsewhere, &["succeed", "u", "--lock", &lock]).await.exits(0);
    run(&bed, &elsewhere, &["create", "u", "--callback", token.as_str()]).await.exits(69);
    let deleted = run(&bed, &elsewhere, &["delete", "u", "--yes"]).await.exits(69);
    assert!(deleted.out.contains("deleted u") && deleted.err.contains("while its record is there"), "{deleted:?}");
    run(&bed, &states, &["show", "u"]).await.exits(66);
}

async fn a_task_that_exists_is_waited_for_as_it_is(bed: Bed) {
    let states = States::new();
    let made = run(&bed, &states, &["create", "t", "--data", "1", "--json"]).await.exits(0).json();
    let token = states.wait();
    let waited =
        ["create", "t", "--data", "2", "--due", "2101-01-01T00:00:00Z", "--callback", token.as_str(), "--json"];
    let record = run(&bed, &states, &waited).await.exits(0).json();
    assert_eq!(record, made);
    // A token in the environment is of no task in a file.
    let mut from = program(&bed, &states.endpoint());
    from.env("DYNAMO_TRACKER_CALLBACK", token.as_str()).args(["create", "--from", "-"]);
    let refused = said(&mut from).await.exits(64);
    assert!(!refused.err.contains(token.as_str()), "{refused:?}");
    let help = said(bed.program().args(["create", "--help"])).await.exits(0).out;
    let help: Vec<_> = help.split_whitespace().collect();
    let help = help.join(" ");
    assert!(help.contains("keeps its own data and due time. Not with --from, not even by the environment"), "{help}");
}

async fn a_start_of_what_is_over_answers(bed: Bed) {
    let states = States::new();
    let lock = start(&bed, &states, "t").await;
    run(&bed, &states, &["succeed", "t", "--lock", &lock, "--data", "7"]).await.exits(0);
    let (first, second) = (states.wait(), states.wait());
    run(&bed, &states, &["start", "t", "--callback", first.as_str()]).await.exits(77);
    run(&bed, &states, &["create", "t", "--callback", second.as_str()]).await.exits(0);
    for token in [first, second] {
        assert_eq!(states.told(&token), Some(Told::Success(json!(7))));
    }
    assert_eq!(run(&bed, &states, &["create", "t"]).await.exits(77).out, "");
}

/// Not even where AWS is: a program on a file needs neither credentials nor a region.
async fn nobody_waits_so_nothing_is_looked_up(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tasks.db");
    let program = |args: &[&str]| {
        let mut program = crate::cli::program();
        program.args(["--table", "tasks", "--namespace", "test", "--embedded", file.to_str().unwrap()]).args(args);
        program
    };
    said(&mut program(&["init"])).await.exits(0);
    said(&mut program(&["run", "t", "--", "true"])).await.exits(0);
    said(&mut program(&["create", "u", "--callback", "secret"])).await.exits(0);
    let owed = said(&mut program(&["ignore", "u"])).await.exits(69);
    assert!(owed.err.contains("Step Functions can't take the failure") && !owed.err.contains("secret"), "{owed:?}");
    drop(bed);
}
