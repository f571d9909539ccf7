//! All definitions that there are: those of `infra/`, those that the crate prints, and those of the README, by AWS's rules.

use std::time::Duration;

use dynamo_tracker::StartOptions;
use dynamo_tracker::TrackerClient;
use dynamo_tracker::stepfunctions::Fragment;
use serde_json::{Value, json};

use super::definition::{Template, hurry};
use super::function;
use crate::bed::stepfunctions::{StateMachines, statelint};
use crate::bed::{Backend, Bed, SHARDS, sdk_config};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    super::on_moto_once(trials(backend), backend)
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![
        crate::test("stepfunctions::definitions::statelint_has_nothing_to_say", backend, statelint_has_nothing_to_say),
        crate::test("stepfunctions::definitions::statelint_is_heard", backend, statelint_is_heard),
        crate::test(
            "stepfunctions::definitions::the_readmes_do_not_end_in_vain",
            backend,
            the_readmes_do_not_end_in_vain,
        ),
        crate::test(
            "stepfunctions::definitions::the_readmes_states_wait_as_long_as_needed",
            backend,
            the_readmes_states_wait_as_long_as_needed,
        ),
    ]
}

/// The blocks of states in the README's section, each as a machine. States that they only name are ends.
fn readme() -> Vec<Value> {
    let text = include_str!("../../../README.md");
    let (_, section) = text.split_once("\n## Step Functions\n").expect("it is there");
    let (section, _) = section.split_once("\n## ").expect("others follow");
    let blocks = section.split("```json\n").skip(1).map(|block| block.split_once("```").expect("it ends").0);
    blocks.map(|block| machine(serde_json::from_str(block).expect("it is JSON"))).collect()
}

fn machine(mut states: Value) -> Value {
    for name in named(&states) {
        if states.get(&name).is_none() {
            states[name] = json!({ "Type": "Succeed" });
        }
    }
    json!({ "StartAt": "Charge", "States": states })
}

/// The states that others lead to.
fn named(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = ["Next", "Default"].iter().filter_map(|field| fields.get(*field)?.as_str());
            own.map(str::to_owned).chain(fields.values().flat_map(named)).collect()
        }
        Value::Array(values) => values.iter().flat_map(named).collect(),
        _ => Vec::new(),
    }
}

/// What the crate prints, with each option.
fn printed() -> Vec<Value> {
    let plain = Fragment::new("tasks", "orders");
    let full =
        plain.clone().index(SHARDS).retention(Duration::from_secs(60)).within("$outer").lease(Duration::from_secs(9));
    let full = full
        .id("$states.input.order_id")
        .error("$states.input.e", "$states.input.c")
        .next("After")
        .otherwise("Refused");
    let states = |fragment: &Fragment| [fragment.start(), fragment.succeed(), fragment.fail()].map(Result::unwrap);
    let states = [plain.clone(), plain.fatal(), full.clone(), full.fatal()].iter().flat_map(states).collect::<Vec<_>>();
    let machines = states.into_iter().map(|state| {
        let mut machine = machine(json!({ "Charge": state }));
        machine["QueryLanguage"] = json!("JSONata");
        machine
    });
    machines.collect()
}

fn deployed() -> Vec<Value> {
    let (steps, fan_out) = (Template::step_functions(), Template::fan_out());
    vec![
        steps.as_it_is("Payments", &[("Function", "step")]),
        steps.as_it_is("Packing", &[("Activity", "arn:aws:states:us-east-1:123456789012:activity:pack")]),
        steps.as_it_is("Approvals", &[("Requests", "requests")]),
        steps.as_it_is("Sending", &[("Table", "tasks"), ("Outbox", "outbox")]),
        fan_out.as_it_is("FanOut", &[("Function", "step"), ("Summary", "summary"), ("Bucket", "bucket")]),
    ]
}

async fn statelint_has_nothing_to_say(_: Bed) {
    let all: Vec<_> = readme().into_iter().chain(printed()).chain(deployed()).collect();
    assert_eq!(all.len(), 2 + 12 + 5);
    for definition in all {
        assert_eq!(statelint(&definition), [""; 0], "{definition:#}");
    }
}

async fn statelint_is_heard(_: Bed) {
    let mut definition = machine(json!({ "Charge": Fragment::new("tasks", "orders").start().unwrap() }));
    definition["QueryLanguage"] = json!("JSONata");
    definition["States"]["Charge"]["Next"] = json!("Nowhere");
    assert!(!statelint(&definition).is_empty());
}

/// A redrive goes on at the state that failed, so no error may lead to a state that fails or, for any error, just ends.
async fn the_readmes_do_not_end_in_vain(_: Bed) {
    for machine in readme() {
        for state in machine["States"].as_object().unwrap().values() {
            let catches = state.get("Catch").and_then(Value::as_array).into_iter().flatten();
            let errors: Vec<_> = catches.flat_map(|catch| catch["ErrorEquals"].as_array().unwrap()).collect();
            assert!(errors.iter().all(|error| *error == "TaskIgnored"), "{errors:?}");
        }
    }
}

/// Somebody else has the task. The state is told until when, waits for that, and does the work.
async fn the_readmes_states_wait_as_long_as_needed(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let function = function::on(&bed, folder.path()).env(function::RETURNS, 1).deploy();
    let machines = StateMachines::new(&bed, [&function]);
    let mut definition = readme().swap_remove(1);
    definition["States"]["Charge"]["Parameters"]["FunctionName"] = json!("step");
    hurry(&mut definition);
    let client =
        TrackerClient::<Value>::builder(aws_sdk_dynamodb::Client::from_conf(sdk_config(&bed.endpoint).build()));
    let client =
        client.table(&bed.table).namespace("test").index(SHARDS).lease(Duration::from_secs(4)).build().unwrap();
    let held = client.start_with("A1", StartOptions::new().owner("somebody")).await.unwrap();
    let until = held.expires().unwrap();

    let execution = machines.run(&definition, &json!({ "order": { "id": "A1", "what": "pay" } })).await;
    assert_eq!(execution.succeeded()["charge"], json!({ "answer": { "done": { "done": "A1" } } }));
    let entered = machines.entered(&execution.arn).await;
    assert_eq!(entered, ["Charge", "Charged?", "Wait", "Charge", "Charged?", "Ship"]);
    let record = client.load("A1").await.unwrap().unwrap();
    assert!(record.create_time < until && record.update_time > until && record.attempts == 2, "{record:?}");
    assert_eq!(function::effects(&function), ["A1"]);
}
