//! Each side keeps to what the other has written: against Powertools for Python itself.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::Utc;
use dynamo_tracker::lambda::JmesPath;
use dynamo_tracker::lambda::powertools::{Outcome, PowertoolsError, StoredStatus};
use dynamo_tracker::{ErrorKind, WorkError};
use serde_json::{Value, json};

use super::peer::Peer;
use super::{TIME, event, item, on_a_table, ours, run, untouched};
use crate::bed::Bed;

crate::tests![
    what_python_has_done_is_replayed,
    what_we_have_done_is_replayed_by_python,
    what_python_works_on_is_refused,
    what_we_work_on_is_refused_by_python,
    what_python_has_left_is_taken_over,
    what_we_have_left_is_taken_over_by_python,
    a_late_completion_of_python_stands,
    work_that_python_has_taken_over_changes_nothing,
    work_that_python_is_taking_over_changes_nothing,
    what_failed_may_be_done_by_the_other,
    what_has_expired_is_done_again_by_either,
    another_payload_is_refused_by_either,
    a_table_with_a_sort_key_is_shared,
    a_table_with_other_names_is_shared,
    the_records_are_alike,
    a_response_that_was_not_kept_is_done_for_python_too,
];

const IN_PROGRESS: &str = "IdempotencyAlreadyInProgressError";
const MISMATCH: &str = "IdempotencyValidationError";

async fn shared(bed: Bed) -> (Bed, Peer) {
    let bed = on_a_table(bed, &["id"]).await;
    let peer = Peer::new(&bed);
    (bed, peer)
}

fn response() -> Value {
    json!({"paid": true, "cents": 9_007_199_254_740_993_i64, "rate": 0.1, "lines": [1, 1.0, null, "é\u{1F600}"], "empty": {}})
}

async fn what_python_has_done_is_replayed(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, 0).build().unwrap();
    for (number, response) in [response(), json!("text"), json!(0), Value::Null, json!([])].into_iter().enumerate() {
        let event = json!({"event": number});
        let done = peer.handle(&event, json!({"response": response}));
        assert_eq!(done, json!({"ran": true, "response": response}));
        let replayed = untouched(&powertools, &event).await.unwrap();
        assert!(replayed.is_replayed());
        assert_eq!(replayed.into_response().to_string(), response.to_string());
        let stored = powertools.lookup::<Value>(&event).await.unwrap().unwrap();
        assert_eq!((stored.status, stored.response), (StoredStatus::Completed, Some(response)));
    }
}

async fn what_we_have_done_is_replayed_by_python(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, 0).build().unwrap();
    assert_eq!(run(&powertools, &event(), response()).await.unwrap(), Outcome::Executed(response()));
    assert_eq!(peer.handle(&event(), json!({})), json!({"ran": false, "response": response()}));
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(response()));
}

async fn what_python_works_on_is_refused(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, 0).build().unwrap();
    let before = Utc::now();
    assert_eq!(
        peer.handle(&event(), json!({"then": "wait", "remaining": 30_000, "response": 1})),
        json!({"inside": true})
    );
    let PowertoolsError::InProgress { until: Some(until), error } = untouched(&powertools, &event()).await.unwrap_err()
    else {
        panic!("it is in progress, and says until when");
    };
    assert!((30_000..90_000).contains(&(until - before).num_milliseconds()), "{until}");
    assert!(error.is_locked() && error.to_string().starts_with("task \"orders-fn.app.handler#"), "{error}");
    assert_eq!(powertools.lookup::<Value>(&event()).await.unwrap().unwrap().status, StoredStatus::InProgress);
    assert_eq!(peer.go_on(), json!({"ran": true, "response": 1}));
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(json!(1)));
}

async fn what_we_work_on_is_refused_by_python(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, 0).build().unwrap();
    let work = async || {
        assert_eq!(peer.handle(&event(), json!({})), json!({"ran": false, "error": IN_PROGRESS}));
        Ok(json!(1))
    };
    assert_eq!(powertools.run(&event(), TIME, work).await.unwrap(), Outcome::Executed(json!(1)));
    assert_eq!(peer.handle(&event(), json!({})), json!({"ran": false, "response": 1}));
}

