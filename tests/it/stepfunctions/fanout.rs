//! A Distributed Map whose children fail and die: each item's effect once, and what is run again does only what is missing.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use dynamo_tracker::{Status, Tracker, TrackerClient};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::definition::Template;
use super::function;
use crate::bed::lambda::{Deployed, Function};
use crate::bed::stepfunctions::StateMachines;
use crate::bed::{Backend, Bed, SHARDS, example, sdk_config};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    super::on_moto_once(trials(backend), backend)
}

fn trials(backend: Backend) -> Vec<libtest_mimic::Trial> {
    vec![
        crate::test("stepfunctions::fanout::two_hundred_items_are_done_once", backend, two_hundred_items_are_done_once),
        crate::test(
            "stepfunctions::fanout::the_examples_pay_a_list_of_orders",
            backend,
            the_examples_pay_a_list_of_orders,
        ),
    ]
}

const ITEMS: usize = 200;

/// Of each twenty, two fail, one dies once, and of each forty another one dies as long as it is not mended.
fn what(number: usize) -> &'static str {
    match number % 40 {
        3 | 13 | 23 | 33 => "fail",
        7 => "die_once",
        27 => "die",
        _ => "pay",
    }
}

async fn two_hundred_items_are_done_once(bed: Bed) {
    let folder = tempfile::tempdir().unwrap();
    let step = function::on(&bed, folder.path()).concurrency(4).deploy();
    let summary = on(&bed, "lambda_summary", "summary").env("DYNAMO_TRACKER_NAMESPACE", "test").deploy();
    let machines = StateMachines::new(&bed, [&step, &summary]);
    let items: Vec<_> =
        (0..ITEMS).map(|number| json!({ "id": format!("i{number:03}"), "what": what(number) })).collect();
    let bucket = machines.create_bucket().await;
    machines.put_object(&bucket, "items.json", &json!(items)).await;
    let definition =
        Template::fan_out().definition("FanOut", &[("Function", "step"), ("Summary", "summary"), ("Bucket", &bucket)]);
    let machine = machines.create(&definition).await;
    let input = json!({ "key": "items.json" });

    let begin = std::time::Instant::now();
    let first = machines.run_again(&machine, &input).await;
    assert_eq!(first.failed().0, "States.ExceedToleratedFailureThreshold");
    let unfinished = check(&bed, &step, false).await;
    let (after_first, ran) = (begin.elapsed(), function::begun(&step));

    function::mend(folder.path());
    let redriven = machines.redrive(&first).await;
    let summary = redriven.succeeded();
    let stats = &summary["stats"];
    assert_eq!((&stats["open"], &stats["exhausted"]), (&json!(0), &json!(0)), "{stats}");
    assert_eq!(summary["items"], json!({ "total": ITEMS, "succeeded": ITEMS, "failed": 0 }));
    assert_eq!(check(&bed, &step, true).await, 0);
    let again = function::begun(&step) - ran;
    assert_eq!(again, unfinished, "the redrive touches only what was not finished");

    // Another execution with the same list finds all of it done.
    let (another, ran) = (machines.run_again(&machine, &input).await, function::begun(&step));
    assert_eq!(another.succeeded(), summary);
    assert_eq!(function::begun(&step), ran);
    eprintln!(
        "{ITEMS} items in {:.1} s, of which {unfinished} were left; redriven, {again} were worked on, to the end in {:.1} s",
        after_first.as_secs_f32(),
        begin.elapsed().as_secs_f32()
    );
}

/// An example as a function on the bed's table, with an index.
fn on(bed: &Bed, program: &str, name: &str) -> Function {
    let function = Function::new(example(program)).name(name).env("DYNAMO_TRACKER_TABLE", &bed.table);
    function.env("DYNAMO_TRACKER_SHARDS", SHARDS).env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint)
}

/// The machine of `infra/`, and the bucket that it reads its lists from.
async fn machine(machines: &StateMachines) -> (String, String) {
    let bucket = machines.create_bucket().await;
    let values = [("Function", "step"), ("Summary", "summary"), ("Bucket", bucket.as_str())];
    (machines.create(&Template::fan_out().definition("FanOut", &values)).await, bucket)
}

/// What the machine says of a list of thirty orders, of which one is this: an error where not all are done.
async fn with_one(machines: &StateMachines, name: &str, one: Value) -> Result<Value, Value> {
    let (machine, bucket) = machine(machines).await;
    let others = (0..29).map(|number| json!({ "order_id": format!("{name}{number}"), "amount": 100 }));
    let orders: Value = others.chain([one]).collect();
    machines.put_object(&bucket, "items.json", &orders).await;
    let execution = machines.run_again(&machine, &json!({ "key": "items.json" })).await;
    if execution.has_succeeded() {
        return Ok(execution.succeeded());
    }
    let (error, cause) = execution.failed();
    assert_eq!(error, "Unfinished");
    Err(serde_json::from_str(cause).unwrap())
}

/// The stack as it is deployed. One order of thirty can't be paid for, which is tolerated, counted, and told. One without an id has no
/// record, and is missed all the same. What another list has left is not this one's.
async fn the_examples_pay_a_list_of_orders(bed: Bed) {
    let step = on(&bed, "lambda_step", "step").concurrency(4).deploy();
    let summary = on(&bed, "lambda_summary", "summary").deploy();
    let machines = StateMachines::new(&bed, [&step, &summary]);
    let left = json!({ "total": 30, "succeeded": 29, "failed": 1 });
    let nameless = with_one(&machines, "A", json!({ "amount": 100 })).await.unwrap_err();
    assert_eq!((&nameless["stats"]["exhausted"], &nameless["stats"]["open"]), (&json!(0), &json!(0)), "{nameless}");
    assert_eq!(nameless["items"], left);
    let unpaid = with_one(&machines, "B", json!({ "order_id": "B29", "amount": -1 })).await.unwrap_err();
    assert_eq!((&unpaid["stats"]["exhausted"], &unpaid["stats"]["open"]), (&json!(1), &json!(0)), "{unpaid}");
    assert_eq!(unpaid["items"], left);
    let good = with_one(&machines, "C", json!({ "order_id": "C29", "amount": 100 })).await.unwrap();
    assert_eq!((&good["stats"]["exhausted"], &good["items"]["succeeded"]), (&json!(1), &json!(30)), "{good}");
}

/// Each item has its one record, with what has come of it, and as many effects as that says. Returns how many are not done.
async fn check(bed: &Bed, step: &Deployed, all: bool) -> usize {
    let client = TrackerClient::<Value>::builder(Client::from_conf(sdk_config(&bed.endpoint).build()));
    let client = client.table(&bed.table).namespace("test").index(SHARDS).build().unwrap();
    let records: Vec<Tracker<Value>> = client.scan(2, &[]).try_collect().await.unwrap();
    assert_eq!(records.len(), ITEMS);
    let mut effects: HashMap<String, usize> = HashMap::new();
    for id in function::effects(step) {
        *effects.entry(id).or_default() += 1;
    }
    let mut left = 0;
    for record in records {
        let id = record.id.as_str();
        let (number, has) = (id[1..].parse::<usize>().unwrap(), effects.remove(id).unwrap_or_default());
        let status = match what(number) {
            "fail" if !all => Status::Failed,
            "die" if !all => Status::InProgress,
            _ => Status::Succeeded,
        };
        let done = status == Status::Succeeded;
        assert_eq!((record.status, has), (status, usize::from(done)), "{id}");
        left += usize::from(!done);
    }
    assert!(effects.is_empty(), "{effects:?}");
    left
}
