//! States that take a task and record its outcome with no code: what they do to an item is what a client does.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use dynamo_tracker::protocol::{Acquire, Terms};
use dynamo_tracker::stepfunctions::Fragment;
use dynamo_tracker::{LockToken, NewTask, StartOptions, Status, TaskId, Tracker, TrackerClient};
use serde_json::{Value, json};

use crate::bed::stepfunctions::{Execution, StateMachines};
use crate::bed::{Backend, Bed, SHARDS, sdk_config};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    super::on_moto(trials(backend), backend)
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![
        crate::test("stepfunctions::asl::a_task_is_taken_once", backend, a_task_is_taken_once),
        crate::test(
            "stepfunctions::asl::the_start_takes_what_a_client_takes",
            backend,
            the_start_takes_what_a_client_takes,
        ),
        crate::test("stepfunctions::asl::success_is_what_a_client_records", backend, success_is_what_a_client_records),
        crate::test("stepfunctions::asl::nothing_of_the_task_is_shown", backend, nothing_of_the_task_is_shown),
        crate::test("stepfunctions::asl::failures_are_kept_and_end", backend, failures_are_kept_and_end),
        crate::test("stepfunctions::asl::the_last_attempt_is_lost", backend, the_last_attempt_is_lost),
        crate::test("stepfunctions::asl::a_retry_has_the_task_again", backend, a_retry_has_the_task_again),
    ]
}

const LEASE: Duration = Duration::from_secs(300);

fn fragment(bed: &Bed, is_indexed: bool) -> Fragment {
    let fragment = Fragment::new(&bed.table, "test").lease(LEASE);
    if is_indexed { fragment.index(SHARDS) } else { fragment }
}

/// On the machine's clock, which Step Functions has.
fn client(bed: &Bed) -> TrackerClient<Value> {
    client_with(bed, true)
}

fn client_with(bed: &Bed, is_indexed: bool) -> TrackerClient<Value> {
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::from_conf(sdk_config(&bed.endpoint).build()));
    let client = client.table(&bed.table).namespace("test").lease(LEASE);
    if is_indexed { client.index(SHARDS).build().unwrap() } else { client.build().unwrap() }
}

fn machine(start_at: &str, states: Value) -> Value {
    json!({ "QueryLanguage": "JSONata", "StartAt": start_at, "States": states })
}

/// The direct integration twice: the second is refused, by the name that `Catch` goes by.
async fn a_task_is_taken_once(bed: Bed) {
    let machines = StateMachines::new(&bed, []);
    let machine = machines.create(&machine("Take", json!({ "Take": fragment(&bed, true).start().unwrap() }))).await;
    let input = json!({ "id": "A1", "more": [1] });
    assert_eq!(machines.run_again(&machine, &input).await.succeeded(), input, "the output is the input");
    let again = machines.run_again(&machine, &input).await;
    assert_eq!(again.failed().0, "DynamoDB.ConditionalCheckFailedException");
    let missing = machines.run_again(&machine, &json!({})).await;
    assert_eq!(missing.failed().0, "States.QueryEvaluationError", "a task without an id is none");
}

/// Every kind of record at once, each by an item of a Map; the crate's own rule says which are taken, and what becomes of them.
async fn the_start_takes_what_a_client_takes(bed: Bed) {
    for is_indexed in [true, false] {
        let now = Utc::now();
        let client = client_with(&bed, is_indexed);
        let mut records = records(now, if is_indexed { "indexed" } else { "plain" });
        for record in &mut records {
            client.dump(record).await.unwrap();
            if record.id.as_str().ends_with("-batch") {
                bed.set(record.id.as_str(), "batch", AttributeValue::S("0.1f0c#import".to_owned())).await;
            }
            *record = client.load(record.id.as_str()).await.unwrap().unwrap();
        }
        // What is due at once is due by now.
        let now = Utc::now();
        let machines = StateMachines::new(&bed, []);
        let start = fragment(&bed, is_indexed).otherwise("Refused");
        // No second look, which this test has no time for.
        let mut take = start.start().unwrap();
        take["Retry"].as_array_mut().unwrap().remove(0);
        let each = json!({
            "StartAt": "Take",
            "States": { "Take": take, "Refused": { "Type": "Succeed", "Output": "refused" } },
        });
        let all =
            json!({ "All": { "Type": "Map", "Items": "{% $states.input %}", "ItemProcessor": each, "End": true } });
        let ids: Vec<_> = records.iter().map(|record| json!({ "id": record.id.as_str() })).collect();
        let execution = machines.run(&machine("All", all), &json!(ids)).await;
        let elapsed = Utc::now() - now;
        let outputs = execution.succeeded();
        assert_eq!(outputs.as_array().unwrap().len(), records.len());
        let mut taken = 0;
        for (number, record) in records.into_iter().enumerate() {
            let what = format!("{record:?}");
            let acquire = acquire(&owner(&execution, number), now, is_indexed);
            let permitted = acquire.permits(Some(&record)) && record.batch().is_none();
            assert_eq!(outputs[number] != "refused", permitted, "{what}");
            let after = client.load(record.id.as_str()).await.unwrap().unwrap();
            if permitted {
                taken += 1;
                compare(&after, &acquire.apply(Some(record), || unreachable!("there is one")), elapsed);
            } else {
                assert_eq!(after, record, "{what}");
            }
        }
        assert!(taken > 10, "{taken} are taken");
    }
}