async fn what_python_has_left_is_taken_over(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    assert_eq!(peer.handle(&event(), json!({"then": "die", "remaining": 30_000})), json!({"ran": true}));
    let early = untouched(&ours(&bed, 0).build().unwrap(), &event()).await;
    assert!(matches!(early, Err(PowertoolsError::InProgress { .. })), "{early:?}");
    let powertools = ours(&bed, 40).build().unwrap();
    assert_eq!(run(&powertools, &event(), json!(2)).await.unwrap(), Outcome::Executed(json!(2)));
    assert_eq!(Peer::new(&bed).handle(&event(), json!({})), json!({"ran": false, "response": 2}));
}

async fn what_we_have_left_is_taken_over_by_python(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let leave = async |ahead| {
        let (powertools, event) = (ours(&bed, ahead).build().unwrap(), event());
        let begun = tokio::sync::Notify::new();
        let work = || async {
            begun.notify_one();
            std::future::pending().await
        };
        // In the middle of the work, it is dropped.
        tokio::select! {
            result = powertools.run::<Value, _, _>(&event, TIME, work) => panic!("it ends: {result:?}"),
            () = begun.notified() => {}
        }
    };
    leave(0).await;
    assert_eq!(peer.handle(&event(), json!({})), json!({"ran": false, "error": IN_PROGRESS}));
    let id = item(&bed).await.remove("id").unwrap();
    bed.sdk().delete_item().table_name(&bed.table).key("id", id).send().await.unwrap();
    leave(-120).await;
    assert_eq!(peer.handle(&event(), json!({"response": 3})), json!({"ran": true, "response": 3}));
}

async fn a_late_completion_of_python_stands(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    assert_eq!(
        peer.handle(&event(), json!({"then": "wait", "remaining": 1000, "response": "python"})),
        json!({"inside": true})
    );
    let powertools = ours(&bed, 40).build().unwrap();
    // Python is slower than it said. We take over, and it completes our record, since its writes have no conditions.
    let work = async || {
        assert_eq!(peer.go_on(), json!({"ran": true, "response": "python"}));
        Ok(json!("rust"))
    };
    let error = powertools.run(&event(), TIME, work).await.unwrap_err();
    assert_eq!(error.error().unwrap().kind(), ErrorKind::LeaseLost);
    assert!(matches!(error, PowertoolsError::TakenOver { .. }), "{error:?}");
    assert_eq!(error.into_response(), Some(json!("rust")));
    // Whoever was answered first, with Python's response, gets the same again.
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(json!("python")));
}

async fn work_that_python_has_taken_over_changes_nothing(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    // Our time is over by Python's clock.
    let powertools = ours(&bed, -120).build().unwrap();
    for (number, succeeds) in [true, false].into_iter().enumerate() {
        let event = json!({"event": number});
        let work = async || {
            assert_eq!(peer.handle(&event, json!({"response": "python"})), json!({"ran": true, "response": "python"}));
            if succeeds { Ok(json!("rust")) } else { Err(WorkError::from("no paper")) }
        };
        let error = powertools.run(&event, TIME, work).await.unwrap_err();
        match succeeds {
            true => assert!(matches!(error, PowertoolsError::TakenOver { .. }), "{error:?}"),
            false => assert!(matches!(error, PowertoolsError::Failed { not_released: None, .. }), "{error:?}"),
        }
        assert_eq!(untouched(&powertools, &event).await.unwrap(), Outcome::Replayed(json!("python")));
    }
}

async fn work_that_python_is_taking_over_changes_nothing(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, -120).build().unwrap();
    for (number, succeeds) in [true, false].into_iter().enumerate() {
        let event = json!({"event": number});
        let work = async || {
            assert_eq!(peer.handle(&event, json!({"then": "wait", "response": "python"})), json!({"inside": true}));
            if succeeds { Ok(json!("rust")) } else { Err(WorkError::from("no paper")) }
        };
        let error = powertools.run(&event, TIME, work).await.unwrap_err();
        assert_eq!(matches!(error, PowertoolsError::TakenOver { .. }), succeeds, "{error:?}");
        assert!(matches!(untouched(&powertools, &event).await, Err(PowertoolsError::InProgress { .. })));
        assert_eq!(peer.go_on(), json!({"ran": true, "response": "python"}));
        assert_eq!(untouched(&powertools, &event).await.unwrap(), Outcome::Replayed(json!("python")));
    }
}

