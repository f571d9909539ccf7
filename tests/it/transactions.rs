//! Outcomes and the caller's own writes, together or not at all.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use dynamo_tracker::{ErrorKind, RequestPolicy, RunError, StartOptions, Status, SystemClock, WorkError};

use crate::bed::Bed;
use crate::bed::http::Fault;

crate::tests![
    an_outcome_and_writes_commit_together,
    a_refused_write_leaves_everything_as_it_was,
    a_lost_lease_writes_nothing,
    a_lost_answer_is_repeated_safely,
    a_repetition_after_the_token_is_forgotten_is_safe_too,
    a_conflict_is_tried_again,
    a_checkpoint_and_writes_commit_together,
    more_writes_than_a_transaction_takes_are_refused,
    a_task_is_made_in_the_callers_transaction,
    money_is_moved_once_under_lost_answers_and_crashes,
];

/// Adds to an account, which must exist.
fn add(bed: &Bed, account: &str, cents: i64) -> TransactWriteItem {
    let update = Update::builder()
        .table_name(&bed.table)
        .key("id", AttributeValue::S(account.to_owned()))
        .update_expression("ADD cents :cents")
        .condition_expression("attribute_exists(cents)")
        .expression_attribute_values(":cents", AttributeValue::N(cents.to_string()));
    TransactWriteItem::builder().update(update.build().unwrap()).build()
}

async fn open(bed: &Bed, account: &str, cents: i64) {
    let put = bed.sdk().put_item().table_name(&bed.table).item("id", AttributeValue::S(account.to_owned()));
    put.item("cents", AttributeValue::N(cents.to_string())).send().await.unwrap();
}

async fn cents(bed: &Bed, account: &str) -> i64 {
    let get = bed.sdk().get_item().table_name(&bed.table).key("id", AttributeValue::S(account.to_owned()));
    let item = get.consistent_read(true).send().await.unwrap().item.unwrap();
    item["cents"].as_n().unwrap().parse().unwrap()
}

async fn an_outcome_and_writes_commit_together(bed: Bed) {
    let client = bed.client::<u32>();
    open(&bed, "a", 100).await;
    let mut lease = client.start("t").await.unwrap();
    lease.set_data(7).unwrap();
    let record = lease.succeed_with(vec![add(&bed, "a", 5)]).await.unwrap();
    assert_eq!((record.status, cents(&bed, "a").await), (Status::Succeeded, 105));
    assert_eq!(client.load("t").await.unwrap().unwrap().data, 7);
    let mut lease = client.start("u").await.unwrap();
    let record = lease.fail_with("no", vec![add(&bed, "a", -1)]).await.unwrap();
    assert_eq!((record.status, record.errors.len(), cents(&bed, "a").await), (Status::Failed, 1, 104));
    assert!(lease.succeed_with(vec![add(&bed, "a", 5)]).await.unwrap_err().is_lease_lost(), "it has ended");
}

async fn a_refused_write_leaves_everything_as_it_was(bed: Bed) {
    let client = bed.client::<()>();
    open(&bed, "a", 100).await;
    let mut lease = client.start("t").await.unwrap();
    let writes = vec![add(&bed, "a", 5), add(&bed, "nobody", 5)];
    let error = lease.succeed_with(writes.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.action()), (ErrorKind::ActionRefused, Some(1)));
    assert!(error.to_string().contains("your own write number 1"), "{error}");
    assert_eq!(cents(&bed, "a").await, 100);
    let record = lease.fail("the account is gone").await.unwrap();
    assert_eq!(record.status, Status::Failed);
    // In a run, the work's `?` makes it the task's failure: nothing was written, so another attempt may follow.
    let work = |mut lease: dynamo_tracker::Lease<()>| async move { Ok(lease.succeed_with(writes).await.map(drop)?) };
    let error = client.run("u", StartOptions::new(), work).await.unwrap_err();
    assert!(matches!(&error, RunError::Failed { tracker, .. } if tracker.status == Status::Failed), "{error}");
}

async fn a_lost_lease_writes_nothing(bed: Bed) {
    let client = bed.client::<()>();
    open(&bed, "a", 100).await;
    let mut lost = client.start("t").await.unwrap();
    let _holder = client.start_with("t", StartOptions::new().ignore_lock()).await.unwrap();
    let before = client.load("t").await.unwrap();
    assert!(lost.succeed_with(vec![add(&bed, "a", 5)]).await.unwrap_err().is_lease_lost());
    assert_eq!((client.load("t").await.unwrap(), cents(&bed, "a").await), (before, 100));
}

async fn a_lost_answer_is_repeated_safely(bed: Bed) {
    let client = bed.client::<()>();
    open(&bed, "a", 0).await;
    for (number, fault) in [Fault::LostAnswer, Fault::DoneButFailed].into_iter().enumerate() {
        let mut lease = client.start(format!("t{number}")).await.unwrap();
        bed.http.plan([fault, fault]);
        lease.succeed_with(vec![add(&bed, "a", 1)]).await.unwrap();
    }
    assert_eq!(cents(&bed, "a").await, 2);
}

async fn a_repetition_after_the_token_is_forgotten_is_safe_too(bed: Bed) {
    let client = bed.client::<u32>();
    open(&bed, "a", 0).await;
    bed.http.forget_tokens();
    let mut lease = client.start("t").await.unwrap();
    bed.http.plan([Fault::LostAnswer, Fault::DoneButFailed]);
    lease.checkpoint_with(1, vec![add(&bed, "a", 1)]).await.unwrap();
    bed.http.plan([Fault::LostAnswer, Fault::DoneButFailed]);
    lease.succeed_with(vec![add(&bed, "a", 1)]).await.unwrap();
    assert_eq!(cents(&bed, "a").await, 2);
    assert_eq!(client.load("t").await.unwrap().unwrap().status, Status::Succeeded);
}

