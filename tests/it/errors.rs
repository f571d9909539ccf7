//! Errors that say which task, what happened, and what to do.

use std::collections::HashMap;
use std::error::Error as _;
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};
use dynamo_tracker::{
    Clock, ErrorKind, NewTask, RequestPolicy, RunError, StartOptions, Status, TaskId, Tracker, TrackerClient,
};
use serde_json::{Value, json};

use crate::bed::Bed;
use crate::bed::http::Fault;

crate::tests![
    a_missing_table_is_named,
    missing_credentials_are_told,
    throttling_is_told,
    nobody_there_is_told,
    an_item_over_400_kb_is_told,
    a_failure_is_recorded_in_an_item_that_is_nearly_full,
    work_that_is_done_is_recorded_in_an_item_that_is_full,
    an_item_that_is_no_tracker_is_told,
    an_unreadable_task_does_not_stay_locked,
    a_wrong_type_of_any_attribute_is_told,
    numbers_that_do_not_fit_are_refused_before_any_request,
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
        client.delete(&Tracker::new(TaskId::new("test", "t").unwrap(), (), 3, bed.clock.now())).await.unwrap_err(),
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
    // The work is told before anything is sent, and its failure is counted, so it does not run for ever.
    let RunError::Failed { tracker, .. } = result.await.unwrap_err() else { panic!() };
    assert_eq!(tracker.errors[0].error_type, "dynamo_tracker::error::Error");
    // Data that fits by itself, in an item that is too large with it: only DynamoDB knows.
    bed.set("u", "note", AttributeValue::S("x".repeat(200_000))).await;
    let result = client.run("u", StartOptions::new(), |mut lease| async move {
        lease.set_data(json!("x".repeat(300_000)))?;
        Ok(())
    });
    let RunError::DataNotKept { value: (), error, tracker } = result.await.unwrap_err() else { panic!() };
    assert_eq!(error.kind(), ErrorKind::ItemTooLarge);
    let record = client.load("u").await.unwrap().unwrap();
    assert_eq!((record.status, &record.data), (Status::Succeeded, &Value::Null), "it is done, and not run again");
    assert_eq!((tracker.status, tracker.update_time), (record.status, record.update_time));
}

async fn a_failure_is_recorded_in_an_item_that_is_nearly_full(bed: Bed) {
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    let lease = client.start("t").await.unwrap();
    bed.set("t", "note", AttributeValue::S("x".repeat(407_500))).await;
    let error = format!("{}\n\nStack backtrace:\n{}", "m".repeat(900), "frame\n".repeat(500));
    let record = lease.fail(Traced(error)).await.unwrap();
    assert_eq!((record.status, record.errors[0].trace.as_deref()), (Status::Exhausted, None));
    assert_eq!(client.load("t").await.unwrap().unwrap(), record);
}

async fn work_that_is_done_is_recorded_in_an_item_that_is_full(bed: Bed) {
    let client = bed.client::<Value>();
    for failures in [1, 0] {
        let id = failures.to_string();
        for _ in 0..failures {
            client.start(&id).await.unwrap().fail(Traced("m".repeat(900))).await.unwrap();
        }
        let result = client.run(&id, StartOptions::new(), |mut lease| {
            let (bed, id) = (&bed, &id);
            async move {
                lease.set_data(json!("x".repeat(1000)))?;
                fill(bed, id).await;
                Ok(())
            }
        });
        assert!(matches!(result.await.unwrap_err(), RunError::DataNotKept { .. }), "{failures}");
        let record = client.load(&id).await.unwrap().unwrap();
        assert_eq!((record.status, record.errors.len()), (Status::Succeeded, failures));
        // The mark takes the place of the history, and where not even that has room, it is done all the same.
        assert!(record.errors.iter().all(|error| error.error_type == "DataNotKept"), "{record:?}");
    }
}

