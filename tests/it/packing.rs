//! Large data packed by zstd: the same to all who pack or unpack, cheaper to write, and told to all others.

use std::collections::HashMap;
use std::ffi::CString;

use aws_sdk_dynamodb::types::AttributeValue;
use dynamo_tracker::{
    Clock, ErrorKind, Lease, NewTask, Query, StartOptions, Status, TaskId, Tracker, TrackerClient, TrackerClientBuilder,
};
use futures_util::{TryStreamExt, stream};
use serde_json::{Value, json};

use crate::bed::meter::Meter;
use crate::bed::{Bed, SHARDS};

crate::tests![
    packed_data_is_the_same_to_every_reader,
    only_data_over_the_threshold_is_packed,
    bytes_come_back_whatever_they_look_like,
    a_client_that_does_not_unpack_is_told,
    a_broken_frame_is_told,
    an_expired_record_is_replaced_whatever_its_data,
    writes_take_fewer_units,
    packed_data_that_did_not_change_is_not_sent_again,
    data_that_only_fits_packed_is_kept,
    a_batch_packs_its_tasks,
    the_command_line_reads_and_packs,
    the_command_line_packs_as_its_environment_says,
];

/// In base64, what packed data begins with, and nothing of what follows: the two have 21 bytes.
const MAGIC: &str = "ZHluYW1vLXRyYWNrZXI6enN0ZDox";

fn builder(bed: &Bed) -> TrackerClientBuilder<Value> {
    bed.builder().index(SHARDS).pack_data_over(1000)
}

fn packing(bed: &Bed) -> TrackerClient<Value> {
    builder(bed).build().unwrap()
}

/// Some kilobytes that pack well, and a number with more digits than a float has.
fn orders(from: u64) -> Value {
    let orders: Vec<_> = (from..from + 100).map(|id| json!({"id": id, "customer": "Lovelace", "paid": true})).collect();
    json!({"orders": orders, "big": u64::MAX, "none": null})
}

async fn item(bed: &Bed, id: &str) -> HashMap<String, AttributeValue> {
    let get = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key(id)).consistent_read(true);
    get.send().await.unwrap().item.unwrap()
}

/// What is stored as the data, where that is packed.
async fn packed(bed: &Bed, id: &str) -> Option<Vec<u8>> {
    let bytes = item(bed, id).await["data"].as_b().ok()?.clone().into_inner();
    bytes.starts_with(b"dynamo-tracker:zstd:1").then_some(bytes)
}

async fn packed_data_is_the_same_to_every_reader(bed: Bed) {
    let client = packing(&bed);
    assert_eq!(client.create(NewTask::new("t").data(orders(0))).await.unwrap().data, orders(0));
    assert!(packed(&bed, "t").await.unwrap().len() < 1000);
    let query = Query::new().status(Status::Pending);
    assert_eq!(client.query_records(&query, None).await.unwrap().items[0].data, orders(0));

    let mut lease = client.start("t").await.unwrap();
    assert_eq!(*lease.data(), orders(0));
    let refused = client.start("t").await.unwrap_err();
    assert_eq!(refused.tracker_as::<Value>().unwrap().unwrap().data, orders(0));
    lease.checkpoint(orders(1)).await.unwrap();
    let mut lease = client.resume("t", lease.token()).await.unwrap();
    assert_eq!(*lease.data(), orders(1));
    lease.set_data(orders(2)).unwrap();
    assert_eq!(lease.succeed().await.unwrap().data, orders(2));
    assert!(packed(&bed, "t").await.is_some());

    let done = client.start("t").await.unwrap_err();
    assert!(done.is_already_succeeded());
    assert_eq!(done.tracker_as::<Value>().unwrap().unwrap().data, orders(2));
    let mut loaded = client.load("t").await.unwrap().unwrap();
    assert_eq!(loaded.data, orders(2));
    assert_eq!(client.load_many([loaded.id.clone()]).await.unwrap(), [loaded.clone()]);
    assert_eq!(client.scan(1, &[]).try_collect::<Vec<_>>().await.unwrap(), [loaded.clone()]);
    assert_eq!(client.scan_page(&[], 9, None).await.unwrap().items, [loaded.clone()]);
    assert_eq!(client.decode(item(&bed, "t").await).unwrap(), loaded);

    loaded.data = orders(3);
    client.dump(&mut loaded).await.unwrap();
    assert!(packed(&bed, "t").await.is_some());
    // Whoever packs nothing reads it all the same.
    let reader = builder(&bed).pack_data_over(usize::MAX).build().unwrap();
    assert_eq!(reader.load("t").await.unwrap().unwrap(), loaded);
    let worked = reader.start_with("t", StartOptions::new().force_execution()).await;
    assert_eq!(*worked.unwrap().data(), orders(3));
}

