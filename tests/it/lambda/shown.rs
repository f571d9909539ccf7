//! What people see of an idempotent handler: fields by which a log can be searched, and nothing of the data.

use dynamo_tracker::WorkError;
use dynamo_tracker::lambda::Key;
use serde_json::json;
use tracing::instrument::WithSubscriber;

use super::core::{by_id, fine};
use crate::bed::Bed;
use crate::bed::log::Log;

crate::tests![a_log_says_which_task_it_was_and_whether_it_is_replayed, nothing_of_event_or_response_is_shown];

async fn a_log_says_which_task_it_was_and_whether_it_is_replayed(bed: Bed) {
    let (idempotency, log) = (by_id(&bed).build().unwrap(), Log::default());
    for replayed in [false, true] {
        let work = || async {
            tracing::info!("handling it");
            fine().await
        };
        let run = idempotency.run_keyed("order-1", None, None, work).with_subscriber(log.subscriber());
        let outcome = run.await.unwrap();
        assert_eq!(outcome.replayed, replayed);
    }
    for wanted in [
        ["idempotent{task=\"order-1\" namespace=\"test\" attempt=1 replayed=false}", "handling it"],
        ["idempotent{task=\"order-1\" namespace=\"test\" attempt=1 replayed=true}", "done before"],
    ] {
        assert!(log.has(&wanted), "{wanted:?} is not in {:#?}", log.own_lines());
    }
}

async fn nothing_of_event_or_response_is_shown(bed: Bed) {
    let idempotency = by_id(&bed).validate(Key::whole()).build().unwrap();
    let event = json!({"id": 1, "card": "needle"});
    let work = || async { Ok::<_, WorkError>("needle".to_owned()) };
    let outcome = idempotency.run(&event, None, work).await.unwrap();
    let mismatch = idempotency.run(&json!({"id": 1, "card": "another needle"}), None, work).await.unwrap_err();
    let fails = || async { Err::<String, WorkError>("needle".into()) };
    let failed = idempotency.run(&json!({"id": 2}), None, fails).await.unwrap_err();
    let shown = format!("{idempotency:?} {outcome:?} {mismatch:?} {mismatch} {failed:?}");
    assert!(!shown.contains("needle"), "{shown}");
    assert!(shown.contains("Outcome { replayed: false, attempt: 1, .. }"), "{shown}");
}
