//! Instructions of a task, by callgrind: the same whatever else the machine does.
//!
//! They are those of a process of its own, on one thread, that has nothing but the client; the DynamoDB that it calls is in the process
//! that counts, so that its work does not. What so many tasks more take is divided by their number, so that start-up does not count.
//!
//! Valgrind's processor has no instructions for SHA-256, which signs each request, so that signing is more of the whole here than on
//! real ones: a quarter. It is the same on both sides, so what the crate adds is a somewhat larger part in truth.

use std::process::Command;

use clap::ValueEnum;

use crate::backend::Server;
use crate::compare::{Bench, Side};

const TASKS: usize = 300;

/// What a program that is to be counted is told.
pub(crate) type Solo = [String];

/// Does so many tasks of one side on the table at an address, and measures nothing. `solo` is what [`per_task`] says.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run_alone(solo: &Solo) {
    let [side, tasks, url] = solo else { panic!("--solo takes a side, a number of tasks, and an address") };
    let bench = Bench::at(Server::at(url));
    let side = Side::from_str(side, true).expect("a side");
    bench.one_by_one(side, tasks, tasks.parse().expect("a number of tasks")).await;
}

/// The client's instructions for a task of this side, on the table at `endpoint`. This program must take `--solo` and call
/// [`run_alone`] with its values. Its tasks are new ones only in a table that has not been counted on before.
pub(crate) fn per_task(side: &str, endpoint: &str) -> Result<u64, String> {
    let few = count(side, TASKS, endpoint)?;
    let many = count(side, 2 * TASKS, endpoint)?;
    Ok((many - few) / TASKS as u64)
}

fn count(side: &str, tasks: usize, endpoint: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--solo", side, &tasks.to_string(), endpoint])
        .output()
        .map_err(|error| format!("valgrind is not here ({error}); install it by the system's packages"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).filter(|_| output.status.success()).ok_or(text)
}