/// Fills a task's item to the last byte that DynamoDB takes.
async fn fill(bed: &Bed, id: &str) {
    let note = async |bytes: usize| {
        let update = bed.sdk().update_item().table_name(&bed.table).key("id", Bed::key(id));
        let update = update.update_expression("SET note = :note");
        update.expression_attribute_values(":note", AttributeValue::S("x".repeat(bytes))).send().await
    };
    let (mut fits, mut too_large) = (0, 410_000);
    while too_large - fits > 1 {
        let bytes = (fits + too_large) / 2;
        if note(bytes).await.is_ok() { fits = bytes } else { too_large = bytes }
    }
    note(fits).await.unwrap();
}

/// An error whose `Debug` ends with a backtrace, as anyhow's does.
struct Traced(String);

impl std::fmt::Debug for Traced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for Traced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0[..900])
    }
}

impl std::error::Error for Traced {}

/// Every attribute with every type: nothing panics, nothing stays locked, and no value is shown.
async fn a_wrong_type_of_any_attribute_is_told(bed: Bed) {
    let bed = bed.on_a_plain_table().await;
    let client = bed.client::<()>();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let values = [
        text("secret"),
        AttributeValue::N("-7".to_owned()),
        AttributeValue::N("99999999999999999999999999999999999999".to_owned()),
        AttributeValue::B(b"secret".to_vec().into()),
        AttributeValue::Bool(true),
        AttributeValue::Null(true),
        AttributeValue::L(vec![text("secret")]),
        AttributeValue::M(HashMap::from([("secret".to_owned(), text("secret"))])),
        AttributeValue::Ss(vec!["secret".to_owned()]),
    ];
    let names = [
        "status",
        "attempts",
        "max_attempts",
        "generation",
        "create_time",
        "update_time",
        "lock",
        "last_lock",
        "step",
        "lock_owner",
        "lock_time",
        "lock_expire_time",
        "data",
        "errors",
        "due_time",
        "expire_at",
    ];
    for name in names {
        for (number, value) in values.iter().enumerate() {
            let id = format!("{name}-{number}");
            client.create(id.as_str()).await.unwrap();
            bed.set(&id, name, value.clone()).await;
            let loaded = client.load(&id).await.err();
            match client.start(&id).await {
                Ok(lease) => drop(lease.succeed().await.unwrap()),
                Err(error) => {
                    assert!(error.kind() == ErrorKind::Unreadable || error.is_refused(), "{id}: {error:?}");
                    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
                }
            }
            assert!(loaded.is_none_or(|error| error.kind() == ErrorKind::Unreadable));
            let get = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key(&id)).send().await.unwrap();
            assert!(name == "lock" || !get.item.unwrap().contains_key("lock"), "{id} stays locked");
        }
    }
}

async fn an_unreadable_task_does_not_stay_locked(bed: Bed) {
    let bed = bed.on_a_plain_table().await;
    let client = bed.builder::<()>().max_attempts(1).build().unwrap();
    for (name, value) in [("errors", "secret"), ("last_lock", "secret"), ("due_time", "secret")] {
        client.create(name).await.unwrap();
        bed.set(name, name, AttributeValue::S(value.to_owned())).await;
        assert_eq!(client.start(name).await.unwrap_err().kind(), ErrorKind::Unreadable);
        let get = bed.sdk().get_item().table_name(&bed.table).key("id", Bed::key(name)).send().await.unwrap();
        assert!(!get.item.unwrap().contains_key("lock"), "{name}");
    }
    client.create("generation").await.unwrap();
    bed.set("generation", "generation", AttributeValue::S("secret".to_owned())).await;
    let error = client.start("generation").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    says(&error, &["`generation` of the item is not a number"]);
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

async fn numbers_that_do_not_fit_are_refused_before_any_request(bed: Bed) {
    let client = bed.client::<Vec<f64>>();
    for number in [f64::NAN, f64::INFINITY, 1e300] {
        let error = client.create(NewTask::new("t").data(vec![number])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unwritable);
    }
    assert_eq!(bed.http.sent(), Vec::<String>::new());
    client.create(NewTask::new("t").data(vec![9.9e125, -1e-120, 0.0])).await.unwrap();
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
        (builder().heartbeat(Duration::from_secs(31)), "at most half of the lease"),
        (builder().heartbeat(Duration::ZERO), "the heartbeat must be more than nothing"),
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
