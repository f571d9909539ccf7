//! What is said, to people or to programs, and where: results on standard output, errors on standard error.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
use chrono::Utc;
use dynamo_tracker::{Error, Tracker};
use serde_json::{Value, json};

use crate::args::Global;
use crate::data::Data;
use crate::exit::Exit;
use crate::{record, render};

const RED: Style = AnsiColor::Red.on_default().bold();

/// Whether a result could not be written.
static NOT_WRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether a state that waits for a task could not be told that it is over.
static OWED: AtomicBool = AtomicBool::new(false);

/// How things are said.
pub(crate) struct Output {
    pub(crate) json: bool,
    verbose: bool,
}

/// Why a command did not do what it was asked to.
pub(crate) struct Failure {
    exit: Exit,
    kind: &'static str,
    message: String,
    /// For people who ask for it.
    details: Vec<String>,
    hint: Option<&'static str>,
    /// The refusal's record, where it is one.
    refused: Option<Box<Error>>,
}

impl Failure {
    /// Bad usage, or a bad value.
    pub(crate) fn usage(message: &str) -> Self {
        Self::new(Exit::Usage, dynamo_tracker::ErrorKind::InvalidArgument.name(), message.to_owned())
    }

    /// There is no such task.
    pub(crate) fn no_such_task(namespace: &str, id: &str) -> Self {
        let kind = dynamo_tracker::ErrorKind::NotFound;
        Self::new(kind.into(), kind.name(), format!("task \"{namespace}#{id}\": there is no such task; check its id"))
    }

    /// What was asked for makes no sense in the task's state.
    pub(crate) fn illegal(message: &str) -> Self {
        let kind = dynamo_tracker::ErrorKind::Changed;
        Self::new(kind.into(), kind.name(), message.to_owned())
    }

    /// The machine failed.
    pub(crate) fn system(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Usage, "system", format!("{what}: {error}"))
    }

    fn new(exit: Exit, kind: &'static str, message: String) -> Self {
        Self { exit, kind, message, details: Vec::new(), hint: None, refused: None }
    }

    /// The same, with more to say.
    pub(crate) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Whether the task was refused, which is an ordinary outcome.
    pub(crate) fn is_refusal(&self) -> bool {
        self.refused.is_some()
    }

    /// Whether it was refused because somebody works on it.
    pub(crate) fn is_locked(&self) -> bool {
        self.refused.as_ref().is_some_and(|error| error.is_locked())
    }

    /// Whether it was refused because it is done.
    pub(crate) fn is_done_before(&self) -> bool {
        self.refused.as_ref().is_some_and(|error| error.is_already_succeeded())
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"error": self.kind, "message": self.message})
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let mut failure = Self::new(kind.into(), kind.name(), error.to_string());
        failure.details = causes(&error);
        failure.details.extend(error.request_id().map(|id| format!("AWS request id: {id}")));
        if kind == dynamo_tracker::ErrorKind::TableNotFound {
            failure.hint = Some("`dynamo-tracker init` creates the table");
        }
        failure.refused = error.is_refused().then(|| Box::new(error));
        failure
    }
}

/// What an error says that it comes from, one cause a line.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(error.source(), |error| error.source()).map(|error| format!("caused by: {error}")).collect()
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self { json: global.json, verbose: global.verbose > 0 }
    }

    pub(crate) fn json() -> Self {
        Self { json: true, verbose: false }
    }

    /// Prints a record.
    pub(crate) fn record<D>(&self, tracker: &Tracker<D>, data: &Value) -> Exit {
        match self.json {
            true => self.value(&record::to_json(tracker, data, Utc::now())),
            false => text(&render::record(tracker, data, Utc::now())),
        }
        Exit::Done
    }

    /// Prints JSON, in one line.
    pub(crate) fn value(&self, value: &Value) {
        text(&format!("{value}\n"));
    }

    /// Prints a result: JSON for programs, a line for people.
    pub(crate) fn result(&self, value: &Value, line: &str) {
        match self.json {
            true => self.value(value),
            false => self.line(line),
        }
    }

    /// Prints what people want to know, and programs have in other ways.
    pub(crate) fn line(&self, line: &str) {
        if !self.json {
            text(&format!("{line}\n"));
        }
    }

    /// Says that something is not as it should be, though nothing failed.
    pub(crate) fn warn(&self, message: &str) {
        told(&format!("dynamo-tracker: {message}\n"));
    }

    /// Tells why it was not done, and returns how to end.
    pub(crate) fn failed(&self, failure: &Failure) -> Exit {
        match &failure.refused {
            Some(error) => self.refused(error, failure),
            None if self.json => told(&format!("{}\n", failure.to_json())),
            None => told(&format!("{RED}error:{RED:#} {}\n", failure.message)),
        }
        if let (false, Some(hint)) = (self.json, failure.hint) {
            told(&format!("hint: {hint}\n"));
        }
        if self.verbose && !self.json {
            failure.details.iter().for_each(|detail| told(&format!("  {detail}\n")));
        }
        failure.exit
    }

    /// A refusal is an ordinary outcome: programs find it where they look for the result.
    fn refused(&self, error: &Error, failure: &Failure) {
        let refused = failure.kind;
        if !self.json {
            text(&format!("refused: {refused}\n"));
            return self.warn(&failure.message);
        }
        let shown = error.tracker_as::<Data>().and_then(Result::ok);
        let tracker = shown.map(|tracker| record::to_json(&tracker, &tracker.data.0, Utc::now()));
        self.value(&json!({"refused": refused, "tracker": tracker}));
    }
}

/// Writes to standard output, without colours where nobody would see them.
fn text(text: &str) {
    ignore_closed(anstream::stdout().lock().write_all(text.as_bytes()));
}

/// Writes bytes to standard output as they are.
pub(crate) fn raw(bytes: &[u8]) {
    ignore_closed(io::stdout().lock().write_all(bytes));
}

/// Writes to standard error. Where even that fails, there is nobody to tell.
fn told(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// A reader that has seen enough, such as `head`, is no error. What was to be done is done.
fn ignore_closed(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        NOT_WRITTEN.store(true, Ordering::Relaxed);
        told(&format!("dynamo-tracker: can't write to standard output: {error}\n"));
    }
}

/// Says that a state that waits for a task could not be told that it is over.
pub(crate) fn owed(error: &Error, json: bool) {
    OWED.store(true, Ordering::Relaxed);
    let message = format!("{error} (while its record is there, the next look at it tells the state that waits for it)");
    match json {
        true => told(&format!("{}\n", json!({"error": error.kind().name(), "message": message}))),
        false => told(&format!("dynamo-tracker: {message}\n")),
    }
}

/// How to end: as it went, unless somebody who was to be told could not be.
pub(crate) fn exit(exit: Exit) -> Exit {
    match exit {
        Exit::Done if NOT_WRITTEN.load(Ordering::Relaxed) => Exit::NotWritten,
        Exit::Done | Exit::Command(0) if OWED.load(Ordering::Relaxed) => Exit::Unavailable,
        exit => exit,
    }
}

/// With `-vv`, says what the library does.
pub(crate) fn trace(verbose: u8) {
    if verbose > 1 {
        let level = if verbose > 2 { "dynamo_tracker=trace,aws=debug" } else { "dynamo_tracker=debug" };
        tracing_subscriber::fmt().with_env_filter(level).with_writer(io::stderr).init();
    }
}
