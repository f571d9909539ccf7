//! Making the table, and living in somebody else's.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use dynamo_tracker::{ErrorKind, TrackerClientBuilder};
use serde_json::{Value, json};

use crate::bed::Bed;

crate::tests![
    a_table_is_made_once,
    a_table_is_made_by_many_at_once,
    the_tables_ttl_is_on,
    trackers_live_in_a_table_with_a_sort_key,
    a_table_with_another_key_is_refused,
];

fn on<D: dynamo_tracker::Data>(bed: &Bed, table: &str) -> TrackerClientBuilder<D> {
    bed.builder::<D>().table(format!("{}-{table}", bed.table))
}

async fn a_table_is_made_once(bed: Bed) {
    let client = on::<()>(&bed, "once").build().unwrap();
    assert!(client.create_table().await.unwrap());
    assert!(!client.create_table().await.unwrap());
    client.start("t").await.unwrap().succeed().await.unwrap();
    assert!(!client.create_table().await.unwrap(), "and keeps what is in it");
    assert!(client.load("t").await.unwrap().is_some());
}

async fn a_table_is_made_by_many_at_once(bed: Bed) {
    let client = on::<()>(&bed, "many").build().unwrap();
    let made = futures_util::future::join_all((0..8).map(|_| client.create_table())).await;
    assert_eq!(made.into_iter().map(Result::unwrap).filter(|made| *made).count(), 1);
}

async fn the_tables_ttl_is_on(bed: Bed) {
    let ttl = bed.sdk().describe_time_to_live().table_name(&bed.table).send().await.unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name.as_deref(), Some("expire_at"));
    let table = bed.sdk().describe_table().table_name(&bed.table).send().await.unwrap().table.unwrap();
    let billing = table.billing_mode_summary.and_then(|summary| summary.billing_mode);
    assert_eq!(billing, Some(BillingMode::PayPerRequest));
}

async fn trackers_live_in_a_table_with_a_sort_key(bed: Bed) {
    let client = on::<Value>(&bed, "shared").key_attribute("PK").sort_key("SK", "TRACKER").build().unwrap();
    assert!(client.create_table().await.unwrap());
    let theirs = [("PK", "test#t"), ("SK", "ORDER"), ("total", "12")];
    let put = bed.sdk().put_item().table_name(client.table());
    let item = theirs.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).into_iter().collect();
    put.set_item(Some(item)).send().await.unwrap();

    client.create("u").await.unwrap();
    let mut lease = client.start("t").await.unwrap();
    lease.set_data(json!("x")).unwrap();
    let done = lease.succeed().await.unwrap();
    assert_eq!(client.load("t").await.unwrap().unwrap(), done);
    client.delete(&done).await.unwrap();
    let scan = bed.sdk().scan().table_name(client.table()).send().await.unwrap();
    assert_eq!(scan.count, 2, "their item and the other tracker are left");
}

async fn a_table_with_another_key_is_refused(bed: Bed) {
    let name = format!("{}-other", bed.table);
    let definition = AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
    let create = bed.sdk().create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    create.attribute_definitions(definition.build().unwrap()).key_schema(key.build().unwrap()).send().await.unwrap();
    let error = on::<()>(&bed, "other").build().unwrap().create_table().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains(r#"has the key ["pk"], not ["id"]"#), "{error}");
}
