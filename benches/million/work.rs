//! Working them off.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dynamo_tracker::{TrackerClient, WorkError, WorkerReport};
use futures_util::future::join_all;

use crate::Args;
use crate::progress::Progress;
use crate::proof::Executions;

pub(crate) struct Worked {
    pub(crate) time: Duration,
    /// Of all workers together.
    pub(crate) succeeded: u64,
    pub(crate) refused: u64,
    pub(crate) other: u64,
}

/// Runs the workers until there is nothing left.
pub(crate) async fn work(client: &TrackerClient<()>, args: &Args, executions: &Arc<Executions>) -> Worked {
    let progress = Arc::new(Progress::new("done", args.tasks));
    let begun = Instant::now();
    let workers = (0..args.workers).map(|_| {
        let (executions, progress) = (Arc::clone(executions), Arc::clone(&progress));
        client.worker().concurrency(args.concurrency).until_empty().run(move |lease| {
            executions.count(lease.id().as_str());
            progress.add();
            async { Ok::<_, WorkError>(()) }
        })
    });
    let reports: Vec<WorkerReport> =
        join_all(workers).await.into_iter().map(|report| report.expect("it works")).collect();
    let sum = |of: fn(&WorkerReport) -> u64| reports.iter().map(of).sum();
    Worked {
        time: begun.elapsed(),
        succeeded: sum(|report| report.succeeded),
        refused: sum(|report| report.refused),
        other: sum(|report| report.failed + report.released + report.lease_lost + report.not_recorded),
    }
}
