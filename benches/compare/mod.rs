//! The crate's calls against the raw SDK's, side by side on one table.
//!
//! Both send the same two updates of the same kind of item, in alternating batches, and what counts is the median of the pairs'
//! ratios. So it holds whatever else the machine is doing.

#[path = "../median/mod.rs"]
mod median;
#[expect(dead_code, reason = "tasks that fail or are refused are not compared here")]
#[path = "../raw/mod.rs"]
mod raw;

use std::sync::Arc;
use std::time::Instant;

use aws_sdk_dynamodb::{Client, config};
use clap::ValueEnum;
use dynamo_tracker::{StartOptions, TrackerClient};
use tokio::task::JoinSet;

use median::median;

use crate::backend::{Backend, Server};

const TABLE: &str = "compared";
const NAMESPACE: &str = "bench";

/// Who does the tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// The SDK's two calls.
    Raw,
    /// `run`.
    Run,
    /// `start`, and the lease's `succeed`.
    Lease,
}

/// How many pairs of batches, an odd number, of how many tasks each, of which so many are in flight.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) pairs: usize,
    pub(crate) batch: usize,
    pub(crate) in_flight: usize,
}

/// What the pairs have come to: medians.
pub(crate) struct Compared {
    /// Tasks in a second.
    pub(crate) raw: f64,
    pub(crate) crates: f64,
    /// The crate's tasks a second over those of the raw calls.
    pub(crate) ratio: f64,
}

/// Both sides on one table.
pub(crate) struct Bench {
    sdk: Client,
    tracker: TrackerClient<()>,
    server: Server,
}

impl Bench {
    /// On a table of its own. Both sides go through the same connections: which of the runtime's threads serves one is luck, and
    /// lasts. With one each, the SDK's calls took half a percent longer than the very same calls on the other.
    pub(crate) async fn new(backend: Backend) -> Arc<Self> {
        let server = Server::start(backend, None).await;
        let config = server.config().http_client(aws_smithy_http_client::Builder::new().build_http());
        let bench = Self::with(config, server);
        bench.tracker.create_table().await.expect("a table");
        Arc::new(bench)
    }

    /// On the table of another one, with connections of each side's own.
    pub(crate) fn at(server: Server) -> Self {
        Self::with(server.config(), server)
    }

    fn with(config: config::Builder, server: Server) -> Self {
        let sdk = Client::from_conf(config.build());
        let tracker = TrackerClient::builder(sdk.clone()).table(TABLE).namespace(NAMESPACE).build().expect("a client");
        Self { sdk, tracker, server }
    }

    /// Where the table is.
    pub(crate) fn endpoint(&self) -> &str {
        self.server.endpoint()
    }

    /// Another pair of clients on the same table, which have no connection yet.
    #[allow(dead_code, reason = "only benches/throughput.rs asks")]
    pub(crate) fn anew(&self) -> Self {
        Self::at(Server::at(self.endpoint()))
    }

    /// Opens the connection of the crate's client.
    #[allow(dead_code, reason = "only benches/throughput.rs asks")]
    pub(crate) async fn warm_up(&self) {
        self.tracker.warm_up().await.expect("a connection");
    }

    /// Compares a side of the crate's with the raw calls.
    pub(crate) async fn compare(self: &Arc<Self>, side: Side, size: Size) -> Compared {
        let name = format!("{side:?}-{}", size.in_flight);
        self.pair(side, &format!("{name}-warm"), size, true).await;
        let mut pairs = Vec::with_capacity(size.pairs);
        for number in 0..size.pairs {
            // Whoever goes second finds warmer caches, so they take turns.
            pairs.push(self.pair(side, &format!("{name}-{number}"), size, number % 2 == 0).await);
        }
        let tasks = size.batch as f64;
        Compared {
            raw: median(pairs.iter().map(|(raw, _)| tasks / raw)),
            crates: median(pairs.iter().map(|(_, crates)| tasks / crates)),
            ratio: median(pairs.iter().map(|(raw, crates)| raw / crates)),
        }
    }

    /// The seconds of a batch of the raw calls, and of one of the crate's.
    async fn pair(self: &Arc<Self>, side: Side, name: &str, size: Size, raw_first: bool) -> (f64, f64) {
        if raw_first {
            let raw = self.batch(Side::Raw, name, size).await;
            return (raw, self.batch(side, name, size).await);
        }
        let crates = self.batch(side, name, size).await;
        (self.batch(Side::Raw, name, size).await, crates)
    }

    async fn batch(self: &Arc<Self>, side: Side, name: &str, size: Size) -> f64 {
        let begun = Instant::now();
        let mut lanes = JoinSet::new();
        for lane in 0..size.in_flight {
            let (bench, name, tasks) = (Arc::clone(self), format!("{name}-{lane}"), size.batch / size.in_flight);
            lanes.spawn(async move { bench.one_by_one(side, &name, tasks).await });
        }
        lanes.join_all().await;
        begun.elapsed().as_secs_f64()
    }

    /// Does so many tasks, one after the other.
    pub(crate) async fn one_by_one(&self, side: Side, name: &str, tasks: usize) {
        for number in 0..tasks {
            let id = format!("{side:?}-{name}-{number}");
            match side {
                Side::Raw => raw::task(&self.sdk, TABLE, &format!("{NAMESPACE}#{id}")).await,
                Side::Run => {
                    self.tracker.run(id, StartOptions::new(), |_| async { Ok(()) }).await.expect("it runs");
                }
                Side::Lease => {
                    let lease = self.tracker.start(id).await.expect("it starts");
                    lease.succeed().await.expect("it ends");
                }
            }
        }
    }
}
