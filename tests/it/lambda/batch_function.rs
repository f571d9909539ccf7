//! A function for the tests of batches, which does what the messages say. It is a copy of the tests' own program.

use dynamo_tracker::lambda::Idempotency;
use dynamo_tracker::lambda::batch::{Exhausted, SqsBatch, SqsDelivery};
use dynamo_tracker::{TrackerClient, WorkError};
use lambda_runtime::Error;

use super::batch_event::Order;
use super::handler::function;
use crate::bed::Bed;
use crate::bed::lambda::Function;

/// What the function is told to be.
pub(super) const BATCH: &str = "batch";
const TABLE: &str = "TRACKER_TEST_TABLE";
const CONCURRENCY: &str = "TRACKER_TEST_CONCURRENCY";

/// The function on a table of the bed's, with so many messages at a time.
pub(super) fn on(bed: &Bed, concurrency: usize) -> Function {
    let function = function(BATCH).env(TABLE, &bed.table).env(CONCURRENCY, concurrency);
    function.env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint)
}

pub(super) async fn run() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config));
    let client = client.table(std::env::var(TABLE)?).namespace("test").build()?;
    let batch = SqsBatch::new(Idempotency::builder(client).build()?).concurrency(std::env::var(CONCURRENCY)?.parse()?);
    lambda_runtime::run(batch.exhausted(Exhausted::Acknowledge).service(handle)).await
}

async fn handle(delivery: SqsDelivery<Order>) -> Result<(), WorkError> {
    let Order { id, what } = &delivery.body;
    match (what.as_str(), delivery.attempt) {
        ("succeed", _) | ("succeed_later" | "hang", 2..) => {
            println!("done {id}");
            Ok(())
        }
        ("hang", 1) => loop {
            // The whole process, as a loop without an end would.
            std::thread::park();
        },
        _ => Err(WorkError::from("it fails")),
    }
}
