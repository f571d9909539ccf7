//! `work`: a worker whose handler is a command.

use std::ffi::OsString;
use std::future::pending;
use std::sync::Arc;

use dynamo_tracker::{Backoff, CancellationToken, Lease, WorkError, WorkerEvent, WorkerReport};
use rustix::process::Signal;
use serde_json::json;

use super::child::{self, How};
use super::environment::Environment;
use super::signals::{Orders, Signals};
use super::stderr::Stderr;
use super::{AFTER_KILL, LONGEST_RETRY};
use crate::args;
use crate::commands::taker_options;
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};

/// What every task's command has in common.
struct Commands {
    command: Vec<OsString>,
    environment: Environment,
    how: How,
}

/// No signal is passed on: the worker lets its commands end, or gives their tasks back.
struct NoOrders;

impl Orders for NoOrders {
    async fn next(&self) -> Signal {
        pending().await
    }

    fn is_order(&self) -> bool {
        false
    }
}

pub(crate) async fn work(connection: &Connection, work: args::Work, output: &Output) -> Result<Exit, Failure> {
    let backoff = Backoff::new(work.task.backoff, LONGEST_RETRY);
    let builder = connection.builder().lease(work.task.lease).grace(work.grace.saturating_add(AFTER_KILL));
    let client = builder.backoff(backoff).build()?;
    let stderr = Arc::new(Stderr::start());
    let how = How {
        stderr: Arc::clone(&stderr),
        json: output.json,
        no_capture: work.task.no_capture,
        grace: work.grace,
        apart: true,
    };
    let commands = Arc::new(Commands { command: work.task.command, environment: Environment::new(connection)?, how });
    let signals = Signals::listen().map_err(|error| Failure::system("can't listen for signals", &error))?;
    let (stop, give_back) = (CancellationToken::new(), CancellationToken::new());
    let told = Arc::clone(&stderr);
    let mut worker = client
        .worker()
        .concurrency(work.concurrency.into())
        .start_options(taker_options(&work.taker))
        .stop_on(stop.clone())
        .give_back_on(give_back.clone())
        .grace(work.grace)
        .on_event(move |event| tell(&told, event));
    if work.until_empty {
        worker = worker.until_empty();
    }
    if let Some(starts) = work.per_second {
        worker = worker.per_second(starts);
    }
    let run = worker.run(move |lease| {
        let commands = Arc::clone(&commands);
        async move { commands.run(lease).await }
    });
    let obey = async {
        signals.next().await;
        stop.cancel();
        while !signals.is_order() {
            signals.next().await;
        }
        give_back.cancel();
        pending::<()>().await;
    };
    let report = tokio::select! {
        report = run => report,
        () = obey => unreachable!("it never ends"),
    };
    stderr.finish().await;
    summary(&report?, output);
    Ok(Exit::Done)
}

impl Commands {
    async fn run(&self, mut lease: Lease<Data>) -> Result<(), WorkError> {
        let prepared = self.environment.prepare(&lease).map_err(WorkError::release)?;
        let ended = child::run(&self.command, &prepared, &self.how, &NoOrders, &lease.cancellation()).await;
        if let Some(error) = ended.error {
            return Err(error);
        }
        if let Err(problem) = prepared.keep(&mut lease) {
            self.how.stderr.say(&format!("task {:?}: {problem}", lease.id()));
        }
        Ok(())
    }
}

/// What people should know of. What succeeds, succeeds in silence.
fn tell(stderr: &Stderr, event: &WorkerEvent<'_>) {
    match event {
        WorkerEvent::Failed { tracker, error, .. } => stderr.say_failed(tracker, error),
        WorkerEvent::LeaseLost { error, .. } | WorkerEvent::NotRecorded { error, .. } => stderr.say(&error.to_string()),
        _ => {}
    }
}

fn summary(report: &WorkerReport, output: &Output) {
    let WorkerReport { succeeded, failed, released, refused, lease_lost, not_recorded, .. } = *report;
    let value = json!({
        "succeeded": succeeded, "failed": failed, "released": released, "refused": refused,
        "lease_lost": lease_lost, "not_recorded": not_recorded,
    });
    output.result(&value, &format!("{succeeded} succeeded, {failed} failed, {released} given back"));
}
