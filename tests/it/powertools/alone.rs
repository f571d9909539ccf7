//! What our own side adds to the format: lost answers, panics, races, and the form of TypeScript.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use dynamo_tracker::lambda::JmesPath;
use dynamo_tracker::lambda::powertools::{Flavor, Outcome, Powertools, PowertoolsError, StoredStatus};
use dynamo_tracker::{Clock, ErrorKind, RequestPolicy};
use futures_util::FutureExt;
use serde_json::{Value, json};

use super::{TIME, event, item, on_a_table, ours, run, untouched};
use crate::bed::Bed;
use crate::bed::http::Fault;

crate::tests![
    a_beginning_whose_answer_is_lost_is_ours,
    a_completion_whose_answer_is_lost_is_recorded,
    a_failure_whose_answer_is_lost_leaves_nothing,
    a_late_copy_of_a_beginning_takes_nothing,
    a_completion_that_cannot_be_recorded_keeps_the_response,
    a_record_that_was_deleted_is_made_again,
    a_panic_gives_the_event_back,
    an_event_is_handled_once_in_a_race,
    under_faults_every_event_is_handled_once,
    it_costs_two_requests_and_one,
    an_answer_that_takes_longer_than_the_work_may_begins_again,
    events_without_a_key_are_an_error,
    what_is_no_record_is_left_alone,
    another_type_of_response_is_an_error_that_does_not_show_it,
    typescript_keeps_its_response_as_dynamodb_values,
    a_table_that_is_not_there_is_said,
];

const LOST: [Fault; 2] = [Fault::LostAnswer, Fault::DoneButFailed];

async fn powertools(bed: Bed) -> (Bed, Powertools) {
    let bed = on_a_table(bed, &["id"]).await;
    let powertools = ours(&bed, 0).build().unwrap();
    (bed, powertools)
}

async fn a_beginning_whose_answer_is_lost_is_ours(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    for (number, fault) in LOST.into_iter().enumerate() {
        bed.http.forget();
        bed.http.plan([fault, fault, Fault::None]);
        let outcome = run(&powertools, &json!(number), json!("done")).await.unwrap();
        assert_eq!(outcome, Outcome::Executed(json!("done")));
        assert_eq!(bed.http.sent(), ["PutItem", "PutItem", "PutItem", "UpdateItem"]);
    }
}

async fn a_completion_whose_answer_is_lost_is_recorded(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    for (number, fault) in LOST.into_iter().enumerate() {
        bed.http.plan([Fault::None, fault, fault]);
        let outcome = run(&powertools, &json!(number), json!({"a": [1, 0.5]})).await.unwrap();
        assert_eq!(outcome, Outcome::Executed(json!({"a": [1, 0.5]})));
        assert!(untouched(&powertools, &json!(number)).await.unwrap().is_replayed());
    }
}

async fn a_failure_whose_answer_is_lost_leaves_nothing(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    for fault in LOST {
        bed.http.plan([Fault::None, fault]);
        let failed = powertools.run::<Value, _, _>(&event(), TIME, || async { Err("no".into()) }).await.unwrap_err();
        assert!(matches!(failed, PowertoolsError::Failed { not_released: None, .. }), "{failed:?}");
        assert!(powertools.lookup::<Value>(&event()).await.unwrap().is_none());
    }
}

async fn a_late_copy_of_a_beginning_takes_nothing(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    let http = bed.http.clone();
    let work = || async move {
        http.repeat(0).await;
        Ok(json!(1))
    };
    assert_eq!(powertools.run(&event(), TIME, work).await.unwrap(), Outcome::Executed(json!(1)));
    bed.http.repeat(0).await;
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(json!(1)));
}

async fn a_completion_that_cannot_be_recorded_keeps_the_response(bed: Bed) {
    let (bed, _) = powertools(bed).await;
    let hasty = ours(&bed, 0).requests(RequestPolicy::patient_for(Duration::from_millis(500))).build().unwrap();
    let http = bed.http.clone();
    let work = || async move {
        http.plan([Fault::Failed; 40]);
        Ok(json!("secret"))
    };
    let error = hasty.run(&event(), TIME, work).await.unwrap_err();
    assert!(matches!(error, PowertoolsError::NotRecorded { .. }), "{error:?}");
    assert_eq!(error.error().unwrap().kind(), ErrorKind::Unreachable);
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    assert_eq!(error.into_response(), Some(json!("secret")));
    bed.http.forget();
    assert!(matches!(untouched(&hasty, &event()).await, Err(PowertoolsError::InProgress { .. })));
}

