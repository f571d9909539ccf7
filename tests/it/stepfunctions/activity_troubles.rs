//! A worker for an activity that is to give back what it has.

use std::sync::Arc;
use std::time::Duration;

use dynamo_tracker::CancellationToken;
use serde_json::json;
use tokio::sync::Notify;

use super::activity::{report, work, worker};
use crate::bed::Bed;
use crate::bed::states::States;

crate::tests![to_give_back_is_to_stop,];

/// No worker takes so long to stop.
const PATIENCE: Duration = Duration::from_secs(30);

async fn to_give_back_is_to_stop(bed: Bed) {
    let states = States::new();
    let (give_back, begun) = (CancellationToken::new(), Arc::new(Notify::new()));
    let telling = Arc::clone(&begun);
    let working = work(worker(&bed, &states).give_back_on(give_back.clone()), move |_| {
        telling.notify_one();
        std::future::pending()
    });
    let token = states.offer(&json!({"id": "a"}));
    begun.notified().await;
    let left = states.offer(&json!({"id": "b"}));
    states.calls();
    give_back.cancel();
    let stopped = tokio::time::timeout(PATIENCE, working.run).await.expect("it stops by itself").unwrap();
    assert_eq!(stopped.unwrap(), report(|report| report.stopped = 1));
    assert_eq!(states.told(&token).unwrap().failure().0, "WorkerStopped");
    assert_eq!(
        (states.calls(), states.told(&left)),
        (vec!["SendTaskFailure".to_owned()], None),
        "it asks for nothing more"
    );
}
