//! The command: started, watched, stopped.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use dynamo_tracker::{CancellationToken, WorkError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Job;
use super::environment::Prepared;
use super::signals::{Signals, came_from_the_terminal};
use super::tail::Tail;

/// How a command ended.
pub(crate) struct Ended {
    /// The exit code to pass on: the command's own, or what a shell makes of a signal.
    pub(crate) exit: u8,
    /// `None` for success.
    pub(crate) error: Option<WorkError>,
}

/// Runs the command to its end. It is stopped when the lease is lost.
pub(super) async fn run(command: &[OsString], prepared: &Prepared, job: &Job<'_>, lost: &CancellationToken) -> Ended {
    let mut child = match spawn(command, prepared, job) {
        Ok(child) => child,
        Err(error) => return not_run(command, &error),
    };
    let tail = child.stderr.take().map(Tail::of);
    let status = supervise(&mut child, &job.signals, lost, job.run.grace).await;
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

fn spawn(command: &[OsString], prepared: &Prepared, job: &Job<'_>) -> io::Result<Child> {
    let mut started = Command::new(&command[0]);
    started.args(&command[1..]).envs(prepared.variables.iter().map(|(name, value)| (name, value)));
    if job.output.json {
        // Standard output is for the record alone.
        started.stdout(io::stderr());
    }
    if !job.run.no_capture {
        started.stderr(Stdio::piped());
    }
    started.spawn()
}

/// Waits for the command's end, passes signals on, and stops it when the lease is lost.
async fn supervise(
    child: &mut Child,
    signals: &Signals,
    lost: &CancellationToken,
    grace: Duration,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            (signal, first) = signals.next() => match first {
                true if came_from_the_terminal(signal) => {}
                true => send(child, signal),
                false => send(child, Signal::KILL),
            },
            () = lost.cancelled() => return stop(child, grace).await,
        }
    }
}

async fn stop(child: &mut Child, grace: Duration) -> io::Result<ExitStatus> {
    send(child, Signal::TERM);
    if let Ok(status) = tokio::time::timeout(grace, child.wait()).await {
        return status;
    }
    send(child, Signal::KILL);
    child.wait().await
}

/// Sends a signal, unless the command has ended.
fn send(child: &Child, signal: Signal) {
    if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id as i32)) {
        // It may have ended just now.
        let _ = kill_process(pid, signal);
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

/// A command that can't even be started: no other attempt would help. The codes are those of a shell.
fn not_run(command: &[OsString], error: &io::Error) -> Ended {
    let exit = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let kind = if exit == 127 { "CommandNotFound" } else { "CommandNotRunnable" };
    let message = format!("can't run {:?}: {error}", command[0]);
    Ended { exit, error: Some(WorkError::from_parts(kind, message, None).into_fatal()) }
}
