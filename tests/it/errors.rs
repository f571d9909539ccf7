//! Errors that say which task, what happened, and what to do.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};
use dynamo_tracker::{ErrorKind, NewTask, RequestPolicy, RunError, StartOptions, Status, TrackerClient};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::bed::http::Fault;

crate::tests![
    a_missing_table_is_named,
    missing_credentials_are_told,
    throttling_is_told,
    nobody_there_is_told,
    an_item_over_400_kb_is_told,
    an_item_that_is_no_tracker_is_told,
    bad_settings_are_refused_at_build,
];

/// What happened, to which task, and what to do.
fn says(error: &dynamo_tracker::Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

async fn a_missing_table_is_named(bed: Bed) {
    let client = bed.builder::<()>().table("no-such-table").build().unwrap();
    for error in [
        client.start("t").await.unwrap_err(),
        client.load("t").await.unwrap_err(),
        client.create("t").await.unwrap_err(),
        client.delete("t").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::TableNotFound);
        says(&error, &[r#"task "test#t""#, r#"there is no table "no-such-table""#, "create it with create_table"]);
        assert!(error.source().is_some());
    }
}

async fn missing_credentials_are_told(bed: Bed) {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&bed.endpoint)
        .region(Region::from_static("us-east-1"))
        .build();
    let client = TrackerClient::<()>::builder(Client::from_conf(config)).table(&bed.table).namespace("test");
    let error = client.build().unwrap().start("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error:?}");
    says(&error, &[r#"task "test#t""#, "there are no AWS credentials", "AWS_PROFILE"]);
}

async fn throttling_is_told(bed: Bed) {
    let policy = RequestPolicy::patient_for(Duration::from_millis(500));
    let client = bed.builder::<()>().requests(policy).build().unwrap();
    bed.http.plan(vec![Fault::Throttled; 100]);
    let error = client.start("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert!(error.is_temporary() && bed.http.sent().len() > 3);
    says(&error, &[r#"task "test#t""#, "DynamoDB took no more requests", "try again later"]);
    assert!(error.source().is_some());
}

async fn nobody_there_is_told(bed: Bed) {
    // A port that was free a moment ago, so that nobody listens there.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let config = bed.sdk_config().endpoint_url(format!("http://127.0.0.1:{port}")).build();
    let builder = TrackerClient::<()>::builder(Client::from_conf(config)).table(&bed.table).namespace("test");
    let client = builder.requests(RequestPolicy::patient_for(Duration::from_millis(500))).build().unwrap();
    let error = client.start("t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    says(&error, &[r#"task "test#t""#, "can't be reached", "check endpoint, region and network"]);
}

async fn an_item_over_400_kb_is_told(bed: Bed) {
    let client = bed.client::<Value>();
    let error = client.create(NewTask::new("t").data(json!("x".repeat(410_000)))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ItemTooLarge, "{error:?}");
    says(&error, &[r#"task "test#t""#, "400 KB", "keep large data elsewhere"]);
    let result = client.run("u", StartOptions::new(), |mut lease| async move {
        lease.set_data(json!("x".repeat(410_000)))?;
        Ok(())
    });
    let RunError::NotRecorded { outcome: Ok(()), error } = result.await.unwrap_err() else { panic!() };
    assert_eq!(error.kind(), ErrorKind::ItemTooLarge);
    assert_eq!(client.load("u").await.unwrap().unwrap().status, Status::InProgress, "a success is no failure");
}

async fn an_item_that_is_no_tracker_is_told(bed: Bed) {
    let client = bed.client::<()>();
    let string = |text: &str| AttributeValue::S(text.to_owned());
    let number = |text: &str| AttributeValue::N(text.to_owned());
    let good: HashMap<String, AttributeValue> = HashMap::from([
        ("id".to_owned(), string("test#t")),
        ("status".to_owned(), number("40")),
        ("attempts".to_owned(), number("1")),
        ("max_attempts".to_owned(), number("3")),
        ("generation".to_owned(), number("1")),
        ("create_time".to_owned(), number("0")),
        ("update_time".to_owned(), number("0")),
        ("step".to_owned(), number("0")),
    ]);
    let cases = [
        ("status", None, "the item has no attribute `status`"),
        ("status", Some(string("secret")), "the attribute `status` is not a number but a string"),
        ("attempts", Some(number("-1")), "the attribute `attempts` is a number outside of what it can be"),
        ("generation", Some(number("99999999999999999999999999999999999999")), "`generation` is a number outside"),
        ("create_time", None, "the item has no attribute `create_time`"),
        ("update_time", Some(number("99999999999999999999")), "`update_time` is a number outside"),
        ("lock", Some(string("secret")), "the attribute `lock` is no lock token"),
        ("lock", Some(string("67e55044-10b1-426f-9247-bb680e5fe0c8")), "no attribute `lock_expire_time`"),
        ("lock_owner", Some(number("1")), "the attribute `lock_owner` is not a string but a number"),
        ("errors", Some(string("secret")), "the attribute `errors` is no list of attempts' errors"),
        ("expire_at", Some(AttributeValue::Bool(true)), "the attribute `expire_at` is not a number but a boolean"),
    ];
    for (name, value, expected) in cases {
        let mut item = good.clone();
        item.remove(name);
        item.extend(value.map(|value| (name.to_owned(), value)));
        bed.sdk().put_item().table_name(&bed.table).set_item(Some(item)).send().await.unwrap();
        for error in [client.load("t").await.unwrap_err(), client.start("t").await.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Unreadable);
            says(&error, &[r#"task "test#t""#, expected]);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}

async fn bad_settings_are_refused_at_build(bed: Bed) {
    let builder = || bed.builder::<()>();
    let bad = [
        (builder().table(""), "the table's name is missing"),
        (builder().table("no/slash"), "can't name a table"),
        (builder().namespace(""), "the namespace is empty"),
        (builder().namespace("a#b"), "contains '#'"),
        (builder().lease(Duration::ZERO), "the lease must be from a millisecond"),
        (builder().lease(Duration::MAX), "the lease must be from a millisecond"),
        (builder().skew(Duration::from_secs(60)), "longer than the skew"),
        (builder().max_attempts(0), "max_attempts must be at least 1"),
        (builder().key_attribute(""), "a key attribute's name"),
        (builder().key_attribute("lock"), "one of the tracker's own attributes"),
        (builder().sort_key("id", "x"), "different names"),
        (builder().sort_key("sk", ""), "the sort key's value"),
        (builder().sort_key("sk", "x".repeat(1025)), "the sort key's value"),
        (builder().retention(Duration::from_millis(1)), "the retention"),
        (builder().error_history(0), "the history of errors"),
        (builder().error_history(51), "the history of errors"),
    ];
    for (builder, expected) in bad {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        says(&error, &[expected]);
    }
    assert_eq!(bed.http.sent(), Vec::<String>::new());
}