async fn what_failed_may_be_done_by_the_other(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, 0).build().unwrap();
    assert_eq!(peer.handle(&event(), json!({"then": "fail"})), json!({"ran": true, "error": "RuntimeError"}));
    let failed = powertools.run::<Value, _, _>(&event(), TIME, || async { Err("no paper".into()) }).await.unwrap_err();
    assert!(matches!(&failed, PowertoolsError::Failed { not_released: None, .. }), "{failed:?}");
    assert_eq!(failed.to_string(), "no paper");
    assert_eq!(peer.handle(&event(), json!({"then": "fail"})), json!({"ran": true, "error": "RuntimeError"}));
    assert_eq!(run(&powertools, &event(), json!(1)).await.unwrap(), Outcome::Executed(json!(1)));
}

async fn what_has_expired_is_done_again_by_either(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let minute = json!({"response": "python", "config": {"expires_after_seconds": 60}});
    assert_eq!(peer.handle(&event(), minute)["ran"], true);
    // By a clock that is ahead, Python's record has expired.
    let ahead = ours(&bed, 120).build().unwrap();
    assert_eq!(ahead.lookup::<Value>(&event()).await.unwrap().unwrap().status, StoredStatus::Expired);
    assert_eq!(run(&ahead, &event(), json!("rust")).await.unwrap(), Outcome::Executed(json!("rust")));
    assert_eq!(peer.handle(&event(), json!({})), json!({"ran": false, "response": "rust"}));
    // By a clock that is behind, what we keep for a minute has expired for Python.
    let behind = ours(&bed, -600).expires_after(TIME).build().unwrap();
    let other = json!("another event");
    assert_eq!(run(&behind, &other, json!("rust")).await.unwrap(), Outcome::Executed(json!("rust")));
    assert_eq!(peer.handle(&other, json!({"response": "python"})), json!({"ran": true, "response": "python"}));
}

async fn another_payload_is_refused_by_either(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let config = json!({"event_key_jmespath": "id", "payload_validation_jmespath": "[total, note]"});
    let paths = |builder: dynamo_tracker::lambda::powertools::PowertoolsBuilder| {
        builder.key(JmesPath::new("id").unwrap()).validate(JmesPath::new("[total, note]").unwrap())
    };
    let powertools = paths(ours(&bed, 0)).build().unwrap();
    for (id, python_first) in [("a", true), ("b", false)] {
        let event = |total: f64| json!({"id": id, "total": total, "note": "é"});
        match python_first {
            true => assert_eq!(peer.handle(&event(1.5), json!({"response": 1, "config": config}))["ran"], true),
            false => assert_eq!(run(&powertools, &event(1.5), json!(1)).await.unwrap(), Outcome::Executed(json!(1))),
        }
        assert_eq!(untouched(&powertools, &event(1.5)).await.unwrap(), Outcome::Replayed(json!(1)));
        let error = untouched(&powertools, &event(2.5)).await.unwrap_err();
        assert!(matches!(error, PowertoolsError::PayloadMismatch(_)), "{error:?}");
        assert!(!powertools.lookup::<Value>(&event(2.5)).await.unwrap().unwrap().payload_matches);
        let refused = peer.handle(&event(2.5), json!({"config": config}));
        assert_eq!(refused, json!({"ran": false, "error": MISMATCH}));
        assert_eq!(peer.handle(&event(1.5), json!({"config": config})), json!({"ran": false, "response": 1}));
    }
    // While it is in progress, too.
    let work = async || {
        let event = json!({"id": "c", "total": 2});
        assert_eq!(peer.handle(&event, json!({"config": config})), json!({"ran": false, "error": MISMATCH}));
        assert!(matches!(untouched(&powertools, &event).await, Err(PowertoolsError::PayloadMismatch(_))));
        Ok(Value::Null)
    };
    powertools.run(&json!({"id": "c", "total": 1}), TIME, work).await.unwrap();
}

async fn a_table_with_a_sort_key_is_shared(bed: Bed) {
    let bed = on_a_table(bed, &["pk", "sk"]).await;
    let mut peer = Peer::new(&bed);
    let layer = json!({"key_attr": "pk", "sort_key_attr": "sk"});
    let powertools = ours(&bed, 0).key_attribute("pk").sort_key("sk", "idempotency#orders-fn").build().unwrap();
    assert_eq!(peer.handle(&json!(1), json!({"response": "python", "layer": layer}))["ran"], true);
    assert_eq!(untouched(&powertools, &json!(1)).await.unwrap(), Outcome::Replayed(json!("python")));
    run(&powertools, &json!(2), json!("rust")).await.unwrap();
    assert_eq!(peer.handle(&json!(2), json!({"layer": layer})), json!({"ran": false, "response": "rust"}));
    // And one that fails goes away, so that the other may.
    powertools.run::<Value, _, _>(&json!(3), TIME, || async { Err("no".into()) }).await.unwrap_err();
    assert_eq!(peer.handle(&json!(3), json!({"layer": layer}))["ran"], true);
}

