//! A function that takes invocations.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::log::Logs;
use super::sandbox::Sandbox;
use super::{Answer, Function};

/// All its processes are killed when this is dropped. If that is since a test fails, what they have printed is shown.
pub(crate) struct Deployed(Arc<Inner>);

pub(super) struct Inner {
    pub(super) function: Function,
    logs: Logs,
    /// One for each invocation that can run at a time.
    places: Semaphore,
    pool: Mutex<Pool>,
}

#[derive(Default)]
struct Pool {
    /// All that were ever started.
    sandboxes: Vec<Arc<Sandbox>>,
    /// Those that may be used, the last used at the end, with the number of invocations that each runs.
    live: Vec<(Arc<Sandbox>, usize)>,
}

impl Deployed {
    pub(super) fn new(function: Function) -> Self {
        let places = Semaphore::new(function.concurrency * function.per_sandbox);
        let logs = Logs::new().expect("there is a temporary folder");
        Self(Arc::new(Inner { function, logs, places, pool: Mutex::default() }))
    }

    /// Runs it to its answer. It goes on if this future is dropped, as it does in Lambda when its caller goes away.
    pub(crate) async fn invoke(&self, payload: &Value) -> Answer {
        self.0.invoke(Bytes::from(payload.to_string())).await
    }

    /// How many sandboxes were started.
    pub(crate) fn cold_starts(&self) -> usize {
        self.0.pool.lock().unwrap().sandboxes.len()
    }

    /// How long each of them took from the start of its process to its first question for an invocation, but for those that
    /// have not got there.
    pub(crate) fn inits(&self) -> Vec<Duration> {
        self.0.pool.lock().unwrap().sandboxes.iter().filter_map(|sandbox| sandbox.init()).collect()
    }

    /// What the process of each sandbox has printed, in the order of their starts.
    pub(crate) fn output(&self) -> Vec<String> {
        (0..self.cold_starts()).map(|number| self.0.logs.read(number)).collect()
    }

    /// Kills the process of each sandbox, and returns when they are gone. The next invocation starts another one.
    pub(crate) async fn stop(&self) {
        let live: Vec<_> = self.0.pool.lock().unwrap().live.iter().map(|(sandbox, _)| Arc::clone(sandbox)).collect();
        futures_util::future::join_all(live.iter().map(|sandbox| sandbox.stop())).await;
    }

    /// For what serves it.
    pub(super) fn inner(&self) -> Arc<Inner> {
        Arc::clone(&self.0)
    }
}

impl Inner {
    pub(super) async fn invoke(self: &Arc<Self>, payload: Bytes) -> Answer {
        let invocation = Arc::clone(self).run(payload);
        tokio::spawn(invocation).await.expect("an invocation does not panic")
    }

    async fn run(self: Arc<Self>, payload: Bytes) -> Answer {
        let _place = self.places.acquire().await.expect("it is never closed");
        let sandbox = self.take();
        let answer = sandbox.invoke(&Uuid::new_v4().to_string(), payload).await;
        self.give_back(&sandbox);
        answer
    }

    /// A sandbox with room for one more: the one that was used last, or a new one.
    fn take(&self) -> Arc<Sandbox> {
        let mut pool = self.pool.lock().unwrap();
        pool.live.retain(|(sandbox, _)| !sandbox.is_over());
        let room = |&(_, running): &(_, usize)| running < self.function.per_sandbox;
        if let Some((sandbox, running)) = pool.live.iter_mut().rev().find(|entry| room(entry)) {
            *running += 1;
            return Arc::clone(sandbox);
        }
        self.start(&mut pool)
    }

    fn start(&self, pool: &mut Pool) -> Arc<Sandbox> {
        let log = self.logs.create(pool.sandboxes.len()).expect("the temporary folder takes another file");
        let sandbox = Arc::new(Sandbox::start(&self.function, log));
        pool.sandboxes.push(Arc::clone(&sandbox));
        pool.live.push((Arc::clone(&sandbox), 1));
        sandbox
    }

    fn give_back(&self, sandbox: &Arc<Sandbox>) {
        let mut pool = self.pool.lock().unwrap();
        if let Some(place) = pool.live.iter().position(|(other, _)| Arc::ptr_eq(other, sandbox)) {
            let (sandbox, running) = pool.live.remove(place);
            pool.live.push((sandbox, running - 1));
        }
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        for sandbox in &self.0.pool.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).sandboxes {
            sandbox.kill();
        }
        if std::thread::panicking() {
            self.show_output();
        }
    }
}

impl Deployed {
    fn show_output(&self) {
        for (number, text) in self.output().iter().enumerate() {
            eprintln!("--- what sandbox {number} of {} printed\n{text}", self.0.function.arn());
        }
    }
}
