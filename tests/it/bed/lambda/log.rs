//! What the processes of a function print.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use tempfile::TempDir;

/// A file for each sandbox, written by its process itself: what was printed before an answer is there with the answer.
pub(super) struct Logs {
    folder: TempDir,
}

impl Logs {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// The file to append to of the sandbox with this number.
    pub(super) fn create(&self, number: usize) -> io::Result<File> {
        File::options().create(true).append(true).open(self.path(number))
    }

    pub(super) fn read(&self, number: usize) -> String {
        std::fs::read(self.path(number)).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("sandbox-{number}.log"))
    }
}
