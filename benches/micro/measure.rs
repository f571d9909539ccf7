//! Criterion, and the medians that it comes to.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use serde_json::{Value, json};

/// Nanoseconds of each piece, which is named `group/piece`, in the order that they were measured in.
pub(crate) struct Medians(Vec<(String, f64)>);

impl Medians {
    pub(crate) fn of(&self, group: &str, name: &str) -> f64 {
        let piece = format!("{group}/{name}");
        let found = self.0.iter().find(|(name, _)| *name == piece);
        found.unwrap_or_else(|| panic!("{piece} was not measured")).1
    }

    pub(crate) fn print(&self) {
        println!("{:<32}  median", "piece");
        for (name, nanoseconds) in &self.0 {
            println!("{name:<32}  {}", readable(*nanoseconds));
        }
    }

    pub(crate) fn figures(&self) -> Value {
        let medians = self.0.iter().map(|(name, nanoseconds)| (name.clone(), json!(nanoseconds)));
        json!({"median_ns": Value::Object(medians.collect())})
    }
}

fn readable(nanoseconds: f64) -> String {
    match nanoseconds {
        1e6.. => format!("{:8.2} ms", nanoseconds / 1e6),
        1e3.. => format!("{:8.2} µs", nanoseconds / 1e3),
        _ => format!("{nanoseconds:8.2} ns"),
    }
}

/// Measures pieces one after the other.
pub(crate) struct Measure {
    criterion: Criterion,
    folder: PathBuf,
    medians: Medians,
}

impl Measure {
    pub(crate) fn new(quick: bool) -> Self {
        // Where criterion would put its files by itself. That is said, so that they are looked for where they are.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion");
        let criterion = Criterion::default().without_plots().output_directory(&folder);
        let times = |warm_up, measurement| (Duration::from_millis(warm_up), Duration::from_millis(measurement));
        let (samples, (warm_up, measurement)) = if quick { (10, times(50, 100)) } else { (100, times(1000, 3000)) };
        let criterion = criterion.sample_size(samples).warm_up_time(warm_up).measurement_time(measurement);
        Self { criterion, folder, medians: Medians(Vec::new()) }
    }

    /// Measures a piece, with what it takes to drop its result.
    pub(crate) fn piece<O>(&mut self, group: &str, name: &str, mut routine: impl FnMut() -> O) {
        self.criterion.benchmark_group(group).bench_function(name, |bencher| bencher.iter(&mut routine));
        self.read(group, name);
    }

    /// Measures a piece that uses up what it is given, of which each call gets a copy. Neither copies nor drops count.
    pub(crate) fn piece_of<I: Clone, O>(
        &mut self,
        group: &str,
        name: &str,
        given: &I,
        mut routine: impl FnMut(I) -> O,
    ) {
        // Of large input, few copies are there at a time.
        self.criterion.benchmark_group(group).bench_function(name, |bencher| {
            bencher.iter_batched(|| black_box(given).clone(), &mut routine, BatchSize::LargeInput);
        });
        self.read(group, name);
    }

    pub(crate) fn medians(&self) -> &Medians {
        &self.medians
    }

    fn read(&mut self, group: &str, name: &str) {
        let file = self.folder.join(group).join(name).join("new/estimates.json");
        let text = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let estimates: Value = serde_json::from_slice(&text).expect("criterion writes JSON");
        let median = estimates["median"]["point_estimate"].as_f64().expect("it has a median");
        self.medians.0.push((format!("{group}/{name}"), median));
    }
}
