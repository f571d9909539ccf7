//! How many tasks a second are taken and ended at several numbers of tasks in flight, and how long a single one takes,
//! against the raw SDK's two calls.
//!
//!     cargo bench --bench throughput                                      on the embedded DynamoDB, in memory
//!     cargo bench --bench throughput -- --backend embedded,local --save   on both, and kept in docs/benches
//!     cargo bench --bench throughput -- --pairs 3 --rounds 50             to try it out
//!
//! Throughput is that of `start` and `succeed`, in batches that take turns with batches of the raw calls; the ratio is the median
//! of the pairs' own. Batches are short and many, since what else the machine does lasts longer than a short pair, and so meets
//! both of its sides. Latency is that of one task after the other, with the sides taking turns task by task; then that of the first task
//! of a client, which opens its connection, but for `warm_up`.

mod backend;
mod compare;
mod latency;
mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};

use backend::Backend;
use compare::{Bench, Compared, Side, Size};
use latency::{Latency, take_turns};
use report::{Axis, Bars, Lines};

/// How many tasks each in flight does in a batch, at least, so that most of the time all are busy.
const LANE: usize = 4;
/// Whose latency is measured, and what it is called.
const SIDES: [(Side, &str); 3] = [(Side::Raw, "raw"), (Side::Lease, "start + succeed"), (Side::Run, "run")];

/// Whose first task is measured, after `warm_up` or without it.
const FIRST: [(Side, bool, &str); 3] =
    [(Side::Raw, false, "raw"), (Side::Lease, false, "start + succeed"), (Side::Lease, true, "after warm_up")];
/// One of these comes to so many of the others.
const FEWER: usize = 10;

#[derive(Parser)]
struct Args {
    /// Where the table is; embedded, it is in memory. Both, one after the other: embedded,local.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "embedded")]
    backend: Vec<Backend>,
    /// How many tasks are in flight; several numbers, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,128")]
    in_flight: Vec<usize>,
    /// How many pairs of batches at each number.
    #[arg(long, default_value_t = 101)]
    pairs: usize,
    /// How many tasks a batch has, at least: it has four for each in flight.
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// How many tasks of each side the latency is of.
    #[arg(long, default_value_t = 2001)]
    rounds: usize,
    #[command(flatten)]
    output: report::Output,
}

/// What was measured on one backend.
struct Measured {
    backend: Backend,
    /// At each number in flight.
    throughput: Vec<(usize, Compared)>,
    /// Of each side.
    latency: Vec<Latency>,
    /// The same of clients' first tasks.
    first: Vec<Latency>,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    let mut measured = Vec::new();
    for &backend in &args.backend {
        let bench = Bench::new(backend).await;
        println!("on {backend}, at {}", bench.endpoint());
        let throughput = measure_throughput(&bench, &args).await;
        let latency = measure_latency(&bench, args.rounds).await;
        let first = measure_first(&bench, args.rounds.div_ceil(FEWER)).await;
        measured.push(Measured { backend, throughput, latency, first });
    }
    let figures = json!({"backends": measured.iter().map(Measured::json).collect::<Vec<_>>()});
    args.output.finish("throughput", figures, &[&throughput_chart(&measured), &latency_chart(&measured)]);
}

async fn measure_throughput(bench: &Arc<Bench>, args: &Args) -> Vec<(usize, Compared)> {
    println!("start + succeed, {} pairs of batches\nin flight  raw/s  crate/s  ratio", args.pairs);
    let mut rows = Vec::new();
    for &in_flight in &args.in_flight {
        let batch = args.batch.div_ceil(in_flight).max(LANE) * in_flight;
        let compared = bench.compare(Side::Lease, Size { pairs: args.pairs, batch, in_flight }).await;
        let Compared { raw, crates, ratio } = compared;
        println!("{in_flight:9}  {raw:5.0}  {crates:7.0}  {ratio:.3}");
        rows.push((in_flight, compared));
    }
    rows
}

