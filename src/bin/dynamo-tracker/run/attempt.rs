//! One attempt: the start, the command, and what came of it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use chrono::Utc;
use dynamo_tracker::{Error, Lease, Recorded, RunError, StartOptions, Status, Tracker, WorkError};
use futures_util::future::{Either, select};
use serde_json::Value;

use super::signals::Orders;
use super::{Job, Stop, child};
use crate::commands::{start_options, taker_options};
use crate::data::Data;
use crate::output::Failure;
use crate::record;

/// How long a start that nobody wants any more may still take, so that a lock which it gets can be given back.
const WITHDRAWAL: Duration = Duration::from_secs(2);

/// What an attempt came to.
pub(super) struct Attempt {
    /// The record, as programs have it.
    pub(super) record: Value,
    /// Whether the task is failed, with attempts left.
    pub(super) may_be_retried: bool,
    /// How to end.
    pub(super) exit: u8,
}

impl Job<'_> {
    /// Starts the task, runs the command, and records what came of it.
    pub(super) async fn attempt(&self, again: bool) -> Result<Attempt, Stop> {
        self.working.set(false);
        let mut run = pin!(self.client.run_recorded(&self.id, self.options(again), |lease| self.work(lease)));
        let asked = poll_fn(|cx| match self.working.get() {
            true => Poll::Pending,
            false => self.signals.poll_next(cx),
        });
        let signal = match select(run.as_mut(), pin!(asked)).await {
            Either::Left((ended, _)) => return self.conclude(ended).map_err(Stop::Failure),
            Either::Right((signal, _)) => signal,
        };
        tokio::select! {
            _ = run => {}
            () = tokio::time::sleep(WITHDRAWAL) => {}
            _ = self.signals.next() => {}
        }
        Err(Stop::Asked(signal))
    }

    /// A retry is an ordinary start: what was forced once is not forced again on whatever the task has become.
    fn options(&self, again: bool) -> StartOptions {
        match again {
            true => taker_options(&self.run.options.taker),
            false => start_options(&self.run.options),
        }
    }

    /// Runs the command, and says what came of it.
    async fn work(&self, mut lease: Lease<Data>) -> Result<(), WorkError> {
        self.lock.set(Some(lease.token()));
        self.data.set(lease.data().0.clone());
        if self.signals.any() {
            return Err(WorkError::release("asked to end"));
        }
        self.working.set(true);
        // A fault of this machine's is no failure of the task.
        let prepared = self.environment.prepare(&lease).map_err(WorkError::release)?;
        let ended = child::run(&self.command, &prepared, &self.how, &self.signals, &lease.cancellation()).await;
        self.exit.set(ended.exit);
        if let Some(error) = ended.error {
            return Err(error);
        }
        match prepared.keep(&mut lease) {
            Ok(None) => {}
            Ok(Some(data)) => self.data.set(data),
            Err(problem) => self.warn(&problem),
        }
        Ok(())
    }

    /// What a run comes to.
    fn conclude(&self, ended: Result<Recorded<()>, RunError<()>>) -> Result<Attempt, Failure> {
        match ended {
            Ok(recorded) => Ok(self.came_to(&recorded.tracker, 0)),
            Err(RunError::Failed { tracker, error }) => {
                self.how.stderr.say_failed(&tracker, &error);
                Ok(self.came_to(&tracker, self.exit.get()))
            }
            Err(RunError::DataNotKept { error, tracker, .. }) => {
                self.warn(&format!("{error}; the command succeeded, and its data is not kept"));
                Ok(self.came_to(&tracker, 0))
            }
            Err(RunError::Refused(error) | RunError::NotStarted(error)) => Err(error.into()),
            Err(RunError::LeaseLost { error, .. }) if self.recorded_by_the_command(&error) => self.as_recorded(error),
            Err(error) => {
                let what = error.to_string();
                Err(error.error().cloned().map_or_else(|| Failure::usage(&what), Failure::from).saying(what))
            }
        }
    }

    fn came_to<D>(&self, tracker: &Tracker<D>, exit: u8) -> Attempt {
        let record = record::to_json(tracker, &self.data.take(), Utc::now());
        Attempt { record, may_be_retried: tracker.status == Status::Failed, exit }
    }

    /// Whether the lease is gone because the command, which has the lock, has recorded an outcome itself. A contender that
    /// found the lease run out leaves its own error.
    fn recorded_by_the_command(&self, lost: &Error) -> bool {
        lost.tracker().is_some_and(|tracker| {
            let outcome = matches!(tracker.status, Status::Succeeded | Status::Failed | Status::Exhausted);
            let ran_out = tracker.errors.last().is_some_and(|error| error.error_type == "LeaseExpired");
            let ours = tracker.lock.is_none() && tracker.last_lock == self.lock.get();
            ours && outcome && !(ran_out && tracker.status == Status::Exhausted)
        })
    }

    fn as_recorded(&self, lost: Error) -> Result<Attempt, Failure> {
        match lost.tracker_as::<Data>() {
            Some(Ok(tracker)) => {
                self.data.set(tracker.data.0.clone());
                let exit = match (tracker.status, self.exit.get()) {
                    // The record says that it failed, whatever the command says.
                    (Status::Failed | Status::Exhausted, 0) => 1,
                    (_, exit) => exit,
                };
                Ok(self.came_to(&tracker, exit))
            }
            _ => Err(lost.into()),
        }
    }
}
