//! What must not get worse: figures that do not depend on what else the machine does, held to those in `recorded.json`.
//!
//!     cargo bench --bench gates                        measures all of them; exit code 1 if one has got worse
//!     cargo bench --bench gates -- dependencies        only those whose name contains this
//!     cargo bench --bench gates -- --record            writes what is measured to `recorded.json`, for a change to commit
//!
//! A gate has a limit, which is a promise of the README, and a record, so that what is under the limit does not creep up to it
//! unseen. What is recorded is what is there on Linux on x86-64, with the locked versions. `tests/gates.rs` tests the gates.

#[path = "../backend/mod.rs"]
mod backend;
#[expect(dead_code, reason = "times are not compared here")]
#[path = "../compare/mod.rs"]
mod compare;
#[path = "../hello/crates.rs"]
mod crates;
mod dependencies;
mod gate;
#[path = "../instructions/mod.rs"]
mod instructions;
#[path = "../programs/mod.rs"]
mod programs;
#[path = "../hello/project.rs"]
mod project;
#[path = "../units/measure.rs"]
mod rows;
mod size;
mod units;
mod work;

use std::fs;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Map, Value};

use gate::{Gate, Options};

const GATES: [Gate; 4] = [dependencies::GATE, size::GATE, units::GATE, work::GATE];
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gates/recorded.json");

#[derive(Parser)]
struct Args {
    /// Only the gates whose name contains one of these.
    names: Vec<String>,
    /// Write what is measured to `recorded.json`, and hold it to the limits alone.
    #[arg(long)]
    record: bool,
    #[command(flatten)]
    options: Options,
    /// Only run so many tasks on one side, on the table at an address, for the counting of instructions.
    #[arg(long, hide = true, num_args = 3, value_names = ["SIDE", "TASKS", "URL"])]
    solo: Option<Vec<String>>,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(solo) = &args.solo {
        instructions::run_alone(solo);
        return ExitCode::SUCCESS;
    }
    let mut recorded = read();
    let mut verdicts = Vec::new();
    for gate in GATES.iter().filter(|gate| args.wants(gate.name)) {
        let verdict = (gate.measure)(&args.options).and_then(|measured| {
            println!("{}: {measured:#}", gate.name);
            if args.record {
                recorded.insert(gate.name.to_owned(), measured.clone());
            }
            gate.hold(&recorded, &measured)
        });
        verdicts.push((gate.name, verdict));
    }
    if args.record {
        write(recorded);
    }
    if verdicts.is_empty() {
        verdicts.push(("gates", Err(format!("none has a name with one of {:?} in it", args.names))));
    }
    report(&verdicts)
}

impl Args {
    fn wants(&self, gate: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| gate.contains(name.as_str()))
    }
}

fn read() -> Map<String, Value> {
    let text = fs::read_to_string(RECORDED).unwrap_or_else(|error| panic!("{RECORDED} can't be read: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{RECORDED} is not what `--record` writes: {error}"))
}

fn write(recorded: Map<String, Value>) {
    let text = format!("{:#}\n", Value::from(recorded));
    fs::write(RECORDED, text).unwrap_or_else(|error| panic!("{RECORDED} can't be written: {error}"));
}

/// A line for each.
fn report(verdicts: &[(&str, Result<(), String>)]) -> ExitCode {
    for (gate, verdict) in verdicts {
        match verdict {
            Ok(()) => println!("{gate}: ok"),
            Err(why) => println!("{gate}: {why}"),
        }
    }
    let hold = verdicts.iter().all(|(_, verdict)| verdict.is_ok());
    if hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
