//! The last lines of what a command wrote to its standard error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dynamo_tracker::CancellationToken;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;

use super::stderr::Stderr;

/// How many lines are kept.
const LINES: usize = 20;
/// How many bytes of them: as many as the record has room for.
const BYTES: usize = dynamo_tracker::MAX_TRACE_BYTES;
/// How long the stream may stay open once the command has ended. Its own children may hold it for ever.
const REST: Duration = Duration::from_millis(500);

/// Passes a command's standard error on, and keeps its end.
pub(super) struct Tail {
    passing_on: JoinHandle<()>,
    kept: Arc<Mutex<Vec<u8>>>,
    ended: CancellationToken,
}

impl Tail {
    pub(super) fn of(stream: ChildStderr, stderr: &Arc<Stderr>) -> Self {
        let (kept, ended) = (Arc::default(), CancellationToken::new());
        let passing_on = tokio::spawn(pass_on(stream, Arc::clone(&kept), Arc::clone(stderr), ended.clone()));
        Self { passing_on, kept, ended }
    }

    /// The last lines, once the command has ended. All that it has written is read by then, whoever reads of us.
    pub(super) async fn into_text(mut self) -> Option<String> {
        self.ended.cancel();
        if tokio::time::timeout(REST, &mut self.passing_on).await.is_err() {
            self.passing_on.abort();
        }
        last_lines(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Until the stream ends. A reader of ours that is slow slows the command, as it would without us, but not its end.
async fn pass_on(mut stream: ChildStderr, kept: Arc<Mutex<Vec<u8>>>, stderr: Arc<Stderr>, ended: CancellationToken) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let bytes = &buffer[..read];
        keep(&mut kept.lock().unwrap_or_else(PoisonError::into_inner), bytes);
        tokio::select! {
            () = stderr.write(bytes) => {}
            () = ended.cancelled() => stderr.push(bytes.to_vec()),
        }
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let surplus = kept.len().saturating_sub(4 * BYTES);
    kept.drain(..surplus);
}

/// At most so many lines and bytes from the end; `None` where there is nothing.
fn last_lines(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.trim_end().lines().collect();
    let mut tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
    let mut surplus = tail.len().saturating_sub(BYTES);
    while !tail.is_char_boundary(surplus) {
        surplus += 1;
    }
    tail.drain(..surplus);
    Some(tail).filter(|tail| !tail.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let many: String = (1..=30).map(|number| format!("line {number}\n")).collect();
        let kept = last_lines(many.as_bytes()).unwrap();
        let lines: Vec<_> = kept.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[19]), (20, "line 11", "line 30"));
        assert_eq!(last_lines(b"\xff\xfeno text\n").unwrap(), "\u{fffd}\u{fffd}no text");
        assert_eq!((last_lines(b"\n\n"), last_lines(b"")), (None, None));
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let kept = last_lines("ä".repeat(3 * BYTES).as_bytes()).unwrap();
        assert!(kept.len() <= BYTES && kept.len() > BYTES - 2 && kept.chars().all(|c| c == 'ä'));
    }
}
