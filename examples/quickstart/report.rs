//! What happened, as a table.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::files::Summary;
use crate::workers::{Done, What, name};

/// More rows than this help nobody. What went wrong comes first.
const MAX_ROWS: usize = 40;

/// Prints the table, and returns whether the tracker did its part everywhere.
pub(crate) fn print(mut done: Vec<Done>, took: Duration) -> bool {
    done.sort_by_key(|done| matches!(done.what, What::Now(..) | What::Before(_)));
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["file", "status", "attempts", "lines", "bytes", "sha256 or reason"]);
    for done in done.iter().take(MAX_ROWS) {
        table.add_row(row(done));
    }
    for number in 2..5 {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{}", table.trim_fmt());
    if done.len() > MAX_ROWS {
        println!("… and {} more", done.len() - MAX_ROWS);
    }
    let count = |is: fn(&What) -> bool| done.iter().filter(|done| is(&done.what)).count();
    let errors = count(|what| matches!(what, What::Error(_)));
    println!(
        "{} done now, {} done before, {} exhausted, {errors} errors, in {:.1} s",
        count(|what| matches!(what, What::Now(..))),
        count(|what| matches!(what, What::Before(_))),
        count(|what| matches!(what, What::Exhausted(..))),
        took.as_secs_f32(),
    );
    errors == 0
}

fn row(done: &Done) -> [String; 6] {
    let [file, status] = [name(&done.file), done.what.status().to_owned()];
    let summary = |attempts: u32, summary: &Summary| {
        let hash = summary.sha256.get(..16).unwrap_or_default().to_owned();
        [attempts.to_string(), summary.lines.to_string(), summary.bytes.to_string(), hash]
    };
    let reason = |attempts: String, reason: &str| [attempts, String::new(), String::new(), reason.to_owned()];
    let [attempts, lines, bytes, last] = match &done.what {
        What::Now(data, attempts) => summary(*attempts, data),
        What::Before(record) => summary(record.attempts, &record.data),
        What::Exhausted(why, attempts) => reason(attempts.to_string(), why),
        What::Error(why) => reason(String::new(), why),
    };
    [file, status, attempts, lines, bytes, last]
}
