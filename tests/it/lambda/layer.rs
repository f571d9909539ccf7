//! The layer, as `lambda_runtime` uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dynamo_tracker::WorkError;
use dynamo_tracker::lambda::powertools::Powertools;
use dynamo_tracker::lambda::{Idempotency, IdempotencyLayer, JmesPath, Key};
use lambda_runtime::tower::{Layer, Service, ServiceExt};
use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bed::Bed;

crate::tests![
    a_handler_runs_once_for_each_event,
    fields_that_the_type_does_not_have_make_the_key,
    an_event_of_another_type_is_said_and_leaves_no_record,
    the_handlers_own_error_keeps_its_type,
    a_table_of_powertools_works_as_well,
];

#[derive(Deserialize)]
struct Order {
    amount: u32,
}

fn event(payload: &Value) -> LambdaEvent<Value> {
    LambdaEvent::new(payload.clone(), Context::default())
}

/// Anything that `lambda_runtime::run_concurrent` takes.
fn concurrent<S>(handler: S) -> S
where
    S: Service<LambdaEvent<Value>, Error: Into<Diagnostic> + std::fmt::Debug, Future: Send> + Clone + Send + 'static,
{
    handler
}

async fn a_handler_runs_once_for_each_event(bed: Bed) {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let pay = service_fn(move |event: LambdaEvent<Order>| {
        let run = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Ok::<_, WorkError>((event.payload.amount, run)) }
    });
    let idempotency = Idempotency::builder(bed.client()).build().unwrap();
    let handler = concurrent(IdempotencyLayer::new(idempotency).layer(pay));
    for (amount, run) in [(1, 1), (2, 2), (1, 1), (2, 2)] {
        let response = handler.clone().oneshot(event(&json!({ "amount": amount }))).await.unwrap();
        assert_eq!(response, (amount, run));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

async fn fields_that_the_type_does_not_have_make_the_key(bed: Bed) {
    let pay = service_fn(|event: LambdaEvent<Order>| async move { Ok::<_, WorkError>(event.payload.amount) });
    let idempotency = Idempotency::builder(bed.client()).key(Key::path(JmesPath::new("secret.id").unwrap()));
    let handler = IdempotencyLayer::new(idempotency.build().unwrap()).layer(pay);
    let call = |amount: u32, id: &str| handler.clone().oneshot(event(&json!({"amount": amount, "secret": {"id": id}})));
    assert_eq!(call(1, "a").await.unwrap(), 1);
    assert_eq!(call(2, "a").await.unwrap(), 1);
    assert_eq!(call(2, "b").await.unwrap(), 2);
}

async fn an_event_of_another_type_is_said_and_leaves_no_record(bed: Bed) {
    #[derive(Deserialize)]
    struct Deep {
        #[serde(rename = "orders")]
        _orders: Vec<Order>,
    }
    let pay = service_fn(|_: LambdaEvent<Deep>| async { Ok::<_, WorkError>(()) });
    let idempotency = Idempotency::builder(bed.client()).build().unwrap();
    let handler = IdempotencyLayer::new(idempotency).layer(pay);
    let error = handler.oneshot(event(&json!({"orders": [{"amount": 1}, {"amount": "needle"}]}))).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(text.contains("at orders[1].amount; look at") && !text.contains("needle"), "{text}");
    assert_eq!(Diagnostic::from(error).error_type, "InvalidEvent");
    assert_eq!(bed.http.sent().len(), 0);
}

async fn the_handlers_own_error_keeps_its_type(bed: Bed) {
    let pay = service_fn(|_: LambdaEvent<Value>| async { Err::<(), _>(std::io::Error::other("no paper")) });
    let idempotency = Idempotency::builder(bed.client()).build().unwrap();
    let handler = IdempotencyLayer::new(idempotency).layer(pay);
    let diagnostic = Diagnostic::from(handler.oneshot(event(&json!(1))).await.unwrap_err());
    assert_eq!((&*diagnostic.error_type, &*diagnostic.error_message), ("std::io::error::Error", "no paper"));
}

async fn a_table_of_powertools_works_as_well(bed: Bed) {
    let powertools = Powertools::builder(bed.sdk()).table(&bed.table).name("fn.handler").clock(bed.clock.clone());
    let powertools = powertools.key(JmesPath::new("id").unwrap()).validate(JmesPath::new("amount").unwrap());
    let powertools = powertools.build().unwrap();
    let pay = service_fn(|event: LambdaEvent<Order>| async move {
        match event.payload.amount {
            0 => Err(WorkError::from_parts("NoAmount", "nothing to pay", None)),
            amount => Ok(amount),
        }
    });
    let handler = concurrent(IdempotencyLayer::powertools(powertools.clone()).layer(pay));
    let call = |id: u32, amount: u32| {
        let handler = handler.clone();
        async move {
            let result = handler.oneshot(event(&json!({"id": id, "amount": amount}))).await;
            result.map_err(|error| Diagnostic::from(error).error_type)
        }
    };
    assert_eq!(call(1, 5).await, Ok(5));
    assert_eq!(call(1, 5).await, Ok(5));
    assert_eq!(call(1, 6).await, Err("PayloadMismatch".to_owned()));
    assert_eq!(call(2, 0).await, Err("NoAmount".to_owned()));
    let (begun, locked) = (tokio::sync::Notify::new(), json!({"id": 3, "amount": 1}));
    let hangs = powertools.run::<u32, _, _>(&locked, Duration::from_secs(60), || async {
        begun.notify_one();
        std::future::pending().await
    });
    tokio::select! {
        _ = hangs => unreachable!("it hangs"),
        () = begun.notified() => {}
    }
    assert_eq!(call(3, 1).await, Err("TaskLocked".to_owned()));
}
