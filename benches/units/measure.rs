//! The measuring: a row for each operation. Rows are the same in every run, since ids are fixed, the clock moves only when it is
//! told to, and what is drawn at random is always as long.

#[expect(dead_code, reason = "a row has more than the units of what succeeded")]
#[path = "../../tests/it/bed/meter.rs"]
mod meter;

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, TimeDelta};
use dynamo_tracker::{Clock, Lease, ManualClock, NewTask, Query, StartOptions, Status, TrackerClient};
use futures_util::stream;
use serde::Serialize;

use crate::backend::{Backend, Server};
use meter::{Meter, Metered};

/// The clock begins in the year 2100, as that of the tests, so that DynamoDB Local takes nothing for expired.
const BEGINNING: i64 = 4_102_444_800;
/// How many shards the index has.
const SHARDS: u16 = 8;
/// How many tasks are due when a page of them is looked at.
const DUE: i64 = 400;
/// How long data is. With the rest of the item, it is more than 10 KB and less than 11.
const LONG: usize = 10 * 1024;

/// What one operation takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: &'static str,
    pub(crate) data: Data,
    pub(crate) index: bool,
    pub(crate) requests: usize,
    /// `None` where DynamoDB does not say it, which is so of a request that it refuses.
    pub(crate) write_units: Option<f64>,
    pub(crate) read_units: f64,
}

/// Which data the task has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub(crate) enum Data {
    None,
    /// It has some from its creation on, and that stays.
    Kept,
    /// As much, and the operation sets it anew.
    Anew,
}

impl From<Data> for &'static str {
    fn from(data: Data) -> Self {
        match data {
            Data::None => "none",
            Data::Kept => "10 KB kept",
            Data::Anew => "10 KB set anew",
        }
    }
}

/// All rows, from tables of their own.
pub(crate) async fn measure(backend: Backend) -> Vec<Row> {
    let server = Server::start(backend, None).await;
    let mut rows = Vec::new();
    for data in [Data::None, Data::Kept, Data::Anew] {
        for index in [false, true] {
            let mut table = Table::new(&server, data, index).await;
            if data == Data::Anew {
                table.measure_changes().await;
            } else {
                table.measure_life().await;
                table.measure_operators().await;
                table.measure_looks().await;
            }
            rows.extend(table.rows);
        }
    }
    rows
}

/// A table, and what has been measured on it.
struct Table {
    client: TrackerClient<String>,
    clock: ManualClock,
    meter: Meter,
    data: Data,
    index: bool,
    rows: Vec<Row>,
}

impl Table {
    async fn new(server: &Server, data: Data, index: bool) -> Self {
        let beginning = DateTime::from_timestamp(BEGINNING, 0).expect("a time");
        let (meter, clock) = (Meter::default(), ManualClock::new(beginning));
        let sdk = Client::from_conf(server.config().interceptor(meter.clone()).build());
        // Another name each time, since the server may be one that was there before.
        let name = format!("units-{}", uuid::Uuid::new_v4());
        let builder = TrackerClient::builder(sdk).table(name).namespace("bench").clock(clock.clone());
        let client = if index { builder.index(SHARDS) } else { builder }.build().expect("a client");
        client.create_table().await.expect("a table");
        Self { client, clock, meter, data, index, rows: Vec::new() }
    }

    /// Adds the row of what `work` sends. The clock moves before, as any clock does, so that due times are others than before.
    async fn take<T>(&mut self, operation: &'static str, work: impl Future<Output = T>) -> T {
        self.clock.advance(Duration::from_secs(1));
        self.meter.forget();
        let result = work.await;
        let (writes, reads): (Vec<_>, Vec<_>) = self.meter.requests().into_iter().partition(Metered::is_write);
        self.rows.push(Row {
            operation,
            data: self.data,
            index: self.index,
            requests: writes.len() + reads.len(),
            write_units: sum(&writes),
            read_units: sum(&reads).expect("no read is refused"),
        });
        result
    }

