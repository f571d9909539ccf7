//! A million tasks in one run: created, queried, and worked off by eight workers, each exactly once, in bounded memory.
//!
//!     cargo bench --bench million
//!     cargo bench --bench million -- --tasks 20000 --backend local --json
//!
//! It ends with an error if any task did not run, ran twice, or is recorded wrongly, or if this process has ever had 200 MB or
//! more in memory; with the embedded DynamoDB, that has its part of it.

#[path = "../backend/mod.rs"]
mod backend;
mod fill;
mod look;
#[expect(dead_code, reason = "only the units of what succeeded are of interest here")]
#[path = "../../tests/it/bed/meter.rs"]
mod meter;
#[path = "../progress/mod.rs"]
mod progress;
mod proof;
mod summary;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use clap::Parser;
use dynamo_tracker::TrackerClient;

use backend::{Backend, Server};
use meter::Meter;
use proof::Executions;
use summary::Summary;

const TABLE: &str = "million";
const SHARDS: u16 = 8;

#[derive(Clone, Debug, Parser)]
pub(crate) struct Args {
    /// How many tasks.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(fill::FEW..))]
    tasks: u64,
    /// How many workers, and how many tasks each of them works on at a time.
    #[arg(long, default_value_t = 8)]
    workers: usize,
    #[arg(long, default_value_t = 8)]
    concurrency: usize,
    /// Where the table is.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    /// The file of the embedded table. Without, it is a temporary one.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = args.store.clone().unwrap_or_else(|| folder.path().join("million.db"));
    let server = Server::start(args.backend, Some(&file)).await;
    let summary = run(&server, &args).await;
    summary.print(&args);
    match summary.is_right(&args) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The whole of it, one part after the other.
async fn run(server: &Server, args: &Args) -> Summary {
    let client = client(server, None);
    client.create_table().await.expect("a table");
    let meter = Meter::default();
    let metered = self::client(server, Some(meter.clone()));
    let begun = Instant::now();
    let few = fill::fill(&client, 0..fill::FEW).await;
    let at_few = look::due(&metered, &meter, few).await;
    let all = fill::fill(&client, fill::FEW..args.tasks).await;
    let create = begun.elapsed();
    progress::passed("all are created");
    let at_all = look::due(&metered, &meter, few + all).await;
    let looked = look::look(&client).await;
    progress::passed("all were looked at");
    let executions = Executions::of(args.tasks);
    let worked = work::work(&client, args, &executions).await;
    progress::passed("all are done");
    let proof = proof::check(&client, &executions).await;
    progress::passed("all were read");
    Summary { created: few + all, create, due: [at_few, at_all], looked, worked, proof }
}

/// A client; with a meter, one that counts what its requests cost.
fn client(server: &Server, meter: Option<Meter>) -> TrackerClient<()> {
    let mut config = server.config();
    if let Some(meter) = meter {
        config = config.interceptor(meter);
    }
    let builder = TrackerClient::builder(Client::from_conf(config.build())).table(TABLE).namespace("bench");
    builder.index(SHARDS).build().expect("a client")
}
