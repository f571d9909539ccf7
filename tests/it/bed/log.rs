//! What a program logs, for a test to look at.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;

/// Everything that is logged, down to traces.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What writes to it. For a future, by `WithSubscriber`.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        subscriber.with_writer(self.clone()).finish()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }

    /// Whether one line has all of these in it.
    pub(crate) fn has(&self, wanted: &[&str]) -> bool {
        self.lines().iter().any(|line| wanted.iter().all(|part| line.contains(part)))
    }

    /// Ours alone: the SDK logs whole requests and answers at this level.
    pub(crate) fn own_lines(&self) -> Vec<String> {
        self.lines().into_iter().filter(|line| line.contains("dynamo_tracker")).collect()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