async fn a_table_with_other_names_is_shared(bed: Bed) {
    let bed = on_a_table(bed, &["key"]).await;
    let mut peer = Peer::new(&bed);
    let layer = json!({"key_attr": "key", "expiry_attr": "ttl", "in_progress_expiry_attr": "until", "status_attr": "state",
        "data_attr": "response", "validation_key_attr": "hash"});
    let config = json!({"payload_validation_jmespath": "@"});
    let builder = ours(&bed, 0).key_attribute("key").expiration_attribute("ttl").in_progress_attribute("until");
    let builder = builder.status_attribute("state").data_attribute("response").validation_attribute("hash");
    let powertools = builder.token_attribute("token").validate(JmesPath::new("@").unwrap()).build().unwrap();
    run(&powertools, &event(), json!(1)).await.unwrap();
    let names: Vec<_> = item(&bed).await.into_keys().collect();
    assert_eq!(names, ["hash", "key", "response", "state", "token", "ttl", "until"]);
    let options = json!({"layer": layer, "config": config});
    assert_eq!(peer.handle(&event(), options), json!({"ran": false, "response": 1}));
    let options = json!({"layer": layer, "config": config, "response": 2});
    assert_eq!(peer.handle(&json!("other"), options)["ran"], true);
    assert_eq!(untouched(&powertools, &json!("other")).await.unwrap(), Outcome::Replayed(json!(2)));
}

/// All attributes, but for the times, and for our token, which is there and taken away.
fn but_for_times(mut item: BTreeMap<String, AttributeValue>, has_token: bool) -> BTreeMap<String, AttributeValue> {
    for time in ["expiration", "in_progress_expiration"] {
        let digits = item.get_mut(time).unwrap_or_else(|| panic!("no {time}"));
        assert!(digits.as_n().unwrap().parse::<u64>().is_ok(), "{digits:?}");
        *digits = AttributeValue::N("0".to_owned());
    }
    assert_eq!(item.remove("dynamo_tracker_token").is_some(), has_token);
    item
}

async fn the_records_are_alike(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let config = json!({"payload_validation_jmespath": "total"});
    let powertools = ours(&bed, 0).validate(JmesPath::new("total").unwrap()).build().unwrap();
    // In the middle, and at the end.
    peer.handle(&event(), json!({"then": "wait", "response": response(), "config": config}));
    let theirs_begun = item(&bed).await;
    peer.go_on();
    let theirs_done = item(&bed).await;
    let times = |item: &BTreeMap<String, AttributeValue>| -> i64 {
        let number = |name: &str| item[name].as_n().unwrap().parse::<i64>().unwrap();
        number("expiration") - number("in_progress_expiration") / 1000
    };
    let id = theirs_done["id"].clone();
    bed.sdk().delete_item().table_name(&bed.table).key("id", id).send().await.unwrap();
    let mut ours_begun = BTreeMap::new();
    let work = async || {
        ours_begun = item(&bed).await;
        Ok(response())
    };
    powertools.run(&event(), std::time::Duration::from_secs(30), work).await.unwrap();
    assert!((times(&theirs_begun) - times(&ours_begun)).abs() <= 2, "units and lengths of the times are the same");
    assert_eq!(but_for_times(theirs_begun, false), but_for_times(ours_begun, true));
    assert_eq!(but_for_times(theirs_done, false), but_for_times(item(&bed).await, true));
}

async fn a_response_that_was_not_kept_is_done_for_python_too(bed: Bed) {
    let (bed, mut peer) = shared(bed).await;
    let powertools = ours(&bed, 0).build().unwrap();
    let large = json!("x".repeat(500_000));
    let error = run(&powertools, &event(), large.clone()).await.unwrap_err();
    assert!(matches!(error, PowertoolsError::ResponseNotKept { .. }), "{error:?}");
    assert_eq!(error.error().unwrap().kind(), ErrorKind::ItemTooLarge);
    assert_eq!(error.into_response(), Some(large));
    assert_eq!(peer.handle(&event(), json!({})), json!({"ran": false, "response": null}));
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(Value::Null));
}
