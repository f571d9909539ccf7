//! A record for people.

use std::fmt::{self, Write};

use anstyle::{AnsiColor, Style};
use chrono::{DateTime, Utc};
use chrono_humanize::HumanTime;
use dynamo_tracker::{AttemptError, Status, Tracker};
use serde_json::Value;

use crate::record::time;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// The colour of a state: what needs somebody's attention stands out.
pub(crate) fn style(status: Status) -> Style {
    match status {
        Status::Succeeded => AnsiColor::Green.on_default(),
        Status::InProgress => AnsiColor::Cyan.on_default(),
        Status::Failed => AnsiColor::Yellow.on_default(),
        Status::Exhausted => AnsiColor::Red.on_default().bold(),
        Status::Ignored => DIM,
        _ => Style::new(),
    }
}

/// The record, a line for each thing that is known.
pub(crate) fn record<D>(tracker: &Tracker<D>, data: &Value, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = write_record(&mut text, tracker, data, now);
    text
}

fn write_record<D>(f: &mut String, tracker: &Tracker<D>, data: &Value, now: DateTime<Utc>) -> fmt::Result {
    let status = style(tracker.status);
    line(f, "task", format_args!("{BOLD}{}{BOLD:#}", printable(tracker.id.as_str())))?;
    line(f, "namespace", tracker.id.namespace())?;
    line(f, "status", format_args!("{status}{}{status:#}", tracker.status))?;
    line(f, "attempts", format_args!("{} of {}", tracker.attempts, tracker.max_attempts))?;
    line(f, "generation", tracker.generation)?;
    let times = [
        ("created", Some(tracker.create_time)),
        ("updated", Some(tracker.update_time)),
        ("due", tracker.due_time),
        ("expires", tracker.expire_at),
    ];
    for (name, at) in times {
        if let Some(at) = at {
            line(f, name, when(at, now))?;
        }
    }
    if tracker.callback().is_some() {
        let waits = if tracker.owes_callback() { "owed to a state machine" } else { "a state machine waits for it" };
        line(f, "callback", waits)?;
    }
    write_lock(f, tracker, now)?;
    if !data.is_null() {
        writeln!(f, "{DIM}data{DIM:#}")?;
        writeln!(f, "{}", indented(&format!("{data:#}")))?;
    }
    if !tracker.errors.is_empty() {
        writeln!(f, "{DIM}errors{DIM:#}")?;
    }
    tracker.errors.iter().try_for_each(|error| write_error(f, error, now))
}

fn write_lock<D>(f: &mut String, tracker: &Tracker<D>, now: DateTime<Utc>) -> fmt::Result {
    let Some(lock) = tracker.lock else { return Ok(()) };
    line(f, "lock", lock)?;
    if let Some(owner) = &tracker.lock_owner {
        line(f, "owner", printable(owner))?;
    }
    if let Some(since) = tracker.lock_time {
        line(f, "locked", when(since, now))?;
    }
    match tracker.lock_expire_time {
        Some(until) if until <= now => line(f, "lease", format_args!("ran out {}", when(until, now))),
        Some(until) => line(f, "lease", format_args!("until {}", when(until, now))),
        None => Ok(()),
    }
}

fn write_error(f: &mut String, error: &AttemptError, now: DateTime<Utc>) -> fmt::Result {
    writeln!(f, "  attempt {}, {}", error.attempt, when(error.time, now))?;
    writeln!(f, "    {BOLD}{}{BOLD:#}: {}", printable(&error.error_type), printable(&error.message))?;
    for trace in error.trace.iter().flat_map(|trace| trace.lines()) {
        writeln!(f, "    {DIM}| {}{DIM:#}", printable(trace))?;
    }
    Ok(())
}

fn line(f: &mut String, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{DIM}{name:<11}{DIM:#}{value}")
}

/// The time, and how long ago that is.
fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} {DIM}({}){DIM:#}", time(at), HumanTime::from(at - now))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {}", printable(line))).collect::<Vec<_>>().join("\n")
}

/// Text of others without control characters, which could do things to the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}
