//! Whether a task still costs the same when there is more of everything: tasks in the table, data in the task, shards of the
//! index. At each step it takes the time of a task (`start` and `succeed`, one after the other) and its write units, beside the
//! raw SDK's two calls; where there is an index, the time and the read units of a page of 100 due tasks; and of `stats`, which
//! counts every task, where the number of shards grows.
//!
//!     cargo bench --bench growth
//!     cargo bench --bench growth -- --save          the figures as JSON and their chart, in docs/benches
//!     cargo bench --bench growth -- --tasks 200,2000 --kilobytes 0.2,10 --shards 1,8 --spread 500 --rounds 11
//!
//! It runs on the embedded DynamoDB by default, which needs nothing else, in memory, where it is filled about twice as quickly as
//! in a file. Requests go through HTTP to SQLite, so times are not AWS's; how they grow is what counts. The sides take turns task
//! by task. A task is made before it is timed and deleted after, so that the table is as large at the end of a step as at its
//! beginning.

#[path = "../backend/mod.rs"]
mod backend;
mod clients;
mod fill;
#[path = "../latency/mod.rs"]
mod latency;
mod measure;
#[path = "../../tests/it/bed/meter.rs"]
mod meter;
#[path = "../progress/mod.rs"]
mod progress;
#[expect(dead_code, reason = "tasks that fail or are refused are not measured here")]
#[path = "../raw/mod.rs"]
mod raw;
#[path = "../report/mod.rs"]
mod report;
mod steps;
mod summary;

use clap::Parser;
use serde_json::json;

use backend::{Backend, Server};
use report::Axis;

#[derive(Parser)]
pub(crate) struct Args {
    /// How many tasks are in the table, step by step. A page has 100, so there are no fewer.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    #[arg(value_parser = clap::value_parser!(u64).range(100..))]
    tasks: Vec<u64>,
    /// How many KB of data a task has, step by step. An item has at most 400.
    #[arg(long, value_delimiter = ',', default_value = "0.2,1,4,16,64,300")]
    kilobytes: Vec<f64>,
    /// How many shards the index has, step by step.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64,512")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Vec<u16>,
    /// How many tasks are in the table with each number of shards.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..))]
    spread: u64,
    /// How many tasks of each side are timed at each step.
    #[arg(long, default_value_t = 301, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Where the tables are; embedded, they are in memory.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    #[command(flatten)]
    output: report::Output,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    let server = Server::start(args.backend, None).await;
    println!("on {}, {} tasks of each side", args.backend, args.rounds);
    let tasks = steps::tasks(&server, &args).await;
    summary::print("tasks in the table", &tasks);
    let kilobytes = steps::kilobytes(&server, &args).await;
    summary::print("KB of data", &kilobytes);
    let shards = steps::shards(&server, &args).await;
    summary::print("shards of the index", &shards);
    let charts = [
        summary::tasks_chart("A task, by tasks in the table", "tasks in the table", Axis::Linear, &tasks),
        summary::tasks_chart("A task, by its data", "KB of data", Axis::Log, &kilobytes),
        summary::tasks_chart("A task, by shards of the index", "shards", Axis::Linear, &shards),
        summary::looks_chart("Looking at the index, by its shards", "shards", &shards),
    ];
    let figures = json!({
        "backend": args.backend.to_string(), "over_tasks": tasks, "over_kilobytes": kilobytes, "over_shards": shards,
        "tasks_over_shards": args.spread,
    });
    args.output.finish("growth", figures, &charts.each_ref().map(|chart| chart as &dyn report::Chart));
}