    /// What becomes of a task whose data stays as it is.
    async fn measure_life(&mut self) {
        let client = self.client.clone();
        let task = self.task("created");
        self.take("create", client.create(task)).await.expect("it is new");
        let lease = self.take("start", client.start("created")).await.expect("it is pending");
        self.take("succeed", lease.succeed()).await.expect("the lease is ours");
        self.take("refused start", client.start("created")).await.expect_err("it is done");
        let lease = self.start("failing").await;
        self.take("fail", lease.fail("the amount is negative")).await.expect("the lease is ours");
        let mut lease = self.start("released").await;
        self.take("extension", lease.mark_as_in_progress()).await.expect("the lease is ours");
        self.take("release", lease.release()).await.expect("the lease is ours");
        if self.data == Data::None {
            let run = client.run("fresh", StartOptions::new(), |_| async { Ok(()) });
            self.take("run a fresh task", run).await.expect("it is new");
            let mut lease = self.start("checked").await;
            self.take("checkpoint", lease.checkpoint("half".to_owned())).await.expect("the lease is ours");
        }
    }

    /// What differs where the data is set anew.
    async fn measure_changes(&mut self) {
        let client = self.client.clone();
        let set = |mut lease: Lease<String>| async move { Ok(lease.set_data(long("y"))?) };
        self.take("run a fresh task", client.run("fresh", StartOptions::new(), set)).await.expect("it is new");
        let mut lease = self.start("checked").await;
        self.take("checkpoint", lease.checkpoint(long("y"))).await.expect("the lease is ours");
        lease.set_data(long("z")).expect("it can be written");
        self.take("succeed", lease.succeed()).await.expect("the lease is ours");
    }

    /// What operators do to a task without its lock.
    async fn measure_operators(&mut self) {
        let client = self.client.clone();
        client.create(self.task("operated")).await.expect("it is new");
        let loaded = self.take("load", client.load("operated")).await.expect("it can be read");
        let mut seen = loaded.expect("it exists");
        self.take("dump", client.dump(&mut seen)).await.expect("it is as seen");
        let seen = self.take("ignore", client.ignore(&seen)).await.expect("it is pending");
        let seen = self.take("redrive", client.redrive(&seen)).await.expect("it is ignored");
        self.take("delete", client.delete(&seen)).await.expect("it is as seen");
        drop(self.start("locked").await);
        let seen = client.load("locked").await.expect("it can be read").expect("it exists");
        self.take("unlock", client.unlock(&seen)).await.expect("it is as seen");
    }

    /// What looking at many tasks takes, which needs the index.
    async fn measure_looks(&mut self) {
        if !self.index {
            return;
        }
        let client = self.client.clone();
        let now = self.clock.now();
        let task = |number: i64| self.task(&format!("due-{number}")).due(now - TimeDelta::seconds(DUE - number));
        let made = client.create_many(stream::iter((0..DUE).map(task)), 16).await.expect("they are created");
        assert_eq!(made.done, DUE.unsigned_abs(), "{:?}", made.errors);
        let due = Query::new().status(Status::Pending).due_by(now);
        // The first request also reads how many shards there are.
        client.query(&due, None).await.expect("a page");
        let page = self.take("query 100 due tasks", client.query(&due, None)).await.expect("a page");
        assert_eq!(page.items.len(), 100);
        let page = self.take("query 100 due records", client.query_records(&due, None)).await.expect("a page");
        assert_eq!(page.items.len(), 100);
        let stats = self.take("stats", client.stats()).await.expect("a count");
        assert!(stats.pending >= made.done, "{stats:?}");
    }

    /// A task that is to be created.
    fn task(&self, id: &str) -> NewTask<String> {
        let task = NewTask::new(id);
        if self.data == Data::None { task } else { task.data(long("x")) }
    }

    /// A task that has been created and taken.
    async fn start(&self, id: &str) -> Lease<String> {
        self.client.create(self.task(id)).await.expect("it is new");
        self.client.start(id).await.expect("it is pending")
    }
}

fn long(text: &str) -> String {
    text.repeat(LONG)
}

/// The units of all requests. `None` where one of them was refused.
fn sum(requests: &[Metered]) -> Option<f64> {
    requests.iter().try_fold(0.0, |sum, request| Some(sum + request.units?))
}
