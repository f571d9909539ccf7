//! What the crate costs over the two SDK calls that any such tracker must make.
//!
//!     cargo bench --bench overhead              time, throughput, and instructions where valgrind is installed
//!     cargo bench --bench overhead -- --json    the same, ending with one line of JSON
//!
//! Both sides send the same two updates to the same in-memory DynamoDB in the same process. Time and instructions are those of
//! `run`, one task after the other; throughput is that of `start` and `succeed` with several in flight, of which
//! `benches/throughput.rs` measures more. Instructions are those of a process of its own, on one thread, that has nothing but the
//! client: the DynamoDB that it calls is in this one, so that its work does not count.

mod backend;
mod compare;
mod report;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use backend::{Backend, Server};
use compare::{Bench, Side, Size};

const ONE_BY_ONE: Size = Size { pairs: 25, batch: 200, in_flight: 1 };
const IN_FLIGHT: Size = Size { pairs: 25, batch: 512, in_flight: 32 };
/// The instructions of a task are those of this many tasks more, so that start-up does not count.
const COUNTED: usize = 300;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    output: report::Output,
    /// Only run so many tasks on one side, on the table at an address, and measure nothing: for an instruction counter.
    #[arg(long, num_args = 3, value_names = ["SIDE", "TASKS", "URL"])]
    solo: Option<Vec<String>>,
}

fn main() {
    let args = Args::parse();
    match &args.solo {
        Some(solo) => run_alone(solo),
        None => compare(&args),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run_alone(solo: &[String]) {
    let [side, tasks, url] = solo else { unreachable!("clap has counted them") };
    let bench = Bench::at(Server::at(url));
    let side = Side::from_str(side, true).expect("a side");
    bench.one_by_one(side, tasks, tasks.parse().expect("a number of tasks")).await;
}

#[tokio::main(worker_threads = 2)]
async fn compare(args: &Args) {
    let bench = Bench::new(Backend::Embedded).await;
    let time = measure_time(&bench).await;
    let throughput = measure_throughput(&bench).await;
    let instructions = measure_instructions(bench.endpoint());
    let ratios = serde_json::json!({
        "time_ratio": time, "throughput_ratio": throughput, "instruction_ratio": instructions,
    });
    args.output.finish("overhead", ratios, &[]);
}

async fn measure_time(bench: &Arc<Bench>) -> f64 {
    let Size { pairs, batch, .. } = ONE_BY_ONE;
    let compared = bench.compare(Side::Run, ONE_BY_ONE).await;
    let [raw, run] = [compared.raw, compared.crates].map(|per_second| Duration::from_secs_f64(1.0 / per_second));
    let ratio = 1.0 / compared.ratio;
    println!("time per task: raw {raw:.1?}, run {run:.1?} (medians of {pairs} batches of {batch})");
    println!("time ratio (median of the pairs): {ratio:.3}");
    ratio
}

async fn measure_throughput(bench: &Arc<Bench>) -> f64 {
    let compared = bench.compare(Side::Lease, IN_FLIGHT).await;
    println!(
        "tasks a second with {} in flight: raw {:.0}, start and succeed {:.0}",
        IN_FLIGHT.in_flight, compared.raw, compared.crates
    );
    println!("throughput ratio (median of the pairs): {:.3}", compared.ratio);
    compared.ratio
}

/// The ratio of the client's instructions per task.
fn measure_instructions(endpoint: &str) -> Option<f64> {
    let per_task = |side: &str| -> Result<u64, String> {
        let few = count_instructions(side, COUNTED, endpoint)?;
        let many = count_instructions(side, 2 * COUNTED, endpoint)?;
        Ok((many - few) / COUNTED as u64)
    };
    match per_task("raw").and_then(|raw| Ok((raw, per_task("run")?))) {
        Ok((raw, run)) => {
            let ratio = run as f64 / raw as f64;
            println!("instructions per task: raw {raw}, run {run}");
            println!("instruction ratio: {ratio:.3}");
            Some(ratio)
        }
        Err(why) => {
            println!("instructions not counted: {why}");
            None
        }
    }
}

fn count_instructions(side: &str, tasks: usize, endpoint: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--solo", side, &tasks.to_string(), endpoint])
        .output()
        .map_err(|error| format!("valgrind is not here ({error}); install it by the system's packages"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).ok_or(text)
}
