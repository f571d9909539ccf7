//! An order and its tracker: money is moved once, although workers race and die.
//!
//!     cargo run --example order
//!
//! Placing an order writes the order and the task of paying for it in one transaction (an outbox). Paying moves the money
//! and records the task's success in one transaction. Four workers try each task at once, and every third attempt is
//! stopped in the middle, as a process that is killed. In the end, each order has been paid for once.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use dynamo_tracker::embedded::Embedded;
use dynamo_tracker::{Lease, NewTask, RunError, StartOptions, TrackerClient, WorkError};

const TABLE: &str = "shop";
const ORDERS: usize = 20;
const CENTS: u64 = 250;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let store = Embedded::in_memory().await?;
    let sdk = store.client();
    // What belongs to whom is kept in the tracker's own table here; any table of the same account and region will do.
    let client = TrackerClient::<u64>::builder(sdk.clone()).table(TABLE).namespace("pay").max_attempts(100);
    let client = client.lease(Duration::from_millis(300)).skew(Duration::from_millis(50)).build()?;
    client.create_table().await?;
    open_account(&sdk, "customer", ORDERS as u64 * CENTS).await?;
    open_account(&sdk, "shop", 0).await?;

    for order in 0..ORDERS {
        place(&sdk, &client, order).await?;
    }
    let workers: Vec<_> = (0..4).map(|worker| tokio::spawn(work(client.clone(), worker))).collect();
    let mut interrupted = 0;
    for worker in workers {
        interrupted += worker.await??;
    }
    println!("{ORDERS} orders of {CENTS} cents, {interrupted} attempts interrupted");
    println!("the customer has {}, the shop has {}", cents(&sdk, "customer").await?, cents(&sdk, "shop").await?);
    Ok(())
}

/// The order exists exactly if the task of paying for it does.
async fn place(sdk: &Client, client: &TrackerClient<u64>, order: usize) -> Result<()> {
    let id = format!("order {order}");
    let put = Put::builder().table_name(TABLE).item("id", text(&id)).build()?;
    let task = client.create_item(NewTask::new(id).data(CENTS))?;
    let order = TransactWriteItem::builder().put(put).build();
    sdk.transact_write_items().transact_items(order).transact_items(task).send().await?;
    Ok(())
}

/// Pays for every order, and returns how many of its attempts were interrupted.
async fn work(client: TrackerClient<u64>, worker: usize) -> Result<usize> {
    let (mut interrupted, mut left): (usize, Vec<usize>) = (0, (0..ORDERS).collect());
    while let Some(order) = left.pop() {
        let options = StartOptions::new().owner(format!("worker {worker}"));
        let pays = client.run(format!("order {order}"), options, pay);
        let dies = (order + worker + interrupted).is_multiple_of(3);
        let limit = if dies { Duration::from_millis(3) } else { Duration::from_secs(60) };
        match tokio::time::timeout(limit, pays).await {
            Ok(Ok(())) => {}
            Ok(Err(RunError::Refused(refused))) if refused.is_already_succeeded() => {}
            Ok(Err(RunError::Refused(refused))) if refused.is_locked() => {
                left.insert(0, order);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(Err(error)) => return Err(error.to_string().into()),
            Err(_) => {
                interrupted += 1;
                left.insert(0, order);
            }
        }
    }
    Ok(interrupted)
}

/// Moves the money and records the success, or neither.
async fn pay(mut lease: Lease<u64>) -> std::result::Result<(), WorkError> {
    tokio::time::sleep(Duration::from_millis(2)).await;
    let cents = i64::try_from(*lease.data())?;
    lease.succeed_with(vec![add("customer", -cents)?, add("shop", cents)?]).await?;
    Ok(())
}

fn add(account: &str, cents: i64) -> std::result::Result<TransactWriteItem, WorkError> {
    let update = Update::builder()
        .table_name(TABLE)
        .key("id", text(account))
        .update_expression("ADD cents :cents")
        .condition_expression("attribute_exists(cents)")
        .expression_attribute_values(":cents", AttributeValue::N(cents.to_string()));
    Ok(TransactWriteItem::builder().update(update.build()?).build())
}

async fn open_account(sdk: &Client, name: &str, cents: u64) -> Result<()> {
    let put = sdk.put_item().table_name(TABLE).item("id", text(name));
    put.item("cents", AttributeValue::N(cents.to_string())).send().await?;
    Ok(())
}

async fn cents(sdk: &Client, account: &str) -> Result<String> {
    let item = sdk.get_item().table_name(TABLE).key("id", text(account)).send().await?.item.unwrap_or_default();
    Ok(item.get("cents").and_then(|cents| cents.as_n().ok()).cloned().unwrap_or_default())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}
