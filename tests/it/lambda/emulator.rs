//! The emulator is as Lambda is.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::handler::function;
use crate::bed::lambda::{Deployed, InvokeApi};
use crate::bed::reaper::Reaper;

super::trials![
    an_event_goes_in_and_an_answer_comes_out,
    the_context_is_there,
    a_warm_sandbox_is_used_again,
    two_invocations_at_a_time_use_two_sandboxes,
    no_more_sandboxes_than_allowed,
    one_sandbox_takes_several_invocations_at_a_time,
    an_invocation_that_times_out_is_killed,
    a_process_that_exits_is_replaced,
    a_panic_and_an_error_have_a_type_and_leave_the_sandbox,
    a_process_that_exits_before_it_is_ready,
    a_process_that_reports_that_it_is_not_ready,
    a_process_that_is_never_ready,
    the_initialisation_is_measured,
    what_is_printed_is_kept,
    nothing_is_left_when_it_is_dropped,
    nothing_is_left_when_the_tests_are_killed,
    what_is_stopped_in_the_middle_begins_again,
    an_abandoned_invocation_goes_on,
    the_invoke_api_answers,
    an_event_that_fails_is_tried_three_times,
];

async fn an_event_goes_in_and_an_answer_comes_out() {
    let function = function("start").deploy();
    for value in [json!({ "a": [1, "ü", null] }), json!(null), json!("text"), json!("x".repeat(100_000))] {
        assert_eq!(function.invoke(&json!({ "do": "echo", "value": value })).await.unwrap(), value);
    }
}

async fn the_context_is_there() {
    let function = function("start").name("orders").timeout(Duration::from_secs(20)).deploy();
    let first = function.invoke(&json!({ "do": "context" })).await.unwrap();
    let second = function.invoke(&json!({ "do": "context" })).await.unwrap();
    assert_ne!(first["request_id"], second["request_id"]);
    assert_eq!(first["name"], "orders");
    assert_eq!(first["arn"], "arn:aws:lambda:us-east-1:123456789012:function:orders");
    let left = first["milliseconds_left"].as_u64().unwrap();
    assert!((1..=20_000).contains(&left), "{left} ms");
}

async fn a_warm_sandbox_is_used_again() {
    let function = function("start").concurrency(3).deploy();
    let first = pid(&function).await;
    assert_eq!(pid(&function).await, first);
    assert_eq!(function.cold_starts(), 1);
}

async fn two_invocations_at_a_time_use_two_sandboxes() {
    let function = function("start").concurrency(2).deploy();
    let (one, other) = meet(&function).await;
    assert_ne!(one, other);
    assert_eq!(function.cold_starts(), 2);
}

async fn no_more_sandboxes_than_allowed() {
    let function = function("start").concurrency(2).deploy();
    let mut pids = futures_util::future::join_all((0..8).map(|_| pid(&function))).await;
    pids.sort_unstable();
    pids.dedup();
    assert!(pids.len() <= 2, "{pids:?}");
    assert_eq!(function.cold_starts(), pids.len());
}

async fn one_sandbox_takes_several_invocations_at_a_time() {
    let function = function("start").per_sandbox(2).deploy();
    let (one, other) = meet(&function).await;
    assert_eq!(one, other);
    assert_eq!(function.cold_starts(), 1);
}

