//! What the crate costs over the two SDK calls that any such tracker must make.
//!
//!     cargo bench --bench overhead              time, throughput, and instructions where valgrind is installed
//!     cargo bench --bench overhead -- --json    the same, ending with one line of JSON
//!
//! Both sides send the same two updates to the same in-memory DynamoDB in the same process. Time and instructions are those of
//! `run`, one task after the other; throughput is that of `start` and `succeed` with several in flight, of which
//! `benches/throughput.rs` measures more.

mod backend;
mod compare;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use backend::Backend;
use compare::{Bench, Side, Size};

const ONE_BY_ONE: Size = Size { pairs: 25, batch: 200, in_flight: 1 };
const IN_FLIGHT: Size = Size { pairs: 25, batch: 512, in_flight: 32 };
/// The instructions of a task are those of this many tasks more, so that start-up does not count.
const COUNTED: usize = 300;

#[derive(Parser)]
struct Args {
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Only run so many tasks on one side, and measure nothing: for an instruction counter.
    #[arg(long, num_args = 2, value_names = ["SIDE", "TASKS"])]
    solo: Option<Vec<String>>,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let bench = Bench::new(Backend::Embedded).await;
    if let Some(solo) = args.solo {
        let side = Side::from_str(&solo[0], true).expect("a side");
        bench.one_by_one(side, "solo", solo[1].parse().expect("a number of tasks")).await;
        return ExitCode::SUCCESS;
    }
    let time = measure_time(&bench).await;
    let throughput = measure_throughput(&bench).await;
    let instructions = measure_instructions();
    if args.json {
        let ratios = serde_json::json!({
            "time_ratio": time, "throughput_ratio": throughput, "instruction_ratio": instructions,
        });
        println!("{ratios}");
    }
    ExitCode::SUCCESS
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

/// The ratio of the instructions per task of the whole process, DynamoDB included.
fn measure_instructions() -> Option<f64> {
    match count_both() {
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

fn count_both() -> Result<(u64, u64), String> {
    let per_task = |side: &str| -> Result<u64, String> {
        let few = count_instructions(side, COUNTED)?;
        let many = count_instructions(side, 2 * COUNTED)?;
        Ok((many - few) / COUNTED as u64)
    };
    Ok((per_task("raw")?, per_task("run")?))
}

fn count_instructions(side: &str, tasks: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--solo", side, &tasks.to_string()])
        .output()
        .map_err(|error| format!("valgrind is not here ({error}); install it by the system's packages"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).ok_or(text)
}