async fn a_record_that_was_deleted_is_made_again(bed: Bed) {
    let (bed, _) = powertools(bed).await;
    let powertools = ours(&bed, 0).validate(JmesPath::new("total").unwrap()).build().unwrap();
    let work = async || {
        let id = item(&bed).await.remove("id").unwrap();
        bed.sdk().delete_item().table_name(&bed.table).key("id", id).send().await.unwrap();
        // And the answer of the completion is lost.
        bed.http.plan([Fault::LostAnswer]);
        Ok(json!(1))
    };
    assert_eq!(powertools.run(&event(), TIME, work).await.unwrap(), Outcome::Executed(json!(1)));
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(json!(1)));
}

async fn a_panic_gives_the_event_back(bed: Bed) {
    let (_bed, powertools) = powertools(bed).await;
    let event = event();
    let work = powertools.run::<Value, _, _>(&event, TIME, || async { panic!("as the test wants it") });
    let panic = std::panic::AssertUnwindSafe(work).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"as the test wants it"));
    assert_eq!(run(&powertools, &event, json!(1)).await.unwrap(), Outcome::Executed(json!(1)));
}

async fn an_event_is_handled_once_in_a_race(bed: Bed) {
    let (_bed, powertools) = powertools(bed).await;
    let runs = Arc::new(AtomicU32::new(0));
    let one = |number: u32| {
        let (powertools, runs) = (powertools.clone(), Arc::clone(&runs));
        async move {
            let work = || async {
                runs.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(json!(number))
            };
            powertools.run(&event(), TIME, work).await
        }
    };
    // On threads, as a function with concurrent invocations has them.
    let results = futures_util::future::join_all((0..20).map(one).map(tokio::spawn)).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let executed = results.iter().filter(|result| matches!(result, Ok(Outcome::Executed(_)))).count();
    assert_eq!(executed, 1);
    for result in &results {
        let fine = matches!(result, Ok(_) | Err(PowertoolsError::InProgress { .. }));
        assert!(fine, "{result:?}");
    }
}

async fn under_faults_every_event_is_handled_once(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    let seed = std::env::var("TRACKER_TEST_SEED").ok().map_or(7, |seed| seed.parse().expect("a seed"));
    let faults = [Fault::LostRequest, Fault::LostAnswer, Fault::DoneButFailed, Fault::Failed, Fault::Throttled];
    bed.http.chance(seed, &faults.map(|fault| (fault, 0.06)));
    for number in 0..100 {
        let outcome = run(&powertools, &json!(number), json!({"n": number})).await;
        assert_eq!(outcome.unwrap(), Outcome::Executed(json!({"n": number})), "at the first try");
        let replayed = untouched(&powertools, &json!(number)).await;
        assert_eq!(replayed.unwrap(), Outcome::Replayed(json!({"n": number})));
    }
}

async fn it_costs_two_requests_and_one(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    run(&powertools, &event(), json!(1)).await.unwrap();
    assert_eq!(bed.http.sent(), ["PutItem", "UpdateItem"]);
    bed.http.forget();
    untouched(&powertools, &event()).await.unwrap();
    assert_eq!(bed.http.sent(), ["PutItem"]);
    bed.http.forget();
    powertools.run::<Value, _, _>(&json!(2), TIME, || async { Err("no".into()) }).await.unwrap_err();
    assert_eq!(bed.http.sent(), ["PutItem", "DeleteItem"]);
}

async fn an_answer_that_takes_longer_than_the_work_may_begins_again(bed: Bed) {
    let bed = on_a_table(bed, &["id"]).await;
    let clock = bed.clock.clone();
    let powertools = Powertools::builder(bed.sdk()).table(&bed.table).name("fn").clock(clock.clone()).build().unwrap();
    bed.http.before_answer(move || async move { clock.advance(TIME + Duration::from_millis(1)) });
    assert_eq!(run(&powertools, &event(), json!(1)).await.unwrap(), Outcome::Executed(json!(1)));
    assert_eq!(bed.http.sent(), ["PutItem", "PutItem", "UpdateItem"]);
    // The work's time is counted from before its request.
    let stored = powertools.lookup::<Value>(&event()).await.unwrap().unwrap();
    assert_eq!(stored.in_progress_until, Some(bed.clock.now() + TIME));
    // At the very end, the record is not yet free, and of no use either.
    let clock = bed.clock.clone();
    bed.http.before_answer(move || async move { clock.advance(TIME) });
    let error = untouched(&powertools, &json!(1)).await.unwrap_err();
    assert!(matches!(&error, PowertoolsError::NotStarted(error) if error.kind() == ErrorKind::Conflict), "{error:?}");
    let none = powertools.run::<Value, _, _>(&json!(2), Duration::ZERO, || async { Ok(json!(1)) }).await.unwrap_err();
    assert!(
        matches!(&none, PowertoolsError::NotStarted(error) if error.kind() == ErrorKind::InvalidArgument),
        "{none:?}"
    );
}

