//! Batches from a queue to a function and back, on the emulator and moto.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use dynamo_tracker::{Status, Tracker, TrackerClient};
use serde_json::{Value, json};

use super::batch_event::{order, sqs};
use super::batch_function;
use crate::bed::lambda::{Deployed, Function};
use crate::bed::queue::{Poller, Queue};
use crate::bed::{Backend, Bed, example, sdk_config};

/// The queue is moto, a server to install, as DynamoDB Local is: where that is not wanted, these are not run.
pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    let wanted = backend.is_wanted() && Backend::DynamodbLocal.is_wanted();
    trials(backend).into_iter().map(|trial| trial.with_ignored_flag(!wanted)).collect()
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![
        crate::test("lambda::batch_queue::each_message_is_accounted_for", backend, each_message_is_accounted_for),
        crate::test("lambda::batch_queue::a_group_keeps_its_order", backend, a_group_keeps_its_order),
        crate::test("lambda::batch_queue::a_timeout_repeats_nothing", backend, a_timeout_repeats_nothing),
        crate::test("lambda::batch_queue::switched_off_it_records_nothing", backend, switched_off_it_records_nothing),
    ]
}

const ORDERS: usize = 100;
const POISON: usize = 10;

/// The example, with a hundred orders of which ten can't be paid for, and twenty of which are sent twice.
async fn each_message_is_accounted_for(bed: Bed) {
    let (queue, function) = (Queue::standard(5).await, sqs_example(&bed).concurrency(2).deploy());
    let mut poison = Vec::new();
    for number in (0..ORDERS).chain(0..20) {
        let is_poison = number % (ORDERS / POISON) == 9;
        let amount = if is_poison { -1 } else { 100 };
        let body = json!({ "order_id": format!("A{number}"), "amount": amount }).to_string();
        queue.send(&body).await;
        poison.extend(is_poison.then_some(body));
    }
    let batches = Poller::new(&queue, &function).concurrency(2).drain().await;

    let mut dead = queue.dead_letters().take_bodies().await;
    dead.sort();
    poison.sort();
    assert_eq!(dead, poison, "each poisonous message is a dead letter");
    assert_eq!(queue.depth().await, (0, 0));
    check_orders(&bed, &function).await;
    // SQS delivers a message twice now and then.
    for batch in batches {
        let _ = function.invoke(&batch.event).await.unwrap();
    }
    check_orders(&bed, &function).await;
}

/// Each good order is paid for once, and each poisonous one was tried three times.
async fn check_orders(bed: &Bed, function: &Deployed) {
    let client = real_client(bed, "orders");
    let paid = count(function, "paid 100 for ");
    for number in 0..ORDERS {
        let id = format!("A{number}");
        let record = client.load(&id).await.unwrap().unwrap();
        let poison = number % (ORDERS / POISON) == 9;
        let expected = if poison { (Status::Exhausted, 3) } else { (Status::Succeeded, 1) };
        assert_eq!((record.status, record.attempts), expected, "{id}");
        let times = paid.get(&format!("{id},")).copied().unwrap_or_default();
        assert_eq!(times, usize::from(!poison), "{id} is paid for so often");
    }
    assert_eq!(paid.len(), ORDERS - POISON);
}

/// Some fail at first and hold their group up; one fails for good, is acknowledged after its attempts, and its group goes on.
async fn a_group_keeps_its_order(bed: Bed) {
    let (queue, function) = (Queue::fifo(100).await, batch_function::on(&bed, 10).deploy());
    let mut expected: HashMap<char, Vec<String>> = HashMap::new();
    for number in 0..24 {
        let group = ['a', 'b', 'c'][number % 3];
        let what = match number {
            4 | 9 | 10 => "succeed_later",
            13 => "fail",
            _ => "succeed",
        };
        let id = format!("{group}{number}");
        queue.send_to(&group.to_string(), order(&id, what)).await;
        if what != "fail" {
            expected.entry(group).or_default().push(id);
        }
    }
    // It panics where a group is not reported as a whole from its first failure on.
    Poller::new(&queue, &function).drain().await;
    let done = lines(&function, "done ");
    for (group, expected) in expected {
        let of_group: Vec<_> = done.iter().filter(|id| id.starts_with(group)).cloned().collect();
        assert_eq!(of_group, expected, "the group {group}");
    }
    assert_eq!((queue.depth().await, queue.dead_letters().depth().await), ((0, 0), (0, 0)));
}

/// The function is killed in the middle of its batch. What it had done is not done again, and the rest is, once.
async fn a_timeout_repeats_nothing(bed: Bed) {
    let function = batch_function::on(&bed, 1).timeout(Duration::from_secs(2)).deploy();
    let queue = Queue::fifo(1000).await;
    let mut ids = HashMap::new();
    for (number, what) in ["succeed", "succeed", "hang", "succeed", "succeed"].into_iter().enumerate() {
        ids.insert(queue.send_to(&format!("group {number}"), order(&number.to_string(), what)).await, what);
    }
    let batches = Poller::new(&queue, &function).drain().await;
    let timeouts = batches.iter().filter(|batch| batch.failed_as_a_whole.is_some()).count();
    assert_eq!(timeouts, 1, "only the first attempt hangs");
    let mut done = lines(&function, "done ");
    assert_eq!(done[..2], ["0", "1"], "these were done before");
    done.sort();
    assert_eq!(done, ["0", "1", "2", "3", "4"]);
    let client = real_client(&bed, "test");
    for (id, what) in ids {
        let record: Tracker<Value> = client.load(id).await.unwrap().unwrap();
        let attempts = if what == "hang" { 2 } else { 1 };
        assert_eq!((record.status, record.attempts), (Status::Succeeded, attempts), "{what}");
    }
    assert_eq!((queue.depth().await, queue.dead_letters().depth().await), ((0, 0), (0, 0)));
}

async fn switched_off_it_records_nothing(bed: Bed) {
    let function = batch_function::on(&bed, 1).env("DYNAMO_TRACKER_IDEMPOTENCY_DISABLED", true).deploy();
    let event = serde_json::to_value(sqs([order("a", "succeed"), order("b", "fail")])).unwrap();
    for _ in 0..2 {
        let answer = function.invoke(&event).await.unwrap();
        assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] }));
    }
    assert_eq!(lines(&function, "done "), ["a", "a"]);
    assert!(real_client(&bed, "test").load("m0").await.unwrap().is_none());
}

fn sqs_example(bed: &Bed) -> Function {
    let function = Function::new(example("lambda_sqs")).env("DYNAMO_TRACKER_TABLE", &bed.table);
    function.env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint)
}

/// On the machine's clock, which the functions have.
fn real_client(bed: &Bed, namespace: &str) -> TrackerClient<Value> {
    let client = TrackerClient::builder(Client::from_conf(sdk_config(&bed.endpoint).build()));
    client.table(&bed.table).namespace(namespace).build().unwrap()
}

/// What the function has printed after these words, in the order of its sandboxes.
fn lines(function: &Deployed, words: &str) -> Vec<String> {
    let output = function.output().join("\n");
    output.lines().filter_map(|line| line.strip_prefix(words)).map(str::to_owned).collect()
}

/// How often each word comes after these.
fn count(function: &Deployed, words: &str) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for line in lines(function, words) {
        *counts.entry(line.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}
