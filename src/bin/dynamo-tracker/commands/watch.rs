//! `watch`: live counts, pace and time left.

use std::io::IsTerminal;
use std::time::Duration;

use chrono::Utc;
use dynamo_tracker::{Progress, Query, Stats, Status, Tracker, TrackerClient};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::look::{counts, to_json};
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};
use crate::record;
use crate::render::printable;

/// The pace is that of so long.
const WINDOW: Duration = Duration::from_secs(60);
/// How many of the latest errors are shown.
const ERRORS: usize = 3;

pub(super) async fn watch(
    connection: &Connection,
    interval: Duration,
    until_empty: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let client = connection.client()?;
    let mut progress = Progress::over(WINDOW);
    let screen = (!output.json && std::io::stdout().is_terminal()).then(Screen::new);
    let mut empty = 0;
    loop {
        let stats = client.stats().await?;
        progress.observe(Utc::now(), stats.open());
        match &screen {
            Some(screen) => screen.draw(&stats, &progress, &latest_errors(&client).await?),
            None if output.json => output.value(&as_json(&stats, &progress)),
            None => output.line(&line(&stats, &progress)),
        }
        // Twice in a row, since the index follows the table with a delay.
        empty = if stats.open() == 0 { empty + 1 } else { 0 };
        if until_empty && empty > 1 {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(interval).await;
    }
}

/// The latest of what failed or was given up, with its error.
async fn latest_errors(client: &TrackerClient<Data>) -> Result<Vec<Tracker<Data>>, Failure> {
    let mut records = Vec::new();
    for status in [Status::Exhausted, Status::Failed] {
        let query = Query::new().status(status).newest_first().limit(ERRORS);
        records.extend(client.query_records(&query, None).await?.items);
    }
    records.sort_by_key(|record| std::cmp::Reverse(record.update_time));
    records.truncate(ERRORS);
    Ok(records)
}

fn as_json(stats: &Stats, progress: &Progress) -> serde_json::Value {
    let mut value = to_json(stats);
    value["per_second"] = json!(progress.per_second());
    value["seconds_left"] = json!(progress.remaining().map(|left| left.as_secs()));
    value
}

fn line(stats: &Stats, progress: &Progress) -> String {
    let counts = counts(stats).into_iter().filter_map(|(status, count)| Some(format!("{} {}", count?, status.name())));
    format!("{} {}; {}", record::time(Utc::now()), counts.collect::<Vec<_>>().join(", "), pace(progress))
}

fn pace(progress: &Progress) -> String {
    let left = progress.remaining().map(|left| humantime::format_duration(Duration::from_secs(left.as_secs())));
    match (progress.per_second(), left) {
        (Some(pace), Some(left)) => format!("{pace:.1} a second, {left} left"),
        _ => "no pace yet".to_owned(),
    }
}

/// A bar for each state, then the pace, then the latest errors.
struct Screen {
    bars: Vec<ProgressBar>,
    texts: Vec<ProgressBar>,
    _all: MultiProgress,
}

impl Screen {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        // The templates are constants, and good.
        let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = || all.add(ProgressBar::new(1).with_style(style("{prefix:12} {wide_bar} {pos:>9}")));
        let text = || all.add(ProgressBar::new(1).with_style(style("{wide_msg}")));
        let bars = counts(&Stats::default()).iter().filter(|(_, count)| count.is_some()).map(|_| bar()).collect();
        let texts = (0..=ERRORS).map(|_| text()).collect();
        Self { bars, texts, _all: all }
    }

    fn draw(&self, stats: &Stats, progress: &Progress, errors: &[Tracker<Data>]) {
        let shown: Vec<_> = counts(stats).into_iter().filter_map(|(status, count)| Some((status, count?))).collect();
        let all: u64 = shown.iter().map(|(_, count)| count).sum();
        for (bar, (status, count)) in self.bars.iter().zip(shown) {
            bar.set_prefix(status.name());
            bar.set_length(all.max(1));
            bar.set_position(count);
            bar.tick();
        }
        let errors = errors.iter().filter_map(|record| {
            let error = record.errors.last()?;
            Some(format!("{} {}: {}", printable(record.id.as_str()), record.status, printable(&error.message)))
        });
        let texts = std::iter::once(pace(progress)).chain(errors).chain(std::iter::repeat(String::new()));
        self.texts.iter().zip(texts).for_each(|(line, text)| line.set_message(text));
    }
}
