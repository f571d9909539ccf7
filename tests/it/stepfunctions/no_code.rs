//! The state machine of `infra/` that takes and finishes its task with no code: its states are what the command line prints, and
//! it knows what to do with each kind of record that it finds.

use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use dynamo_tracker::{NewTask, StartOptions, Status, TrackerClient, WorkError};
use serde_json::{Value, json};

use super::definition::Template;
use crate::bed::queue::Queue;
use crate::bed::stepfunctions::StateMachines;
use crate::bed::{Backend, Bed, sdk_config};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    super::on_moto_once(trials(backend), backend)
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![
        crate::test("stepfunctions::no_code::the_states_are_what_the_command_prints", backend, the_states_are_printed),
        crate::test("stepfunctions::no_code::an_order_is_sent_once", backend, an_order_is_sent_once),
        crate::test("stepfunctions::no_code::what_fails_is_recorded", backend, what_fails_is_recorded),
        crate::test("stepfunctions::no_code::each_refusal_is_told_apart", backend, each_refusal_is_told_apart),
        crate::test("stepfunctions::no_code::what_is_gone_is_begun_again", backend, what_is_gone_is_begun_again),
        crate::test("stepfunctions::no_code::it_waits_for_a_lease_that_ends", backend, it_waits_for_a_lease_that_ends),
    ]
}

fn definition(table: &str, outbox: &str) -> Value {
    Template::step_functions().definition("Sending", &[("Table", table), ("Outbox", outbox)])
}

/// On the machine's clock, without an index, as the machine.
fn client(bed: &Bed) -> TrackerClient<Value> {
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::from_conf(sdk_config(&bed.endpoint).build()));
    client.table(&bed.table).namespace("orders").build().unwrap()
}

fn printed(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynamo-tracker"));
    command.args(["--table", "TABLE", "--namespace", "orders", "--shards", "0", "asl"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn the_states_are_printed(_: Bed) {
    let states = Template::step_functions().as_it_is("Sending", &[("Table", "TABLE"), ("Outbox", "OUTBOX")]);
    let states = &states["States"];
    assert_eq!(states["Take"], printed(&["start", "--lease", "5m", "--next", "Send", "--otherwise", "Look"]));
    assert_eq!(states["Done"], printed(&["succeed", "--otherwise", "Lost"]));
    assert_eq!(states["Give back"], printed(&["fail", "--next", "Failed", "--otherwise", "Lost"]));
}

/// Twice the same order, in two executions: one message.
async fn an_order_is_sent_once(bed: Bed) {
    let (machines, outbox) = (StateMachines::new(&bed, []), Queue::standard(5).await);
    let machine = machines.create(&definition(&bed.table, &outbox.url)).await;
    let order = json!({ "id": "A1", "amount": 1200 });
    let first = machines.run_again(&machine, &order).await;
    assert_eq!(first.succeeded(), order);
    let again = machines.run_again(&machine, &order).await;
    assert_eq!(again.succeeded(), order);
    assert_eq!(machines.entered(&again.arn).await, ["Take", "Look", "Why", "Done before"]);
    let sent = outbox.take_bodies().await;
    let sent: Vec<Value> = sent.iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(sent, [json!({ "id": "A1", "generation": 1, "order": order })]);
    let record = client(&bed).load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.max_attempts), (Status::Succeeded, 1, 3));
}

/// The queue is not there. The error is recorded, and the task may be tried again.
async fn what_fails_is_recorded(bed: Bed) {
    let machines = StateMachines::new(&bed, []);
    let mut definition = definition(&bed.table, &format!("{}/123456789012/gone", StateMachines::endpoint()));
    definition["States"]["Send"]["Retry"] = json!([]);
    let machine = machines.create(&definition).await;
    for attempt in 1..=3_u32 {
        let failed = machines.run_again(&machine, &json!({ "id": "A1" })).await;
        let error = failed.failed().0.to_owned();
        assert!(error.starts_with("SQS."), "{failed:?}");
        let record = client(&bed).load("A1").await.unwrap().unwrap();
        let status = if attempt < 3 { Status::Failed } else { Status::Exhausted };
        assert_eq!((record.status, record.attempts, record.errors.len()), (status, attempt, attempt as usize));
        assert_eq!(record.errors.last().unwrap().error_type, error);
    }
    assert_eq!(machines.run_again(&machine, &json!({ "id": "A1" })).await.failed().0, "TaskExhausted");
}

/// It is refused, looks at the record, and does what is right: ends, or waits and tries again.
async fn each_refusal_is_told_apart(bed: Bed) {
    let (machines, outbox, client) = (StateMachines::new(&bed, []), Queue::standard(5).await, client(&bed));
    let machine = machines.create(&definition(&bed.table, &outbox.url)).await;
    client.create("ignored").await.unwrap();
    client.ignore(&client.load("ignored").await.unwrap().unwrap()).await.unwrap();
    client.start("exhausted").await.unwrap().fail(WorkError::fatal("no")).await.unwrap();
    client.create(NewTask::new("later").due(Utc::now() + TimeDelta::hours(1))).await.unwrap();
    let _held = client.start("locked").await.unwrap();
    for (id, state) in [
        ("ignored", "Ignored"),
        ("exhausted", "Exhausted"),
        ("later", "Wait until due"),
        ("locked", "Wait for the lock"),
    ] {
        let execution = machines.start(&machine, &json!({ "id": id })).await;
        assert_eq!(machines.entered_until(&execution, state).await, ["Take", "Look", "Why", state]);
        machines.stop(&execution).await;
    }
    assert!(outbox.take_bodies().await.is_empty());
}

/// The record is deleted between the refusal and the look at it.
async fn what_is_gone_is_begun_again(bed: Bed) {
    let (machines, client) = (StateMachines::new(&bed, []), client(&bed));
    let mut definition = definition(&bed.table, "OUTBOX");
    definition["States"]["Look"]["Arguments"]["Key"]["id"]["S"] = json!("orders#gone");
    let machine = machines.create(&definition).await;
    let _held = client.start("A1").await.unwrap();
    let execution = machines.start(&machine, &json!({ "id": "A1" })).await;
    machines.entered_until(&execution, "Wait a moment").await;
    machines.stop(&execution).await;
}

/// The lease of somebody who died is over, and the next execution waits for that, however long it takes.
async fn it_waits_for_a_lease_that_ends(bed: Bed) {
    let (machines, outbox, client) = (StateMachines::new(&bed, []), Queue::standard(5).await, client(&bed));
    let machine = machines.create(&definition(&bed.table, &outbox.url)).await;
    let _died = client.start_with("A1", StartOptions::new().expire(Duration::from_secs(2))).await.unwrap();
    machines.run_again(&machine, &json!({ "id": "A1" })).await.succeeded();
    assert_eq!(outbox.take_bodies().await.len(), 1);
    let record = client.load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts), (Status::Succeeded, 2));
}
