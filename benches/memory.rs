//! The memory of leases: bytes of each, with many held at once.
//!
//!     cargo bench --bench memory                        100,000 leases
//!     cargo bench --bench memory -- --leases 2000       a quick look
//!     cargo bench --bench memory -- --json --save       the same, for programs, and kept in docs/benches
//!
//! A worker that waits for others holds many tasks at once, and each costs it what this measures: a lease that `start` gave,
//! one whose work goes on under `keep_alive` or in `run`, with its heartbeat, and for comparison a bare record, which anybody
//! who knows of the task must have. Work in flight is a tokio task of its own, and what that task takes counts, with all of the
//! future. The bench's own lists and locks do not, but for the few words of them that are in the future.
//!
//! Each kind is held in a process of its own, which has nothing but the client; the DynamoDB that it calls is in this one.
//! Allocated are the bytes that were asked of the allocator, less those given back and those from before the first lease.
//! Resident is what the system says that the process has gained, so with the allocator's own. Few requests are in flight at a
//! time, and leases last an hour, so that neither the connections' buffers nor heartbeats are part of it.

mod backend;
mod report;

use std::alloc::System;
use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use clap::{Parser, ValueEnum};
use dynamo_tracker::{Lease, RequestPolicy, StartOptions, Tracker, TrackerClient};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};

use backend::{Backend, Server};
use report::Bars;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Longer than any measurement, so that no heartbeat fires.
const LEASE: Duration = Duration::from_secs(3600);
/// A machine that does other things besides answers late, which is no matter here.
const PATIENCE: RequestPolicy = RequestPolicy::patient_for(Duration::from_secs(300));
/// How many requests are in flight at a time.
const IN_FLIGHT: usize = 64;
/// So many leases come and go before any count, so that connections and what is made once are there.
const WARM: usize = 10 * IN_FLIGHT;
/// This often, since a connection has all of its buffers only after some rounds.
const WARM_ROUNDS: usize = 3;
/// What may stay behind: of each lease, and of connections that came and went.
const LEFT_OF_EACH: f64 = 64.0;
const LEFT_OF_ALL: f64 = 4e6;
/// Tasks of which none ends for so long are not about to end.
const SETTLED_AFTER: Duration = Duration::from_millis(200);

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    output: report::Output,
    /// How many leases are held at once.
    #[arg(long, default_value_t = 100_000)]
    leases: usize,
    /// Only hold leases of one kind, of tasks in the table at an address, and say what they take: for a process of its own.
    #[arg(long, num_args = 2, value_names = ["KIND", "URL"])]
    solo: Option<Vec<String>>,
}

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Kind {
    /// The record of one task, again and again.
    Record,
    /// Leases as `start` gives them.
    Start,
    /// Leases with work under `keep_alive`.
    KeepAlive,
    /// Leases in `run`.
    Run,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Record => "record",
            Kind::Start => "start",
            Kind::KeepAlive => "keep_alive",
            Kind::Run => "run",
        }
    }
}

/// Bytes of each that is held.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Held {
    allocated: f64,
    /// `None` where the system does not say.
    resident: Option<f64>,
    /// What is still allocated when all have ended.
    left: f64,
}

fn main() {
    let args = Args::parse();
    match &args.solo {
        Some(solo) => hold_alone(solo, args.leases),
        None => measure(&args),
    }
}

#[tokio::main(worker_threads = 2)]
async fn measure(args: &Args) {
    let server = Server::start(Backend::Embedded, None).await;
    tracker(&server).create_table().await.expect("a table");
    println!("bytes of each, {} held at once", args.leases);
    println!("            allocated  beyond the record  resident  left behind");
    let mut measured = Vec::new();
    for kind in Kind::value_variants() {
        let held = hold_elsewhere(*kind, args.leases, server.endpoint());
        let record = measured.first().map_or(held.allocated, |(_, record): &(Kind, Held)| record.allocated);
        let resident = held.resident.map_or("unknown".to_owned(), |resident| format!("{resident:.0}"));
        let beyond = held.allocated - record;
        println!("{:<10}  {:9.0}  {beyond:17.0}  {resident:>8}  {:11.1}", kind.name(), held.allocated, held.left);
        measured.push((*kind, held));
    }
    args.output.finish("memory", figures(&measured, args.leases), &[&chart(&measured, args.leases)]);
}

