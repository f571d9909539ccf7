//! Kills what the tests have started when this process ends, however it ends: a crash, a `kill -9` or Ctrl-C.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex};

/// A shell that is told which processes there are, and kills those that are left when its standard input ends.
const SCRIPT: &str = r#"
pids=
while read -r sign pid; do
    case $sign in
        +) pids="$pids $pid" ;;
        -) left=
           for other in $pids; do [ "$other" = "$pid" ] || left="$left $other"; done
           pids=$left ;;
    esac
done
[ -z "$pids" ] || kill -9 $pids
"#;

static REAPER: LazyLock<Reaper> = LazyLock::new(Reaper::start);

pub(crate) struct Reaper {
    _shell: Child,
    input: Mutex<ChildStdin>,
}

impl Reaper {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("sh");
        // In a process group of its own: Ctrl-C must not reach the shell before its work is done.
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0);
        let mut shell = command.spawn().expect("sh starts");
        let input = Mutex::new(shell.stdin.take().expect("it is piped"));
        Self { _shell: shell, input }
    }

    pub(crate) fn watch(&self, pid: u32) {
        self.tell('+', pid);
    }

    /// For a process that has been waited for: its number may be another one's by now.
    pub(crate) fn forget(&self, pid: u32) {
        self.tell('-', pid);
    }

    fn tell(&self, sign: char, pid: u32) {
        writeln!(self.input.lock().unwrap(), "{sign} {pid}").expect("the shell reads");
    }
}

/// A process that does not outlive this one. Drop it when the process has ended.
#[must_use]
pub(crate) struct Watched(u32);

pub(crate) fn watch(pid: u32) -> Watched {
    REAPER.watch(pid);
    Watched(pid)
}

impl Drop for Watched {
    fn drop(&mut self) {
        REAPER.forget(self.0);
    }
}
