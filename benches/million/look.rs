//! Looking at the tasks, and what that costs.

use std::time::{Duration, Instant};

use dynamo_tracker::{Query, Status, TrackerClient};
use futures_util::TryStreamExt;

use crate::fill::{EARLY, EARLY_TIME};
use crate::meter::Meter;

/// The time of a page is the median of so many.
const PAGES: usize = 21;

/// What a page of due tasks costs among others that are not due yet.
pub(crate) struct Due {
    pub(crate) not_due: u64,
    pub(crate) found: usize,
    pub(crate) read_units: f64,
    pub(crate) time: Duration,
}

/// What looking at all of them takes.
pub(crate) struct Looked {
    /// A page of a hundred.
    pub(crate) page: Duration,
    pub(crate) counted: u64,
    pub(crate) count: Duration,
    pub(crate) listed: u64,
    pub(crate) list: Duration,
}

/// Looks up what was due at the early time, when all others were not.
pub(crate) async fn due(client: &TrackerClient<()>, meter: &Meter, tasks: u64) -> Due {
    let query = Query::new().status(Status::Pending).due_by(*EARLY_TIME);
    // The first request also reads how many shards there are, and opens the connections.
    client.query(&query, None).await.expect("a page");
    meter.forget();
    let begun = Instant::now();
    let page = client.query(&query, None).await.expect("a page");
    Due {
        not_due: tasks - EARLY,
        found: page.items.len(),
        read_units: meter.units().iter().sum(),
        time: begun.elapsed(),
    }
}

/// Looks at a page, counts all, and lists all.
pub(crate) async fn look(client: &TrackerClient<()>) -> Looked {
    let page = page(client).await;
    let begun = Instant::now();
    let counted = client.stats().await.expect("a count").pending;
    let count = begun.elapsed();
    let begun = Instant::now();
    let all = client.query_stream(Query::new().status(Status::Pending));
    let listed = all.try_fold(0, async |sum, _| Ok(sum + 1)).await.expect("a list");
    Looked { page, counted, count, listed, list: begun.elapsed() }
}

/// How long a page of a hundred takes.
async fn page(client: &TrackerClient<()>) -> Duration {
    let query = Query::new().status(Status::Pending).limit(100);
    let mut times = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begun = Instant::now();
        assert_eq!(client.query(&query, None).await.expect("a page").items.len(), 100);
        times.push(begun.elapsed());
    }
    times.sort();
    times[PAGES / 2]
}