async fn a_conflict_is_tried_again(bed: Bed) {
    let client = bed.builder::<u32>().clock(SystemClock).build().unwrap();
    open(&bed, "a", 0).await;
    let mut lease = client.start("t").await.unwrap();
    bed.http.plan([Fault::Conflict; 4]);
    lease.checkpoint_with(1, vec![add(&bed, "a", 1)]).await.unwrap();
    bed.http.plan([Fault::Conflict; 4]);
    lease.succeed_with(vec![add(&bed, "a", 1)]).await.unwrap();
    assert_eq!(cents(&bed, "a").await, 2);
    let hasty = bed.builder::<()>().outcome_patience(Duration::ZERO).build().unwrap();
    let mut lease = hasty.start("u").await.unwrap();
    bed.http.plan([Fault::Conflict; 4]);
    let error = lease.succeed_with(vec![add(&bed, "a", 1)]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.is_temporary(), "{error:?}");
}

async fn a_checkpoint_and_writes_commit_together(bed: Bed) {
    let client = bed.client::<u32>();
    open(&bed, "a", 0).await;
    let mut lease = client.start("t").await.unwrap();
    for part in 1..=3 {
        bed.http.plan([Fault::LostAnswer]);
        lease.checkpoint_with(part, vec![add(&bed, "a", 10)]).await.unwrap();
    }
    let error = lease.checkpoint_with(4, vec![add(&bed, "nobody", 10)]).await.unwrap_err();
    assert_eq!((error.kind(), error.action()), (ErrorKind::ActionRefused, Some(0)));
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.data, record.status, cents(&bed, "a").await), (3, Status::InProgress, 30));
    lease.succeed().await.unwrap();
}

async fn more_writes_than_a_transaction_takes_are_refused(bed: Bed) {
    let client = bed.client::<()>();
    let mut lease = client.start("t").await.unwrap();
    let put = |number: usize| {
        let put = Put::builder().table_name(&bed.table).item("id", AttributeValue::S(format!("note {number}")));
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    bed.http.forget();
    let error = lease.succeed_with((0..100).map(put).collect()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("100 writes are over DynamoDB's 100"), "{error}");
    assert_eq!(bed.http.sent(), Vec::<String>::new());
    let large = |number: usize| {
        let put = Put::builder().table_name(&bed.table).item("id", AttributeValue::S(format!("large {number}")));
        let put = put.item("data", AttributeValue::S("x".repeat(390_000)));
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    };
    let error = lease.succeed_with((0..11).map(large).collect()).await.unwrap_err();
    assert!(error.to_string().contains("over DynamoDB's 4 MB for a transaction"), "{error}");
    assert_eq!(bed.http.sent(), Vec::<String>::new());
    lease.succeed_with((0..99).map(put).collect()).await.unwrap();
}

async fn a_task_is_made_in_the_callers_transaction(bed: Bed) {
    let client = bed.client::<()>();
    open(&bed, "a", 0).await;
    let sdk = bed.sdk();
    let place = |task| {
        let request = sdk.transact_write_items().transact_items(add(&bed, "a", 1)).transact_items(task);
        async move { request.send().await.is_ok() }
    };
    assert!(place(client.create_item("t").unwrap()).await);
    assert!(!place(client.create_item("t").unwrap()).await, "the task exists, so the order is not placed twice");
    assert_eq!(cents(&bed, "a").await, 1);
    let record = client.load("t").await.unwrap().unwrap();
    assert_eq!((record.status, record.generation), (Status::Pending, 0));
    client.start("t").await.unwrap().succeed().await.unwrap();
}

/// Many workers move a cent for each task from one account to another, while answers are lost and workers die.
async fn money_is_moved_once_under_lost_answers_and_crashes(bed: Bed) {
    const TASKS: i64 = 60;
    const SEED: u64 = 20_261_124;
    let policy = RequestPolicy::patient_for(Duration::from_millis(500));
    let builder = || bed.builder::<()>().requests(policy).outcome_patience(Duration::ZERO).max_attempts(100);
    let client = builder().build().unwrap();
    open(&bed, "from", TASKS).await;
    open(&bed, "to", 0).await;
    bed.http.chance(SEED, &[(Fault::LostAnswer, 0.15), (Fault::DoneButFailed, 0.1), (Fault::Throttled, 0.1)]);
    let mut random = fastrand::Rng::with_seed(SEED);
    for _round in 0..50 {
        let mut left = 0;
        for task in 0..TASKS {
            let (dies, moves) = (random.f64() < 0.3, vec![add(&bed, "from", -1), add(&bed, "to", 1)]);
            let work = |mut lease: dynamo_tracker::Lease<()>| async move {
                if dies {
                    // As a process that is killed: nothing is recorded, and the lease goes on.
                    return std::future::pending::<Result<(), WorkError>>().await;
                }
                lease.succeed_with(moves).await?;
                Ok(())
            };
            let run = client.run(format!("move-{task}"), StartOptions::new(), work);
            let limit = Duration::from_millis(if dies { 30 } else { 20_000 });
            match tokio::time::timeout(limit, run).await {
                Ok(Ok(())) => {}
                Ok(Err(RunError::Refused(error))) if error.is_already_succeeded() => {}
                _ => left += 1,
            }
        }
        bed.clock.advance(Duration::from_secs(61));
        if left == 0 {
            break;
        }
    }
    bed.http.chance(SEED, &[]);
    assert_eq!((cents(&bed, "from").await, cents(&bed, "to").await), (0, TASKS));
}
