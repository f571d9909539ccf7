//! What dynamo-tracker costs to build: a program of few lines with it, against one that has the AWS SDK alone.
//!
//!     cargo bench --bench hello                          three builds of each from nothing, which takes a while
//!     cargo bench --bench hello -- --rounds 1 --json     one of each, ending with one line of JSON
//!
//! Somebody who waits for their first build, or pays for their CI, waits and pays for that. The two programs are `bare.rs` and
//! `tracked.rs` beside this file. Each is a package in a folder of its own, with this repository's locked versions; each build is
//! one of the profile `dev` into an empty folder, by turns, and needs no network. They are built and not run. The processor's time
//! is that of cargo and of all that it starts, and says more than the clock where others use the machine too. `crates` says how
//! crates are counted.

mod build;
mod crates;
#[path = "../median/mod.rs"]
mod median;
mod project;
#[path = "../report/mod.rs"]
mod report;

use clap::Parser;
use serde_json::{Value, json};

use build::{Taken, build};
use median::median;
use project::Project;
use report::Bars;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    output: report::Output,
    /// How often each is built.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

fn main() {
    let args = Args::parse();
    let projects = [Project::bare(), Project::tracked()];
    let [bare, tracked] = projects.each_ref().map(crates::all);
    let added = crates::added(&bare, &tracked);
    let taken = measure(&projects, args.rounds);
    for (crates, taken) in [&bare, &tracked].into_iter().zip(&taken) {
        assert_eq!(taken[0].packages, crates.len(), "`cargo build` and `cargo tree` know the same crates");
    }
    let cpu = medians(&taken, |taken| taken.cpu);
    let wall = medians(&taken, |taken| taken.wall);
    let counts = [bare.len(), tracked.len()];
    print(args.rounds, cpu, wall);
    println!("{:24}{:>10}{:>10}", "crates compiled", counts[0], counts[1]);
    println!("besides itself, dynamo-tracker adds {}: {}", added.len(), added.join(", "));
    let [times, crates] = charts(cpu, wall, counts);
    args.output.finish("hello", figures(cpu, wall, counts, &added), &[&times, &crates]);
}

/// What each of the builds took, of either.
fn measure(projects: &[Project; 2], rounds: u32) -> [Vec<Taken>; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (project, taken) in projects.iter().zip(&mut taken) {
            taken.push(build(project));
        }
    }
    taken
}

fn medians(taken: &[Vec<Taken>; 2], what: fn(&Taken) -> f64) -> [f64; 2] {
    taken.each_ref().map(|taken| median(taken.iter().map(what)))
}

fn print(rounds: u32, cpu: [f64; 2], wall: [f64; 2]) {
    println!("{:24}{:>10}{:>10}{:>8}", format!("medians of {rounds} builds"), "bare", "crate", "ratio");
    for (name, [bare, tracked]) in [("processor's time, s", cpu), ("by the clock, s", wall)] {
        println!("{name:24}{bare:>10.1}{tracked:>10.1}{:>8.3}", tracked / bare);
    }
}

fn figures(cpu: [f64; 2], wall: [f64; 2], counts: [usize; 2], added: &[String]) -> Value {
    json!({
        "bare_cpu_s": cpu[0], "cpu_s": cpu[1], "cpu_ratio": cpu[1] / cpu[0],
        "bare_wall_s": wall[0], "wall_s": wall[1], "wall_ratio": wall[1] / wall[0],
        "bare_crates": counts[0], "crates": counts[1], "added": added,
    })
}

fn charts(cpu: [f64; 2], wall: [f64; 2], counts: [usize; 2]) -> [Bars; 2] {
    let counts = counts.map(|count| count as f64);
    [
        bars("A first build", "seconds", &[("processor's time", cpu), ("by the clock", wall)]),
        bars("What it compiles", "crates", &[("crates", counts)]),
    ]
}

fn bars(title: &str, unit: &str, pairs: &[(&str, [f64; 2])]) -> Bars {
    let series = |side: usize| pairs.iter().map(|(_, pair)| pair[side]).collect();
    Bars {
        title: title.to_owned(),
        y: unit.to_owned(),
        groups: pairs.iter().map(|(name, _)| (*name).to_owned()).collect(),
        series: vec![("the AWS SDK alone".to_owned(), series(0)), ("with dynamo-tracker".to_owned(), series(1))],
    }
}