async fn events_without_a_key_are_an_error(bed: Bed) {
    let (bed, _) = powertools(bed).await;
    let by_id = || ours(&bed, 0).key(JmesPath::new("id").unwrap());
    let error = untouched(&by_id().build().unwrap(), &event()).await.unwrap_err();
    assert!(matches!(error, PowertoolsError::InvalidEvent(_)), "{error:?}");
    assert!(error.to_string().contains("has nothing to make an idempotency key of"), "{error}");
    // As Python does by default: each time, without a record.
    let lenient = by_id().allow_missing_key().build().unwrap();
    for _ in 0..2 {
        assert_eq!(run(&lenient, &event(), json!(1)).await.unwrap(), Outcome::Executed(json!(1)));
    }
    assert!(lenient.lookup::<Value>(&event()).await.unwrap().is_none());
    // As TypeScript does by default: they share a record.
    let typescript = by_id().allow_missing_key().flavor(Flavor::TypeScript).build().unwrap();
    run(&typescript, &event(), json!(1)).await.unwrap();
    assert!(untouched(&typescript, &json!("another")).await.unwrap().is_replayed());
}

async fn what_is_no_record_is_left_alone(bed: Bed) {
    let (bed, powertools) = powertools(bed).await;
    let key = powertools.key(&event()).unwrap().unwrap();
    let put = bed.sdk().put_item().table_name(&bed.table).item("id", AttributeValue::S(key));
    put.item("status", AttributeValue::S("something".to_owned())).send().await.unwrap();
    let error = untouched(&powertools, &event()).await.unwrap_err();
    assert!(matches!(&error, PowertoolsError::NotStarted(error) if error.kind() == ErrorKind::Unreadable), "{error:?}");
    assert!(error.to_string().starts_with("task \"orders-fn.app.handler#"), "{error}");
    assert_eq!(powertools.lookup::<Value>(&event()).await.unwrap_err().kind(), ErrorKind::Unreadable);
    assert_eq!(item(&bed).await.len(), 2);
}

async fn another_type_of_response_is_an_error_that_does_not_show_it(bed: Bed) {
    let (_bed, powertools) = powertools(bed).await;
    run(&powertools, &event(), json!("secret")).await.unwrap();
    let error = powertools.run::<u64, _, _>(&event(), TIME, || async { Ok(1) }).await.unwrap_err();
    assert!(matches!(error, PowertoolsError::Unreadable(_)), "{error:?}");
    assert!(error.to_string().contains("the response in its record is no `u64`"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    let stored = powertools.lookup::<String>(&event()).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.response.as_deref()), (StoredStatus::Completed, Some("secret")));
    assert!(!format!("{stored:?}").contains("secret"), "{stored:?}");
}

async fn typescript_keeps_its_response_as_dynamodb_values(bed: Bed) {
    let (bed, _) = powertools(bed).await;
    let powertools = ours(&bed, 0).flavor(Flavor::TypeScript).build().unwrap();
    let response = json!({"paid": true, "cents": 1999, "rate": 0.5, "lines": ["é", null, {}]});
    run(&powertools, &event(), response.clone()).await.unwrap();
    let item = item(&bed).await;
    let data = item["data"].as_m().unwrap();
    assert_eq!((data["paid"].as_bool(), data["cents"].as_n().map(String::as_str)), (Ok(&true), Ok("1999")));
    assert!(data["lines"].as_l().unwrap()[1].is_null());
    let hash = item["id"].as_s().unwrap().strip_prefix("orders-fn.app.handler#").unwrap();
    assert!(hash.len() == 24 && hash.ends_with("=="), "{hash}");
    assert_eq!(untouched(&powertools, &event()).await.unwrap(), Outcome::Replayed(response));
}

async fn a_table_that_is_not_there_is_said(bed: Bed) {
    let powertools = ours(&bed, 0).table("not-there").build().unwrap();
    let error = untouched(&powertools, &event()).await.unwrap_err();
    assert!(
        matches!(&error, PowertoolsError::NotStarted(error) if error.kind() == ErrorKind::TableNotFound),
        "{error:?}"
    );
    assert!(error.to_string().contains("can't begin: there is no table \"not-there\""), "{error}");
}
