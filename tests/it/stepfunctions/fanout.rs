//! A Distributed Map whose children fail and die: each item's effect once, and what is run again does only what is missing.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use dynamo_tracker::{Status, Tracker, TrackerClient};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::definition::Template;
use super::function;
use crate::bed::lambda::Deployed;
use crate::bed::stepfunctions::StateMachines;
use crate::bed::{Backend, Bed, SHARDS, example, sdk_config};

pub(crate) fn tests(backend: Backend) -> Vec<libtest_mimic::Trial> {
    let name = "stepfunctions::fanout::two_hundred_items_are_done_once";
    super::on_moto(vec![crate::test(name, backend, two_hundred_items_are_done_once)], backend)
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
    let summary = crate::bed::lambda::Function::new(example("lambda_summary")).name("summary");
    let summary = summary.env("DYNAMO_TRACKER_TABLE", &bed.table).env("DYNAMO_TRACKER_SHARDS", SHARDS);
    let summary = summary.env("DYNAMO_TRACKER_NAMESPACE", "test").env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint);
    let summary = summary.deploy();
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
    let stats = redriven.succeeded();
    assert_eq!((&stats["open"], &stats["exhausted"]), (&json!(0), &json!(0)), "{stats}");
    assert_eq!(check(&bed, &step, true).await, 0);
    let again = function::begun(&step) - ran;
    assert_eq!(again, unfinished, "the redrive touches only what was not finished");

    // Another execution with the same list finds all of it done.
    let (another, ran) = (machines.run_again(&machine, &input).await, function::begun(&step));
    assert_eq!(another.succeeded(), stats);
    assert_eq!(function::begun(&step), ran);
    eprintln!(
        "{ITEMS} items in {:.1} s, of which {unfinished} were left; redriven, {again} were worked on, to the end in {:.1} s",
        after_first.as_secs_f32(),
        begin.elapsed().as_secs_f32()
    );
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
