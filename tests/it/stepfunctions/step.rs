//! A handler as the step of a state machine: who gets its lock back at once, who is refused, and in which words.

use std::time::Duration;

use dynamo_tracker::lambda::{Idempotency, IdempotencyErrorKind, Replay};
use dynamo_tracker::stepfunctions::{Step, StepEvent, StepLayer, StepOutput};
use dynamo_tracker::{Status, TrackerClient, WorkError};
use lambda_runtime::tower::{Layer, ServiceExt};
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

use super::machines::KINDS;
use crate::bed::lambda::{Deployed, Function};
use crate::bed::{Bed, example};
use crate::lambda::handler;

crate::tests![
    a_retry_goes_on_at_once_after_a_crash,
    a_retry_goes_on_at_once_after_a_timeout,
    other_executions_are_told_when_to_come,
    refusals_can_be_returned,
    every_execution_gets_the_same_output,
    two_items_of_a_map_are_two_steps,
    an_attempt_that_is_displaced_records_nothing,
    an_event_that_is_no_step_is_said,
    failures_have_their_names,
    the_example_charges_once,
    the_readmes_definitions_name_errors_that_there_are,
];

fn context(execution: &str) -> Value {
    let execution = format!("arn:aws:states:us-east-1:123456789012:execution:orders:{execution}");
    json!({"Execution": {"Id": execution}, "State": {"Name": "Charge", "RetryCount": 0}})
}

fn event(execution: &str, input: &Value) -> Value {
    json!({"input": input, "context": context(execution)})
}

/// A function on this table that does what the step's input says.
fn function(bed: &Bed, init: &str) -> Function {
    on(handler::function(init), bed)
}

fn on(function: Function, bed: &Bed) -> Function {
    function.env("DYNAMO_TRACKER_TABLE", &bed.table).env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint)
}

/// The object in the text of an error that says when to come again.
fn wait(message: &str) -> Value {
    serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message}"))
}

async fn crash(function: &Deployed, execution: &str) {
    let input = json!({"key": "k", "do": "exit", "code": 3});
    assert_eq!(function.invoke(&event(execution, &input)).await.unwrap_error().0, "Runtime.ExitError");
}

async fn a_retry_goes_on_at_once_after_a_crash(bed: Bed) {
    let function = function(&bed, "step").deploy();
    crash(&function, "run-1").await;
    let echo = json!({"key": "k", "do": "echo", "value": 7});
    let (other, _) = function.invoke(&event("run-2", &echo)).await.unwrap_error();
    assert_eq!(other, "TaskLocked", "the lease of the one that died goes on");
    let mut retried = event("run-1", &echo);
    retried["context"]["State"]["RetryCount"] = json!(1);
    retried["context"]["Execution"]["RedriveCount"] = json!(1);
    assert_eq!(function.invoke(&retried).await.unwrap(), 7);
    assert_eq!(record(&bed).await.attempts, 2);
}

async fn record(bed: &Bed) -> dynamo_tracker::Tracker<Replay> {
    let client = TrackerClient::<Replay>::builder(bed.sdk()).table(&bed.table).namespace("does").build().unwrap();
    client.load("k").await.unwrap().unwrap()
}

async fn a_retry_goes_on_at_once_after_a_timeout(bed: Bed) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let function = function(&bed, "step").timeout(Duration::from_secs(3)).deploy();
    // It is stopped a margin before the function's end, and says so.
    let hold = json!({"key": "k", "do": "hold", "address": listener.local_addr().unwrap().to_string()});
    assert_eq!(function.invoke(&event("run-1", &hold)).await.unwrap_error().0, "DeadlineExceeded");
    let echo = json!({"key": "k", "do": "echo", "value": 7});
    assert_eq!(function.invoke(&event("run-1", &echo)).await.unwrap(), 7);
    assert_eq!(record(&bed).await.attempts, 2);
}

async fn other_executions_are_told_when_to_come(bed: Bed) {
    let function = function(&bed, "step").deploy();
    crash(&function, "run-1").await;
    let lease_ends = record(&bed).await.lock_expire_time.unwrap();
    let echo = json!({"key": "k", "do": "echo", "value": 7});
    let (error, message) = function.invoke(&event("run-2", &echo)).await.unwrap_error();
    let told = wait(&message);
    assert_eq!(error, "TaskLocked");
    let until: chrono::DateTime<chrono::Utc> = told["until"].as_str().unwrap().parse().unwrap();
    assert_eq!(until, lease_ends + chrono::TimeDelta::seconds(1), "the skew after the lease's end");
    let seconds = told["seconds"].as_u64().unwrap();
    assert!(
        (1..=32).contains(&seconds) && told["message"].as_str().unwrap().contains("locked by arn:aws:states:"),
        "{told}"
    );
}

