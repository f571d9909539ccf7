//! The command: started, watched, stopped.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dynamo_tracker::{CancellationToken, WorkError};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use super::environment::Prepared;
use super::signals::{Orders, came_from_the_terminal};
use super::stderr::Stderr;
use super::tail::Tail;
use crate::args::CALLBACK;

/// How a command is run, whichever it is.
pub(super) struct How {
    pub(super) stderr: Arc<Stderr>,
    /// Standard output is for our own results alone.
    pub(super) json: bool,
    /// Its standard error is left alone.
    pub(super) no_capture: bool,
    /// How long it may tidy up when its lease is lost.
    pub(super) grace: Duration,
    /// It is in a process group of its own: the terminal's Ctrl-C is not for it, and its own children end with it.
    pub(super) apart: bool,
}

/// How a command ended.
pub(crate) struct Ended {
    /// The exit code to pass on: the command's own, or what a shell makes of a signal.
    pub(crate) exit: u8,
    /// `None` for success.
    pub(crate) error: Option<WorkError>,
}

/// Runs the command to its end. It is stopped when the lease is lost.
pub(super) async fn run(
    command: &[OsString],
    prepared: &Prepared,
    how: &How,
    orders: &impl Orders,
    lost: &CancellationToken,
) -> Ended {
    let mut child = match spawn(command, prepared, how) {
        Ok(child) => child,
        Err(error) => return not_run(command, &error),
    };
    let _group = how.apart.then(|| Group::of(&child)).flatten();
    let tail = child.stderr.take().map(|stream| Tail::of(stream, &how.stderr));
    let status = supervise(&mut child, orders, lost, how.grace).await;
    let trace = match tail {
        Some(tail) => tail.into_text().await,
        None => None,
    };
    match status {
        Ok(status) => ended(status, trace),
        Err(error) => Ended {
            exit: 1,
            error: Some(WorkError::from_parts("System", format!("can't wait for the command: {error}"), trace)),
        },
    }
}

fn spawn(command: &[OsString], prepared: &Prepared, how: &How) -> io::Result<Child> {
    let mut started = Command::new(&command[0]);
    started.args(&command[1..]).envs(prepared.variables.iter().map(|(name, value)| (name, value)));
    // A run within a run has its own.
    prepared.without.iter().for_each(|name| {
        started.env_remove(name);
    });
    // Who waits for this task is a secret, and no business of the tasks that the command may make.
    started.env_remove(CALLBACK);
    if how.json {
        // Standard output is for the record alone.
        started.stdout(io::stderr());
    }
    if !how.no_capture {
        started.stderr(Stdio::piped());
    }
    if how.apart {
        started.process_group(0);
    }
    // A worker that gives a task back drops what it waits for.
    started.kill_on_drop(true).spawn()
}

/// Waits for the command's end, passes signals on, and stops it when the lease is lost.
async fn supervise(
    child: &mut Child,
    orders: &impl Orders,
    lost: &CancellationToken,
    grace: Duration,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            signal = orders.next() => pass_on(child, signal, orders),
            () = lost.cancelled() => return stop(child, orders, grace).await,
        }
    }
}

/// Gives the command the grace, and a signal no less weight than before.
async fn stop(child: &mut Child, orders: &impl Orders, grace: Duration) -> io::Result<ExitStatus> {
    send(child, Signal::TERM);
    let mut over = pin!(tokio::time::sleep(grace));
    loop {
        tokio::select! {
            status = child.wait() => return status,
            _ = orders.next() => send(child, Signal::KILL),
            () = &mut over => {
                send(child, Signal::KILL);
                return child.wait().await;
            }
        }
    }
}

fn pass_on(child: &Child, signal: Signal, orders: &impl Orders) {
    match orders.is_order() {
        true => send(child, Signal::KILL),
        false if came_from_the_terminal(signal) => {}
        false => send(child, signal),
    }
}

/// The command's number, unless it has ended.
fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(id as i32))
}

/// Sends a signal, unless the command has ended.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        // It may have ended just now.
        let _ = kill_process(pid, signal);
    }
}

/// A process group that ends when this is dropped.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Option<Self> {
        pid(child).map(Self)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nearly always, nobody is left.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

fn ended(status: ExitStatus, trace: Option<String>) -> Ended {
    let (exit, kind, message) = match (status.code(), status.signal()) {
        (Some(0), _) => return Ended { exit: 0, error: None },
        (Some(code), _) => (code, "ExitCode", format!("exit code {code}")),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            (128 + signal, "Signal", format!("killed by signal {signal}{}", name(signal)))
        }
    };
    Ended { exit: exit as u8, error: Some(WorkError::from_parts(kind, message, trace)) }
}

/// The names of the signals that a program is usually killed by.
fn name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        6 => " (SIGABRT)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

/// A command that can't be started. Where that is the command's own fault, no other attempt would help. The codes are those of
/// a shell.
fn not_run(command: &[OsString], error: &io::Error) -> Ended {
    let exit = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let kind = if exit == 127 { "CommandNotFound" } else { "CommandNotRunnable" };
    let message = format!("can't run {:?}: {error}", command[0]);
    let work_error = WorkError::from_parts(kind, message, None);
    Ended { exit, error: Some(if is_its_own_fault(error) { work_error.into_fatal() } else { work_error }) }
}

/// Not a lack of processes, memory or files, nor a program that is just being written.
fn is_its_own_fault(error: &io::Error) -> bool {
    let its_own = [
        io::ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::InvalidInput,
        io::ErrorKind::IsADirectory,
        io::ErrorKind::NotADirectory,
    ];
    its_own.contains(&error.kind()) || Errno::from_io_error(error) == Some(Errno::NOEXEC)
}
