//! One execution environment of a function: its process, and the Runtime API on a port of its own.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use hyper::body::Bytes;

use super::process::{Life, Process};
use super::runtime_api::{Invocation, RuntimeApi};
use super::{Answer, Function};

/// It is used until its process ends, and never again.
pub(super) struct Sandbox {
    api: RuntimeApi,
    process: Arc<Process>,
    init_timeout: Duration,
    timeout: Duration,
}

impl Sandbox {
    /// Starts a process, which initialises itself meanwhile.
    pub(super) fn start(function: &Function, log: std::fs::File) -> Self {
        let process = Process::new();
        let api = RuntimeApi::start(function.arn(), Arc::clone(&process));
        process.run(function.command(&api.address(), log));
        Self { api, process, init_timeout: function.init_timeout, timeout: function.timeout }
    }

    pub(super) async fn invoke(&self, request_id: &str, payload: Bytes) -> Answer {
        match tokio::time::timeout(self.init_timeout, self.process.initialised()).await {
            Ok(Life::Ready) => self.run(request_id, payload).await,
            Ok(over) => end(request_id, over),
            Err(_) => self.time_out(request_id, self.init_timeout).await,
        }
    }

    async fn run(&self, request_id: &str, payload: Bytes) -> Answer {
        let deadline = (Utc::now() + TimeDelta::from_std(self.timeout).expect("minutes")).timestamp_millis();
        let answer = self.api.submit(Invocation { request_id: request_id.to_owned(), payload, deadline });
        tokio::select! {
            // First, since a process may end right after its answer.
            biased;
            Ok(answer) = answer => answer,
            over = self.process.ended() => end(request_id, over),
            () = tokio::time::sleep(self.timeout) => self.time_out(request_id, self.timeout).await,
        }
    }

    /// When this is over, the process is gone and does nothing more.
    async fn time_out(&self, request_id: &str, after: Duration) -> Answer {
        self.stop().await;
        let what = format!("Task timed out after {:.2} seconds", after.as_secs_f64());
        Answer::fault("Sandbox.Timedout", request_id, &what)
    }

    pub(super) async fn stop(&self) {
        self.kill();
        self.process.ended().await;
    }

    pub(super) fn kill(&self) {
        self.process.kill();
    }

    pub(super) fn is_over(&self) -> bool {
        self.process.life().is_over()
    }

    /// How long its initialisation took, once it is over.
    pub(super) fn init(&self) -> Option<Duration> {
        self.process.init()
    }
}

/// What Lambda says of a process that is gone.
fn end(request_id: &str, life: Life) -> Answer {
    match life {
        Life::CannotStart(answer) => answer,
        Life::Ended(status) => Answer::fault("Runtime.ExitError", request_id, &words(status)),
        Life::Init | Life::Ready => unreachable!("it is over"),
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
        (None, signal) => format!("Runtime exited with error: signal: {}", signal.unwrap_or_default()),
    }
}
