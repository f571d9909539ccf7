//! Making the tasks.

use std::ops::Range;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use dynamo_tracker::{NewTask, TrackerClient};
use futures_util::{StreamExt, stream};

use crate::progress::Progress;

/// So many are there when what is due is looked up for the first time.
pub(crate) const FEW: u64 = 1000;
/// The first so many tasks are due earlier than all others.
pub(crate) const EARLY: u64 = 20;
/// How many are created at a time.
const CONCURRENCY: usize = 64;

/// A time at which the early ones are due, and no others.
pub(crate) static EARLY_TIME: LazyLock<DateTime<Utc>> = LazyLock::new(|| Utc::now() - TimeDelta::hours(1));

/// Creates the tasks of these numbers from a stream, so that they are never in memory together. Returns how many.
pub(crate) async fn fill(client: &TrackerClient<()>, numbers: Range<u64>) -> u64 {
    let progress = Progress::new("created", numbers.end - numbers.start);
    let tasks = stream::iter(numbers).map(task).inspect(|_| progress.add());
    let report = client.create_many(tasks, CONCURRENCY).await.expect("they are created");
    assert_eq!((report.skipped, report.failed), (0, 0), "{:?}", report.errors);
    report.done
}

fn task(number: u64) -> NewTask<()> {
    let task = NewTask::new(number.to_string());
    if number < EARLY { task.due(*EARLY_TIME) } else { task }
}
