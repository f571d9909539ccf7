//! A worker: takes what is due, and runs a handler on it.

mod claims;
mod event;
mod finish;
#[cfg(feature = "metrics")]
mod metrics;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use event::{WorkerEvent, WorkerReport};

pub(crate) use finish::finish;

use crate::backoff::Backoff;
use crate::client::TrackerClient;
use crate::error::Error;
use crate::lease::Lease;
use crate::protocol::StartOptions;
use crate::query::TaskRef;
use crate::record::TaskId;
use crate::schema::Data;
use crate::work_error::WorkError;
use claims::Claims;
use event::Ended;

/// With nothing to do, it looks again after so long.
const IDLE: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// The least of that.
const IDLE_LEAST: Duration = Duration::from_millis(100);
/// The index may be behind the table by so long. It is less nearly always (*Using Global Secondary Indexes in DynamoDB*, Amazon
/// DynamoDB Developer Guide, says "within a fraction of a second, under normal conditions").
const QUIET: Duration = Duration::from_secs(1);
/// The lowest rate.
const LEAST_PER_SECOND: f64 = 0.001;
/// More at a time than this is a mistake.
const MOST: usize = 10_000;

type Hook = Arc<dyn Fn(&WorkerEvent<'_>) + Send + Sync>;

/// A worker in the making. [`run`](Self::run) runs it.
///
/// Any number of workers, in any number of processes, may work on one namespace: the conditional start decides who has a task.
/// A worker looks into one shard at a time, from a random one on, and takes tasks at random among those that have been due
/// longest, so that workers seldom want the same.
///
/// ```
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let builder = dynamo_tracker::TrackerClient::<u32>::builder(store.client()).table("tasks").namespace("demo");
/// # let client = builder.index(4).build()?;
/// # client.create_table().await?;
/// for page in 0..20 {
///     client.create(format!("page-{page}")).await?;
/// }
/// let report = client.worker().concurrency(4).until_empty().run(|lease| async move {
///     println!("working on {}", lease.id());
///     Ok(())
/// });
/// assert_eq!(report.await?.succeeded, 20);
/// # Ok(()) }
/// ```
#[must_use]
pub struct Worker<D> {
    client: TrackerClient<D>,
    concurrency: usize,
    options: StartOptions,
    until_empty: bool,
    stop: CancellationToken,
    abandon: CancellationToken,
    grace: Duration,
    per_second: Option<f64>,
    hook: Option<Hook>,
}

impl<D: Data> TrackerClient<D> {
    /// A worker on the tasks of this client's namespace, which must keep an [index](crate::TrackerClientBuilder::index).
    pub fn worker(&self) -> Worker<D> {
        Worker {
            client: self.clone(),
            concurrency: 8,
            options: StartOptions::new(),
            until_empty: false,
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            grace: Duration::from_secs(30),
            per_second: None,
            hook: None,
        }
    }
}

impl<D: Data> Worker<D> {
    /// How many tasks it works on at a time. 8 by default, at least 1.
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.concurrency = tasks.clamp(1, MOST);
        self
    }

    /// How its tasks are started. It never makes a task, whatever these say.
    pub fn start_options(mut self, options: StartOptions) -> Self {
        self.options = options;
        self
    }

    /// Ends when there is nothing left to do: nothing due, nothing in progress anywhere, nothing that waits to be tried again.
    /// Tasks that are scheduled for later are left for later.
    pub fn until_empty(mut self) -> Self {
        self.until_empty = true;
        self
    }

    /// Stops when this token fires: takes nothing more, and ends when what it works on has ended, or after the grace.
    pub fn stop_on(mut self, token: CancellationToken) -> Self {
        self.stop = token;
        self
    }

    /// How long what it works on may go on once it was told to stop. 30 seconds by default. What has not ended by then is
    /// dropped and given back, and its attempt not counted.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Stops as soon as this token fires, and gives back what it works on, grace or no grace.
    pub fn give_back_on(mut self, token: CancellationToken) -> Self {
        self.abandon = token;
        self
    }

    /// Starts no more than so many tasks in a second; at least one in a thousand seconds.
    pub fn per_second(mut self, starts: f64) -> Self {
        self.per_second = Some(if starts.is_nan() { LEAST_PER_SECOND } else { starts.max(LEAST_PER_SECOND) });
        self
    }

    /// Calls this for each event: for metrics, progress, or a log of one's own. It should be quick.
    pub fn on_event(mut self, hook: impl Fn(&WorkerEvent<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Works, until it is told to stop, or until there is nothing left to do.
    ///
    /// A panic of the handler is recorded as the task's failure, and the others go on. Throttling and lost connections are
    /// waited out.
    ///
    /// # Errors
    ///
    /// What no waiting mends: no index, no such table, no permission. Tasks that are being worked on are ended first, as if it
    /// had been told to stop.
    pub async fn run<F, Fut, T>(self, handler: F) -> Result<WorkerReport, Error>
    where
        F: Fn(Lease<D>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, WorkError>> + Send + 'static,
        T: Send + 'static,
    {
        let mut shift = Shift {
            claims: Claims::new(&self.client.context).await?,
            report: WorkerReport::default(),
            running: JoinSet::new(),
            abandon: self.abandon.child_token(),
            handler: Arc::new(handler),
            idle: 0,
            busy_until: self.client.context.clock.monotonic() + QUIET,
            broken: None,
            next_start: Duration::ZERO,
            worker: Arc::new(self),
        };
        let abandon = shift.abandon.clone();
        let worked = tokio::select! {
            worked = shift.work() => worked,
            // What it took after that, it would only give back.
            () = abandon.cancelled() => Ok(()),
        };
        shift.finish().await;
        worked.map(|()| shift.report)
    }
}

impl<D> std::fmt::Debug for Worker<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("client", &self.client)
            .field("concurrency", &self.concurrency)
            .field("until_empty", &self.until_empty)
            .finish_non_exhaustive()
    }
}

/// A worker at work.
struct Shift<D, F> {
    worker: Arc<Worker<D>>,
    handler: Arc<F>,
    claims: Claims,
    report: WorkerReport,
    running: JoinSet<(TaskId, Ended)>,
    /// Fires when what has not ended is to be given back.
    abandon: CancellationToken,
    /// How often in a row there was nothing to do.
    idle: u32,
    /// Until when it is too early to say that there is nothing left, on the monotonic clock.
    busy_until: Duration,
    /// Why no task can be started.
    broken: Option<Error>,
    /// When the next task may be started, on the monotonic clock.
    next_start: Duration,
}

impl<D, F, Fut, T> Shift<D, F>
where
    D: Data,
    F: Fn(Lease<D>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<T, WorkError>> + Send + 'static,
    T: Send + 'static,
{
    async fn work(&mut self) -> Result<(), Error> {
        let stop = self.worker.stop.clone();
        loop {
            while let Some(ended) = self.running.try_join_next() {
                self.tally(ended);
            }
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            if stop.is_cancelled() {
                return Ok(());
            }
            let free = self.worker.concurrency - self.running.len();
            if free == 0 {
                self.wait_for_one(None).await;
                continue;
            }
            // With a rate, what is found is started at once, or it would be somebody else's by then.
            let wanted = if self.worker.per_second.is_some() { 1 } else { free };
            self.wait_for_turn().await;
            let looked = tokio::select! {
                looked = self.look(wanted) => looked,
                () = stop.cancelled() => return Ok(()),
            };
            match looked? {
                Look::Found(due) => due.into_iter().for_each(|task| self.start(task)),
                Look::Nothing => {
                    self.idle += 1;
                    self.wait_for_one(Some(IDLE_LEAST + IDLE.delay(self.idle.min(5)))).await;
                }
                Look::Done => return Ok(()),
            }
        }
    }

    /// Looks for tasks. What passes by itself is waited out.
    async fn look(&mut self, wanted: usize) -> Result<Look, Error> {
        match self.look_once(wanted).await {
            Err(error) if error.is_temporary() => {
                tracing::warn!("can't look for tasks, and looks again: {error}");
                Ok(Look::Nothing)
            }
            looked => looked,
        }
    }

    async fn look_once(&mut self, wanted: usize) -> Result<Look, Error> {
        let due = self.claims.next(wanted).await?;
        if !due.is_empty() {
            self.busy();
            return Ok(Look::Found(due));
        }
        // The index follows the table with a delay, and what has just ended may not be where it belongs yet.
        let now = self.worker.client.context.clock.monotonic();
        let quiet = self.running.is_empty() && now >= self.busy_until;
        match self.worker.until_empty && quiet && !self.claims.anything_open().await? {
            true => Ok(Look::Done),
            false => Ok(Look::Nothing),
        }
    }

    /// Something was found, or has ended.
    fn busy(&mut self) {
        self.idle = 0;
        self.busy_until = self.worker.client.context.clock.monotonic() + QUIET;
    }

    /// Waits until a task has ended, the worker is to stop, or the time is over.
    async fn wait_for_one(&mut self, limit: Option<Duration>) {
        let clock = Arc::clone(&self.worker.client.context.clock);
        let over = async {
            match limit {
                Some(limit) => clock.sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.running.join_next() => self.tally(ended),
            () = self.worker.stop.cancelled() => {}
            () = over => {}
        }
    }

    /// Waits as long as the rate asks for.
    async fn wait_for_turn(&mut self) {
        let Some(per_second) = self.worker.per_second else { return };
        let clock = Arc::clone(&self.worker.client.context.clock);
        let now = clock.monotonic();
        let turn = self.next_start.max(now);
        self.next_start = turn + Duration::from_secs_f64(1.0 / per_second);
        let mut over = std::pin::pin!(clock.sleep_until(turn));
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.worker.stop.cancelled() => return,
                Some(ended) = self.running.join_next() => self.tally(ended),
            }
        }
    }

    fn start(&mut self, task: TaskRef) {
        if self.worker.stop.is_cancelled() {
            return;
        }
        let (worker, handler, abandon) = (Arc::clone(&self.worker), Arc::clone(&self.handler), self.abandon.clone());
        self.running.spawn(async move {
            let options = worker.options.clone().only_existing();
            let hook = worker.hook.clone();
            let run = worker.client.run_recorded(task.id.as_str(), options, |lease| async move {
                if abandon.is_cancelled() {
                    return Err(WorkError::release("the worker stops"));
                }
                event::tell(hook.as_ref(), &WorkerEvent::Started { id: lease.id(), attempt: lease.attempt() });
                tokio::select! {
                    // Work that is done is recorded, whatever else has come by then.
                    biased;
                    outcome = handler(lease) => outcome,
                    () = abandon.cancelled() => Err(WorkError::release("the worker stops")),
                }
            });
            let ended = Ended::of(run.await);
            (task.id, ended)
        });
    }

    fn tally(&mut self, ended: Result<(TaskId, Ended), JoinError>) {
        self.busy();
        match ended {
            Ok((id, ended)) => {
                event::tell(self.worker.hook.as_ref(), &ended.event(&id));
                self.report.add(&ended);
                self.broken = self.broken.take().or_else(|| ended.is_general().cloned());
                if matches!(ended, Ended::Refused(_)) {
                    self.claims.forget_kept();
                }
                if ended.is_hopeless() {
                    self.claims.give_up(id);
                }
            }
            // `run` has recorded it as the task's failure.
            Err(error) if error.is_panic() => self.report.failed += 1,
            Err(_) => {}
        }
    }

    /// Ends what is under way: within the grace, or by giving it back.
    async fn finish(&mut self) {
        let (worker, abandon) = (Arc::clone(&self.worker), self.abandon.clone());
        let mut running = std::mem::take(&mut self.running);
        finish(&mut running, &abandon, worker.grace, &*worker.client.context.clock, |ended| self.tally(ended)).await;
    }
}

/// What looking for tasks has come to.
enum Look {
    Found(Vec<TaskRef>),
    Nothing,
    Done,
}
