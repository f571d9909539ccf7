//! The sides in Rust, each in a process of its own as the peers are, told what to do in the same way.

mod idempotency;
mod run;

use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use dynamo_tracker::{Backoff, TrackerClient};
use rustix::time::{ClockId, clock_gettime};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::command::{Command, Hello, Operation, Taken};
use crate::raw;
use crate::side::Side;

/// How often the work was run.
static RAN: AtomicU32 = AtomicU32::new(0);

/// What the work returns, as in the other languages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Payment {
    payment_id: String,
    order_id: String,
}

impl Payment {
    fn of(order_id: &str) -> Self {
        Self { payment_id: format!("payment-of-{order_id}"), order_id: order_id.to_owned() }
    }
}

/// How the work fails.
#[derive(Debug, thiserror::Error)]
#[error("the amount is negative")]
struct Negative;

/// The work.
async fn pay(order_id: &str, amount: i64) -> Result<Payment, Negative> {
    RAN.fetch_add(1, Ordering::Relaxed);
    if amount < 0 { Err(Negative) } else { Ok(Payment::of(order_id)) }
}

/// What is to be paid. That fails where the operation says so.
fn amount(operation: Operation) -> i64 {
    if operation == Operation::Failure { -1 } else { 1200 }
}

enum Ours {
    Raw(Client),
    Run(run::Run),
    Idempotency(idempotency::Once),
}

impl Ours {
    fn new(side: Side) -> Self {
        let sdk = Client::from_conf(config());
        match side {
            Side::Raw => Self::Raw(sdk),
            Side::Run => Self::Run(run::Run::new(client(sdk, side))),
            Side::Idempotency => Self::Idempotency(idempotency::Once::new(client(sdk, side))),
            Side::TypeScript | Side::Python | Side::Mate => panic!("{side:?} is not in Rust"),
        }
    }

    async fn task(&self, operation: Operation, order_id: &str) {
        match self {
            Self::Raw(sdk) => by_hand(sdk, operation, order_id).await,
            Self::Run(run) => run.task(operation, order_id).await,
            Self::Idempotency(once) => once.task(operation, order_id).await,
        }
    }
}

fn config() -> Config {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(std::env::var("PEER_ENDPOINT").expect("PEER_ENDPOINT says where DynamoDB is"))
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .build()
}

/// The examples' settings, with as long a retention as Powertools has, and with retries at once, as the others allow.
fn client<D>(sdk: Client, side: Side) -> TrackerClient<D>
where
    D: Default + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    TrackerClient::builder(sdk)
        .table(side.name())
        .namespace("payments")
        .retention(Duration::from_secs(3600))
        .backoff(Backoff::new(Duration::ZERO, Duration::ZERO))
        .build()
        .expect("a client")
}

/// The SDK alone keeps no response, so there is none to give again.
async fn by_hand(sdk: &Client, operation: Operation, key: &str) {
    let table = Side::Raw.name();
    match operation {
        Operation::Duplicate => return raw::refused(sdk, table, key).await,
        Operation::Failure => raw::failing_task(sdk, table, key).await,
        Operation::First | Operation::Retry => raw::task(sdk, table, key).await,
    }
    RAN.fetch_add(1, Ordering::Relaxed);
}

/// On one thread, as the examples of Lambda functions are.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn serve(side: Side) {
    let ours = Arc::new(Ours::new(side));
    let versions =
        [("dynamo-tracker", env!("CARGO_PKG_VERSION")), ("aws-sdk-dynamodb", aws_sdk_dynamodb::meta::PKG_VERSION)];
    say(&Hello { about: versions.map(|(name, version)| format!("{name} {version}")).join(", ") });
    for line in stdin().lock().lines() {
        let command = serde_json::from_str(&line.expect("it is text")).expect("it is a command");
        say(&measure(&ours, &Arc::new(command)).await);
    }
}

fn say(answer: &impl Serialize) {
    println!("{}", serde_json::to_string(answer).expect("it is JSON"));
}

async fn measure(ours: &Arc<Ours>, command: &Arc<Command>) -> Taken {
    RAN.store(0, Ordering::Relaxed);
    let (cpu, begun) = (cpu(), Instant::now());
    let mut lanes = JoinSet::new();
    for lane in 0..command.in_flight {
        lanes.spawn(one_by_one(Arc::clone(ours), Arc::clone(command), lane));
    }
    lanes.join_all().await;
    let (cpu, wall) = (self::cpu() - cpu, begun.elapsed());
    let ran = RAN.load(Ordering::Relaxed);
    Taken { cpu_us: cpu.as_secs_f64() * 1e6, wall_us: wall.as_secs_f64() * 1e6, ran }
}

async fn one_by_one(ours: Arc<Ours>, command: Arc<Command>, lane: u32) {
    for number in (lane..command.tasks).step_by(command.in_flight as usize) {
        ours.task(command.operation, &format!("{}-{number}", command.prefix)).await;
    }
}

/// What the process has had of all processors so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it does not go back")
}
