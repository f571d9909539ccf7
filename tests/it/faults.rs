//! Thousands of tasks under faults of every kind, counted: executions, records, attempts.
//!
//!     cargo test --release --test it faults
//!
//! Seeded, so that a run can be repeated: `TRACKER_TEST_SEED`. `TRACKER_TEST_FAULT_TASKS` asks for more or fewer tasks.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use dynamo_tracker::{Lease, RunError, StartOptions, Status, SystemClock, TrackerClient, WorkError};
use futures_util::StreamExt;

use crate::bed::Bed;
use crate::bed::http::Fault;

crate::tests![
    every_task_is_done_once_under_every_fault,
    the_faults_that_peers_were_measured_under,
    tasks_are_done_although_worker_processes_are_killed,
];

/// How many tasks are in flight.
const WORKERS: usize = 8;

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |value| value.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

fn seed() -> u64 {
    setting("TRACKER_TEST_SEED", 20_261_124)
}

/// What came of the tasks.
#[derive(Debug, Default)]
struct Count {
    executions: u32,
    /// Tasks that were executed more often than they should be.
    repeated: u32,
    /// Tasks that were not run at the first try.
    not_run_at_first: u32,
    /// Tasks whose record does not say what happened.
    misrecorded: u32,
    /// Runs that ended in an error which is not the work's own.
    errors: Vec<String>,
}

/// A client whose leases are 30 seconds, as the peers' were when they were measured.
fn client(bed: &Bed) -> TrackerClient<()> {
    bed.builder().clock(SystemClock).lease(Duration::from_secs(30)).build().unwrap()
}

/// Ten thousand tasks in a release build. Every tenth fails once on purpose, so failures are recorded under faults too.
async fn every_task_is_done_once_under_every_fault(bed: Bed) {
    let tasks = setting("TRACKER_TEST_FAULT_TASKS", if cfg!(debug_assertions) { 300 } else { 10_000 });
    let faults = [
        (Fault::LostRequest, 0.05),
        (Fault::LostAnswer, 0.08),
        (Fault::DoneButFailed, 0.05),
        (Fault::Failed, 0.04),
        (Fault::Throttled, 0.04),
        (Fault::Late, 0.04),
    ];
    bed.http.chance(seed(), &faults);
    let (begun, client) = (Instant::now(), client(&bed));
    let executions: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
    let fails = |task: u64, attempt: u32| task.is_multiple_of(10) && attempt == 1;
    let runs = futures_util::stream::iter(0..tasks).map(|task| {
        let (client, executed) = (&client, &executions[task as usize]);
        async move {
            loop {
                let work = |lease: Lease<()>| async move {
                    executed.fetch_add(1, Ordering::SeqCst);
                    if fails(task, lease.attempt()) { Err(WorkError::from("on purpose")) } else { Ok(()) }
                };
                match client.run(format!("task-{task}"), StartOptions::new(), work).await {
                    Ok(()) => return None,
                    Err(RunError::Failed { tracker, .. }) if tracker.status == Status::Failed => {}
                    Err(error) => return Some(format!("task-{task}: {error}")),
                }
            }
        }
    });
    let errors: Vec<_> = runs.buffer_unordered(WORKERS).filter_map(std::future::ready).collect().await;
    bed.http.chance(seed(), &[]);
    let mut count = Count { errors, ..Count::default() };
    for task in 0..tasks {
        let executed = executions[task as usize].load(Ordering::SeqCst);
        let due = if fails(task, 1) { 2 } else { 1 };
        let record = client.load(format!("task-{task}")).await.unwrap().expect("it was created");
        let good = record.status == Status::Succeeded
            && record.attempts == due
            && record.generation == u64::from(due)
            && record.errors.len() == due as usize - 1
            && record.lock.is_none();
        count.executions += executed;
        count.repeated += u32::from(executed != due);
        count.misrecorded += u32::from(!good);
    }
    let took = begun.elapsed().as_secs_f32();
    println!("{tasks} tasks under every fault, {WORKERS} in flight, seed {}: {count:?}, in {took:.1} s", seed());
    assert_eq!((count.repeated, count.misrecorded, count.errors), (0, 0, vec![]));
    assert_eq!(count.executions, (tasks + tasks.div_ceil(10)) as u32);
}

