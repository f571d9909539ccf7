//! One task a file: its SHA-256, lines and bytes, by several workers at once, each file once.
//!
//!     cargo run --example quickstart                          this crate's own sources, in memory
//!     cargo run --example quickstart -- FILE|FOLDER…          your files
//!     cargo run --example quickstart -- --fail status.rs      one file fails until its attempts are used up
//!     cargo run --example quickstart -- --store tasks.db      kept in a file: a second run skips what is done
//!     cargo run --example quickstart -- --endpoint-url http://localhost:8000
//!     cargo run --example quickstart -- --aws                 a real table, by your AWS configuration
//!
//! With a store, kill it with -9 in the middle (`--pause 500` gives you the time to) and run it again: it waits for the
//! leases of the dead, finishes the rest, and does nothing twice.

mod files;
mod place;
mod report;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use dynamo_tracker::TrackerClient;

use files::Summary;

/// Processes each file once: SHA-256, lines and bytes.
#[derive(Parser)]
#[command(name = "quickstart")]
struct Args {
    /// Files and folders. The crate's own sources where there are none.
    paths: Vec<PathBuf>,
    /// Files whose path has this text or glob in it fail, until their attempts are used up.
    #[arg(long, value_name = "PATTERN")]
    fail: Option<String>,
    /// How many workers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// How long after a worker's death another takes its file over, in seconds. A worker that lives extends its lease.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(2..))]
    lease: u64,
    /// How long each file takes at least, in milliseconds: to watch, or to kill it in the middle.
    #[arg(long, default_value_t = 0, value_name = "MILLISECONDS")]
    pause: u64,
    #[command(flatten)]
    place: place::Place,
}

#[tokio::main]
async fn main() -> ExitCode {
    match quickstart(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quickstart: {}", causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn quickstart(args: Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let fail = args.fail.map(|text| glob::Pattern::new(&format!("*{text}*"))).transpose()?;
    let (files, problems) = files::find(&args.paths);
    for problem in &problems {
        eprintln!("quickstart: {problem}");
    }
    let place = args.place.open().await?;
    let client = TrackerClient::<Summary>::builder(place.client.clone())
        .table(&place.table)
        .namespace("quickstart")
        .lease(Duration::from_secs(args.lease))
        .build()?;
    client.create_table().await?;
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    println!("{}, {}, {}", plural(files.len(), "file"), plural(args.workers.into(), "worker"), place.name);
    let job = workers::Job { client, fail, pause: Duration::from_millis(args.pause) };
    let done = workers::run(job, files, args.workers).await;
    let all_well = report::print(done, begun.elapsed());
    Ok(if all_well && problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The error and what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
