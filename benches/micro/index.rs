//! Where a task stands in the index, and one sequence of many partitions.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use dynamo_tracker::{Query, Status, TaskId, TaskRef, TrackerClient, internals};
use futures_util::FutureExt;

use crate::client;
use crate::measure::Measure;

pub(crate) const GROUP: &str = "index";
pub(crate) const SHARDS: [u16; 4] = [1, 8, 64, 512];
/// How many tasks a merged query finds, of all partitions together.
pub(crate) const TASKS: usize = 4096;

type Item = HashMap<String, AttributeValue>;

pub(crate) fn measure(measure: &mut Measure) {
    let (client, id) = (client(Some(8)), TaskId::new("orders", "order-42").expect("an id"));
    measure.piece(GROUP, "shard-hash", || internals::hash(std::hint::black_box(id.as_str())));
    measure.piece(GROUP, "partition", || internals::partition_of(&client, &id, Status::Pending));
    for shards in SHARDS {
        measure_merge(measure, shards);
    }
}

/// The name of the piece that merges so many partitions.
pub(crate) fn merge_name(shards: u16) -> String {
    format!("merge-{TASKS}-of-{shards}-shards")
}

fn measure_merge(measure: &mut Measure, shards: u16) {
    let (client, query) = (client(Some(shards)), Query::new().status(Status::Pending));
    let pages = pages(shards);
    let found = merge(&client, &query, pages.clone());
    assert!(found.len() == TASKS && found.is_sorted_by_key(|task| task.due_time), "they are merged in order");
    measure.piece_of(GROUP, &merge_name(shards), &pages, |pages| merge(&client, &query, pages));
}

fn merge(client: &TrackerClient<()>, query: &Query, pages: Vec<Vec<Item>>) -> Vec<TaskRef> {
    let merged = internals::merge(client, query, pages).now_or_never();
    merged.expect("nothing is waited for").expect("they can be read")
}

/// The one page that each partition has. Each task is in another partition than the one that is due before it.
fn pages(shards: u16) -> Vec<Vec<Item>> {
    let mut pages = vec![Vec::new(); shards.into()];
    for number in 0..TASKS {
        let partition = number % usize::from(shards);
        pages[partition].push(Item::from([
            ("id".to_owned(), AttributeValue::S(format!("orders#order-{number}"))),
            ("shard".to_owned(), AttributeValue::S(format!("orders#0#{partition:02}"))),
            ("due_time".to_owned(), AttributeValue::N((1_700_000_000_000 + number).to_string())),
        ]));
    }
    pages
}
