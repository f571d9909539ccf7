//! What becomes of a bench's results: lines to read, a line of JSON for programs, and a file of each kind in `docs/benches`.

#[allow(dead_code, reason = "not every bench draws every kind")]
mod chart;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::{Value, json};

#[allow(unused_imports, reason = "not every bench draws every kind")]
pub(crate) use chart::{Axis, Bars, Chart, Lines, LogBars};

/// What every bench can be asked.
#[derive(Args, Debug)]
pub(crate) struct Output {
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Write the results and their chart to this folder, as NAME.json and NAME.svg.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benches"))]
    save: Option<PathBuf>,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Output {
    /// Says and keeps what came of a bench. `figures` is an object.
    pub(crate) fn finish(&self, name: &str, figures: Value, charts: &[&dyn Chart]) {
        if let Some(folder) = &self.save {
            let kept = json!({"bench": name, "about": about(), "figures": figures});
            save(folder, name, &kept, charts);
        }
        if self.json {
            println!("{figures}");
        }
    }
}

fn save(folder: &Path, name: &str, kept: &Value, charts: &[&dyn Chart]) {
    fs::create_dir_all(folder).expect("the folder can be made");
    let text = serde_json::to_string_pretty(kept).expect("it is JSON");
    fs::write(folder.join(format!("{name}.json")), text + "\n").expect("the results can be written");
    let said = &kept["about"];
    let said =
        ["machine", "system", "rustc", "sdk", "date"].map(|key| said[key].as_str().unwrap_or_default()).join(" · ");
    if !charts.is_empty() {
        let svg = chart::draw(charts, &said);
        fs::write(folder.join(format!("{name}.svg")), svg).expect("the chart can be written");
    }
}

/// The machine, the versions and the date, without which no figure means anything.
pub(crate) fn about() -> Value {
    json!({
        "machine": machine(),
        "system": format!("{} {}", said_by("uname", &["-sr"]), std::env::consts::ARCH),
        "rustc": said_by("rustc", &["--version"]).split(' ').take(2).collect::<Vec<_>>().join(" "),
        "sdk": format!("aws-sdk-dynamodb {}", aws_sdk_dynamodb::meta::PKG_VERSION),
        "crate": format!("dynamo-tracker {}", env!("CARGO_PKG_VERSION")),
        "commit": said_by("git", &["describe", "--always", "--dirty"]),
        "date": chrono::Utc::now().format("%Y-%m-%d").to_string(),
        "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
    })
}

/// How many processors, and of which kind.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{count} cores, {}", model.map_or("unknown", |(_, model)| model.trim()))
}

fn said_by(program: &str, args: &[&str]) -> String {
    let said = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned()).unwrap_or_default()
}
