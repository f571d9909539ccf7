//! The state machines of `infra/`, run with real functions, tables and queues.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use dynamo_tracker::lambda::IdempotencyErrorKind;
use dynamo_tracker::{StartOptions, Status, TrackerClient, WorkError};
use serde_json::{Value, json};

use super::definition::Template;
use super::function;
use crate::bed::http::Fault;
use crate::bed::lambda::{Deployed, Function};
use crate::bed::proxy::Proxy;
use crate::bed::stepfunctions::StateMachines;
use crate::bed::{Backend, Bed, SHARDS, example, sdk_config};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    super::on_moto_once(trials(backend), backend)
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![
        crate::test("stepfunctions::machines::an_order_is_paid_for_once", backend, an_order_is_paid_for_once),
        crate::test(
            "stepfunctions::machines::what_is_exhausted_can_be_redriven",
            backend,
            what_is_exhausted_can_be_redriven,
        ),
        crate::test(
            "stepfunctions::machines::each_error_is_caught_by_its_name",
            backend,
            each_error_is_caught_by_its_name,
        ),
        crate::test(
            "stepfunctions::machines::each_mishap_is_caught_by_its_name",
            backend,
            each_mishap_is_caught_by_its_name,
        ),
        crate::test(
            "stepfunctions::machines::each_limit_is_caught_by_its_name",
            backend,
            each_limit_is_caught_by_its_name,
        ),
        crate::test("stepfunctions::machines::each_name_leads_to_its_state", backend, each_name_leads_to_its_state),
        crate::test(
            "stepfunctions::machines::each_error_is_retried_or_not_by_name",
            backend,
            each_error_is_retried_or_not_by_name,
        ),
        crate::test("stepfunctions::machines::a_crash_keeps_others_out", backend, a_crash_keeps_others_out),
        crate::test("stepfunctions::machines::items_of_a_map_are_steps", backend, items_of_a_map_are_steps),
    ]
}

fn payments(bed: &Bed) -> Deployed {
    let function = Function::new(example("lambda_step")).name("step").env("DYNAMO_TRACKER_TABLE", &bed.table);
    function.env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint).concurrency(2).deploy()
}

/// On the machine's clock, which the functions have.
fn client(bed: &Bed, namespace: &str) -> TrackerClient<Value> {
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::from_conf(sdk_config(&bed.endpoint).build()));
    client.table(&bed.table).namespace(namespace).index(SHARDS).build().unwrap()
}

/// The machine for Lambda functions, with one for its function.
fn charge() -> Value {
    Template::step_functions().definition("Payments", &[("Function", "step")])
}

/// The example as `infra/` has it: another execution gets the same payment, and another amount is refused.
async fn an_order_is_paid_for_once(bed: Bed) {
    let function = payments(&bed);
    let machines = StateMachines::new(&bed, [&function]);
    let machine = machines.create(&charge()).await;
    let order = json!({ "order_id": "A1", "amount": 1200 });
    let paid = machines.run_again(&machine, &order).await.succeeded();
    assert_eq!(paid["order_id"], "A1");
    assert_eq!(machines.run_again(&machine, &order).await.succeeded(), paid);
    let other = machines.run_again(&machine, &json!({ "order_id": "A1", "amount": 1300 })).await;
    assert_eq!(other.failed().0, "PayloadMismatch");
    assert_eq!(machines.entered(&other.arn).await, ["Charge"], "so that a redrive goes on there");
}

/// Attempts are used up. The state itself fails, so that once the task is redriven, and then the execution, it is done.
async fn what_is_exhausted_can_be_redriven(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).env(function::ATTEMPTS, 3).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let machine = machines.create(&charge()).await;
    let failed = machines.run_again(&machine, &json!({ "id": "A1", "what": "fail" })).await;
    assert_eq!(failed.failed().0, "TaskExhausted");
    assert_eq!(machines.entered(&failed.arn).await, ["Charge"]);
    function::mend(folder.path());
    assert_eq!(
        machines.redrive(&failed).await.failed().0,
        "TaskExhausted",
        "nobody has said that it may be tried again"
    );
    let client = client(&bed, "test");
    let record = client.load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts), (Status::Exhausted, 3));
    client.redrive(&record).await.unwrap();
    assert_eq!(machines.redrive(&failed).await.succeeded(), json!({ "done": "A1" }));
    assert_eq!(function::effects(&function), ["A1"]);
}