/// The owner that a state gives itself within a Map.
fn owner(execution: &Execution, number: usize) -> String {
    format!("{}#{number}#Take", execution.arn)
}

fn acquire(owner: &str, now: DateTime<Utc>, indexed: bool) -> Acquire {
    let skew = Duration::from_secs(1);
    let terms = Terms { now, lease: LEASE, skew, max_attempts: 3, previous_succeeded: None, indexed };
    Acquire::new(&StartOptions::new().reentrant_owner(owner), LockToken::random(), terms)
}

/// All states, with and without a lock that goes on or has ended, with attempts left and without, due and not.
fn records(now: DateTime<Utc>, kind: &str) -> Vec<Tracker<Value>> {
    let hour = TimeDelta::hours(1);
    let mut records = Vec::new();
    for status in Status::ALL {
        for lock in [None, Some(now - hour), Some(now + hour)] {
            for (attempts, due) in [(0, None), (2, Some(now - hour)), (2, Some(now + hour)), (3, None)] {
                let id = TaskId::new("test", &format!("{kind}-{}", records.len())).unwrap();
                let mut record = Tracker::new(id, json!({ "kept": 1 }), 9, now - hour);
                (record.status, record.attempts, record.generation) = (status, attempts, 5);
                (record.due_time, record.last_lock) = (due, Some(LockToken::random()));
                if let Some(expiry) = lock {
                    record.lock = Some(LockToken::random());
                    (record.lock_owner, record.lock_time) = (Some("somebody".to_owned()), Some(now - hour));
                    record.lock_expire_time = Some(expiry);
                }
                records.push(record);
            }
        }
    }
    let id = TaskId::new("test", &format!("{kind}-batch")).unwrap();
    records.push(Tracker::new(id, json!({ "kept": 1 }), 3, now - hour));
    records
}

/// Equal, but for the lock, which is random, and times, which are later by no more than it has taken.
fn compare(found: &Tracker<Value>, wanted: &Tracker<Value>, elapsed: TimeDelta) {
    let near = |found: Option<DateTime<Utc>>, wanted: Option<DateTime<Utc>>| match (found, wanted) {
        // A record has no less than milliseconds.
        (Some(found), Some(wanted)) => (TimeDelta::milliseconds(-1)..=elapsed).contains(&(found - wanted)),
        (found, wanted) => found == wanted,
    };
    let mut same = wanted.clone();
    for (theirs, ours, wanted) in [
        (&mut same.lock_time, found.lock_time, wanted.lock_time),
        (&mut same.lock_expire_time, found.lock_expire_time, wanted.lock_expire_time),
        (&mut same.due_time, found.due_time, wanted.due_time),
    ] {
        assert!(near(ours, wanted), "{found:?} and {wanted:?}");
        *theirs = ours;
    }
    assert!(near(Some(found.update_time), Some(wanted.update_time)));
    assert!(found.lock.is_some() == wanted.lock.is_some());
    (same.update_time, same.lock) = (found.update_time, found.lock);
    assert_eq!(*found, same);
}

/// Take, succeed: a client reads it, finds it where it belongs, and does not do it again.
async fn success_is_what_a_client_records(bed: Bed) {
    let (machines, client) = (StateMachines::new(&bed, []), client(&bed));
    let states = json!({
        "Take": fragment(&bed, true).next("Done").start().unwrap(),
        "Done": fragment(&bed, true).retention(Duration::from_secs(86_400)).succeed().unwrap(),
    });
    let machine = machines.create(&machine("Take", states)).await;
    client.create("A1").await.unwrap();
    machines.run_again(&machine, &json!({ "id": "A1" })).await.succeeded();
    let record = client.load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.generation), (Status::Succeeded, 1, 1));
    assert!(record.lock.is_none() && record.last_lock.is_some() && record.due_time.is_none(), "{record:?}");
    let kept = record.expire_at.unwrap() - Utc::now();
    assert!(kept > TimeDelta::hours(23) && kept < TimeDelta::hours(25), "{kept}");
    assert!(client.start("A1").await.unwrap_err().refusal().is_some());
    assert_eq!(client.stats().await.unwrap().open(), 0, "it has left the index");
}

