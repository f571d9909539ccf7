//! The price: requests and write units.

use dynamo_tracker::{ErrorKind, NewTask, StartOptions, TrackerClient};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::bed::meter::{Meter, Metered};

crate::tests![
    two_requests_run_a_task_and_one_refuses_it,
    a_small_task_takes_one_write_unit_each_way,
    each_kind_of_request_says_its_units,
    no_index_attribute_is_written,
    data_that_did_not_change_is_not_sent_again,
    a_warm_up_writes_nothing,
];

async fn two_requests_run_a_task_and_one_refuses_it(bed: Bed) {
    let client = bed.client::<()>();
    client.run("t", StartOptions::new(), |_| async { Ok(()) }).await.unwrap();
    assert_eq!(bed.http.sent(), ["UpdateItem", "UpdateItem"]);
    bed.http.forget();
    client.start("t").await.unwrap_err();
    assert_eq!(bed.http.sent(), ["UpdateItem"]);
    bed.http.forget();
    client.run("u", StartOptions::new(), |_| async { Err::<(), _>("no".into()) }).await.unwrap_err();
    assert_eq!(bed.http.sent(), ["UpdateItem", "UpdateItem"]);
}

/// A client, and what its requests cost.
fn metered(bed: &Bed) -> (TrackerClient<Value>, Meter) {
    let meter = Meter::default();
    let sdk = aws_sdk_dynamodb::Client::from_conf(bed.sdk_config().interceptor(meter.clone()).build());
    let client = TrackerClient::builder(sdk).table(&bed.table).namespace("test");
    (client.clock(bed.clock.clone()).build().unwrap(), meter)
}

async fn a_small_task_takes_one_write_unit_each_way(bed: Bed) {
    let (client, meter) = metered(&bed);
    client.create(NewTask::new("t").data(json!("x".repeat(500)))).await.unwrap();
    meter.forget();
    let work = |mut lease: dynamo_tracker::Lease<Value>| async move {
        lease.checkpoint(json!("z".repeat(500))).await?;
        lease.mark_as_in_progress().await?;
        Ok(lease.set_data(json!("y".repeat(500)))?)
    };
    client.run("t", StartOptions::new(), work).await.unwrap();
    assert_eq!(meter.units(), [1.0, 1.0, 1.0, 1.0], "start, checkpoint, extension, success");
}

async fn each_kind_of_request_says_its_units(bed: Bed) {
    let (client, meter) = metered(&bed);
    let put = client.create_item("outbox").unwrap();
    client.create("t").await.unwrap();
    client.create("t").await.unwrap_err();
    client.start("u").await.unwrap().succeed_with(vec![put]).await.unwrap();
    let seen = client.load("u").await.unwrap().unwrap();
    client.load_many([seen.id.clone(), client.load("t").await.unwrap().unwrap().id]).await.unwrap();
    client.delete(&seen).await.unwrap();
    let requests = meter.requests();
    let named: Vec<_> = requests.iter().map(|request| (request.operation.as_str(), request.units)).collect();
    // AWS documents two units for each of the two writes. DynamoDB Local says one.
    let transaction = requests[3].units.filter(|units| [2.0, 4.0].contains(units));
    assert!(transaction.is_some(), "{named:?}");
    let wanted = [
        ("PutItem", Some(1.0)),
        ("PutItem", None),
        ("UpdateItem", Some(1.0)),
        ("TransactWriteItems", transaction),
        ("GetItem", Some(1.0)),
        ("GetItem", Some(1.0)),
        ("BatchGetItem", Some(2.0)),
        ("DeleteItem", Some(1.0)),
    ];
    assert_eq!(named, wanted);
    assert_eq!(bed.http.sent(), wanted.map(|(operation, _)| operation));
    let writes: Vec<_> = requests.iter().map(Metered::is_write).collect();
    assert_eq!(writes, [true, true, true, true, false, false, false, true]);
}

async fn no_index_attribute_is_written(bed: Bed) {
    let client = bed.client::<()>();
    let _running = client.start("running").await.unwrap();
    client.start("failed").await.unwrap().fail("x").await.unwrap();
    client.start("done").await.unwrap().succeed().await.unwrap();
    client.create("pending").await.unwrap();
    for id in ["running", "failed", "done", "pending"] {
        let get = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key(id));
        let item = get.send().await.unwrap().item.unwrap();
        assert!(!item.contains_key("shard") && !item.contains_key("due_time"), "{id}: {:?}", item.keys());
    }
}

async fn data_that_did_not_change_is_not_sent_again(bed: Bed) {
    let client = bed.client::<Value>();
    let secret = "needle-in-the-haystack";
    client.create(NewTask::new("t").data(json!(secret))).await.unwrap();
    let lease = client.start("t").await.unwrap();
    bed.http.forget();
    lease.succeed().await.unwrap();
    let bodies = bed.http.bodies();
    assert!(bodies.len() == 1 && !bodies[0].contains(secret), "{bodies:?}");
    assert_eq!(client.load("t").await.unwrap().unwrap().data, json!(secret));
}

async fn a_warm_up_writes_nothing(bed: Bed) {
    let client = bed.client::<()>();
    let items = async || bed.sdk().scan().table_name(&bed.table).send().await.unwrap().items;
    let before = items().await;
    bed.http.forget();
    client.warm_up().await.unwrap();
    assert_eq!(bed.http.sent(), ["UpdateItem"]);
    assert_eq!(items().await, before);
    let elsewhere = bed.builder::<()>().table("no-such-table").build().unwrap();
    assert_eq!(elsewhere.warm_up().await.unwrap_err().kind(), ErrorKind::TableNotFound);
}