/// A function that fails by each name in turn: the machine's `Catch` goes by it, whatever it does with it.
async fn each_error_is_caught_by_its_name(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let client = client(&bed, "test");
    let names = [
        "TaskLocked",
        "TaskExhausted",
        "TaskIgnored",
        "TaskNotDue",
        "MissingKey",
        "InvalidEvent",
        "PayloadMismatch",
        "States.DataLimitExceeded",
        "ResponseNotKept",
        "Paper.Jam",
    ];
    let machine = machines.create(&catching(&names)).await;

    machines.run_again(&machine, &json!({ "id": "paid", "what": "pay" })).await.succeeded();
    let held = client.start("held").await.unwrap();
    let later = WorkError::from("no").after(Duration::from_secs(3600));
    client.start("late").await.unwrap().fail(later).await.unwrap();
    for id in ["exhausted", "ignored"] {
        client.create(id).await.unwrap();
    }
    client.ignore(&client.load("ignored").await.unwrap().unwrap()).await.unwrap();
    client.start("exhausted").await.unwrap().mark_as_exhausted("no").await.unwrap();
    for (input, name) in [
        (json!({ "id": "held", "what": "pay" }), "TaskLocked"),
        (json!({ "id": "exhausted", "what": "pay" }), "TaskExhausted"),
        (json!({ "id": "ignored", "what": "pay" }), "TaskIgnored"),
        (json!({ "id": "late", "what": "pay" }), "TaskNotDue"),
        (json!({ "id": null, "what": "pay" }), "InvalidEvent"),
        (json!({ "id": "", "what": "pay" }), "MissingKey"),
        (json!({ "id": "fails", "what": "fail" }), "Paper.Jam"),
        (json!({ "id": "paid", "what": "another" }), "PayloadMismatch"),
        (json!({ "id": "large", "what": "large" }), "States.DataLimitExceeded"),
        (json!({ "id": "large", "what": "large" }), "ResponseNotKept"),
    ] {
        let execution = machines.run_again(&machine, &input).await;
        assert_eq!(machines.entered(&execution.arn).await, ["Work", name], "{execution:?}");
    }
    assert_eq!(held.attempt(), 1);
}

/// The same of what befalls a function while it works: its lock is taken off, and DynamoDB fails before the start, and denies all
/// after it.
async fn each_mishap_is_caught_by_its_name(bed: Bed) {
    let (folder, proxy) = (tempfile::tempdir().unwrap(), Proxy::before(&bed.endpoint).await);
    let function = function::on(&bed, folder.path()).env("AWS_ENDPOINT_URL_DYNAMODB", &proxy.endpoint);
    let function = function.timeout(Duration::from_secs(6)).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let machine = machines.create(&catching(&["LeaseLost", "StoreUnavailable", "OutcomeNotRecorded"])).await;
    let client = client(&bed, "test");

    let execution = machines.start(&machine, &json!({ "id": "lost", "what": "wait" })).await;
    while function::begun(&function) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.unlock(&client.load("lost").await.unwrap().unwrap()).await.unwrap();
    function::tell(folder.path(), "lost");
    machines.wait(&execution).await;
    assert_eq!(machines.entered(&execution).await, ["Work", "LeaseLost"]);

    for (id, first, then, name) in [
        ("down", vec![], Fault::Failed, "StoreUnavailable"),
        ("denied", vec![Fault::None], Fault::Denied, "OutcomeNotRecorded"),
    ] {
        proxy.plan(first.into_iter().chain(std::iter::repeat_n(then, 1000)));
        let execution = machines.run_again(&machine, &json!({ "id": id, "what": "pay" })).await;
        assert_eq!(machines.entered(&execution.arn).await, ["Work", name], "{execution:?}");
    }
    assert_eq!(function::effects(&function), ["denied"]);
}

