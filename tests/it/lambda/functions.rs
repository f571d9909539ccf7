//! Functions on the emulator: the examples as they are built, and handlers that crash.

use std::time::Duration;

use dynamo_tracker::lambda::Replay;
use dynamo_tracker::{Status, Tracker, TrackerClient};
use serde_json::{Value, json};

use super::handler;
use crate::bed::http::Fault;
use crate::bed::lambda::{Answer, Deployed, Function};
use crate::bed::proxy::Proxy;
use crate::bed::{Bed, example};

crate::tests![
    a_duplicate_gets_the_same_answer_at_once_and_later,
    calls_at_the_same_time_pay_once,
    a_cold_start_knows_what_was_done,
    answers_for_people_who_call,
    a_failure_is_a_500_until_it_is_exhausted,
    lost_answers_change_nothing,
    an_invocation_that_times_out_runs_again_after_its_lease,
    a_crash_is_an_attempt,
    a_panic_is_recorded,
    one_sandbox_takes_several_at_a_time,
    it_can_be_turned_off,
    eventbridge_ships_once,
];

/// A function on this table, by way of this endpoint.
fn on(function: Function, bed: &Bed, endpoint: &str) -> Function {
    function.env("DYNAMO_TRACKER_TABLE", &bed.table).env("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
}

fn http(bed: &Bed, endpoint: &str) -> Function {
    on(Function::new(example("lambda_http")), bed, endpoint)
}

/// What API Gateway's HTTP API sends.
fn request(key: &str, body: &Value) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /payments",
        "rawPath": "/payments",
        "headers": {"content-type": "application/json", "idempotency-key": key},
        "requestContext": {"http": {"method": "POST", "path": "/payments"}},
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

fn order(amount: i64) -> Value {
    json!({"order_id": "A1", "amount": amount})
}

/// The status and the body of an answer.
fn read(answer: &Value) -> (u64, Value) {
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
}

async fn pay(function: &Deployed, key: &str, amount: i64) -> (u64, Value) {
    read(&function.invoke(&request(key, &order(amount))).await.unwrap())
}

async fn record(bed: &Bed, namespace: &str, id: &str) -> Tracker<Replay> {
    // By the real clock, as the function.
    let client = TrackerClient::builder(bed.sdk()).table(&bed.table).namespace(namespace).build().unwrap();
    client.load(id).await.unwrap().unwrap()
}

async fn a_duplicate_gets_the_same_answer_at_once_and_later(bed: Bed) {
    let function = http(&bed, &bed.endpoint).deploy();
    let first = function.invoke(&request("k1", &order(1200))).await.unwrap();
    let (status, body) = read(&first);
    assert_eq!((status, body["order_id"].as_str()), (200, Some("A1")));
    assert_eq!(body["payment_id"].as_str().unwrap().len(), 36);
    assert_eq!(function.invoke(&request("k1", &order(1200))).await.unwrap(), first);
    let (_, other) = pay(&function, "k2", 1200).await;
    assert_ne!(other["payment_id"], body["payment_id"]);
    assert_eq!(function.invoke(&request("k1", &order(1200))).await.unwrap(), first);
    assert_eq!(record(&bed, "payments", "k1").await.attempts, 1);
}

async fn calls_at_the_same_time_pay_once(bed: Bed) {
    let function = http(&bed, &bed.endpoint).concurrency(4).deploy();
    let request = request("k", &order(1200));
    let answers = futures_util::future::join_all((0..8).map(|_| function.invoke(&request))).await;
    let mut paid = Vec::new();
    for answer in answers {
        let answer = answer.unwrap();
        match read(&answer) {
            (200, body) => paid.push(body["payment_id"].clone()),
            (409, body) => {
                assert_eq!(body["error"], "TaskLocked");
                let seconds: u64 = answer["headers"]["Retry-After"].as_str().unwrap().parse().unwrap();
                assert!((1..=33).contains(&seconds), "the function has 30 seconds: {seconds}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(!paid.is_empty() && paid.iter().all(|id| *id == paid[0]), "{paid:?}");
    assert_eq!(pay(&function, "k", 1200).await.1["payment_id"], paid[0]);
}

async fn a_cold_start_knows_what_was_done(bed: Bed) {
    let function = http(&bed, &bed.endpoint).deploy();
    let first = pay(&function, "k", 1200).await;
    function.stop().await;
    assert_eq!(pay(&function, "k", 1200).await, first);
    assert_eq!(function.cold_starts(), 2);
}

async fn answers_for_people_who_call(bed: Bed) {
    let function = http(&bed, &bed.endpoint).deploy();
    let mut keyless = request("k", &order(1));
    keyless["headers"] = json!({});
    assert_eq!(read(&function.invoke(&keyless).await.unwrap()), (400, json!({"error": "MissingKey"})));
    pay(&function, "k", 1).await;
    assert_eq!(pay(&function, "k", 2).await, (422, json!({"error": "PayloadMismatch"})));
    let no_order = read(&function.invoke(&request("j", &json!([]))).await.unwrap());
    assert_eq!(no_order, (400, json!({"error": "the body is no order"})));
}

async fn a_failure_is_a_500_until_it_is_exhausted(bed: Bed) {
    let function = http(&bed, &bed.endpoint).deploy();
    for _ in 0..3 {
        assert_eq!(pay(&function, "k", -1).await, (500, json!({"error": "the payment failed; try again"})));
    }
    assert_eq!(pay(&function, "k", -1).await, (500, json!({"error": "TaskExhausted"})));
    let record = record(&bed, "payments", "k").await;
    assert_eq!((record.status, record.attempts), (Status::Exhausted, 3));
    assert_eq!(record.errors[2].message, "the amount is negative");
    assert!(!function.output()[0].contains("the amount is negative"), "a failure's text is for the record");
}

async fn lost_answers_change_nothing(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let function = http(&bed, &proxy.endpoint).deploy();
    let plans = [
        vec![Fault::LostAnswer],
        vec![Fault::None, Fault::LostAnswer],
        vec![Fault::DoneButFailed, Fault::DoneButFailed],
        vec![Fault::LostRequest, Fault::LostAnswer, Fault::None, Fault::Throttled, Fault::LostAnswer],
    ];
    for (number, plan) in plans.into_iter().enumerate() {
        let key = format!("k{number}");
        proxy.plan(plan);
        let first = pay(&function, &key, 1200).await;
        assert_eq!(first.0, 200, "{first:?}");
        assert_eq!(pay(&function, &key, 1200).await, first);
        assert_eq!(record(&bed, "payments", &key).await.attempts, 1);
    }
}

/// Calls until the event is not locked any more.
async fn when_free<T>(call: impl AsyncFn() -> T, is_locked: impl Fn(&T) -> bool) -> T {
    let limit = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let answer = call().await;
            if !is_locked(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    limit.await.expect("its lease ends soon after the deadline")
}

async fn an_invocation_that_times_out_runs_again_after_its_lease(bed: Bed) {
    let proxy = Proxy::before(&bed.endpoint).await;
    let function = http(&bed, &proxy.endpoint).timeout(Duration::from_secs(1)).deploy();
    pay(&function, "warm", 1200).await;
    // The start is written, and the function waits for the answer until it is killed.
    proxy.plan([Fault::NoAnswer]);
    let (error_type, _) = function.invoke(&request("k", &order(1200))).await.unwrap_error();
    assert_eq!(error_type, "Sandbox.Timedout");
    let killed = std::time::Instant::now();
    let (status, body) = when_free(async || pay(&function, "k", 1200).await, |(status, _)| *status == 409).await;
    assert!(
        status == 200 && killed.elapsed() >= Duration::from_secs(1),
        "the skew is waited for: {:?}",
        killed.elapsed()
    );
    assert_eq!(pay(&function, "k", 1200).await, (200, body));
    assert_eq!(record(&bed, "payments", "k").await.attempts, 2);
}

/// The tests' own handler, made idempotent by its events' `key`.
fn does(bed: &Bed) -> Function {
    on(handler::function("idempotent"), bed, &bed.endpoint).timeout(Duration::from_secs(30))
}

async fn a_crash_is_an_attempt(bed: Bed) {
    // Its lease ends soon after the deadline.
    let function = does(&bed).timeout(Duration::from_secs(1)).deploy();
    let crash = json!({"key": "k", "do": "exit", "code": 3});
    assert_eq!(function.invoke(&crash).await.unwrap_error().0, "Runtime.ExitError");
    assert_eq!(function.invoke(&crash).await.unwrap_error().0, "TaskLocked");
    let echo = json!({"key": "k", "do": "echo", "value": 7});
    let locked = |answer: &Answer| matches!(answer, Answer::Error { error_type, .. } if error_type == "TaskLocked");
    assert_eq!(when_free(async || function.invoke(&echo).await, locked).await.unwrap(), 7);
    assert_eq!(function.invoke(&json!({"key": "k", "do": "echo", "value": 8})).await.unwrap(), 7);
    assert_eq!(record(&bed, "does", "k").await.attempts, 2);
}

async fn a_panic_is_recorded(bed: Bed) {
    let function = does(&bed).deploy();
    function.invoke(&json!({"key": "k", "do": "panic", "text": "on purpose"})).await.unwrap_error();
    let failed = record(&bed, "does", "k").await;
    assert_eq!((failed.status, failed.attempts), (Status::Failed, 1));
    assert_eq!(function.invoke(&json!({"key": "k", "do": "echo", "value": 7})).await.unwrap(), 7, "at once");
    let (error_type, message) =
        function.invoke(&json!({"key": "j", "do": "fail", "text": "no paper"})).await.unwrap_error();
    assert!(error_type.contains("Error") && message == "no paper", "{error_type}: {message}");
    assert_eq!(function.cold_starts(), 1);
}

async fn one_sandbox_takes_several_at_a_time(bed: Bed) {
    let function = does(&bed).per_sandbox(2).deploy();
    let folder = tempfile::tempdir().unwrap();
    let meet = |name: &str, other: &str| json!({"key": name, "do": "meet", "folder": folder.path(), "name": name, "other": other});
    let (first, second, again) = (meet("one", "two"), meet("two", "one"), meet("one", "nobody"));
    let (one, two) = tokio::join!(function.invoke(&first), function.invoke(&second));
    let pid = one.unwrap();
    assert_eq!(two.unwrap(), pid);
    assert_eq!(function.invoke(&again).await.unwrap(), pid, "the response that was kept");
}

async fn it_can_be_turned_off(bed: Bed) {
    for switch in ["DYNAMO_TRACKER_IDEMPOTENCY_DISABLED", "POWERTOOLS_IDEMPOTENCY_DISABLED"] {
        let function = does(&bed).env(switch, "true").deploy();
        for value in [1, 2] {
            let answer = function.invoke(&json!({"key": "k", "do": "echo", "value": value})).await;
            assert_eq!(answer.unwrap(), value, "{switch}");
        }
    }
    let client = TrackerClient::<Replay>::builder(bed.sdk()).table(&bed.table).namespace("does").build().unwrap();
    assert!(client.load("k").await.unwrap().is_none());
}

async fn eventbridge_ships_once(bed: Bed) {
    let function = on(Function::new(example("lambda_eventbridge")), &bed, &bed.endpoint).deploy();
    let event = |id: &str, order: &str| {
        json!({
            "version": "0", "id": id, "detail-type": "paid", "source": "shop", "account": "123456789012",
            "time": "2026-11-24T12:00:00Z", "region": "us-east-1", "resources": [], "detail": {"order_id": order},
        })
    };
    let first = function.invoke(&event("1", "A1")).await.unwrap();
    assert_eq!(first["order_id"], "A1");
    assert_eq!(function.invoke(&event("1", "A1")).await.unwrap(), first);
    assert_ne!(function.invoke(&event("2", "A1")).await.unwrap(), first);
    assert_eq!(function.invoke(&event("3", "")).await.unwrap_error().1, "the order has no id");
    assert_eq!(function.invoke(&event("3", "")).await.unwrap_error().0, "TaskExhausted");
    assert_eq!(function.invoke(&json!({"id": "4"})).await.unwrap_error().0, "InvalidEvent");
}
