//! The templates in `infra/`: their table is the crate's, and their policies allow what the crate does, and no more.

mod permission;
pub(crate) mod template;

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, GlobalSecondaryIndexDescription, KeySchemaElement, Put, TransactWriteItem,
};
use chrono::TimeDelta;
use dynamo_tracker::lambda::{Idempotency, Replay};
use dynamo_tracker::{Clock, Lease, NewTask, Query, StartOptions, Status, TaskRef, TrackerClient, WorkError};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::bed::{Bed, SHARDS};
use template::Template;

crate::tests![
    each_template_has_the_crates_table,
    each_template_keeps_its_table_safe,
    the_function_may_do_what_it_does_and_no_more,
    a_worker_may_do_what_it_does_and_no_more,
    an_operator_may_do_what_they_do_and_no_more,
];

async fn each_template_has_the_crates_table(bed: Bed) {
    let table = bed.sdk().describe_table().table_name(&bed.table).send().await.unwrap().table.unwrap();
    let ttl = bed.sdk().describe_time_to_live().table_name(&bed.table).send().await.unwrap();
    let ttl = ttl.time_to_live_description.and_then(|ttl| ttl.attribute_name);
    let billing = table.billing_mode_summary.as_ref().and_then(|summary| summary.billing_mode.as_ref());
    let wanted = [
        ("KeySchema", table.key_schema().iter().map(key).collect()),
        ("AttributeDefinitions", table.attribute_definitions().iter().map(attribute).collect()),
        ("GlobalSecondaryIndexes", table.global_secondary_indexes().iter().map(index).collect()),
        ("BillingMode", json!(billing.map(|billing| billing.as_str()))),
        ("TimeToLiveSpecification", json!({"AttributeName": ttl, "Enabled": true})),
    ];
    for template in Template::all() {
        for (name, wanted) in &wanted {
            assert_eq!(template.properties("Table")[name], *wanted, "{name} in {}", template.name);
        }
    }
}

fn key(key: &KeySchemaElement) -> Value {
    json!({"AttributeName": key.attribute_name, "KeyType": key.key_type.as_str()})
}

fn attribute(attribute: &AttributeDefinition) -> Value {
    json!({"AttributeName": attribute.attribute_name, "AttributeType": attribute.attribute_type.as_str()})
}

fn index(index: &GlobalSecondaryIndexDescription) -> Value {
    let projection = index.projection.as_ref().and_then(|projection| projection.projection_type.as_ref());
    json!({
        "IndexName": index.index_name,
        "KeySchema": index.key_schema().iter().map(key).collect::<Value>(),
        "Projection": {"ProjectionType": projection.map(|projection| projection.as_str())},
    })
}

/// What the table of each has beyond the crate's own, and what plays AWS where the templates are deployed leaves out.
async fn each_template_keeps_its_table_safe(_: Bed) {
    for template in Template::all() {
        let (table, name) = (template.properties("Table"), template.name);
        assert_eq!(table["PointInTimeRecoverySpecification"], json!({"PointInTimeRecoveryEnabled": true}), "{name}");
        assert_eq!(table["SSESpecification"], json!({"SSEEnabled": true}), "{name}");
        assert_eq!(table["DeletionProtectionEnabled"], json!(true), "{name}");
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
            assert_eq!(template.resource("Table")[policy], "Retain", "{policy} in {name}");
        }
    }
}

/// With an index and without, all that can become of an event.
async fn the_function_may_do_what_it_does_and_no_more(bed: Bed) {
    bed.http.forget();
    answer(&bed, &bed.builder().max_attempts(1).build().unwrap()).await;
    answer(&bed, &bed.builder().namespace("indexed").index(SHARDS).max_attempts(1).build().unwrap()).await;
    let needed = permission::needed(&bed);
    for template in Template::all().iter().filter(|template| ["lambda.yaml", "sam.yaml"].contains(&template.name)) {
        let role = &template.properties("Role")["Policies"][0]["PolicyDocument"];
        assert_eq!(permission::allowed(role), needed, "{}", template.name);
    }
}

async fn answer(bed: &Bed, client: &TrackerClient<Replay>) {
    let idempotency = Idempotency::builder(client.clone()).build().unwrap();
    let run = async |id, left, outcome: Result<u32, WorkError>| {
        idempotency.run_keyed(id, None, left, || async { outcome }).await.is_ok()
    };
    assert!(run("done", Some(Duration::from_secs(9)), Ok(7)).await);
    assert!(run("done", None, Ok(8)).await, "it is given again");
    assert!(!run("failed", None, Err("no".into())).await);
    assert!(!run("fatal", None, Err(WorkError::fatal("no"))).await);
    let lost = idempotency.run_keyed("lost", None, None, || async {
        bed.clock.set(bed.clock.now() + TimeDelta::hours(1));
        tokio::task::yield_now().await;
        Ok::<_, WorkError>(7)
    });
    assert_eq!(lost.await.unwrap_err().kind().name(), "LeaseLost");
    let _died = client.start("exhausted").await.unwrap();
    bed.clock.set(bed.clock.now() + TimeDelta::hours(1));
    assert!(!run("exhausted", None, Ok(7)).await);
}

async fn handle(bed: &Bed, client: &TrackerClient<u32>, theirs: &str) {
    run(client).await;
    end(client, theirs).await;
    lose(bed, client).await;
    exhaust(bed, client).await;
}

