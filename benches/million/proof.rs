//! That each task ran exactly once: counted as they run, and as the table says it afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dynamo_tracker::{Status, TrackerClient};
use futures_util::TryStreamExt;

/// How often each task has run: a byte for each.
pub(crate) struct Executions(Vec<AtomicU8>);

impl Executions {
    pub(crate) fn of(tasks: u64) -> Arc<Self> {
        Arc::new(Self((0..tasks).map(|_| AtomicU8::new(0)).collect()))
    }

    /// The task of this id runs now.
    pub(crate) fn count(&self, id: &str) {
        let number: usize = id.parse().expect("an id is a number");
        // More than 255 would begin again at 0, and a task that ran 257 times be taken for one that ran once.
        let _ =
            self.0[number].fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_add(1)));
    }

    fn how_many(&self, ran: impl Fn(u8) -> bool) -> u64 {
        self.0.iter().filter(|count| ran(count.load(Ordering::Relaxed))).count() as u64
    }
}

/// What became of them.
pub(crate) struct Proof {
    pub(crate) ran_once: u64,
    pub(crate) never_ran: u64,
    pub(crate) ran_again: u64,
    /// Those that the table has, and of these, those that have succeeded at their first attempt.
    pub(crate) recorded: u64,
    pub(crate) recorded_once: u64,
}

/// Reads the whole table.
pub(crate) async fn check(client: &TrackerClient<()>, executions: &Executions) -> Proof {
    let mut proof = Proof {
        ran_once: executions.how_many(|count| count == 1),
        never_ran: executions.how_many(|count| count == 0),
        ran_again: executions.how_many(|count| count > 1),
        recorded: 0,
        recorded_once: 0,
    };
    let mut records = client.scan(1, &[]);
    while let Some(record) = records.try_next().await.expect("a scan") {
        proof.recorded += 1;
        proof.recorded_once += u64::from(record.status == Status::Succeeded && record.attempts == 1);
    }
    proof
}