fn figures(measured: &[(Kind, Held)], leases: usize) -> Value {
    let record = measured[0].1.allocated;
    let of_each = measured.iter().map(|(kind, held)| {
        let mut figures = json!(held);
        figures["beyond_record"] = json!(held.allocated - record);
        (kind.name().to_owned(), figures)
    });
    json!({"leases": leases, "bytes": Value::Object(of_each.collect())})
}

fn chart(measured: &[(Kind, Held)], leases: usize) -> Bars {
    let values = |of: fn(&Held) -> f64| measured.iter().map(|(_, held)| of(held)).collect();
    Bars {
        title: format!("Memory of a lease, {leases} held at once"),
        y: "bytes".to_owned(),
        groups: measured.iter().map(|(kind, _)| kind.name().to_owned()).collect(),
        series: vec![
            ("allocated".to_owned(), values(|held| held.allocated)),
            ("resident".to_owned(), values(|held| held.resident.unwrap_or_default())),
        ],
    }
}

fn hold_elsewhere(kind: Kind, leases: usize, url: &str) -> Held {
    let program = std::env::current_exe().expect("this program is somewhere");
    let mut child = Command::new(program);
    child.args(["--leases", &leases.to_string(), "--solo", kind.name(), url]).stderr(Stdio::inherit());
    let output = child.output().expect("it starts again");
    assert!(output.status.success(), "{}: {}", kind.name(), output.status);
    serde_json::from_slice(&output.stdout).expect("it says what it holds")
}

/// On one thread, so that tasks which were stopped are gone when the next one has its turn.
#[tokio::main(flavor = "current_thread")]
async fn hold_alone(solo: &[String], leases: usize) {
    let [kind, url] = solo else { unreachable!("clap has counted them") };
    let kind = Kind::from_str(kind, true).expect("a kind");
    end_at_a_panic();
    let bench = Arc::new(Bench::at(&Server::at(url)));
    for round in 0..WARM_ROUNDS {
        bench.hold(kind, &format!("warm-{round}"), WARM).await;
    }
    let held = bench.hold(kind, "held", leases).await;
    println!("{}", json!(held));
}

/// Work that panicked holds no lease, and would be waited for without end.
fn end_at_a_panic() {
    let say = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        say(panic);
        std::process::exit(101);
    }));
}

fn tracker(server: &Server) -> TrackerClient<()> {
    let sdk = Client::from_conf(server.config().build());
    let builder = TrackerClient::builder(sdk).table("leases").namespace("bench");
    builder.requests(PATIENCE).build().expect("a client")
}

/// The tasks of work in flight pass two gates, so that few requests are on their way at a time.
struct Bench {
    tracker: TrackerClient<()>,
    entering: Semaphore,
    /// Those that hold their lease.
    arrived: Semaphore,
    leaving: Semaphore,
}

impl Bench {
    fn at(server: &Server) -> Self {
        let gates = (Semaphore::new(IN_FLIGHT), Semaphore::new(0), Semaphore::new(0));
        Self { tracker: tracker(server), entering: gates.0, arrived: gates.1, leaving: gates.2 }
    }

    /// Holds so many at once and lets go of them.
    async fn hold(self: &Arc<Self>, kind: Kind, name: &str, count: usize) -> Held {
        let ids = (0..count).map(|number| format!("{}-{name}-{number:06}", kind.name()));
        let held = match kind {
            Kind::Record => self.hold_records(&format!("record-{name}-000000"), count).await,
            Kind::Start => self.hold_started(ids, count).await,
            Kind::KeepAlive => self.hold_in_flight(ids.map(|id| Arc::clone(self).keep_alive(id))).await,
            Kind::Run => self.hold_in_flight(ids.map(|id| Arc::clone(self).run(id))).await,
        };
        let most = LEFT_OF_EACH + LEFT_OF_ALL / count as f64;
        assert!(held.left <= most, "{} bytes stay of each {}, more than {most}", held.left, kind.name());
        held
    }

