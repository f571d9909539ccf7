//! The processes that are measured.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use serde::de::DeserializeOwned;

use crate::command::{Command, Hello, Taken};
use crate::side::Side;

/// How many tasks are in flight at most, for which the peers keep connections and threads.
pub(crate) const IN_FLIGHT: u32 = 32;

/// How to start each of them.
pub(crate) struct Peers {
    scripts: PathBuf,
    /// Where the packages of others are.
    folder: PathBuf,
    endpoint: String,
}

impl Peers {
    /// Gets what is missing.
    pub(crate) fn get(endpoint: &str) -> Self {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
        let get = Program::new(scripts.join("get")).stderr(Stdio::inherit()).output().expect("the script runs");
        assert!(get.status.success(), "the peers could not be got; that needs python3 with venv, and npm");
        let folder = PathBuf::from(String::from_utf8_lossy(&get.stdout).trim());
        Self { scripts, folder, endpoint: endpoint.to_owned() }
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn start(&self, side: Side) -> Peer {
        self.start_at(side, &self.endpoint)
    }

    /// The same, with DynamoDB at another address.
    pub(crate) fn start_at(&self, side: Side, endpoint: &str) -> Peer {
        let (program, arguments) = self.program(side);
        let mut child = Program::new(program)
            .args(arguments)
            .envs([("PEER_ENDPOINT", endpoint), ("PEER_TABLE", side.name())])
            .env("PEER_IN_FLIGHT", IN_FLIGHT.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{side:?} does not start: {error}"));
        let (input, output) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut peer = Peer { side, about: String::new(), child, input, output: BufReader::new(output) };
        peer.about = peer.hear::<Hello>().about;
        peer
    }

    fn program(&self, side: Side) -> (PathBuf, Vec<PathBuf>) {
        let python = |script: &str| (self.folder.join("venv/bin/python"), vec![self.scripts.join(script)]);
        match side {
            Side::Python => python("powertools.py"),
            Side::Mate => python("mate.py"),
            // It warns that it will not support this version of Node for ever.
            Side::TypeScript => ("node".into(), vec!["--no-warnings".into(), self.folder.join("powertools.mjs")]),
            Side::Raw | Side::Run | Side::Idempotency => {
                (std::env::current_exe().expect("this program"), vec!["--serve".into(), side.name().into()])
            }
        }
    }
}

/// One of them, which ends with this.
pub(crate) struct Peer {
    pub(crate) side: Side,
    /// The packages and their versions.
    pub(crate) about: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Has a batch done, and looks whether the work was run as often as it must.
    pub(crate) fn ask(&mut self, command: &Command) -> Taken {
        let line = serde_json::to_string(command).expect("it is JSON");
        writeln!(self.input, "{line}").unwrap_or_else(|error| panic!("{:?} does not read: {error}", self.side));
        let taken: Taken = self.hear();
        let expected = command.operation.runs(command.tasks);
        assert_eq!(taken.ran, expected, "{:?} has run the work as often as this in {command:?}", self.side);
        taken
    }

    fn hear<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{:?} has said {line:?}: {error}", self.side))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be in the middle of a batch, when another has panicked.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