async fn run(client: &TrackerClient<u32>) {
    client.run("done", StartOptions::new(), |_| async { Ok(()) }).await.unwrap();
    client.run("done", StartOptions::new(), |_| async { Ok(()) }).await.unwrap_err();
    client.run("done", StartOptions::new().force_execution(), |_| async { Ok(()) }).await.unwrap();
    client.run("failed", StartOptions::new(), |_| async { Err::<(), _>("no".into()) }).await.unwrap_err();
    let fatal = |_| async { Err::<(), _>(WorkError::fatal("no")) };
    client.run("fatal", StartOptions::new(), fatal).await.unwrap_err();
    client.load("done").await.unwrap().expect("it is there");
}

async fn end(client: &TrackerClient<u32>, theirs: &str) {
    let mut lease = client.start("step by step").await.unwrap();
    lease.checkpoint(7).await.unwrap();
    lease.mark_as_in_progress().await.unwrap();
    client.resume("step by step", lease.token()).await.unwrap().succeed().await.unwrap();
    client.start("released").await.unwrap().release().await.unwrap();
    client.start("ignored").await.unwrap().mark_as_ignored().await.unwrap();
    let mut lease = client.start("together").await.unwrap();
    lease.checkpoint_with(7, vec![put(theirs)]).await.unwrap();
    lease.succeed_with(vec![put(theirs)]).await.unwrap();
    client.start("failed together").await.unwrap().fail_with("no", vec![put(theirs)]).await.unwrap();
}

/// A write of the caller's own, which the role says nothing about.
fn put(table: &str) -> TransactWriteItem {
    let put = Put::builder().table_name(table).item("id", AttributeValue::S("theirs".to_owned()));
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

/// A lease that ran out while the process was suspended: the one case in which the work looks who has the task.
async fn lose(bed: &Bed, client: &TrackerClient<u32>) {
    let clock = &bed.clock;
    let lost = client.run("lost", StartOptions::new(), |_| async move {
        clock.set(clock.now() + TimeDelta::hours(1));
        tokio::task::yield_now().await;
        Ok(())
    });
    lost.await.unwrap_err();
}

async fn exhaust(bed: &Bed, client: &TrackerClient<u32>) {
    let _died = client.start_with("exhausted", StartOptions::new().at_most_once()).await.unwrap();
    bed.clock.set(bed.clock.now() + TimeDelta::hours(1));
    client.start_with("exhausted", StartOptions::new().at_most_once()).await.unwrap_err();
}

async fn a_worker_may_do_what_it_does_and_no_more(bed: Bed) {
    let client = crate::worker::client(&bed);
    client.create_many(stream::iter((0..9).map(|number| NewTask::new(format!("t{number}")))), 3).await.unwrap();
    bed.http.forget();
    let report = client.worker().until_empty().run(|lease: Lease<u32>| async move {
        match lease.id().as_str() {
            "t3" => Err(WorkError::fatal("no")),
            _ => Ok(()),
        }
    });
    assert_eq!(report.await.unwrap().succeeded, 8);
    let theirs = bed.builder::<u32>().table(format!("{}-theirs", bed.table)).build().unwrap();
    theirs.create_table().await.unwrap();
    handle(&bed, &bed.client(), theirs.table()).await;
    handle(&bed, &bed.builder().namespace("indexed").index(SHARDS).build().unwrap(), theirs.table()).await;
    let policy = Template::table().properties("WorkerPolicy")["PolicyDocument"].clone();
    assert_eq!(permission::allowed(&policy), permission::needed(&bed));
}

async fn an_operator_may_do_what_they_do_and_no_more(bed: Bed) {
    let client = bed.builder::<u32>().index(SHARDS).build().unwrap();
    create(&client).await;
    look(&client).await;
    operate(&client).await;
    let policy = Template::table().properties("OperatorPolicy")["PolicyDocument"].clone();
    assert_eq!(permission::allowed(&policy), permission::needed(&bed));
}

async fn create(client: &TrackerClient<u32>) {
    client.create("one").await.unwrap();
    client.create_many(stream::iter(["two", "three", "four", "five"].map(NewTask::new)), 2).await.unwrap();
    let mut record = client.load("one").await.unwrap().unwrap();
    record.data = 7;
    client.dump(&mut record).await.unwrap();
}

async fn look(client: &TrackerClient<u32>) {
    assert_eq!(client.query(&Query::new(), None).await.unwrap().items.len(), 5);
    assert_eq!(client.query_records(&Query::new(), None).await.unwrap().items.len(), 5);
    let found: Vec<TaskRef> = client.query_stream(Query::new()).try_collect().await.unwrap();
    assert_eq!(client.load_many(found.into_iter().map(|task| task.id)).await.unwrap().len(), 5);
    assert_eq!(client.stats().await.unwrap().pending, 5);
    assert_eq!(client.scan_stats(2).await.unwrap().pending, 5);
    assert_eq!(client.scan(2, &[]).count().await, 5);
    client.reindex(None, 10).await.unwrap();
}

async fn operate(client: &TrackerClient<u32>) {
    let seen = async |id: &str| client.load(id).await.unwrap().unwrap();
    client.ignore(&seen("one").await).await.unwrap();
    client.redrive(&seen("one").await).await.unwrap();
    let _running = client.start("two").await.unwrap();
    client.unlock(&seen("two").await).await.unwrap();
    client.delete(&seen("three").await).await.unwrap();
    client.ignore_many(Query::new().status(Status::Pending), 2).await.unwrap();
    client.delete_many(Query::new(), 2).await.unwrap();
}