/// The history of an execution shows what a state gets, to whoever may read it; and what is too large for a state fails it.
async fn nothing_of_the_task_is_shown(bed: Bed) {
    let (machines, client) = (StateMachines::new(&bed, []), client(&bed));
    let large = json!({ "secret": "s3cr3t ".repeat(45_000) });
    client.create(NewTask::new("A1").data(large.clone())).await.unwrap();
    bed.set("A1", "callback", AttributeValue::S("another one's token".to_owned())).await;
    let mut take = fragment(&bed, true).start().unwrap();
    take["Output"] = json!("{% $states.result.Attributes %}");
    let output = machines.run(&machine("Take", json!({ "Take": take })), &json!({ "id": "A1" })).await.succeeded();
    let shown: Vec<_> = output.as_object().unwrap().keys().collect();
    assert!(!shown.iter().any(|name| ["data", "callback"].contains(&name.as_str())), "{shown:?}");
    let record = client.load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.data), (Status::InProgress, large));
}

/// Three attempts fail, each with its error; the third exhausts it. A client lists it, redrives it, and the machine succeeds.
async fn failures_are_kept_and_end(bed: Bed) {
    let (machines, client) = (StateMachines::new(&bed, []), client(&bed));
    let fail = fragment(&bed, true).error("$states.input.error.name", "$states.input.error.cause");
    let states = json!({
        "Take": fragment(&bed, true).next("Fail").otherwise("Refused").start().unwrap(),
        "Fail": fail.fail().unwrap(),
        "Refused": { "Type": "Fail", "Error": "Refused" },
    });
    let machine = machines.create(&machine("Take", states)).await;
    for attempt in 1..=3_u32 {
        let error = json!({ "name": "Paper.Jam", "cause": format!("\"jam\" {attempt}") });
        machines.run_again(&machine, &json!({ "id": "A1", "error": error })).await.succeeded();
        let record = client.load("A1").await.unwrap().unwrap();
        let status = if attempt < 3 { Status::Failed } else { Status::Exhausted };
        assert_eq!((record.status, record.attempts), (status, attempt));
        assert_eq!(record.errors.len(), attempt as usize);
        let last = record.errors.last().unwrap();
        assert_eq!((last.attempt, last.error_type.as_str()), (attempt, "Paper.Jam"));
        assert_eq!(last.message, format!("\"jam\" {attempt}"));
        let stats = client.stats().await.unwrap();
        assert_eq!((stats.failed, stats.exhausted), (u64::from(attempt < 3), u64::from(attempt == 3)));
    }
    let refused = machines.run_again(&machine, &json!({ "id": "A1", "error": {} })).await;
    assert_eq!(refused.failed().0, "Refused");
    let record = client.load("A1").await.unwrap().unwrap();
    client.redrive(&record).await.unwrap();
    assert_eq!(client.start("A1").await.unwrap().attempt(), 1, "the next one is a client's own");
}

/// The start is in, and its answer is lost: the state's own retry has the task again at once, and nobody else has.
async fn a_retry_has_the_task_again(bed: Bed) {
    let (machines, client) = (StateMachines::new(&bed, []).losing_an_answer(), client(&bed));
    let machine = machines.create(&machine("Take", json!({ "Take": fragment(&bed, true).start().unwrap() }))).await;
    machines.run_again(&machine, &json!({ "id": "A1" })).await.succeeded();
    let record = client.load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.generation), (Status::InProgress, 2, 2));
    let other = machines.run_again(&machine, &json!({ "id": "A1" })).await;
    assert_eq!(other.failed().0, "DynamoDB.ConditionalCheckFailedException");
}

/// The same on the last attempt: the retry would be one too many. Nobody has the task until its lease ends.
async fn the_last_attempt_is_lost(bed: Bed) {
    let (machines, client) = (StateMachines::new(&bed, []).losing_an_answer(), client(&bed));
    let take = fragment(&bed, true).max_attempts(1).start().unwrap();
    let execution = machines.run(&machine("Take", json!({ "Take": take })), &json!({ "id": "A1" })).await;
    assert_eq!(execution.failed().0, "DynamoDB.ConditionalCheckFailedException");
    let record = client.load("A1").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.generation), (Status::InProgress, 1, 1));
}
