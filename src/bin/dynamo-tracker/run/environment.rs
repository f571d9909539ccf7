//! What the command finds in its environment, and what it leaves for us.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use dynamo_tracker::{Lease, WorkError};
use serde_json::Value;
use tempfile::TempDir;

use crate::connect::Connection;
use crate::data::Data;

/// Linux takes no variable that is longer than 128 KB (`execve(2)`).
const LONGEST_VARIABLE: usize = 100 * 1024;

/// What is the same for every attempt.
pub(crate) struct Environment {
    table: String,
    namespace: String,
}

/// The environment of one attempt.
pub(crate) struct Prepared {
    pub(crate) variables: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Environment {
    pub(crate) fn of(connection: &Connection) -> Self {
        Self { table: connection.table().to_owned(), namespace: connection.namespace().to_owned() }
    }

    /// Readies what this attempt's command needs.
    pub(crate) fn prepare(&self, lease: &Lease<Data>) -> Result<Prepared, WorkError> {
        let folder = tempfile::Builder::new().prefix("dynamo-tracker-").tempdir()?;
        let data = lease.data().0.to_string();
        let path = |name: &str| folder.path().join(name);
        let mut variables = vec![
            // So that the command can use this program on its own task.
            ("DYNAMO_TRACKER_TABLE", self.table.clone()),
            ("DYNAMO_TRACKER_NAMESPACE", self.namespace.clone()),
            ("DYNAMO_TRACKER_ID", lease.id().as_str().to_owned()),
            ("DYNAMO_TRACKER_LOCK", lease.token().to_string()),
            ("DYNAMO_TRACKER_ATTEMPT", lease.attempt().to_string()),
            ("DYNAMO_TRACKER_GENERATION", lease.generation().to_string()),
            ("DYNAMO_TRACKER_OUTPUT", text(path("output"))?),
        ];
        if data.len() <= LONGEST_VARIABLE {
            variables.push(("DYNAMO_TRACKER_DATA", data));
        } else {
            fs::File::create(path("data"))?.write_all(data.as_bytes())?;
            variables.push(("DYNAMO_TRACKER_DATA_FILE", text(path("data"))?));
        }
        Ok(Prepared { variables, folder })
    }
}

impl Prepared {
    /// The data that the command left: all of the file is one JSON value, or its last line is. `None` where it left nothing.
    pub(crate) fn output(&self) -> Result<Option<Value>, String> {
        let bytes = match fs::read(self.folder.path().join("output")) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("can't read what the command wrote to DYNAMO_TRACKER_OUTPUT: {error}")),
        };
        parse(&String::from_utf8_lossy(&bytes))
    }
}

fn parse(text: &str) -> Result<Option<Value>, String> {
    let Some(last) = text.lines().rfind(|line| !line.trim().is_empty()) else { return Ok(None) };
    serde_json::from_str(text).or_else(|_| serde_json::from_str(last)).map(Some).map_err(|error| {
        format!("what the command wrote to DYNAMO_TRACKER_OUTPUT is no JSON ({error}); a text is written \"text\"")
    })
}

fn text(path: PathBuf) -> Result<String, WorkError> {
    path.into_os_string()
        .into_string()
        .map_err(|path| format!("the folder for temporary files is no text: {path:?}").into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_line_or_the_whole_counts() {
        assert_eq!(parse("\n \n"), Ok(None));
        assert_eq!(parse("{\"a\": 1}\n"), Ok(Some(json!({"a": 1}))));
        assert_eq!(parse("{\n  \"a\": 1\n}\n"), Ok(Some(json!({"a": 1}))));
        assert_eq!(parse("1\n2\n\n"), Ok(Some(json!(2))));
        assert!(parse("done\n").unwrap_err().contains("is no JSON"));
    }
}
