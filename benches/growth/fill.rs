//! Making many tasks that are due, 25 in a request, as the client would make them one by one.

use std::collections::HashMap;
use std::ops::Range;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use dynamo_tracker::NewTask;
use futures_util::{StreamExt, stream};

use crate::clients::{Clients, item};
use crate::progress::Progress;

/// DynamoDB's limit for one `BatchWriteItem`.
const BATCH: usize = 25;
/// How many of them are under way at a time.
const CONCURRENCY: usize = 4;

/// Makes the tasks of these numbers from a stream, so that they are never in memory together.
pub(crate) async fn fill(clients: &Clients, numbers: Range<u64>) {
    let progress = &Progress::new("made", numbers.end - numbers.start);
    let batches = stream::iter(numbers).chunks(BATCH);
    let write = |numbers: Vec<u64>| async move {
        write(clients, &numbers).await;
        numbers.iter().for_each(|_| progress.add());
    };
    batches.for_each_concurrent(CONCURRENCY, write).await;
}

async fn write(clients: &Clients, numbers: &[u64]) {
    let put = |number: &u64| {
        let put = item(&clients.indexed, NewTask::new(number.to_string()));
        let request = PutRequest::builder().set_item(Some(put.item)).build().expect("it has an item");
        WriteRequest::builder().put_request(request).build()
    };
    let requests = HashMap::from([(clients.indexed.table().to_owned(), numbers.iter().map(put).collect())]);
    let answer = clients.sdk.batch_write_item().set_request_items(Some(requests)).send().await.expect("they are made");
    // AWS may leave some for later. No backend of a bench does.
    assert!(answer.unprocessed_items.unwrap_or_default().is_empty(), "all are made");
}