async fn an_invocation_that_times_out_is_killed() {
    let function = function("start").timeout(Duration::from_millis(700)).deploy();
    let (held, listener) = hold().await;
    let begun = Instant::now();
    let (answer, mut connection) = tokio::join!(function.invoke(&held), accept(&listener));
    let (error_type, message) = answer.unwrap_error();
    assert_eq!(error_type, "Sandbox.Timedout");
    assert!(
        message.starts_with("RequestId: ") && message.ends_with(" Error: Task timed out after 0.70 seconds"),
        "{message}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(700));
    assert_gone(&mut connection).await;
    assert_eq!(function.invoke(&json!({ "do": "echo", "value": 1 })).await.unwrap(), 1);
    assert_eq!(function.cold_starts(), 2);
}

async fn a_process_that_exits_is_replaced() {
    let function = function("start").deploy();
    for (code, words) in
        [(3, "Runtime exited with error: exit status 3"), (0, "Runtime exited without providing a reason")]
    {
        let (error_type, message) = function.invoke(&json!({ "do": "exit", "code": code })).await.unwrap_error();
        assert_eq!(error_type, "Runtime.ExitError");
        assert!(message.ends_with(words), "{message}");
    }
    assert_eq!(function.invoke(&json!({ "do": "echo", "value": 1 })).await.unwrap(), 1);
    assert_eq!(function.cold_starts(), 3);
}

async fn a_panic_and_an_error_have_a_type_and_leave_the_sandbox() {
    let function = function("start").deploy();
    let first = pid(&function).await;
    let (error_type, message) = function.invoke(&json!({ "do": "panic", "text": "oh" })).await.unwrap_error();
    assert!(error_type.contains("dyn core::any::Any"), "{error_type}");
    assert_eq!(message, "Lambda panicked: oh");
    let (error_type, message) = function.invoke(&json!({ "do": "fail", "text": "no" })).await.unwrap_error();
    assert!(error_type.contains("dyn core::error::Error"), "{error_type}");
    assert_eq!(message, "no");
    assert_eq!(pid(&function).await, first);
}

async fn a_process_that_exits_before_it_is_ready() {
    let function = function("exit").deploy();
    for starts in 1..=2 {
        let (error_type, message) = function.invoke(&json!({ "do": "echo" })).await.unwrap_error();
        assert_eq!(error_type, "Runtime.ExitError");
        assert!(message.ends_with("Runtime exited with error: exit status 4"), "{message}");
        assert_eq!(function.cold_starts(), starts);
    }
    assert!(function.inits().is_empty());
}

async fn a_process_that_reports_that_it_is_not_ready() {
    let function = function("fail").env("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start").deploy();
    let (error_type, message) = function.invoke(&json!({ "do": "echo" })).await.unwrap_error();
    assert!(error_type.contains("dyn core::error::Error"), "{error_type}");
    assert_eq!(message, "it is broken");
}

async fn a_process_that_is_never_ready() {
    let function = function("600000").init_timeout(Duration::from_millis(250)).deploy();
    let (error_type, message) = function.invoke(&json!({ "do": "echo" })).await.unwrap_error();
    assert_eq!(error_type, "Sandbox.Timedout");
    assert!(message.ends_with("Task timed out after 0.25 seconds"), "{message}");
    assert!(function.inits().is_empty());
}

async fn the_initialisation_is_measured() {
    let function = function("150").deploy();
    let begun = Instant::now();
    function.invoke(&json!({ "do": "echo" })).await.unwrap();
    let took = begun.elapsed();
    function.invoke(&json!({ "do": "echo" })).await.unwrap();
    let inits = function.inits();
    assert_eq!(inits.len(), 1);
    assert!((Duration::from_millis(150)..=took).contains(&inits[0]), "{inits:?} of {took:?}");
}

async fn what_is_printed_is_kept() {
    let function = function("start").deploy();
    function.invoke(&json!({ "do": "print", "text": "first" })).await.unwrap();
    function.invoke(&json!({ "do": "exit", "code": 1 })).await.unwrap_error();
    function.invoke(&json!({ "do": "print", "text": "second" })).await.unwrap();
    let output = function.output();
    assert_eq!(output.len(), 2);
    assert!(output[0].contains("first\n") && !output[0].contains("second"), "{output:?}");
    assert!(output[1].contains("second\n") && !output[1].contains("first"), "{output:?}");
}

async fn nothing_is_left_when_it_is_dropped() {
    // With a timeout that is not what ends it.
    let function = function("start").timeout(Duration::from_secs(600)).deploy();
    let (held, listener) = hold().await;
    let abandoned = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::select! {
            answer = function.invoke(&held) => panic!("it holds on, and answers {answer:?}"),
            connection = accept(&listener) => connection,
        }
    });
    let mut connection = abandoned.await.expect("it connects");
    drop(function);
    assert_gone(&mut connection).await;
}

async fn nothing_is_left_when_the_tests_are_killed() {
    let reaper = Reaper::start();
    let mut left = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut waited_for = Command::new("true").spawn().unwrap();
    reaper.watch(left.id());
    reaper.watch(waited_for.id());
    waited_for.wait().unwrap();
    reaper.forget(waited_for.id());
    // As the kernel does when a process ends: its end of the pipe closes.
    drop(reaper);
    assert_eq!(left.wait().unwrap().signal(), Some(9));
}

