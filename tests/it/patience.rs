//! A test that does not end is a failure with a name, and not a run that somebody else has to kill after hours.

use std::collections::BTreeMap;
use std::fs;
use std::process::exit;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

/// No test takes nearly as long, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Each makes a test as long as its user likes.
const LONGER: [&str; 2] = ["TRACKER_TEST_CASES", "TRACKER_TEST_FAULT_TASKS"];

static RUNNING: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// From now on, ends this process when a test does not end, and says which. Not where tests were asked to be longer.
pub(crate) fn watch() {
    if LONGER.iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    thread::spawn(|| {
        loop {
            thread::sleep(Duration::from_secs(5));
            let running = all().clone();
            if let Some((test, _)) = running.iter().find(|(_, begun)| begun.elapsed() > PATIENCE) {
                eprintln!("\ntest {test} has not ended in {PATIENCE:?}, so all of them end here");
                eprintln!("what this process has started, and still runs:\n{}", children().join("\n"));
                exit(101);
            }
        }
    });
}

/// A test that is watched.
pub(crate) fn trial(name: String, body: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name.clone(), move || {
        let _running = Running::new(name);
        body()
    })
}

/// A test that runs, until this is dropped: it has ended, or panicked.
struct Running(String);

impl Running {
    fn new(test: String) -> Self {
        all().insert(test.clone(), Instant::now());
        Self(test)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        all().remove(&self.0);
    }
}

fn all() -> MutexGuard<'static, BTreeMap<String, Instant>> {
    RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The commands of this process's own children, where the system tells them as Linux does.
fn children() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let pids = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let command = |pid: &str| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {}", words.replace('\0', " "))
    };
    pids.flat_map(|pids| pids.split_whitespace().map(command).collect::<Vec<_>>()).collect()
}
