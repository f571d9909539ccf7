//! A terminal for the program to talk to.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::Said;

/// A pseudo-terminal: what is typed goes in, what is shown comes out.
pub(crate) struct Terminal {
    pub(crate) input: File,
    path: PathBuf,
}

impl Terminal {
    pub(crate) fn open(columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap().into();
        Self { input: ours.into(), path }
    }

    /// Starts a program whose three streams are this terminal.
    pub(crate) fn spawn(&self, command: &mut Command) -> Child {
        let stream = || OpenOptions::new().read(true).write(true).open(&self.path).unwrap();
        command.env("TERM", "xterm-256color").stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap()
    }

    /// All that was shown until its end.
    pub(crate) async fn finish(mut self, mut child: Child) -> Said {
        let output = tokio::task::spawn_blocking(move || {
            let mut shown = Vec::new();
            let mut buffer = [0; 4096];
            // Once the program is gone, a read is an error.
            while let Ok(read @ 1..) = self.input.read(&mut buffer) {
                shown.extend_from_slice(&buffer[..read]);
            }
            Output { status: child.wait().unwrap(), stdout: shown, stderr: Vec::new() }
        });
        output.await.unwrap().into()
    }
}
