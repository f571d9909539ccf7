//! What is kept of a response, and given again.

use aws_sdk_dynamodb::types::AttributeValue;
use dynamo_tracker::WorkError;
use dynamo_tracker::lambda::{Idempotency, Key, TooLarge};
use serde_json::{Value, json};

use super::core::{Counter, by_id, fine, name};
use crate::bed::Bed;

crate::tests![
    every_response_comes_back_as_it_was,
    a_response_that_is_too_large_is_not_kept,
    a_response_that_is_too_large_is_packed,
    a_response_that_is_too_large_can_be_a_failure,
    a_response_shares_the_item_with_errors,
    a_response_that_is_no_json_is_not_kept,
    a_response_of_another_type_is_said,
    a_replay_can_be_changed,
];

/// A response of so many bytes, which zlib can't make smaller than three quarters of that.
fn noise(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect()
}

async fn every_response_comes_back_as_it_was(bed: Bed) {
    let idempotency = by_id(&bed).build().unwrap();
    let values =
        [json!(0), json!(false), json!(null), json!(""), json!([]), json!({}), json!(u64::MAX), json!({"a": [1.0]})];
    for (id, value) in values.into_iter().enumerate() {
        for replayed in [false, true] {
            let work = || async { Ok::<Value, WorkError>(value.clone()) };
            let outcome = idempotency.run(&json!({"id": id}), None, work).await.unwrap();
            assert_eq!((&outcome.response, outcome.replayed), (&value, replayed));
        }
    }
}

async fn a_response_that_is_too_large_is_not_kept(bed: Bed) {
    let (large, counter) = (noise(410_000), Counter::default());
    for (id, choice) in [TooLarge::KeepNothing, TooLarge::Compress].into_iter().enumerate() {
        // Packed, it still has three quarters of its size.
        let large = if choice == TooLarge::Compress { large.repeat(2) } else { large.clone() };
        let idempotency = by_id(&bed).too_large(choice).build().unwrap();
        let work = || async {
            counter.work().await?;
            Ok::<_, WorkError>(large.clone())
        };
        let event = json!({"id": id});
        let first = idempotency.run(&event, None, work).await.unwrap();
        assert!(first.response == large && !first.replayed);
        for _ in 0..2 {
            let error = idempotency.run(&event, None, work).await.unwrap_err();
            assert_eq!((error.http_status(), name(error)), (410, "ResponseNotKept".to_owned()));
        }
        assert_eq!(counter.runs(), 1 + u32::try_from(id).unwrap());
    }
}

async fn a_response_that_is_too_large_is_packed(bed: Bed) {
    let idempotency = by_id(&bed).too_large(TooLarge::Compress).validate(Key::whole()).build().unwrap();
    let event = json!({"id": 1});
    let large = "0123456789".repeat(100_000);
    let work = || async { Ok::<_, WorkError>(large.clone()) };
    for replayed in [false, true] {
        let outcome = idempotency.run(&event, None, work).await.unwrap();
        assert!(outcome.response == large && outcome.replayed == replayed);
    }
    let plain = by_id(&bed).build().unwrap();
    assert!(plain.run(&event, None, work).await.unwrap().response == large, "whoever does not pack reads it");
    assert_eq!(name(idempotency.run(&json!({"id": 1, "a": 1}), None, work).await.unwrap_err()), "PayloadMismatch");
}

async fn a_response_that_is_too_large_can_be_a_failure(bed: Bed) {
    let idempotency = by_id(&bed).too_large(TooLarge::Fail).build().unwrap();
    let (event, counter, large) = (json!({"id": 1}), Counter::default(), noise(410_000));
    let work = || async {
        counter.work().await?;
        Ok::<_, WorkError>(large.clone())
    };
    let error = idempotency.run(&event, None, work).await.unwrap_err();
    assert!(error.to_string().contains("the record has room for"), "{error}");
    assert_eq!(name(error), "ResponseTooLarge");
    assert_eq!(name(idempotency.run(&event, None, work).await.unwrap_err()), "TaskExhausted");
    assert_eq!(counter.runs(), 1);
}

async fn a_response_shares_the_item_with_errors(bed: Bed) {
    let client = bed.builder().max_attempts(50).error_history(50).build().unwrap();
    let idempotency = Idempotency::builder(client).validate(Key::whole()).build().unwrap();
    let event = json!({"id": 1});
    for _ in 0..20 {
        let work = || async { Err::<String, _>(WorkError::from_parts("E", noise(1024), Some(noise(2048)))) };
        idempotency.run(&event, None, work).await.unwrap_err();
    }
    let large = noise(370_000);
    let first = idempotency.run(&event, None, || async { Ok::<_, WorkError>(large.clone()) }).await.unwrap();
    assert!(first.response == large && first.attempt == 21);
    let again = idempotency.run(&event, None, || async { Ok::<_, WorkError>(String::new()) }).await.unwrap_err();
    assert_eq!(name(again), "ResponseNotKept");
}

async fn a_response_that_is_no_json_is_not_kept(bed: Bed) {
    let (idempotency, event) = (by_id(&bed).build().unwrap(), json!({"id": 1}));
    type Odd = std::collections::BTreeMap<Option<u8>, u8>;
    // A map whose keys are no text.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Pairs(std::collections::BTreeMap<(u8, u8), Odd>);
    let pairs = || async { Ok::<_, WorkError>(Pairs([((1, 2), Odd::new())].into())) };
    assert!(!idempotency.run(&event, None, pairs).await.unwrap().replayed);
    assert_eq!(idempotency.run(&event, None, pairs).await.err().map(name).as_deref(), Some("ResponseNotKept"));
}

async fn a_response_of_another_type_is_said(bed: Bed) {
    let (idempotency, event) = (by_id(&bed).build().unwrap(), json!({"id": 1}));
    idempotency.run(&event, None, || async { Ok::<_, WorkError>("secret".to_owned()) }).await.unwrap();
    let error = idempotency.run(&event, None, fine).await.unwrap_err();
    assert!(error.to_string().contains("no `u32`") && !format!("{error:?}").contains("secret"), "{error}");
    assert_eq!(name(error), "ResponseUnreadable");
    bed.set(&idempotency.id(&event).unwrap().unwrap(), "data", AttributeValue::S("no replay".to_owned())).await;
    assert_eq!(name(idempotency.run(&event, None, fine).await.unwrap_err()), "ResponseUnreadable");
}

async fn a_replay_can_be_changed(bed: Bed) {
    let idempotency = by_id(&bed).on_replay(|mut response, record| {
        response["attempt"] = record.attempts.into();
        response
    });
    let idempotency = idempotency.build().unwrap();
    let work = || async { Ok::<_, WorkError>(json!({"n": u64::MAX})) };
    let first = idempotency.run(&json!({"id": 1}), None, work).await.unwrap();
    assert_eq!(first.response, json!({"n": u64::MAX}));
    for _ in 0..2 {
        let again = idempotency.run(&json!({"id": 1}), None, work).await.unwrap();
        assert_eq!(again.response, json!({"n": u64::MAX, "attempt": 1}));
    }
}