    async fn hold_records(&self, id: &str, count: usize) -> Held {
        let lease = self.start(id.to_owned()).await;
        let record = lease.tracker();
        let scale = Scale::new(count);
        let records: Vec<Tracker<()>> = (0..count).map(|_| record.clone()).collect();
        let full = Weight::now();
        drop(records);
        let held = scale.held(full).await;
        lease.succeed().await.expect("it ends");
        held
    }

    async fn hold_started(&self, ids: impl Iterator<Item = String>, count: usize) -> Held {
        let scale = Scale::new(count);
        let mut leases = Vec::with_capacity(count);
        stream::iter(ids)
            .map(|id| self.start(id))
            .buffer_unordered(IN_FLIGHT)
            .for_each(|lease| {
                leases.push(lease);
                std::future::ready(())
            })
            .await;
        let full = Weight::now();
        let end = |lease: Lease<()>| async { lease.succeed().await.expect("it ends") };
        stream::iter(leases).map(end).buffer_unordered(IN_FLIGHT).for_each(|_| std::future::ready(())).await;
        scale.held(full).await
    }

    /// Each of the futures takes a lease, says that it has arrived, and ends the lease when it may leave.
    async fn hold_in_flight<F>(&self, work: impl ExactSizeIterator<Item = F>) -> Held
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let count = work.len();
        // The list is the bench's own, so it is there before anything counts.
        let mut tasks = Vec::with_capacity(count);
        let scale = Scale::new(count);
        tasks.extend(work.map(tokio::spawn));
        let all = u32::try_from(count).expect("so many at most");
        self.arrived.acquire_many(all).await.expect("it is open").forget();
        let full = Weight::now();
        self.leaving.add_permits(IN_FLIGHT);
        // A task's memory is there until its handle is dropped.
        for task in tasks.drain(..) {
            task.await.expect("it ends");
        }
        self.leaving.forget_permits(IN_FLIGHT);
        scale.held(full).await
    }

    async fn start(&self, id: String) -> Lease<()> {
        self.tracker.start_with(id, StartOptions::new().expire(LEASE)).await.expect("it starts")
    }

    async fn keep_alive(self: Arc<Self>, id: String) {
        let entry = self.entering.acquire().await.expect("it is open");
        let lease = self.start(id).await;
        let _exit = lease.keep_alive(self.hold_until_let_go(entry)).await.expect("it is kept");
        lease.succeed().await.expect("it ends");
    }

    async fn run(self: Arc<Self>, id: String) {
        let entry = self.entering.acquire().await.expect("it is open");
        let work = async |_lease| Ok(self.hold_until_let_go(entry).await);
        let _exit = self.tracker.run(id, StartOptions::new().expire(LEASE), work).await.expect("it runs");
    }

    /// The work. Whoever has what it comes to is one of the few that end their leases.
    async fn hold_until_let_go<'a>(&'a self, entry: SemaphorePermit<'_>) -> SemaphorePermit<'a> {
        drop(entry);
        self.arrived.add_permits(1);
        self.leaving.acquire().await.expect("it is open")
    }
}

/// What there was before the first of so many leases.
struct Scale {
    count: usize,
    before: Weight,
}

/// Bytes of this process.
#[derive(Clone, Copy)]
struct Weight {
    allocated: f64,
    resident: Option<f64>,
}

impl Weight {
    fn now() -> Self {
        let stats = INSTRUMENTED_SYSTEM.stats();
        Self { allocated: stats.bytes_allocated as f64 - stats.bytes_deallocated as f64, resident: resident() }
    }
}

impl Scale {
    fn new(count: usize) -> Self {
        Self { count, before: Weight::now() }
    }

    /// What each of them took, now that all have ended.
    async fn held(self, full: Weight) -> Held {
        settle().await;
        let (count, before) = (self.count as f64, self.before);
        Held {
            allocated: (full.allocated - before.allocated) / count,
            resident: full.resident.zip(before.resident).map(|(full, before)| (full - before) / count),
            left: (Weight::now().allocated - before.allocated) / count,
        }
    }
}

/// Waits until the tasks that came with the leases are gone: those of connections come and go at their own time, so until no
/// more go.
async fn settle() {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let mut before = usize::MAX;
    while alive() < before {
        before = alive();
        tokio::time::sleep(SETTLED_AFTER).await;
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? * 1024.0)
}
