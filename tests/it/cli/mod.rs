//! The command line as its users have it: the built program, seen from outside.

mod create;
mod embedded;
mod errors;
mod kills;
mod lease;
mod many;
mod operate;
mod output;
mod readme;
mod run;
mod terminal;

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::bed::{Backend, Bed};

pub(crate) fn tests(backend: Backend) -> Vec<Trial> {
    let modules = [
        lease::tests,
        run::tests,
        kills::tests,
        create::tests,
        operate::tests,
        errors::tests,
        output::tests,
        embedded::tests,
        many::tests,
        readme::tests,
    ];
    modules.iter().flat_map(|tests| tests(backend)).collect()
}

/// The program, with nothing in its environment but what it needs.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dynamo-tracker"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", "/nowhere").env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

/// The program on a test's own table, in the namespace `test`.
pub(crate) fn on(endpoint: &str, table: &str) -> Command {
    let mut command = program();
    command.envs([("DYNAMO_TRACKER_TABLE", table), ("DYNAMO_TRACKER_NAMESPACE", "test")]);
    command.envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")]);
    command.env("AWS_ENDPOINT_URL_DYNAMODB", endpoint);
    command
}

impl Bed {
    /// The program on this bed's table.
    pub(crate) fn program(&self) -> Command {
        on(&self.endpoint, &self.table)
    }

    /// Runs the program with these arguments to its end.
    pub(crate) async fn cli<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        said(self.program().args(args)).await
    }
}

/// What the program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Standard output as one JSON object.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last line of standard error as one JSON object.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let last = self.err.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It has ended like this.
    #[track_caller]
    pub(crate) fn exits(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        use std::os::unix::process::ExitStatusExt;
        let exit = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or_default());
        Self { exit, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Runs it to its end, on a thread of its own, since the embedded backend is served by this process.
pub(crate) async fn said(command: &mut Command) -> Said {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    finish(child).await
}

pub(crate) async fn finish(child: std::process::Child) -> Said {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap().into()
}

/// Waits until `done` says so: for what another process does.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if done().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it never happened: {what}");
}

/// The lines of a file that commands add to; none where there is none yet.
pub(crate) fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