async fn refusals_can_be_returned(bed: Bed) {
    let function = function(&bed, "waiting-step").deploy();
    crash(&function, "run-1").await;
    let echo = json!({"key": "k", "do": "echo", "value": 7});
    let refused = function.invoke(&event("run-2", &echo)).await.unwrap();
    assert_eq!(refused["refused"]["error"], "TaskLocked");
    assert!(refused["refused"]["seconds"].as_u64().is_some() && refused["refused"]["until"].is_string(), "{refused}");
    assert_eq!(function.invoke(&event("run-1", &echo)).await.unwrap(), json!({"done": 7}));
    assert_eq!(function.invoke(&event("run-2", &echo)).await.unwrap(), json!({"done": 7}));
    let fails = json!({"key": "j", "do": "fail", "text": "no paper"});
    assert_eq!(function.invoke(&event("run-2", &fails)).await.unwrap_error().1, "no paper");
}

async fn every_execution_gets_the_same_output(bed: Bed) {
    let function = function(&bed, "step").deploy();
    let input = |value: u32| json!({"key": "k", "do": "echo", "value": value});
    for (execution, value) in [("run-1", 7), ("run-1", 8), ("run-2", 9)] {
        assert_eq!(function.invoke(&event(execution, &input(value))).await.unwrap(), 7, "{execution}");
    }
    assert_eq!(record(&bed).await.attempts, 1);
}

async fn two_items_of_a_map_are_two_steps(bed: Bed) {
    let function = function(&bed, "step").deploy();
    let item = |index: u32, input: Value, outer: Option<u32>| {
        let mut event = event("run-1", &input);
        event["context"]["Map"] = json!({"Item": {"Index": index, "Value": "the same"}});
        if let Some(outer) = outer {
            event["within"] = json!(outer);
        }
        event
    };
    let exits = json!({"key": "k", "do": "exit", "code": 3});
    let echo = json!({"key": "k", "do": "echo", "value": 7});
    function.invoke(&item(0, exits, Some(0))).await.unwrap_error();
    for other in [item(1, echo.clone(), Some(0)), item(0, echo.clone(), Some(1)), item(0, echo.clone(), None)] {
        assert_eq!(function.invoke(&other).await.unwrap_error().0, "TaskLocked");
    }
    assert_eq!(function.invoke(&item(0, echo, Some(0))).await.unwrap(), 7);
}

/// What `TimeoutSeconds` does that is shorter than the function's time: the retry begins while the work still goes on.
async fn an_attempt_that_is_displaced_records_nothing(bed: Bed) {
    let idempotency = Idempotency::builder(bed.client()).build().unwrap();
    let (begun, go_on) =
        (std::sync::Arc::new(tokio::sync::Notify::new()), std::sync::Arc::new(tokio::sync::Notify::new()));
    let runs = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (telling, waiting, counted) = (begun.clone(), go_on.clone(), runs.clone());
    let work = service_fn(move |_: LambdaEvent<StepEvent<Value>>| {
        let (telling, waiting) = (telling.clone(), waiting.clone());
        let run = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        async move {
            if run == 1 {
                telling.notify_one();
                waiting.notified().await;
            }
            Ok::<_, WorkError>(run)
        }
    });
    let handler = StepLayer::new(idempotency).layer(work);
    let call = || handler.clone().oneshot(LambdaEvent::new(event("run-1", &json!({"a": 1})), Context::default()));
    let first = tokio::spawn(call());
    begun.notified().await;
    assert_eq!(call().await.unwrap(), StepOutput::Response(2), "the retry takes the lock");
    go_on.notify_one();
    let displaced = first.await.unwrap().unwrap_err();
    assert_eq!(displaced.kind(), IdempotencyErrorKind::LeaseLost);
    assert_eq!(Diagnostic::from(displaced).error_type, "LeaseLost");
    assert_eq!(call().await.unwrap(), StepOutput::Response(2));
    let id = dynamo_tracker::lambda::sha256_hex(&json!({"a": 1}));
    let record = bed.client::<Replay>().load(id).await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.generation), (Status::Succeeded, 2, 2));
}