/// The same of what is over a limit, and of records that are not of this function's making.
async fn each_limit_is_caught_by_its_name(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).env(function::TOO_LARGE, 1);
    let function = function.timeout(Duration::from_secs(3)).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let names = ["DeadlineExceeded", "ResponseTooLarge", "TaskExhausted", "TaskNotReady", "ResponseUnreadable"];
    let machine = machines.create(&catching(&names)).await;
    let client = client(&bed, "test");
    client.create("staged").await.unwrap();
    bed.set("staged", "status", AttributeValue::N("55".to_owned())).await;
    client.start("strange").await.unwrap().succeed().await.unwrap();
    bed.set("strange", "attempts", AttributeValue::S("three".to_owned())).await;
    for (input, name) in [
        (json!({ "id": "slow", "what": "wait" }), "DeadlineExceeded"),
        (json!({ "id": "large", "what": "large" }), "ResponseTooLarge"),
        (json!({ "id": "large", "what": "large" }), "TaskExhausted"),
        (json!({ "id": "staged", "what": "pay" }), "TaskNotReady"),
        (json!({ "id": "strange", "what": "pay" }), "ResponseUnreadable"),
    ] {
        let execution = machines.run_again(&machine, &input).await;
        assert_eq!(machines.entered(&execution.arn).await, ["Work", name], "{execution:?}");
    }
    assert_eq!(function::effects(&function), [""; 0]);
}

/// A state that goes to the state of the error's name.
fn catching(names: &[&str]) -> Value {
    let catch: Vec<_> = names.iter().map(|name| json!({ "ErrorEquals": [name], "Next": name })).collect();
    let mut states = json!({ "Work": {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": { "FunctionName": "step", "Payload": { "input.$": "$", "context.$": "$$" } },
        "Catch": catch,
        "End": true,
    }});
    for name in names {
        states[name] = json!({ "Type": "Succeed" });
    }
    json!({ "StartAt": "Work", "States": states })
}

/// All names that there are, Lambda's own for what ends a function among them, as errors of one function.
async fn each_name_leads_to_its_state(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).concurrency(3).timeout(Duration::from_secs(3)).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name()).chain(["Runtime.ExitError", "Sandbox.Timedout"]).collect();
    let items = names.iter().map(|name| match *name {
        "Runtime.ExitError" => json!({ "id": name, "what": "die" }),
        "Sandbox.Timedout" => json!({ "id": name, "what": "hang" }),
        _ => json!({ "id": name, "what": format!("as {name}") }),
    });
    let mut each = catching(&names);
    for name in &names {
        each["States"][name] = json!({ "Type": "Pass", "Result": name, "End": true });
    }
    let map = json!({ "Type": "Map", "MaxConcurrency": 3, "ItemProcessor": each, "End": true });
    let definition = json!({ "StartAt": "All", "States": { "All": map } });
    assert_eq!(machines.run(&definition, &items.collect()).await.succeeded(), json!(names));
}

/// What a step of this crate can fail by.
pub(super) const KINDS: [IdempotencyErrorKind; 16] = [
    IdempotencyErrorKind::TaskLocked,
    IdempotencyErrorKind::TaskNotDue,
    IdempotencyErrorKind::TaskExhausted,
    IdempotencyErrorKind::TaskIgnored,
    IdempotencyErrorKind::TaskNotReady,
    IdempotencyErrorKind::PayloadMismatch,
    IdempotencyErrorKind::MissingKey,
    IdempotencyErrorKind::InvalidEvent,
    IdempotencyErrorKind::ResponseNotKept,
    IdempotencyErrorKind::ResponseTooLarge,
    IdempotencyErrorKind::ResponseUnreadable,
    IdempotencyErrorKind::LeaseLost,
    IdempotencyErrorKind::DeadlineExceeded,
    IdempotencyErrorKind::OutcomeNotRecorded,
    IdempotencyErrorKind::StoreUnavailable,
    IdempotencyErrorKind::HandlerFailed,
];

/// What comes and goes by itself. Anything else is the same at each try.
const TEMPORARY: [IdempotencyErrorKind; 7] = [
    IdempotencyErrorKind::TaskLocked,
    IdempotencyErrorKind::TaskNotDue,
    IdempotencyErrorKind::LeaseLost,
    IdempotencyErrorKind::DeadlineExceeded,
    IdempotencyErrorKind::OutcomeNotRecorded,
    IdempotencyErrorKind::StoreUnavailable,
    IdempotencyErrorKind::HandlerFailed,
];

