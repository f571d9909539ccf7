//! What the command finds in its environment, and what it leaves for us.

use std::path::{Path, PathBuf};
use std::{fs, io};

use dynamo_tracker::Lease;
use serde_json::Value;
use tempfile::TempDir;

use crate::connect::Connection;
use crate::data::Data;
use crate::output::Failure;

/// Linux takes no variable that is longer than 128 KB (`execve(2)`).
const LONGEST_VARIABLE: usize = 100 * 1024;

/// The most that is read of what a command leaves. A task's data can't be as much.
const LONGEST_OUTPUT: u64 = 1024 * 1024;

/// What is the same for every attempt.
pub(super) struct Environment {
    connection: Vec<(&'static str, String)>,
    folder: TempDir,
}

/// The environment of one attempt.
pub(super) struct Prepared {
    pub(super) variables: Vec<(&'static str, String)>,
    /// What it must not inherit.
    pub(super) without: Vec<&'static str>,
    output: PathBuf,
}

impl Environment {
    pub(super) fn new(connection: &Connection) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("dynamo-tracker-").tempdir();
        let folder = folder.map_err(|error| Failure::system("can't make a folder for the command's output", &error))?;
        Ok(Self { connection: connection.variables(), folder })
    }

    /// Readies what this attempt's command needs.
    pub(super) fn prepare(&self, lease: &Lease<Data>) -> Result<Prepared, String> {
        let path = |name: &str| self.folder.path().join(format!("{name}-{}", lease.token()));
        let output = path("output");
        let mut variables = self.connection.clone();
        variables.extend([
            ("DYNAMO_TRACKER_ID", lease.id().as_str().to_owned()),
            ("DYNAMO_TRACKER_LOCK", lease.token().to_string()),
            ("DYNAMO_TRACKER_ATTEMPT", lease.attempt().to_string()),
            ("DYNAMO_TRACKER_GENERATION", lease.generation().to_string()),
            ("DYNAMO_TRACKER_OUTPUT", text(&output)?),
        ]);
        let data = lease.data().0.to_string();
        let without = if data.len() <= LONGEST_VARIABLE {
            variables.push(("DYNAMO_TRACKER_DATA", data));
            vec!["DYNAMO_TRACKER_DATA_FILE"]
        } else {
            let file = path("data");
            fs::write(&file, data).map_err(|error| format!("can't write the task's data to {file:?}: {error}"))?;
            variables.push(("DYNAMO_TRACKER_DATA_FILE", text(&file)?));
            vec!["DYNAMO_TRACKER_DATA"]
        };
        Ok(Prepared { variables, without, output })
    }
}

/// A worker has many tasks, and their files are not to pile up.
impl Drop for Prepared {
    fn drop(&mut self) {
        let data = self.variables.iter().find(|(name, _)| *name == "DYNAMO_TRACKER_DATA_FILE");
        // They need not be there.
        let _ = fs::remove_file(&self.output);
        if let Some((_, file)) = data {
            let _ = fs::remove_file(file);
        }
    }
}

impl Prepared {
    /// The data that the command left: all of the file is one JSON value, or its last line is. `None` where it left nothing.
    fn output(&self) -> Result<Option<Value>, String> {
        let wrong = |what: &str| format!("DYNAMO_TRACKER_OUTPUT {what}");
        // Anything but a plain file may never end, or never begin.
        match fs::symlink_metadata(&self.output) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(&format!("can't be read: {error}"))),
            Ok(found) if !found.is_file() => return Err(wrong("is no plain file any more")),
            Ok(found) if found.len() > LONGEST_OUTPUT => return Err(wrong("is over 1 MB, more than a task can hold")),
            Ok(_) => {}
        }
        let bytes = fs::read(&self.output).map_err(|error| wrong(&format!("can't be read: {error}")))?;
        parse(&String::from_utf8_lossy(&bytes))
    }

    /// Puts the data that the command left into the lease. What is done must not be done again because it could not say what
    /// it did, so a problem is only told, and the record says that there was data.
    pub(super) fn keep(&self, lease: &mut Lease<Data>) -> Result<Option<Value>, String> {
        let kept = self.output().and_then(|data| match &data {
            None => Ok(None),
            Some(value) => lease.set_data(Data(value.clone())).map(|()| data).map_err(|error| error.to_string()),
        });
        kept.map_err(|problem| {
            lease.drop_data(&problem);
            format!("{problem}; the command succeeded, and its data is not kept")
        })
    }
}

fn parse(text: &str) -> Result<Option<Value>, String> {
    let Some(last) = text.lines().rfind(|line| !line.trim().is_empty()) else { return Ok(None) };
    serde_json::from_str(text).or_else(|_| serde_json::from_str(last)).map(Some).map_err(|error| {
        format!("what the command wrote to DYNAMO_TRACKER_OUTPUT is no JSON ({error}); a text is written \"text\"")
    })
}

fn text(path: &Path) -> Result<String, String> {
    path.to_str().map(str::to_owned).ok_or_else(|| format!("the folder for temporary files is no text: {path:?}"))
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
