//! `run`: a command as a task.

mod attempt;
mod child;
mod environment;
mod signals;
mod stderr;
mod tail;
mod work;

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dynamo_tracker::{Backoff, LockToken, TrackerClient};
use rustix::process::Signal;
use serde_json::Value;

use crate::args;
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};
use attempt::Attempt;
use child::How;
use environment::Environment;
use signals::Signals;
use stderr::Stderr;
pub(crate) use work::work;

/// A task that is locked is looked at again after so long, besides at least `POLL`.
const POLLS: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(5));
const POLL: Duration = Duration::from_millis(100);
/// No wait before a retry is longer.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// What the command's end may take after it was killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// A command to be run as a task.
struct Job<'a> {
    client: TrackerClient<Data>,
    id: String,
    run: &'a args::Run,
    command: Vec<OsString>,
    environment: Environment,
    signals: Signals,
    how: How,
    output: &'a Output,
    /// Whether the command is running, or about to. Until then, a signal is this program's own business.
    working: Cell<bool>,
    /// The lock of the latest attempt.
    lock: Cell<Option<LockToken>>,
    /// The task's data, as far as it is known here.
    data: Cell<Value>,
    /// What the latest command ended with. Before one has, it is no success.
    exit: Cell<u8>,
}

/// Why there is no attempt to speak of.
enum Stop {
    /// The task was refused, or DynamoDB has.
    Failure(Failure),
    /// A signal asked this program to end before the command was run.
    Asked(Signal),
}

pub(crate) async fn run(connection: &Connection, run: args::Run, output: &Output) -> Result<Exit, Failure> {
    let (id, command) = id_and_command(&run)?;
    // The command gets the grace, and this program the time to see it end.
    let builder = connection.builder().lease(run.task.lease).grace(run.grace.saturating_add(AFTER_KILL));
    let stderr = Arc::new(Stderr::start());
    let job = Job {
        client: builder.build()?,
        id,
        run: &run,
        command,
        environment: Environment::new(connection)?,
        signals: Signals::listen().map_err(|error| Failure::system("can't listen for signals", &error))?,
        how: How {
            stderr: Arc::clone(&stderr),
            json: output.json,
            no_capture: run.task.no_capture,
            grace: run.grace,
            apart: false,
        },
        output,
        working: Cell::default(),
        lock: Cell::default(),
        data: Cell::default(),
        exit: Cell::new(1),
    };
    let exit = job.run().await;
    // What the command has written is passed on to its end, unless somebody is in a hurry.
    job.signals.during(stderr.finish()).await.ok();
    exit
}

/// An id that begins with `-` comes after `--`, and the command after another.
fn id_and_command(run: &args::Run) -> Result<(String, Vec<OsString>), Failure> {
    let usage = || Failure::usage("which task, and which command? dynamo-tracker run ID -- CMD ARG…");
    match (&run.id, run.task.command.as_slice()) {
        (Some(id), command) => Ok((id.clone(), command.to_vec())),
        (None, [id, dashes, command @ ..]) if dashes == "--" && !command.is_empty() => {
            Ok((id.to_str().ok_or_else(usage)?.to_owned(), command.to_vec()))
        }
        (None, _) => Err(usage()),
    }
}

impl Job<'_> {
    /// Tries until the command succeeds, or may not be tried again.
    async fn run(&self) -> Result<Exit, Failure> {
        let backoff = Backoff::new(self.run.task.backoff, LONGEST_RETRY);
        let mut retries = 0;
        loop {
            let attempt = match self.attempt_when_free(retries > 0).await {
                Ok(attempt) => attempt,
                Err(stop) => return self.stopped(stop, retries > 0),
            };
            if !attempt.may_be_retried || retries >= self.run.retries || self.signals.any() {
                return Ok(self.end(attempt));
            }
            retries += 1;
            let pause = backoff.delay(retries);
            self.warn(&format!("trying again in {}", humantime::format_duration(round(pause))));
            if self.signals.during(tokio::time::sleep(pause)).await.is_err() {
                return Ok(self.end(attempt));
            }
        }
    }

    fn end(&self, attempt: Attempt) -> Exit {
        if self.output.json {
            self.output.value(&attempt.record);
        }
        Exit::Command(attempt.exit)
    }

    fn stopped(&self, stop: Stop, retried: bool) -> Result<Exit, Failure> {
        match stop {
            Stop::Asked(signal) => {
                self.warn("asked to end before the command was run");
                Ok(Exit::Command(128 + signal.as_raw() as u8))
            }
            Stop::Failure(failure) if failure.is_done_before() => {
                self.output.failed(&failure);
                Ok(Exit::Done)
            }
            // A retry that is refused leaves the command's own failure as what there is to say.
            Stop::Failure(failure) if retried && failure.is_refusal() => {
                self.output.failed(&failure);
                Ok(Exit::Command(self.exit.get()))
            }
            Stop::Failure(failure) => Err(failure),
        }
    }

    /// One attempt, for which a locked task is waited for as long as was asked for.
    async fn attempt_when_free(&self, again: bool) -> Result<Attempt, Stop> {
        let begun = Instant::now();
        let mut polls = 0;
        loop {
            let failure = match self.attempt(again).await {
                Err(Stop::Failure(failure)) if failure.is_locked() => failure,
                ended => return ended,
            };
            let left = self.run.wait.unwrap_or_default().saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Stop::Failure(failure));
            }
            polls += 1;
            let pause = (POLL + POLLS.delay(polls)).min(left);
            self.signals.during(tokio::time::sleep(pause)).await.map_err(Stop::Asked)?;
        }
    }

    /// Says something to people. It never waits for them, since a heartbeat goes on meanwhile.
    fn warn(&self, message: &str) {
        self.how.stderr.say(message);
    }
}

/// To the tenth of a second, for people.
fn round(duration: Duration) -> Duration {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if millis < 100 { millis } else { millis / 100 * 100 })
}