/// The definitions say of each name whether it is retried, and retry nothing that is caught. Of what has a name, an operator's decision
/// alone is no failure, where it is caught; the others fail the state, for a redrive to go on there.
async fn each_error_is_retried_or_not_by_name(_: Bed) {
    let fan_out = [("Function", "step"), ("Summary", "summary"), ("Bucket", "bucket")];
    let fan_out = Template::fan_out().definition("FanOut", &fan_out);
    let packing = Template::step_functions().definition("Packing", &[("Activity", "activity")]);
    let in_map = &fan_out["States"]["Items"]["ItemProcessor"]["States"]["Charge"];
    for state in [&charge()["States"]["Charge"], in_map, &packing["States"]["Pack"]] {
        let (last, retries) = entries(state, "Retry").split_last().unwrap();
        assert_eq!(names(last), ["States.ALL"], "what has no name here is retried");
        let (never, retried): (Vec<_>, Vec<_>) = retries.iter().partition(|entry| entry["MaxAttempts"] == 0);
        let named = |entries: &[&Value]| entries.iter().copied().flat_map(names).collect::<BTreeSet<_>>();
        let (never, retried) = (named(&never), named(&retried));
        for kind in KINDS {
            let wanted = (TEMPORARY.contains(&kind), !TEMPORARY.contains(&kind));
            assert_eq!((retried.contains(kind.name()), never.contains(kind.name())), wanted, "{}", kind.name());
        }
        let caught: Vec<_> = entries(state, "Catch").iter().flat_map(names).collect();
        assert!(caught.iter().all(|name| name == "TaskIgnored"), "{caught:?}");
    }
}

/// What a state says of errors: all that it retries, or all that it catches.
fn entries<'a>(state: &'a Value, of: &str) -> &'a [Value] {
    state[of].as_array().map_or(&[], Vec::as_slice)
}

fn names(entry: &Value) -> Vec<String> {
    let names = entry["ErrorEquals"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The sandbox dies in the middle. The state's own retry goes on at once, though the lease has long to go; meanwhile any other
/// execution is refused.
async fn a_crash_keeps_others_out(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let mut definition = charge();
    let machine = machines.create(&definition).await;
    let input = json!({ "id": "A1", "what": "die_once" });
    assert_eq!(machines.run_again(&machine, &input).await.succeeded(), json!({ "done": "A1" }));
    let record = client(&bed, "test").load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts), (Status::Succeeded, 2));

    definition["States"]["Charge"]["Retry"] = json!([]);
    let machine = machines.create(&definition).await;
    let input = json!({ "id": "A2", "what": "die_once" });
    let died = machines.run_again(&machine, &input).await;
    assert_eq!(died.failed().0, "Runtime.ExitError");
    let other = machines.run_again(&machine, &input).await;
    let (error, cause) = other.failed();
    assert_eq!(error, "TaskLocked");
    // The time to wait is in there, for machines.
    let cause: Value = serde_json::from_str(cause).unwrap();
    let message: Value = serde_json::from_str(cause["errorMessage"].as_str().unwrap()).unwrap();
    assert!(message["seconds"].as_u64().unwrap() > 0 && message["until"].is_string(), "{message}");
    assert_eq!(machines.redrive(&died).await.succeeded(), json!({ "done": "A2" }));
    assert_eq!(function::effects(&function), ["A1", "A2"]);
}

/// The items of a Map in the same execution are steps of their own: what one has taken, the other does not get.
async fn items_of_a_map_are_steps(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).concurrency(4).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let each = catching(&["TaskLocked", "Paper.Jam"]);
    let map = json!({ "Type": "Map", "ItemProcessor": each, "End": true });
    let held = client(&bed, "test").start_with("b", StartOptions::new().owner("somebody")).await.unwrap();
    let items = json!([
        { "id": "a", "what": "pay" }, { "id": "b", "what": "pay" }, { "id": "c", "what": "fail" }, { "id": "a", "what": "pay" },
    ]);
    let definition = json!({ "StartAt": "Items", "States": { "Items": map } });
    let outputs = machines.run(&definition, &items).await.succeeded();
    assert_eq!(outputs[1]["Error"], "TaskLocked", "{outputs}");
    assert_eq!(outputs[2]["Error"], "Paper.Jam", "{outputs}");
    // One of the two does it, and the other is refused, or gets what it has come to.
    let [one, other] = [0, 3].map(|number: usize| (&outputs[number]["Payload"]["done"], &outputs[number]["Error"]));
    assert!(one.0 == "a" || other.0 == "a", "{outputs}");
    assert!([one, other].iter().all(|(done, error)| *done == "a" || *error == "TaskLocked"), "{outputs}");
    assert_eq!(function::effects(&function), ["a"]);
    held.release().await.unwrap();
}
