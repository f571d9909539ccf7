//! The heartbeat of a lease, which costs next to nothing until it beats.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::held::{AGAIN, Held};
use crate::time::Sleep;

/// A heartbeat: a task of its own that extends the lease, so that work which is slow to yield does not lose it. It ends when this is
/// dropped, however that comes about.
///
/// Nearly all work is over before its lease is to be extended for the first time. A task that only waits for that would cost more
/// than all else that the crate does for it, so there is none yet: what waits is a timer, which starts it.
pub(super) struct Beats {
    alarm: Arc<Alarm>,
    /// The timer, which has the alarm as its waker. Nobody locks it: a lock makes it one that threads may share.
    _first: Mutex<Sleep>,
}

/// What starts the task.
struct Alarm {
    held: Arc<Held>,
    runtime: Handle,
    state: Mutex<State>,
}

enum State {
    /// The first extension is not due yet.
    Waiting,
    Beating(AbortHandle),
    Stopped,
}

impl Beats {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub(super) fn start(held: &Arc<Held>) -> Self {
        let (held, runtime) = (Arc::clone(held), Handle::current());
        let mut first = held.until_beat();
        let alarm = Arc::new(Alarm { held, runtime, state: Mutex::new(State::Waiting) });
        if first.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&alarm)))).is_ready() {
            alarm.ring();
        }
        Self { alarm, _first: Mutex::new(first) }
    }

    pub(super) fn stop(&self) {
        if let State::Beating(task) = std::mem::replace(&mut *self.alarm.state(), State::Stopped) {
            task.abort();
        }
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Beats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Beats").field("task", &self.alarm.held.id).finish_non_exhaustive()
    }
}

impl Alarm {
    /// Starts the task. A timer may wake whoever waits too early; the task itself waits for the time.
    fn ring(&self) {
        let mut state = self.state();
        if let State::Waiting = *state {
            *state = State::Beating(self.runtime.spawn(beat(Arc::clone(&self.held))).abort_handle());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

async fn beat(held: Arc<Held>) {
    loop {
        held.until_beat().await;
        let mut tries = 0;
        while let Err(error) = held.extend().await {
            if error.is_lease_lost() || held.time_left().is_zero() {
                return;
            }
            tries += 1;
            tracing::debug!(task = ?held.id, tries, "could not extend the lease, and tries again: {error}");
            held.sleep(AGAIN.delay(tries)).await;
        }
    }
}
