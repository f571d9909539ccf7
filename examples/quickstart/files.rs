//! The work: finding files, and reading one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What is found out about a file, and kept as the task's data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) sha256: String,
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// The files that are meant, each once, by their absolute paths; and what could not be looked at.
pub(crate) fn find(paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<String>) {
    let own = [Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in if paths.is_empty() { &own[..] } else { paths } {
        for entry in walkdir::WalkDir::new(path).follow_links(true) {
            let file = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) if !entry.file_type().is_file() => Err(format!("{}: not a file", entry.path().display())),
                Ok(entry) => {
                    entry.path().canonicalize().map_err(|error| format!("{}: {error}", entry.path().display()))
                }
                Err(error) => Err(error.to_string()),
            };
            match file {
                Ok(file) => files.push(file),
                Err(problem) => problems.push(problem),
            }
        }
    }
    files.sort();
    files.dedup();
    (files, problems)
}

/// Reads a file once, in pieces.
pub(crate) fn summarize(path: &Path) -> io::Result<Summary> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let (mut lines, mut bytes, mut last) = (0, 0, b'\n');
    loop {
        let read = file.read(&mut buffer)?;
        let Some(end) = buffer[..read].last() else { break };
        last = *end;
        hash.update(&buffer[..read]);
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += read as u64;
    }
    // A last line without an end is a line too.
    lines += u64::from(last != b'\n');
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Summary { sha256, lines, bytes })
}