/// 200 tasks, 8 in flight, lease 30 s, three seeds, and each task tried once: as Powertools, `pynamodb_mate` and the raw SDK
/// were measured.
async fn the_faults_that_peers_were_measured_under(bed: Bed) {
    let refused = [(Fault::Failed, 0.15), (Fault::Throttled, 0.15)];
    let lost = [(Fault::DoneButFailed, 0.15), (Fault::Throttled, 0.15)];
    for (name, faults) in
        [("(a) 15 % answered 500, 15 % throttled", refused), ("(b) 15 % done but answered 500, 15 % throttled", lost)]
    {
        let mut count = Count::default();
        for seed in [1, 2, 3] {
            bed.http.chance(seed, &faults);
            let (client, executed) = (client(&bed), Arc::new(AtomicU32::new(0)));
            let runs = futures_util::stream::iter(0..200).map(|task| {
                let (client, executed, id) = (&client, Arc::clone(&executed), format!("{name}-{seed}-{task}"));
                async move {
                    let runs = AtomicU32::new(0);
                    let work = |_| async {
                        runs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    let error = client.run(&id, StartOptions::new(), work).await.err().map(|error| error.to_string());
                    executed.fetch_add(runs.load(Ordering::SeqCst), Ordering::SeqCst);
                    (id, runs.into_inner(), error)
                }
            });
            let results: Vec<_> = runs.buffer_unordered(WORKERS).collect().await;
            bed.http.chance(seed, &[]);
            for (id, runs, error) in results {
                count.executions += runs;
                count.not_run_at_first += u32::from(runs == 0);
                count.repeated += u32::from(runs > 1);
                let record = client.load(&id).await.unwrap();
                count.misrecorded += u32::from(record.is_none_or(|record| record.status != Status::Succeeded));
                count.errors.extend(error);
            }
        }
        println!("600 tasks, {name}: {count:?}");
        assert_eq!((count.executions, count.not_run_at_first, count.repeated, count.misrecorded), (600, 0, 0, 0));
        assert_eq!(count.errors, Vec::<String>::new());
    }
}

/// Set for a copy of this program that is a worker: `ENDPOINT TABLE TASKS LEDGER`.
const WORKER: &str = "TRACKER_TEST_WORKER";
const LEASE: Duration = Duration::from_millis(1500);
const PROCESSES: usize = 4;

async fn tasks_are_done_although_worker_processes_are_killed(bed: Bed) {
    let (tasks, kills) = if cfg!(debug_assertions) { (60, 12) } else { (300, 40) };
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let start = || Process::start(&bed, tasks, &ledger);
    let mut random = fastrand::Rng::with_seed(seed());
    let mut processes: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.u64(50..250))).await;
        // The old one is killed as it is dropped.
        processes[random.usize(..PROCESSES)] = start();
    }
    for process in &mut processes {
        let ended = tokio::task::block_in_place(|| process.0.wait()).unwrap();
        assert!(ended.success(), "a worker ends when all is done");
    }
    let text = std::fs::read_to_string(&ledger).unwrap();
    let mut executions: HashMap<&str, HashSet<&str>> = HashMap::new();
    let mut count = 0;
    for line in text.lines() {
        let (task, generation) = line.split_once(' ').expect("TASK GENERATION");
        assert!(executions.entry(task).or_default().insert(generation), "generation {generation} of {task} ran twice");
        count += 1;
    }
    let client = bed.client::<()>();
    let mut attempts = 0;
    for task in 0..tasks {
        let id = format!("task-{task}");
        let record = client.load(&id).await.unwrap().expect("it was created");
        assert_eq!((record.status, record.lock), (Status::Succeeded, None), "{id}");
        assert_eq!(u64::from(record.attempts), record.generation, "{id}: each acquisition counted");
        let executed = executions.get(id.as_str()).map_or(0, HashSet::len);
        // An attempt whose process was killed before its effect has none.
        assert!((1..=record.attempts as usize).contains(&executed), "{id}: {executed} of {}", record.attempts);
        attempts += record.attempts;
    }
    let interrupted = attempts - tasks;
    println!(
        "{tasks} tasks, {PROCESSES} processes, {kills} kills: {count} executions, {interrupted} interrupted attempts, none lost"
    );
}

/// A worker process. It is killed when this is dropped.
struct Process(Child);

impl Process {
    fn start(bed: &Bed, tasks: u32, ledger: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(WORKER, format!("{} {} {tasks} {}", bed.endpoint, bed.table, ledger.display()));
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn is_worker() -> bool {
    std::env::var_os(WORKER).is_some()
}

/// What a worker process does: runs every task until all are done.
pub(crate) fn work() -> ExitCode {
    let place = std::env::var(WORKER).unwrap();
    let mut words = place.splitn(4, ' ');
    let mut next = || words.next().expect("ENDPOINT TABLE TASKS LEDGER");
    let (endpoint, table, tasks, ledger) = (next(), next(), next().parse().unwrap(), next());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = crate::bed::sdk_config(endpoint).build();
        let client = TrackerClient::<()>::builder(aws_sdk_dynamodb::Client::from_conf(config));
        let client = client.table(table).namespace("test").lease(LEASE).skew(Duration::from_millis(300));
        let client = client.max_attempts(1000).build().unwrap();
        run_all(&client, tasks, ledger).await;
    });
    ExitCode::SUCCESS
}

async fn run_all(client: &TrackerClient<()>, tasks: u32, ledger: &str) {
    let mut left: Vec<u32> = (0..tasks).collect();
    fastrand::shuffle(&mut left);
    while !left.is_empty() {
        let mut again = Vec::new();
        for task in left {
            let id = format!("task-{task}");
            let work = |lease: Lease<()>| async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let mut file = std::fs::OpenOptions::new().create(true).append(true).open(ledger)?;
                file.write_all(format!("{} {}\n", lease.id(), lease.generation()).as_bytes())?;
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(())
            };
            match client.run(&id, StartOptions::new(), work).await {
                Ok(()) => {}
                Err(RunError::Refused(error)) if error.is_already_succeeded() => {}
                Err(RunError::Refused(error)) if error.is_locked() => again.push(task),
                Err(error) => panic!("{error}"),
            }
        }
        left = again;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
