//! `kill -9` of `run`, and of its command.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use dynamo_tracker::Status;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::lines;
use crate::bed::Bed;

crate::tests![tasks_are_done_although_runs_and_commands_are_killed];

const TASKS: usize = 12;
const KILLS: usize = 8;
const IN_FLIGHT: usize = 4;

/// Every task is run until it is done, while some runs and some commands are killed at random times.
async fn tasks_are_done_although_runs_and_commands_are_killed(bed: Bed) {
    let mut batch = Batch::new(&bed);
    let mut random = fastrand::Rng::with_seed(4711);
    let mut kills = 0;
    while batch.goes_on() {
        if kills < KILLS && random.u8(..) < 32 && batch.kill_one(&mut random) {
            kills += 1;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kills, KILLS);
    let mut attempts = 0;
    for id in 0..TASKS {
        let record = bed.client::<()>().load(id.to_string()).await.unwrap().unwrap();
        assert_eq!(record.status, Status::Succeeded, "task {id}");
        attempts += record.attempts as usize;
    }
    let ended = lines(&batch.ended);
    for id in 0..TASKS {
        assert!(ended.contains(&id.to_string()), "task {id} has had its effect: {ended:?}");
    }
    // A command that outlives its killed run comes to its end as well. Nothing else does so twice.
    assert!(ended.len() <= TASKS + kills, "{ended:?}");
    assert!((TASKS..=TASKS + kills).contains(&attempts), "{attempts} attempts");
    println!("{TASKS} tasks, {kills} kills: {attempts} attempts, {} effects", ended.len());
}

/// Tasks that wait, and `run`s that run.
struct Batch<'a> {
    bed: &'a Bed,
    folder: TempDir,
    ended: PathBuf,
    waiting: Vec<usize>,
    running: Vec<(usize, Child)>,
}

impl<'a> Batch<'a> {
    fn new(bed: &'a Bed) -> Self {
        let folder = TempDir::new().unwrap();
        let ended = folder.path().join("ended");
        Self { bed, folder, ended, waiting: (0..TASKS).rev().collect(), running: Vec::new() }
    }

    /// Starts what can be started, and again what did not succeed.
    fn goes_on(&mut self) -> bool {
        let waiting = &mut self.waiting;
        self.running.retain_mut(|(id, child)| match child.try_wait().unwrap() {
            None => true,
            Some(status) => {
                waiting.extend((!status.success()).then_some(*id));
                false
            }
        });
        while self.running.len() < IN_FLIGHT
            && let Some(id) = self.waiting.pop()
        {
            self.running.push((id, self.run(id)));
        }
        !self.running.is_empty()
    }

    fn run(&self, id: usize) -> Child {
        let pid = self.pid_file(id);
        let command = format!("echo $$ > {}; sleep 0.3; echo {id} >> {}", pid.display(), self.ended.display());
        let mut program = self.bed.program();
        program.args(["run", &id.to_string(), "--lease", "2s", "--wait", "1m", "--max-attempts", "50"]);
        program.args(["--", "sh", "-c", &command]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn pid_file(&self, id: usize) -> PathBuf {
        self.folder.path().join(format!("pid-{id}"))
    }

    /// Kills a run, or the command of one. False where there was none to kill.
    fn kill_one(&mut self, random: &mut fastrand::Rng) -> bool {
        let chosen = random.usize(..self.running.len());
        let pid = self.pid_file(self.running[chosen].0);
        match random.bool() {
            true => self.running[chosen].1.kill().is_ok(),
            false => kill_by_file(&pid),
        }
    }
}

fn kill_by_file(file: &Path) -> bool {
    let pid = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw);
    // Read once: the process may be gone by the next time, and its number somebody else's.
    let _ = std::fs::remove_file(file);
    pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}
