//! The other side: a process with Powertools for Python, which a test tells what to do.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::bed::Bed;

const HELP: &str = "Powertools for Python is not here, and could not be got. It needs python3 with venv and pip, and a \
                    package index that they reach";

/// The Python that has Powertools. The first call makes its environment, where nobody has.
fn python() -> &'static str {
    static PYTHON: OnceLock<Result<String, String>> = OnceLock::new();
    let python = PYTHON.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/powertools/install");
        let output = Command::new(&script).output().map_err(|error| format!("{HELP}: {script:?}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(format!("{HELP}:\n{errors}")) }
    });
    python.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// A process of the test's own. It ends with its standard input, so with this.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn new(bed: &Bed) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/powertools/peer.py");
        let mut command = Command::new(python());
        command.arg(script).env("PEER_ENDPOINT", &bed.endpoint).env("PEER_TABLE", &bed.table);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    /// Has an event handled, and returns what came of it. `options` are those that `peer.py` knows.
    pub(crate) fn handle(&mut self, event: &Value, options: Value) -> Value {
        let mut command = json!({"do": "handle", "event": event});
        command.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.ask(&command)
    }

    /// The key of each of these texts of JSON.
    pub(crate) fn keys(&mut self, texts: &[String], config: Value) -> Vec<Option<String>> {
        let answer = self.ask(&json!({"do": "keys", "texts": texts, "config": config}));
        serde_json::from_value(answer).unwrap()
    }

    /// Lets a handler that waits go on, and returns what comes of it.
    pub(crate) fn go_on(&mut self) -> Value {
        self.ask(&Value::Null)
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.input, "{command}").expect("the peer reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("the peer answers");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("the peer has said {answer:?}: {error}"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may be in the middle of a handler.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