async fn an_event_that_is_no_step_is_said(bed: Bed) {
    let function = function(&bed, "step").deploy();
    let good = event("run-1", &json!({"key": "k", "do": "echo"}));
    for without in ["context", "input"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(without);
        let (error, _) = function.invoke(&bad).await.unwrap_error();
        let expected = if without == "context" { "InvalidEvent" } else { "MissingKey" };
        assert_eq!(error, expected, "{without}");
    }
    let (_, message) = function.invoke(&json!({"order": "secret"})).await.unwrap_error();
    assert!(message.contains("\"context.$\": \"$$\"") && !message.contains("secret"), "{message}");
    assert_eq!(Step::from_context(&context("run-1")).unwrap().state(), "Charge");
}

async fn failures_have_their_names(bed: Bed) {
    let function = function(&bed, "step").deploy();
    let fails = json!({"key": "k", "do": "fail", "text": "no paper"});
    for _ in 0..3 {
        assert_eq!(function.invoke(&event("run-1", &fails)).await.unwrap_error().1, "no paper");
    }
    assert_eq!(function.invoke(&event("run-1", &fails)).await.unwrap_error().0, "TaskExhausted");
    let client = TrackerClient::<Replay>::builder(bed.sdk()).table(&bed.table).namespace("does").build().unwrap();
    client.ignore(&record(&bed).await).await.unwrap();
    assert_eq!(function.invoke(&event("run-1", &fails)).await.unwrap_error().0, "TaskIgnored");
}

async fn the_example_charges_once(bed: Bed) {
    let function = on(Function::new(example("lambda_step")), &bed).deploy();
    let order = |id: &str, amount: i64| json!({"order_id": id, "amount": amount});
    let first = function.invoke(&event("run-1", &order("A1", 1200))).await.unwrap();
    assert_eq!((first["order_id"].as_str(), first["payment_id"].as_str().map(str::len)), (Some("A1"), Some(36)));
    for execution in ["run-1", "run-2"] {
        assert_eq!(function.invoke(&event(execution, &order("A1", 1200))).await.unwrap(), first, "{execution}");
    }
    assert_eq!(function.invoke(&event("run-3", &order("A1", 1))).await.unwrap_error().0, "PayloadMismatch");
    let (error, message) = function.invoke(&event("run-3", &order("A2", -1))).await.unwrap_error();
    assert_eq!((error.as_str(), message.as_str()), ("NegativeAmount", "the amount is negative"));
    assert_eq!(function.invoke(&event("run-3", &json!({"amount": 1}))).await.unwrap_error().0, "InvalidEvent");
}

/// Each block of JSON in the README's section is one, and each error in it is AWS's or one that the crate reports.
async fn the_readmes_definitions_name_errors_that_there_are(_: Bed) {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("\n## Step Functions\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut names = std::collections::BTreeSet::new();
    for block in section.split("```json\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        errors_in(&serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}")), &mut names);
    }
    let ours = |name: &&String| !["Lambda.", "States.", "Runtime.", "Sandbox."].iter().any(|of| name.starts_with(of));
    let named: Vec<_> = names.iter().filter(ours).map(String::as_str).collect();
    // The handler's own errors have names of their own.
    let kinds = KINDS.into_iter().filter(|kind| *kind != IdempotencyErrorKind::HandlerFailed);
    let mut all: Vec<_> = kinds.map(IdempotencyErrorKind::name).collect();
    all.sort_unstable();
    assert_eq!(named, all, "each is there, and no other");
    for line in section.lines().filter(|line| line.starts_with("| ") && line.contains("states:SendTask")) {
        assert!(line.contains("on `*`"), "AWS has no resource for it: {line}");
    }
}

fn errors_in(value: &Value, names: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let errors = fields.get("ErrorEquals").and_then(Value::as_array).into_iter().flatten();
            names.extend(errors.map(|name| name.as_str().unwrap().to_owned()));
            // The language has a float there, and statelint complains of an integer.
            assert!(fields.get("BackoffRate").is_none_or(Value::is_f64), "{fields:?}");
            fields.values().for_each(|value| errors_in(value, names));
        }
        Value::Array(values) => values.iter().for_each(|value| errors_in(value, names)),
        _ => {}
    }
}
