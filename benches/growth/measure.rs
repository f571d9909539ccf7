//! What is measured at each step: tasks, a page of due tasks, and a count of all.

use std::time::Instant;

use chrono::Utc;
use dynamo_tracker::{Query, Status, TrackerClient};
use serde::Serialize;

use crate::backend::Server;
use crate::clients::{Clients, Side};
use crate::latency::median::median;
use crate::latency::take_turns;
use crate::meter::{Meter, Metered};

/// A page has so many tasks.
const PAGE: usize = 100;
/// The time of a page is the median of so many, and that of a count, which takes longer, of so many.
const PAGES: usize = 21;
const COUNTS: usize = 5;

/// A table with clients that are timed, and others that count what their requests take.
pub(crate) struct Table {
    pub(crate) timed: Clients,
    metered: Clients,
    meter: Meter,
}

/// What a task costs.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Task {
    pub(crate) side: Side,
    /// The median, in microseconds.
    pub(crate) p50_us: f64,
    pub(crate) write_units: f64,
}

/// What it costs to look at many.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Look {
    /// The median, in milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) requests: usize,
    pub(crate) read_units: f64,
}

impl Table {
    /// A new one, whose index has so many shards.
    pub(crate) async fn new(server: &Server, shards: u16) -> Self {
        // Another name each time, since the server may be one that was there before.
        let name = format!("growth-{}", uuid::Uuid::new_v4());
        let meter = Meter::default();
        let timed = Clients::new(server.config(), &name, shards);
        let metered = Clients::new(server.config().interceptor(meter.clone()), &name, shards);
        timed.indexed.create_table().await.expect("a table");
        Self { timed, metered, meter }
    }

    /// What a task with such data costs each side.
    pub(crate) async fn tasks(&self, sides: &[Side], rounds: u16, data: &str) -> Vec<Task> {
        let task = async |side, round| self.timed.task(side, round, data).await;
        let latencies = take_turns(sides, rounds.into(), task).await;
        let mut tasks = Vec::new();
        for (&side, latency) in sides.iter().zip(latencies) {
            let p50_us = latency.p50.as_secs_f64() * 1e6;
            tasks.push(Task { side, p50_us, write_units: self.write_units(side, data).await });
        }
        tasks
    }

    /// The units of the two updates alone: the task is made and deleted by other requests.
    async fn write_units(&self, side: Side, data: &str) -> f64 {
        self.meter.forget();
        self.metered.task(side, 0, data).await;
        let requests = self.meter.requests();
        let updates = requests.iter().filter(|request| request.operation == "UpdateItem");
        let units: Vec<_> = updates.filter_map(|request| request.units).collect();
        assert_eq!(units.len(), 2, "{requests:?}");
        units.iter().sum()
    }

    /// What the first page of due tasks costs.
    pub(crate) async fn page(&self) -> Look {
        let query = &Query::new().status(Status::Pending).due_by(Utc::now()).limit(PAGE);
        self.look(PAGES, async |client| {
            assert_eq!(client.query(query, None).await.expect("a page").items.len(), PAGE);
        })
        .await
    }

    /// What it costs to count all tasks by the index, of which there are so many.
    pub(crate) async fn stats(&self, tasks: u64) -> Look {
        self.look(COUNTS, async |client| assert_eq!(client.stats().await.expect("a count").pending, tasks)).await
    }

    async fn look(&self, times: usize, look: impl AsyncFn(&TrackerClient<String>)) -> Look {
        let mut seconds = Vec::with_capacity(times);
        // The first one also reads how many shards there are, and is not counted.
        for _ in 0..=times {
            let begun = Instant::now();
            look(&self.timed.indexed).await;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        let p50_ms = 1000.0 * median(seconds.into_iter().skip(1));
        look(&self.metered.indexed).await;
        self.meter.forget();
        look(&self.metered.indexed).await;
        let requests = self.meter.requests();
        assert!(!requests.iter().any(Metered::is_write), "{requests:?}");
        Look { p50_ms, requests: requests.len(), read_units: self.meter.units().iter().sum() }
    }
}