async fn only_data_over_the_threshold_is_packed(bed: Bed) {
    let client = bed.builder::<String>().pack_data_over(1000).build().unwrap();
    for (id, bytes) in [("at", 1000), ("over", 1001)] {
        client.create(NewTask::new(id).data("x".repeat(bytes))).await.unwrap();
        assert_eq!(client.load(id).await.unwrap().unwrap().data.len(), bytes);
    }
    assert!(packed(&bed, "at").await.is_none() && packed(&bed, "over").await.is_some());
    let reader = bed.builder::<String>().pack_data_over(usize::MAX).build().unwrap();
    reader.create(NewTask::new("plain").data("x".repeat(5000))).await.unwrap();
    assert!(packed(&bed, "plain").await.is_none());
}

async fn bytes_come_back_whatever_they_look_like(bed: Bed) {
    // serde writes it as bytes.
    let client = bed.builder::<CString>().pack_data_over(1000).build().unwrap();
    let random = std::iter::repeat_with(|| fastrand::u8(1..)).take(5000).collect::<Vec<_>>();
    for (id, bytes, packs) in [
        ("random", random, false),
        ("short", b"short".to_vec(), false),
        ("magic", b"dynamo-tracker:zstd:".to_vec(), true),
        ("frame", b"dynamo-tracker:zstd:1secret".to_vec(), true),
    ] {
        let data = CString::new(bytes.clone()).unwrap();
        client.create(NewTask::new(id).data(data.clone())).await.unwrap();
        assert!(client.load(id).await.unwrap().unwrap().data == data, "{id}");
        assert_eq!(item(&bed, id).await["data"] == AttributeValue::B(bytes.into()), !packs, "{id}");
        // Whoever can't pack does not write what would be taken for packed.
        let plain = bed.client::<CString>().create(NewTask::new(format!("plain-{id}")).data(data)).await;
        assert_eq!(plain.map_err(|error| error.kind()).err(), packs.then_some(ErrorKind::Unwritable), "{id}");
    }
}

async fn a_client_that_does_not_unpack_is_told(bed: Bed) {
    packing(&bed).create(NewTask::new("t").data(orders(0))).await.unwrap();
    let plain = bed.builder::<Value>().index(SHARDS).build().unwrap();
    let told = |error: &dynamo_tracker::Error| {
        assert_eq!(error.kind(), ErrorKind::Unreadable);
        let text = error.to_string();
        assert!(text.contains("\"test#t\"") && text.contains("pack_data_over"), "{text}");
        assert!(!format!("{text} {error:?}").contains("Lovelace"), "{error:?}");
    };
    told(&plain.load("t").await.unwrap_err());
    told(&plain.decode(item(&bed, "t").await).unwrap_err());
    told(&plain.load_many([TaskId::new("test", "t").unwrap()]).await.unwrap_err());
    // It is recorded as a failed attempt, and the next one is by whoever can read it.
    told(&plain.start("t").await.unwrap_err());
    let record = packing(&bed).load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.attempts, record.lock), (Status::Failed, 1, None));
    assert!(record.errors[0].message.contains("pack_data_over"), "{:?}", record.errors[0].message);
    let lease = packing(&bed).start("t").await.unwrap();
    // A refusal is one all the same, with all but the data.
    let refused = plain.start("t").await.unwrap_err();
    assert!(refused.is_locked() && refused.tracker().unwrap().lock == Some(lease.token()), "{refused:?}");
    told(&refused.tracker_as::<Value>().unwrap().unwrap_err());
}

