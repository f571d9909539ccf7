//! A batch on several workers, of which some die: every task is done, and the sums add up.
//!
//!     cargo run --release --example fanout
//!     cargo run --release --example fanout -- --tasks 100000 --workers 8 --store tasks.db
//!
//! The input is the crate's own source text, cut into as many pieces as there are tasks. A task counts the lines and bytes
//! of its piece. Each worker is killed in the middle now and then, as a process would be, and another takes its place;
//! what it had in hand is taken over when its leases end. The summary compares what the tasks say with the input itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use dynamo_tracker::embedded::Embedded;
use dynamo_tracker::{Lease, NewTask, Status, TrackerClient, WorkError};
use futures_util::{TryStreamExt, stream};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};

/// A worker lives for so long before it is killed, those that are.
const LIFE: Duration = Duration::from_millis(700);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
struct Args {
    /// How many tasks.
    #[arg(long, default_value_t = 10_000)]
    tasks: u64,
    /// How many workers at a time.
    #[arg(long, default_value_t = 4)]
    workers: usize,
    /// How many tasks each of them works on at a time.
    #[arg(long, default_value_t = 8)]
    concurrency: usize,
    /// How many workers are killed.
    #[arg(long, default_value_t = 6)]
    kills: u64,
    /// Keeps the table in this file, instead of in memory.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

/// Which piece a task is, and what it has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Piece {
    number: u64,
    lines: u64,
    bytes: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let store = match &args.store {
        Some(file) => Embedded::in_file(file).await?,
        None => Embedded::in_memory().await?,
    };
    let client = TrackerClient::<Piece>::builder(store.client()).table("fanout").namespace("count").index(8);
    let client = client.lease(Duration::from_secs(2)).skew(Duration::from_millis(100)).max_attempts(50).build()?;
    client.create_table().await?;
    let text = Arc::new(source_text()?);

    let begun = Instant::now();
    let tasks =
        (0..args.tasks).map(|number| NewTask::new(number.to_string()).data(Piece { number, ..Piece::default() }));
    let created = client.create_many(stream::iter(tasks), 32).await?;
    println!(
        "{} tasks created, {} were there, in {:.1} s",
        created.done,
        created.skipped,
        begun.elapsed().as_secs_f64()
    );

    let begun = Instant::now();
    let executions = Arc::new(AtomicU64::new(0));
    let bar = ProgressBar::new(args.tasks);
    let shifts = (0..args.workers).map(|worker| {
        // The kills are spread over the workers, as evenly as they go.
        let kills = args.kills / args.workers as u64 + u64::from((worker as u64) < args.kills % args.workers as u64);
        shift(&client, &args, kills, &text, &executions, &bar)
    });
    futures_util::future::try_join_all(shifts).await?;
    bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{} workers, {} of them killed, in {seconds:.1} s: {:.0} tasks a second",
        args.workers,
        args.kills,
        args.tasks as f64 / seconds
    );
    report(&client, &args, &text, executions.load(Ordering::Relaxed)).await
}

/// One worker after another, of which the first so many are killed.
async fn shift(
    client: &TrackerClient<Piece>,
    args: &Args,
    kills: u64,
    text: &Arc<Vec<u8>>,
    executions: &Arc<AtomicU64>,
    bar: &ProgressBar,
) -> Result<()> {
    for life in 0..=kills {
        let (text, executions, bar, pieces) = (Arc::clone(text), Arc::clone(executions), bar.clone(), args.tasks);
        let worker = client.worker().concurrency(args.concurrency).until_empty().run(move |lease| {
            executions.fetch_add(1, Ordering::Relaxed);
            bar.inc(1);
            count(lease, Arc::clone(&text), pieces)
        });
        match life < kills {
            // Whoever is not polled any more is as dead as a process that was killed, and records nothing.
            true => drop(tokio::time::timeout(LIFE, worker).await),
            false => drop(worker.await?),
        }
    }
    Ok(())
}

/// The work of one task.
async fn count(mut lease: Lease<Piece>, text: Arc<Vec<u8>>, pieces: u64) -> std::result::Result<(), WorkError> {
    let number = lease.data().number;
    lease.set_data(counted(number, &text[piece(number, pieces, text.len())]))?;
    Ok(())
}

fn counted(number: u64, text: &[u8]) -> Piece {
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    Piece { number, lines, bytes: text.len() as u64 }
}

fn piece(number: u64, pieces: u64, length: usize) -> std::ops::Range<usize> {
    let cut = |at: u64| usize::try_from(u128::from(at) * length as u128 / u128::from(pieces)).unwrap_or(length);
    cut(number)..cut(number + 1)
}

/// All of the crate's own Rust files.
fn source_text() -> Result<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = Vec::new();
    for entry in walkdir::WalkDir::new(root.join("src")).sort_by_file_name() {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "rs") {
            text.extend(std::fs::read(entry.path())?);
        }
    }
    Ok(text)
}

/// Whether the tasks' sums are the input's.
async fn report(client: &TrackerClient<Piece>, args: &Args, text: &[u8], executions: u64) -> Result<()> {
    let (mut done, mut attempts, mut lines, mut bytes) = (0, 0, 0, 0);
    let mut records = client.scan(4, &[Status::Succeeded]);
    while let Some(record) = records.try_next().await? {
        done += 1;
        attempts += u64::from(record.attempts);
        lines += record.data.lines;
        bytes += record.data.bytes;
    }
    let open = client.stats().await?.open();
    let whole = counted(0, text);
    println!("{done} succeeded, {open} open; {attempts} attempts, {executions} executions in this run");
    println!("lines: {lines} by the tasks, {} in the input; bytes: {bytes}, {}", whole.lines, whole.bytes);
    match (done, open, lines, bytes) == (args.tasks, 0, whole.lines, whole.bytes) {
        true => println!("it adds up"),
        false => return Err("it does not add up".into()),
    }
    Ok(())
}
