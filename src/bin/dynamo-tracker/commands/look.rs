//! Looking at many tasks: `list` and `stats`.

use chrono::Utc;
use comfy_table::{ContentArrangement, Table, presets};
use dynamo_tracker::{Page, Query, Stats, Status, Tracker, TrackerClient};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use crate::args::List;
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};
use crate::record;
use crate::render::printable;

/// How many scans read the table side by side.
const SEGMENTS: u16 = 4;

pub(super) async fn list(connection: &Connection, list: List, output: &Output) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let query = query(connection, &list);
    if query.is_none() && (list.due || list.newest) {
        let message =
            "--due and --newest go by the index, which has no succeeded tasks; leave them out, or name other states";
        return Err(Failure::usage(message));
    }
    let page = match query {
        Some(query) => client.query_records(&query, list.cursor.as_deref()).await?,
        None => client.scan_page(&list.status, list.limit as usize, list.cursor.as_deref()).await?,
    };
    match output.json {
        true => print_lines(&page, output),
        false => print_table(&page, output),
    }
    Ok(Exit::Done)
}

/// The query by the index, where that has what is asked for.
fn query(connection: &Connection, list: &List) -> Option<Query> {
    let due = [Status::Pending, Status::Failed, Status::InProgress];
    let statuses = if list.due && list.status.is_empty() { &due[..] } else { &list.status };
    if !connection.is_indexed() || statuses.is_empty() || statuses.contains(&Status::Succeeded) {
        return None;
    }
    let mut query =
        statuses.iter().fold(Query::new().limit(list.limit as usize), |query, status| query.status(*status));
    if list.due {
        query = query.due_by(Utc::now());
    }
    Some(if list.newest { query.newest_first() } else { query })
}

fn print_lines(page: &Page<Tracker<Data>>, output: &Output) {
    for tracker in &page.items {
        output.value(&record::to_json(tracker, &tracker.data.0, Utc::now()));
    }
    if let Some(cursor) = &page.cursor {
        output.value(&json!({"cursor": cursor}));
    }
}

fn print_table(page: &Page<Tracker<Data>>, output: &Output) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["id", "status", "attempts", "due", "owner", "latest error"]);
    for tracker in &page.items {
        let error = tracker.errors.last().map(|error| error.message.as_str()).unwrap_or_default();
        table.add_row([
            printable(tracker.id.as_str()),
            tracker.status.to_string(),
            format!("{} of {}", tracker.attempts, tracker.max_attempts),
            tracker.due_time.map(record::time).unwrap_or_default(),
            printable(tracker.lock_owner.as_deref().unwrap_or_default()),
            printable(error),
        ]);
    }
    output.line(&table.trim_fmt());
    if let Some(cursor) = &page.cursor {
        output.warn(&format!("more follow; go on with --cursor {cursor}"));
    }
}

pub(super) async fn stats(connection: &Connection, index_only: bool, output: &Output) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let stats = match connection.is_indexed() {
        false => client.scan_stats(SEGMENTS).await?,
        true => {
            let mut stats = client.stats().await?;
            if !index_only {
                stats.succeeded = Some(succeeded(&client).await?);
            }
            stats
        }
    };
    if output.json {
        output.value(&to_json(&stats));
    }
    for (status, count) in counts(&stats) {
        let count = count.map_or("not counted".to_owned(), |count| count.to_string());
        output.line(&format!("{:<12}{count:>12}", status.name()));
    }
    Ok(Exit::Done)
}

async fn succeeded(client: &TrackerClient<Data>) -> Result<u64, Failure> {
    let done = client.scan(SEGMENTS, &[Status::Succeeded]);
    Ok(done.try_fold(0, async |count, _| Ok(count + 1)).await?)
}

/// The counts in the order in which a task goes through its states.
pub(super) fn counts(stats: &Stats) -> [(Status, Option<u64>); 6] {
    [
        (Status::Pending, Some(stats.pending)),
        (Status::InProgress, Some(stats.in_progress)),
        (Status::Failed, Some(stats.failed)),
        (Status::Exhausted, Some(stats.exhausted)),
        (Status::Succeeded, stats.succeeded),
        (Status::Ignored, Some(stats.ignored)),
    ]
}

pub(super) fn to_json(stats: &Stats) -> Value {
    counts(stats).into_iter().map(|(status, count)| (status.name().to_owned(), json!(count))).collect()
}