async fn a_broken_frame_is_told(bed: Bed) {
    let client = packing(&bed);
    client.create(NewTask::new("t").data(orders(0))).await.unwrap();
    let mut bytes = packed(&bed, "t").await.unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    bed.set("t", "data", AttributeValue::B(bytes.into())).await;
    let error = client.load("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    assert!(error.to_string().contains("no good zstd frame"), "{error}");
    assert_eq!(client.start("t").await.unwrap_err().kind(), ErrorKind::Unreadable);
    // It does not stay locked.
    assert!(!item(&bed, "t").await.contains_key("lock"));
}

/// By a client that could not read the data: what an item was is of no interest to what takes its place.
async fn an_expired_record_is_replaced_whatever_its_data(bed: Bed) {
    let second = std::time::Duration::from_secs(1);
    let client = builder(&bed).retention(second).build().unwrap();
    for id in ["created", "started"] {
        client.create(NewTask::new(id).data(orders(0))).await.unwrap();
        client.start(id).await.unwrap().succeed().await.unwrap();
    }
    bed.clock.advance(5 * second);
    let plain = bed.builder::<Value>().index(SHARDS).retention(second).build().unwrap();
    plain.create(NewTask::new("created").data(json!(7))).await.unwrap();
    assert_eq!(plain.load("created").await.unwrap().unwrap().data, json!(7));
    assert_eq!(*plain.start("started").await.unwrap().data(), Value::Null);
}

/// A client whose writes are counted, and what counts them.
fn metered(bed: &Bed, pack_over: usize) -> (TrackerClient<Value>, Meter) {
    let meter = Meter::default();
    let sdk = aws_sdk_dynamodb::Client::from_conf(bed.sdk_config().interceptor(meter.clone()).build());
    let client = TrackerClient::builder(sdk).table(&bed.table).namespace("test").clock(bed.clock.clone());
    (client.pack_data_over(pack_over).build().unwrap(), meter)
}

async fn writes_take_fewer_units(bed: Bed) {
    let run = async |id: &str, pack_over| {
        let (client, meter) = metered(&bed, pack_over);
        client.create(NewTask::new(id).data(orders(0))).await.unwrap();
        let work = |mut lease: Lease<Value>| async move {
            lease.mark_as_in_progress().await?;
            Ok(lease.set_data(orders(1))?)
        };
        client.run(id, StartOptions::new(), work).await.unwrap();
        meter.units()
    };
    let (plain, packed) = (run("plain", usize::MAX).await, run("packed", 1000).await);
    assert_eq!(packed, [1.0; 4], "create, start, extension, success");
    assert!(plain.len() == 4 && plain.iter().all(|units| *units >= 4.0), "{plain:?}");
}

async fn packed_data_that_did_not_change_is_not_sent_again(bed: Bed) {
    let client = packing(&bed);
    bed.http.forget();
    client.create(NewTask::new("t").data(orders(0))).await.unwrap();
    assert!(bed.http.bodies()[0].contains(MAGIC), "{:?}", bed.http.bodies());
    let lease = client.start("t").await.unwrap();
    bed.http.forget();
    lease.succeed().await.unwrap();
    let bodies = bed.http.bodies();
    assert!(bodies.len() == 1 && !bodies[0].contains(MAGIC), "{bodies:?}");
    assert_eq!(client.load("t").await.unwrap().unwrap().data, orders(0));
}

async fn data_that_only_fits_packed_is_kept(bed: Bed) {
    let large = Value::String("All work and no play makes Jack a dull boy. ".repeat(20_000));
    let plain = bed.client::<Value>();
    let error = plain.create(NewTask::new("t").data(large.clone())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ItemTooLarge);
    let client = packing(&bed);
    client.create(NewTask::new("t").data(large.clone())).await.unwrap();
    let mut lease = client.start("t").await.unwrap();
    assert_eq!(*lease.data(), large);
    lease.set_data(json!([large, 1])).unwrap();
    lease.succeed().await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap().data, json!([large, 1]));
    let mut dumped = Tracker::new(TaskId::new("test", "u").unwrap(), large.clone(), 3, bed.clock.now());
    client.dump(&mut dumped).await.unwrap();
    assert_eq!(client.load("u").await.unwrap().unwrap().data, large);
}

async fn a_batch_packs_its_tasks(bed: Bed) {
    let client = packing(&bed);
    let large = |number: u64| json!([number, "All work and no play makes Jack a dull boy. ".repeat(20_000)]);
    let tasks =
        |name| stream::iter((0..8).map(move |number| NewTask::new(format!("{name}-{number}")).data(large(number))));
    let batch = client.open_batch("b", 1).await.unwrap();
    assert_eq!(batch.create_many(tasks("counted"), 1).await.unwrap().done, 8);
    assert_eq!(client.create_many(tasks("alone"), 2).await.unwrap().done, 8);
    for id in ["counted-3", "alone-3"] {
        assert_eq!(client.load(id).await.unwrap().unwrap().data, large(3));
        assert!(packed(&bed, id).await.is_some());
    }
}

async fn the_command_line_reads_and_packs(bed: Bed) {
    let cli = async |args: &[&str]| bed.cli(args.iter().chain(&["--json"])).await.exits(0).json();
    let data = orders(0).to_string();
    cli(&["create", "t", "--data", &data, "--pack-over", "1000"]).await;
    assert!(packed(&bed, "t").await.is_some());
    // To read takes no option.
    assert_eq!(cli(&["show", "t"]).await["data"], orders(0));
    assert_eq!(cli(&["list"]).await["data"], orders(0));
    let started = cli(&["start", "t"]).await;
    assert_eq!(started["data"], orders(0));
    let succeed = ["succeed", "t", "--lock", started["lock"].as_str().unwrap(), "--data", &data];
    assert_eq!(cli(&succeed).await["data"], orders(0));
    assert!(packed(&bed, "t").await.is_none());
}

async fn the_command_line_packs_as_its_environment_says(bed: Bed) {
    let data = orders(0).to_string();
    for (over, packs) in [("1000", true), ("1000000", false)] {
        let mut command = bed.program();
        command.env("DYNAMO_TRACKER_PACK_OVER", over).args(["create", over, "--data", &data]);
        crate::cli::said(&mut command).await.exits(0);
        assert_eq!(packed(&bed, over).await.is_some(), packs);
    }
}
