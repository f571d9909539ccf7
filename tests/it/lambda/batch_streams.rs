//! Batches of streams: Kinesis and DynamoDB Streams.

use aws_lambda_events::dynamodb::Event as DynamoDbEvent;
use aws_lambda_events::kinesis::KinesisEvent;
use dynamo_tracker::Status;
use dynamo_tracker::lambda::batch::{DynamoDbBatch, DynamoDbDelivery, Exhausted, KinesisBatch, KinesisDelivery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::batch_event::{Calls, dynamodb, invocation, kinesis, order};
use super::batch_rules::{id_as_key, idempotency_of};
use crate::bed::Bed;

crate::tests![
    a_stream_goes_on_from_its_first_failure,
    a_poisonous_record_holds_up_its_shard_until_it_is_exhausted,
    an_exhausted_record_may_be_left_to_the_stream,
    a_record_is_told_apart_by_shard_and_sequence_number,
    data_that_is_no_json_is_for_a_raw_handler,
    the_changes_of_an_item_are_in_order,
    a_change_has_the_item_as_its_body,
    an_item_that_the_handler_cannot_take_is_malformed,
];

const SUCCEED: &str = "succeed";

async fn a_stream_goes_on_from_its_first_failure(bed: Bed) {
    let (batch, calls) = (KinesisBatch::new(idempotency_of(bed.builder())).concurrency(1), Calls::default());
    let event = || {
        kinesis(
            10,
            [
                ("a", order("a0", SUCCEED)),
                ("b", order("b0", SUCCEED)),
                ("a", order("a1", "succeed_later")),
                ("b", order("b1", "succeed_later")),
                ("c", order("c0", SUCCEED)),
                ("a", order("a2", SUCCEED)),
            ],
        )
    };
    assert_eq!(failed(&batch, &bed, &calls, event()).await, ["12"]);
    assert_eq!(calls.take_sorted(), ["a0", "a1", "b0", "b1", "c0"], "groups without a failure go on");
    let mut rest = event();
    rest.records.drain(..2);
    bed.http.forget();
    assert_eq!(failed(&batch, &bed, &calls, rest).await, [""; 0]);
    assert_eq!(calls.take_sorted(), ["a1", "a2", "b1"]);
    assert_eq!(bed.http.sent().len(), 2 + 2 + 1 + 2, "c0 is done, and costs one");
}

/// As Lambda reads a shard: from the first failure on, until nothing has failed.
async fn a_poisonous_record_holds_up_its_shard_until_it_is_exhausted(bed: Bed) {
    let batch = KinesisBatch::new(idempotency_of(bed.builder().max_attempts(3)));
    let calls = Calls::default();
    let shard: Vec<_> = (0..20).map(|number| if number == 7 { "fail" } else { SUCCEED }).collect();
    let (mut next, mut batches) = (0, 0);
    while next < shard.len() {
        let records = shard[next..].iter().take(10).map(|what| ("key", order("x", what)));
        let failed = failed(&batch, &bed, &calls, kinesis(next, records)).await;
        next = failed.first().map_or(next + 10, |first| first.parse().unwrap());
        batches += 1;
    }
    assert_eq!((calls.take().len(), batches), (19 + 3, 1 + 2 + 1));
    let client = bed.client::<Value>();
    for number in 0..20 {
        let record = client.load(format!("shardId-000000000000:{number}")).await.unwrap().unwrap();
        let expected = if number == 7 { (Status::Exhausted, 3) } else { (Status::Succeeded, 1) };
        assert_eq!((record.status, record.attempts), expected, "{number}");
    }
}

async fn an_exhausted_record_may_be_left_to_the_stream(bed: Bed) {
    let batch = KinesisBatch::new(idempotency_of(bed.builder().max_attempts(1))).exhausted(Exhausted::Report);
    let calls = Calls::default();
    for _ in 0..3 {
        assert_eq!(failed(&batch, &bed, &calls, kinesis(5, [("a", order("a0", "fail"))])).await, ["5"]);
    }
    assert_eq!(calls.take(), ["a0"]);
}

async fn a_record_is_told_apart_by_shard_and_sequence_number(bed: Bed) {
    let (batch, calls) = (KinesisBatch::new(idempotency_of(bed.builder())), Calls::default());
    let mut event = kinesis(1, [("a", order("a0", SUCCEED)), ("b", order("b0", SUCCEED))]);
    event.records[1].event_id = Some("shardId-000000000001:1".to_owned());
    event.records[1].kinesis.sequence_number = "1".to_owned();
    assert_eq!(failed(&batch, &bed, &calls, event).await, [""; 0]);
    assert_eq!(calls.take_sorted(), ["a0", "b0"]);
}

async fn data_that_is_no_json_is_for_a_raw_handler(bed: Bed) {
    let calls = Calls::default();
    let mut event = kinesis(1, [("a", json!(null))]);
    event.records[0].kinesis.data.0 = b"\xff\x00".to_vec();
    let batch = KinesisBatch::new(idempotency_of(bed.builder()));
    assert_eq!(failed(&batch, &bed, &calls, event.clone()).await, ["1"], "the typed one can't take it");
    let handler = |delivery: KinesisDelivery<()>| {
        calls.add(&format!("{:?}", delivery.record.kinesis.data.0));
        async { Ok(()) }
    };
    let response = batch.run_raw(invocation(&bed, event), handler).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(calls.take(), ["[255, 0]"]);
}

#[derive(Deserialize)]
struct Account {
    id: String,
    #[serde(default)]
    cents: Option<u64>,
}

async fn the_changes_of_an_item_are_in_order(bed: Bed) {
    let batch = DynamoDbBatch::new(idempotency_of(bed.builder())).concurrency(1);
    let event = || {
        dynamodb([("a", 1), ("b", 2), ("a", 3), ("b", 4)].map(|(id, cents)| {
            json!({ "Keys": { "id": { "S": id } }, "NewImage": { "id": { "S": id }, "cents": { "N": cents.to_string() } } })
        }))
    };
    let done = handle(&batch, &bed, event(), |account| account.cents == Some(1)).await;
    assert_eq!(done, (strings(["0"]), strings(["a 1", "b 2", "b 4"])), "the second change of a is behind the first");
    let done = handle(&batch, &bed, event(), |_| false).await;
    assert_eq!(done, (strings([]), strings(["a 1", "a 3"])));
}

async fn a_change_has_the_item_as_its_body(bed: Bed) {
    let batch = DynamoDbBatch::new(idempotency_of(bed.builder())).key(id_as_key()).concurrency(1);
    let image = |cents: &str| json!({ "id": { "S": "a" }, "cents": { "N": cents } });
    let event = dynamodb([
        json!({ "Keys": { "id": { "S": "k" } } }),
        json!({ "Keys": { "id": { "S": "a" } }, "OldImage": image("1"), "NewImage": image("2") }),
        json!({ "Keys": { "id": { "S": "b" } }, "OldImage": { "id": { "S": "b" }, "cents": { "N": "3" } } }),
    ]);
    let done = handle(&batch, &bed, event, |_| false).await;
    assert_eq!(done, (strings([]), strings(["k", "a 2", "b 3"])));
    assert!(bed.client::<Value>().load("a").await.unwrap().is_some(), "and a key is selected from it");
}

async fn an_item_that_the_handler_cannot_take_is_malformed(bed: Bed) {
    let batch = DynamoDbBatch::new(idempotency_of(bed.builder()));
    let event = dynamodb([json!({ "Keys": { "number": { "N": "7" } } })]);
    assert_eq!(handle(&batch, &bed, event, |_| false).await, (strings(["0"]), strings([])));
    let record = bed.client::<Value>().load("e0").await.unwrap().unwrap();
    assert_eq!(record.errors[0].error_type, "MalformedBody");
}

/// Where Lambda is to go on, if it is not with what follows the batch.
async fn failed(batch: &KinesisBatch, bed: &Bed, calls: &Calls, event: KinesisEvent) -> Vec<String> {
    let response = batch.run(invocation(bed, event), |delivery| calls.clone().handle(delivery)).await.unwrap();
    response.batch_item_failures.into_iter().map(|failure| failure.item_identifier.unwrap()).collect()
}

/// The same, with what the handler has seen.
async fn handle(
    batch: &DynamoDbBatch,
    bed: &Bed,
    event: DynamoDbEvent,
    fails: impl Fn(&Account) -> bool,
) -> (Vec<String>, Vec<String>) {
    let calls = Calls::default();
    let handler = |delivery: DynamoDbDelivery<Account>| {
        let Account { id, cents } = &delivery.body;
        calls.add(&cents.map_or(id.clone(), |cents| format!("{id} {cents}")));
        let outcome = if fails(&delivery.body) { Err("no".into()) } else { Ok(()) };
        async { outcome }
    };
    let response = batch.run(invocation(bed, event), handler).await.unwrap();
    let failed = response.batch_item_failures.into_iter().map(|failure| failure.item_identifier.unwrap());
    (failed.collect(), calls.take())
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}
