//! What the crate costs over the two SDK calls that any such tracker must make.
//!
//!     cargo bench --bench overhead              time, throughput, and instructions where valgrind is installed
//!     cargo bench --bench overhead -- --json    the same, ending with one line of JSON
//!
//! Both sides send the same two updates to the same in-memory DynamoDB in the same process. Time and instructions are those of
//! `run`, one task after the other; throughput is that of `start` and `succeed` with several in flight, of which
//! `benches/throughput.rs` measures more. Instructions are the client's alone (`benches/instructions`).

mod backend;
mod compare;
mod instructions;
mod report;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;

use backend::Backend;
use compare::{Bench, Side, Size};

/// Many short batches rather than a few long ones: what else the machine does meets both of a pair then.
const ONE_BY_ONE: Size = Size { pairs: 201, batch: 25, in_flight: 1 };
const IN_FLIGHT: Size = Size { pairs: 101, batch: 128, in_flight: 32 };

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
        Some(solo) => instructions::run_alone(solo),
        None => compare(&args),
    }
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
    args.output.finish("overhead", ratios, &[&chart(time, throughput, instructions)]);
}

fn chart(time: f64, throughput: f64, instructions: Option<f64>) -> report::Bars {
    let crates = vec![time, throughput, instructions.unwrap_or_default()];
    report::Bars {
        title: "Of the SDK's two calls".to_owned(),
        y: "ratio".to_owned(),
        groups: ["time", "tasks a second, 32 in flight", "instructions"].map(str::to_owned).to_vec(),
        series: vec![("the two calls".to_owned(), vec![1.0; crates.len()]), ("dynamo-tracker".to_owned(), crates)],
    }
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
    let per_task = |side| instructions::per_task(side, endpoint);
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
