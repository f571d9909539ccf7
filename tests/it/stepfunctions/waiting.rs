//! The state machines of `infra/` whose states wait: for a worker of an activity, and for whoever ends a task.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dynamo_tracker::stepfunctions::{Activity, ActivityWorker};
use dynamo_tracker::{CancellationToken, Status, TrackerClient, WorkError};
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
        crate::test("stepfunctions::waiting::a_lost_heartbeat_is_a_retry", backend, a_lost_heartbeat_is_a_retry),
        crate::test("stepfunctions::waiting::an_activity_fails_by_its_name", backend, an_activity_fails_by_its_name),
        crate::test("stepfunctions::waiting::the_command_line_ends_the_wait", backend, the_command_line_ends_the_wait),
    ]
}

fn client(bed: &Bed) -> TrackerClient<Value> {
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::from_conf(sdk_config(&bed.endpoint).build()));
    client.table(&bed.table).namespace("test").max_attempts(20).build().unwrap()
}

/// The machine for activities, and a worker for its activity.
async fn packing(bed: &Bed, machines: &StateMachines, stop: &CancellationToken) -> (Value, ActivityWorker<Value>) {
    let activity = machines.create_activity().await;
    let definition = Template::step_functions().definition("Packing", &[("Activity", &activity)]);
    let key = |input: &Value| Some(input["id"].as_str()?.to_owned());
    let worker = ActivityWorker::new(client(bed), machines.client.clone(), activity, key).stop_on(stop.clone());
    (definition, worker)
}

/// The first attempt hangs, and its heartbeats come too late. The state is retried; the worker finds out that the first token is
/// stale, drops that work, and does the work of the retry.
async fn a_lost_heartbeat_is_a_retry(bed: Bed) {
    let (machines, stop, begun) =
        (StateMachines::new(&bed, []), CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let (mut definition, worker) = packing(&bed, &machines, &stop).await;
    definition["States"]["Pack"]["HeartbeatSeconds"] = json!(1);
    for retry in definition["States"]["Pack"]["Retry"].as_array_mut().unwrap() {
        retry["MaxAttempts"] = json!(20);
    }
    let counter = Arc::clone(&begun);
    let work = move |activity: Activity<Value>| {
        let is_first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                std::future::pending::<()>().await;
            }
            Ok(json!({ "packed": activity.input["id"] }))
        }
    };
    let worker = tokio::spawn(worker.heartbeat(Duration::from_secs(3)).run(work));
    let execution = machines.run(&definition, &json!({ "id": "A1" })).await;
    assert_eq!(execution.succeeded(), json!({ "packed": "A1" }));
    stop.cancel();
    worker.await.unwrap().unwrap();
    let record = client(&bed).load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.errors.len()), (Status::Succeeded, 1), "{record:?}");
    assert_eq!(record.errors[0].error_type, "TaskTokenStale");
    assert_eq!(begun.load(Ordering::SeqCst), 2);
}

async fn an_activity_fails_by_its_name(bed: Bed) {
    let (machines, stop) = (StateMachines::new(&bed, []), CancellationToken::new());
    let (definition, worker) = packing(&bed, &machines, &stop).await;
    let fail = |_: Activity<Value>| async { Err(WorkError::from_parts("Box.Torn", "it is torn", None).into_fatal()) };
    let worker = tokio::spawn(worker.run(fail));
    let machine = machines.create(&definition).await;
    let failed = machines.run_again(&machine, &json!({ "id": "A1" })).await;
    // The work's own error is retried, and the retry finds the task exhausted.
    assert_eq!(failed.failed().0, "TaskExhausted");
    assert_eq!(machines.entered(&failed.arn).await, ["Pack"]);
    let rejected = machines.run_again(&machine, &json!({})).await;
    assert_eq!(
        (rejected.failed().0, machines.entered(&rejected.arn).await.last().unwrap().as_str()),
        ("MissingKey", "Pack")
    );
    stop.cancel();
    worker.await.unwrap().unwrap();
}

/// Requests that are created, started and ended by the program, each in another way, with the states' tokens.
async fn the_command_line_ends_the_wait(bed: Bed) {
    let (machines, requests) = (StateMachines::new(&bed, []), Queue::standard(5).await);
    let definition = Template::step_functions().definition("Approvals", &[("Requests", &requests.url)]);
    let machine = machines.create(&definition).await;
    for (id, ends) in [("yes", "Approved"), ("no", "Exhausted"), ("later", "Ignored")] {
        let execution = machines.start(&machine, &json!({ "id": id, "amount": 7 })).await;
        let request = next(&requests).await;
        assert_eq!(request["data"]["amount"], 7);
        run(&bed, &["create", id, "--callback", request["token"].as_str().unwrap()]);
        if ends == "Ignored" {
            run(&bed, &["ignore", id]);
        } else {
            let lock = run(&bed, &["start", id])["lock"].as_str().unwrap().to_owned();
            match ends {
                "Approved" => run(&bed, &["succeed", id, "--lock", &lock, "--data", r#"{"by": "Ada"}"#]),
                _ => run(&bed, &["fail", id, "--lock", &lock, "--error", "too much", "--fatal"]),
            };
        }
        let execution = machines.wait(&execution).await;
        match ends {
            "Approved" => assert_eq!(execution.succeeded(), json!({ "by": "Ada" })),
            "Exhausted" => {
                let (error, cause) = execution.failed();
                assert!(error == "TaskExhausted" && cause.ends_with("too much"), "{execution:?}");
            }
            _ => drop(execution.succeeded()),
        }
        let states: &[&str] = if ends == "Exhausted" { &["Ask"] } else { &["Ask", ends] };
        assert_eq!(machines.entered(&execution.arn).await, states);
    }
}

/// The next message, which is on its way.
async fn next(queue: &Queue) -> Value {
    loop {
        if let Some(body) = queue.take_bodies().await.pop() {
            return serde_json::from_str(&body).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the program prints.
fn run(bed: &Bed, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynamo-tracker"));
    command.args(["--json", "--table", &bed.table, "--namespace", "test", "--shards", "0"]).args(arguments);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint).env("AWS_ENDPOINT_URL_SFN", StateMachines::endpoint());
    command.envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
