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

/// A file that is being read, in pieces, so that a worker can extend its lease between them.
pub(crate) struct Reading {
    file: File,
    hash: Sha256,
    lines: u64,
    bytes: u64,
    last: u8,
    buffer: Vec<u8>,
}

impl Reading {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { file, hash: Sha256::new(), lines: 0, bytes: 0, last: b'\n', buffer: vec![0; 1 << 20] })
    }

    /// Reads the next piece, of a megabyte at the most. False where there is none.
    pub(crate) fn piece(&mut self) -> io::Result<bool> {
        let read = self.file.read(&mut self.buffer)?;
        let piece = &self.buffer[..read];
        self.hash.update(piece);
        self.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.bytes += read as u64;
        self.last = piece.last().copied().unwrap_or(self.last);
        Ok(read > 0)
    }

    pub(crate) fn summary(self) -> Summary {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        // A last line without an end is a line too.
        Summary { sha256, lines: self.lines + u64::from(self.last != b'\n'), bytes: self.bytes }
    }
}