async fn what_is_stopped_in_the_middle_begins_again() {
    let function = function("start").deploy();
    let (held, listener) = hold().await;
    let stop = async {
        let connection = accept(&listener).await;
        function.stop().await;
        connection
    };
    let (answer, mut connection) = tokio::join!(function.invoke(&held), stop);
    let (error_type, message) = answer.unwrap_error();
    assert_eq!(error_type, "Runtime.ExitError");
    assert!(message.ends_with("Runtime exited with error: signal: killed"), "{message}");
    assert_gone(&mut connection).await;
    pid(&function).await;
    assert_eq!(function.cold_starts(), 2);
}

async fn an_abandoned_invocation_goes_on() {
    let function = function("start").deploy();
    let folder = TempDir::new().unwrap();
    let event = meeting(&folder, "one", "other");
    let met = folder.path().join("one");
    tokio::select! {
        answer = function.invoke(&event) => panic!("it waits, and answers {answer:?}"),
        () = until(|| met.exists()) => (),
    }
    // There is one sandbox, so this gets its turn only when the other one has come to its end, in the same process.
    std::fs::write(folder.path().join("other"), "").unwrap();
    pid(&function).await;
    assert_eq!(function.cold_starts(), 1);
}

async fn the_invoke_api_answers() {
    let function = function("start").name("orders").deploy();
    let api = InvokeApi::serve([&function]);
    let echo = json!({ "do": "echo", "value": 7 });
    for name in
        ["orders", "orders:live", "arn:aws:lambda:us-east-1:123456789012:function:orders", "a%3Afunction%3Aorders"]
    {
        assert_eq!(post(&api, name, "", &echo).await, (200, None, json!(7)), "{name}");
    }
    let (status, error, body) = post(&api, "orders", "RequestResponse", &json!({ "do": "fail", "text": "no" })).await;
    assert_eq!((status, error.as_deref()), (200, Some("Unhandled")));
    assert_eq!(body["errorMessage"], "no");
    let (status, _, body) = post(&api, "others", "", &echo).await;
    assert_eq!(status, 404);
    assert_eq!(body["Message"], "Function not found: others");
}

async fn an_event_that_fails_is_tried_three_times() {
    let function = function("start").name("orders").deploy();
    let api = InvokeApi::serve([&function]);
    let (status, ..) = post(&api, "orders", "Event", &json!({ "do": "fail" })).await;
    assert_eq!(status, 202);
    let tries = || function.output().concat().matches("failing\n").count();
    until(|| tries() == 3).await;
    // A fourth one would get its turn in the one sandbox after the first of these, and before the second.
    pid(&function).await;
    pid(&function).await;
    assert_eq!(tries(), 3);
}

async fn pid(function: &Deployed) -> u64 {
    function.invoke(&json!({ "do": "pid" })).await.unwrap().as_u64().unwrap()
}

/// The processes of two invocations that wait for each other.
async fn meet(function: &Deployed) -> (Value, Value) {
    let folder = TempDir::new().unwrap();
    let (one, other) = (meeting(&folder, "one", "other"), meeting(&folder, "other", "one"));
    let (one, other) = tokio::join!(function.invoke(&one), function.invoke(&other));
    (one.unwrap(), other.unwrap())
}

fn meeting(folder: &TempDir, name: &str, other: &str) -> Value {
    json!({ "do": "meet", "folder": folder.path(), "name": name, "other": other })
}

/// An event that holds on to a connection to this listener.
async fn hold() -> (Value, TcpListener) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    (json!({ "do": "hold", "address": listener.local_addr().unwrap() }), listener)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

/// The process at the other end is gone: its connection closes.
async fn assert_gone(connection: &mut TcpStream) {
    let mut nothing = [0];
    let end = tokio::time::timeout(Duration::from_secs(30), connection.read(&mut nothing));
    // A reset is an end as well.
    assert_eq!(end.await.expect("it ends").unwrap_or(0), 0);
}

/// Waits for something that comes by itself.
async fn until(mut what: impl FnMut() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it comes");
}

/// The status, the kind of the function's error, and the body.
async fn post(api: &InvokeApi, name: &str, kind: &str, payload: &Value) -> (u16, Option<String>, Value) {
    let uri = format!("{}/2015-03-31/functions/{name}/invocations", api.endpoint());
    let request =
        Request::post(uri).header("x-amz-invocation-type", kind).body(Full::new(Bytes::from(payload.to_string())));
    let response = Client::builder(TokioExecutor::new()).build_http().request(request.unwrap()).await.unwrap();
    let error = response.headers().get("x-amz-function-error").map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, error, serde_json::from_slice(&body).unwrap_or_default())
}
