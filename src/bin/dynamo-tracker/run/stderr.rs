//! Standard error, written by a thread of its own: a reader who does not read must stop neither heartbeat nor outcome.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use dynamo_tracker::{Tracker, WorkError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};

/// How many bytes may wait to be written before the command has to.
const ROOM: usize = 256 * 1024;

/// A way to standard error that never blocks.
pub(super) struct Stderr {
    sender: Mutex<Option<UnboundedSender<Vec<u8>>>>,
    room: Arc<Semaphore>,
    written: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Stderr {
    pub(super) fn start() -> Self {
        let (sender, mut receiver) = unbounded_channel::<Vec<u8>>();
        let (done, written) = oneshot::channel();
        let room = Arc::new(Semaphore::new(ROOM));
        let freed = Arc::clone(&room);
        std::thread::spawn(move || {
            while let Some(bytes) = receiver.blocking_recv() {
                // A reader of ours that is gone does not stop the command.
                let _ = anstream::stderr().write_all(&bytes);
                freed.add_permits(bytes.len());
            }
            let _ = done.send(());
        });
        Self { sender: Mutex::new(Some(sender)), room, written: Mutex::new(Some(written)) }
    }

    /// Writes as soon as there is room.
    pub(super) async fn write(&self, bytes: &[u8]) {
        let wanted = u32::try_from(bytes.len().min(ROOM)).unwrap_or(u32::MAX);
        if let Ok(permits) = self.room.acquire_many(wanted).await {
            permits.forget();
        }
        self.push(bytes.to_vec());
    }

    /// Says something to people.
    pub(super) fn say(&self, message: &str) {
        self.push(format!("dynamo-tracker: {message}\n").into_bytes());
    }

    /// Says how an attempt failed, and what its task is now.
    pub(super) fn say_failed(&self, tracker: &Tracker<()>, error: &WorkError) {
        let Tracker { id, attempts, max_attempts, status, .. } = tracker;
        self.say(&format!("task {id:?}: {error} (attempt {attempts} of {max_attempts}, {status} now)"));
    }

    /// Writes, whether or not there is room.
    pub(super) fn push(&self, bytes: Vec<u8>) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // Without a receiver, there is nobody to write.
            let _ = sender.send(bytes);
        }
    }

    /// Waits until all is written.
    pub(super) async fn finish(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(written) = written {
            let _ = written.await;
        }
    }
}