async fn measure_latency(bench: &Bench, rounds: usize) -> Vec<Latency> {
    let latencies = take_turns(&SIDES, rounds, async |(side, _), round| {
        let (name, begun) = (format!("alone-{round}"), Instant::now());
        bench.one_by_one(side, &name, 1).await;
        begun.elapsed()
    })
    .await;
    print("one task after the other", rounds, SIDES.map(|(_, name)| name), &latencies);
    latencies
}

async fn measure_first(bench: &Bench, rounds: usize) -> Vec<Latency> {
    let latencies = take_turns(&FIRST, rounds, async |(side, warm, name), round| {
        let fresh = bench.anew();
        if warm {
            fresh.warm_up().await;
        }
        let (name, begun) = (format!("{}-{round}", name.replace(' ', "-")), Instant::now());
        fresh.one_by_one(side, &name, 1).await;
        begun.elapsed()
    })
    .await;
    print("the first task of a client", rounds, FIRST.map(|(_, _, name)| name), &latencies);
    latencies
}

fn print(what: &str, rounds: usize, names: [&str; 3], latencies: &[Latency]) {
    println!("{what}, {rounds} of each\nside                 p50       p99  p50 ratio");
    for (name, latency) in names.iter().zip(latencies) {
        let (p50, p99) = (format!("{:.2?}", latency.p50), format!("{:.2?}", latency.p99));
        println!("{name:15}  {p50:>8}  {p99:>8}  {:9.3}", latency.ratio_to(&latencies[0]));
    }
}

impl Latency {
    fn ratio_to(&self, other: &Self) -> f64 {
        self.p50.as_secs_f64() / other.p50.as_secs_f64()
    }
}

impl Measured {
    fn json(&self) -> Value {
        let throughput = self.throughput.iter().map(|(in_flight, Compared { raw, crates, ratio })| {
            json!({"in_flight": in_flight, "raw": raw, "crate": crates, "throughput_ratio": ratio})
        });
        json!({
            "backend": self.backend.to_string(),
            "rows": throughput.collect::<Vec<_>>(),
            "latency": rows(SIDES.map(|(_, name)| name), &self.latency),
            "first": rows(FIRST.map(|(_, _, name)| name), &self.first),
        })
    }
}

fn rows(names: [&str; 3], latencies: &[Latency]) -> Vec<Value> {
    let row = |(name, latency): (&&str, &Latency)| {
        let ratio = latency.ratio_to(&latencies[0]);
        json!({"side": name, "p50_us": micros(latency.p50), "p99_us": micros(latency.p99), "p50_ratio": ratio})
    };
    names.iter().zip(latencies).map(row).collect()
}

fn throughput_chart(measured: &[Measured]) -> Lines {
    let line = |name: &str, of: &Measured, rate: fn(&Compared) -> f64| {
        let points = of.throughput.iter().map(|(in_flight, compared)| (*in_flight as f64, rate(compared)));
        (format!("{name}, {}", of.backend), points.collect())
    };
    let both = |of| [line("raw", of, |compared| compared.raw), line("crate", of, |compared| compared.crates)];
    Lines {
        title: "Tasks a second, taken and ended".to_owned(),
        x: ("tasks in flight".to_owned(), Axis::Log),
        y: ("tasks a second".to_owned(), Axis::Linear),
        series: measured.iter().flat_map(both).collect(),
    }
}

fn latency_chart(measured: &[Measured]) -> Bars {
    let of_side = |side: usize| {
        measured.iter().flat_map(move |of| [of.latency[side].p50, of.latency[side].p99].map(micros)).collect()
    };
    Bars {
        title: "A task's latency, one after the other".to_owned(),
        y: "µs".to_owned(),
        groups: measured.iter().flat_map(|of| ["p50", "p99"].map(|part| format!("{part}, {}", of.backend))).collect(),
        series: SIDES.iter().enumerate().map(|(at, (_, name))| ((*name).to_owned(), of_side(at))).collect(),
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
