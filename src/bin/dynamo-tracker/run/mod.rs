//! `run`: a command as a task.

mod child;
mod environment;
mod signals;
mod tail;

use std::cell::Cell;
use std::ffi::OsString;
use std::time::{Duration, Instant};

use dynamo_tracker::{Backoff, Lease, Recorded, RunError, Status, Tracker, TrackerClient, WorkError};
use serde_json::Value;

use crate::args;
use crate::commands::start_options;
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};
use environment::Environment;
use signals::Signals;

/// A task that is locked is looked at again after so long, besides at least `POLL`.
const POLLS: Backoff = Backoff::new(Duration::from_millis(400), Duration::from_secs(5));
const POLL: Duration = Duration::from_millis(100);
/// No wait before a retry is longer.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// What the command's end may take after it was killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// What one attempt came to: the record, and how to end.
struct Attempt {
    tracker: Tracker<()>,
    exit: u8,
}

/// A command to be run as a task.
struct Job<'a> {
    client: TrackerClient<Data>,
    id: String,
    run: &'a args::Run,
    command: Vec<OsString>,
    environment: Environment,
    signals: Signals,
    output: &'a Output,
    /// The task's data, as far as it is known here.
    data: Cell<Value>,
    /// What the command ended with.
    exit: Cell<u8>,
}

pub(crate) async fn run(connection: &Connection, run: args::Run, output: &Output) -> Result<Exit, Failure> {
    let (id, command) = id_and_command(&run)?;
    // The command gets the grace, and this program the time to see it end.
    let builder = connection.builder().lease(run.lease).grace(run.grace + AFTER_KILL);
    let job = Job {
        client: builder.build()?,
        id,
        run: &run,
        command,
        environment: Environment::of(connection),
        signals: Signals::listen().map_err(|error| Failure::system("can't listen for signals", &error))?,
        output,
        data: Cell::default(),
        exit: Cell::default(),
    };
    job.run().await
}

/// An id that begins with `-` comes after `--`, and the command after another.
fn id_and_command(run: &args::Run) -> Result<(String, Vec<OsString>), Failure> {
    let usage = || Failure::usage("which task, and which command? dynamo-tracker run ID -- CMD ARG…");
    match (&run.id, run.command.as_slice()) {
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
        let backoff = Backoff::new(self.run.backoff, LONGEST_RETRY);
        let mut retries = 0;
        loop {
            let attempt = match self.attempt_when_free().await {
                Ok(attempt) => attempt,
                // A retry that is refused leaves the command's own failure as what there is to say.
                Err(failure) if retries > 0 && failure.is_refusal() => {
                    self.output.warn(failure.message());
                    return Ok(Exit::Command(self.exit.get()));
                }
                Err(failure) if failure.is_done_before() => {
                    self.output.failed(&failure);
                    return Ok(Exit::Done);
                }
                Err(failure) => return Err(failure),
            };
            let again = attempt.tracker.status == Status::Failed && retries < self.run.retries;
            if !again || self.signals.any() {
                return Ok(self.end(&attempt));
            }
            retries += 1;
            let pause = backoff.delay(retries);
            self.output.warn(&format!("trying again in {}", humantime::format_duration(round(pause))));
            if self.signals.during(tokio::time::sleep(pause)).await.is_none() {
                return Ok(self.end(&attempt));
            }
        }
    }

    fn end(&self, attempt: &Attempt) -> Exit {
        if self.output.json {
            self.output.record(&attempt.tracker, &self.data.take());
        }
        Exit::Command(attempt.exit)
    }

    /// One attempt, for which a locked task is waited for as long as was asked for.
    async fn attempt_when_free(&self) -> Result<Attempt, Failure> {
        let until = self.run.wait.map(|wait| Instant::now() + wait);
        let mut polls = 0;
        loop {
            let refused = match self.attempt().await {
                Err(RunError::Refused(refused)) => refused,
                ended => return self.conclude(ended),
            };
            let left = until.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
            if !refused.is_locked() || left.is_zero() || self.signals.any() {
                return Err(refused.into());
            }
            polls += 1;
            let pause = (POLL + POLLS.delay(polls)).min(left);
            self.signals.during(tokio::time::sleep(pause)).await;
        }
    }

    async fn attempt(&self) -> Result<Recorded<()>, RunError<()>> {
        let options = start_options(&self.run.options);
        self.client.run_recorded(&self.id, options, |lease| self.work(lease)).await
    }

    /// Runs the command, and says what came of it.
    async fn work(&self, mut lease: Lease<Data>) -> Result<(), WorkError> {
        self.data.set(lease.data().0.clone());
        let prepared = self.environment.prepare(&lease)?;
        let ended = child::run(&self.command, &prepared, self, &lease.cancellation()).await;
        self.exit.set(ended.exit);
        if let Some(error) = ended.error {
            return Err(error);
        }
        match prepared.output() {
            Ok(None) => {}
            Ok(Some(data)) => match lease.set_data(Data(data.clone())) {
                Ok(()) => self.data.set(data),
                Err(error) => self.output.warn(&format!("{error}; the command succeeded, and its data is not kept")),
            },
            // What is done must not be done again because it could not say what it did.
            Err(error) => self.output.warn(&format!("{error}; the command succeeded, and its data is not kept")),
        }
        Ok(())
    }

    /// What an attempt that was not refused comes to.
    fn conclude(&self, ended: Result<Recorded<()>, RunError<()>>) -> Result<Attempt, Failure> {
        match ended {
            Ok(recorded) => Ok(Attempt { tracker: recorded.tracker, exit: 0 }),
            Err(RunError::Failed { tracker, error }) => {
                let limit = tracker.max_attempts;
                let state = format!("attempt {} of {limit}, {} now", tracker.attempts, tracker.status);
                self.output.warn(&format!("task {:?}: {error} ({state})", tracker.id));
                Ok(Attempt { tracker: *tracker, exit: self.exit.get() })
            }
            Err(RunError::DataNotKept { error, tracker, .. }) => {
                self.output.warn(&format!("{error}; the command succeeded, and its data is not kept"));
                Ok(Attempt { tracker: *tracker, exit: 0 })
            }
            Err(RunError::Refused(error) | RunError::NotStarted(error)) => Err(error.into()),
            Err(error) => {
                let what = error.to_string();
                Err(error.error().cloned().map_or_else(|| Failure::usage(&what), Failure::from).saying(what))
            }
        }
    }
}

/// To the tenth of a second, for people.
fn round(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis() as u64 / 100 * 100)
}
