//! A worker for an activity: takes its tasks from Step Functions, and does each once.

mod event;
mod job;
mod poll;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sfn::Client;
use serde_json::Value;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

pub use event::{ActivityEvent, ActivityReport};
pub use job::Activity;

use crate::backoff::Backoff;
use crate::client::TrackerClient;
use crate::error::Error;
use crate::protocol::StartOptions;
use crate::schema::Data;
use crate::work_error::WorkError;
use crate::worker::finish;

/// Step Functions that takes no poll is asked again after so long.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// More at a time than this is a mistake.
const MOST: usize = 1000;

type Key = dyn Fn(&Value) -> Option<String> + Send + Sync;
type Hook = Arc<dyn Fn(&ActivityEvent<'_>) + Send + Sync>;
type Panic = Box<dyn Any + Send>;

/// A worker for an activity of AWS Step Functions, in the making. [`run`](Self::run) runs it.
///
/// It asks Step Functions for a task, takes the tracker that the task's input belongs to, runs the handler, and tells Step Functions
/// what came of it. From the start until the outcome is recorded, it sends heartbeats to both. What the handler returns becomes the
/// task's data and the output of the state: a state that is retried, redriven or replayed after that gets the same output at once, and
/// the handler is not run again. So a checkpoint that the handler keeps is in the place of the output until that is recorded.
///
/// Where the state passes on its context object, as `{"input": …, "context": $$}`, the lock is taken in the name of the step
/// ([`Step::owner`](super::Step::owner)), so a retry goes on at once after a crash, and the handler gets the input alone. Any other
/// input is taken as it is.
///
/// | what happens | the state |
/// | --- | --- |
/// | the handler succeeds, or had before | goes on, with what it returned |
/// | the handler fails | fails with the type of its error |
/// | the handler panics | fails with `panic` |
/// | the handler had succeeded before, and its output was not kept, since the item would have been over 400 KB with it | fails with `ResponseNotKept` |
/// | the tracker refuses the start | fails with `TaskLocked` or `TaskNotDue`, whose cause is JSON with `until` and `seconds`; with `TaskExhausted`, `TaskIgnored`, `TaskNotReady` |
/// | the output is over 256 KiB | fails with `ResponseTooLarge`; the task is exhausted, since its work is done and must not be run again |
/// | there is no key in the input | fails with `MissingKey` |
/// | the input is no JSON, or the key panics at it | fails with `InvalidEvent` |
/// | the lease is lost | fails with `LeaseLost` |
/// | DynamoDB does not take the start or the outcome | fails with `StoreUnavailable` or `OutcomeNotRecorded` |
/// | the worker stops before it is done | fails with `WorkerStopped`, and the attempt is not counted |
/// | the state waits no more (it timed out, or was stopped) | the work is dropped, and the attempt recorded as failed with `TaskTokenStale`; work that has not begun is given back, and the attempt not counted |
///
/// So `Retry` the state on `TaskLocked`, `TaskNotDue`, `LeaseLost`, `StoreUnavailable`, `OutcomeNotRecorded`, `WorkerStopped`,
/// `States.Timeout` and `States.HeartbeatTimeout`, and give it a `HeartbeatSeconds` of three times the [heartbeat](Self::heartbeat)
/// here: an answer of Step Functions that is lost takes a task with it that nobody knows of, until that is over.
///
/// It needs `states:GetActivityTask` on the activity, and `states:SendTaskSuccess`, `states:SendTaskFailure` and
/// `states:SendTaskHeartbeat` on `*`, since IAM knows no resource for a token.
///
/// ```no_run
/// # async fn example(sdk_client: aws_sdk_dynamodb::Client, config: aws_config::SdkConfig) -> Result<(), Box<dyn std::error::Error>> {
/// use dynamo_tracker::TrackerClient;
/// use dynamo_tracker::stepfunctions::ActivityWorker;
///
/// let client = TrackerClient::<String>::builder(sdk_client).table("tasks").namespace("printing").build()?;
/// let step_functions = aws_sdk_sfn::Client::new(&config);
/// let arn = "arn:aws:states:eu-central-1:123456789012:activity:print";
/// let worker = ActivityWorker::new(client, step_functions, arn, |input| Some(input["page"].as_str()?.to_owned()));
/// let report = worker.concurrency(4).run(|activity| async move {
///     println!("printing {} in attempt {}", activity.input["page"], activity.lease.attempt());
///     Ok("printed".to_owned())
/// });
/// println!("{:?}", report.await?);
/// # Ok(()) }
/// ```
#[must_use]
pub struct ActivityWorker<D> {
    client: TrackerClient<D>,
    step_functions: Client,
    arn: String,
    name: String,
    key: Box<Key>,
    concurrency: usize,
    heartbeat: Duration,
    options: StartOptions,
    stop: CancellationToken,
    abandon: CancellationToken,
    grace: Duration,
    hook: Option<Hook>,
}

impl<D: Data> ActivityWorker<D> {
    /// A worker for the activity with this ARN. `key` says which task an input belongs to: its id. An input with no key is refused.
    pub fn new(
        client: TrackerClient<D>,
        step_functions: Client,
        activity_arn: impl Into<String>,
        key: impl Fn(&Value) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            client,
            step_functions,
            arn: activity_arn.into(),
            name: format!("dynamo-tracker-{}", std::process::id()),
            key: Box::new(key),
            concurrency: 1,
            heartbeat: Duration::from_secs(20),
            options: StartOptions::new(),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            grace: Duration::from_secs(30),
            hook: None,
        }
    }

    /// The worker's name in the history of executions, and in records whose input has no context object. Up to 80 characters.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many tasks it works on at a time, each asked for by a poll of its own. 1 by default, at most 1,000, which is what Step
    /// Functions lets wait for one activity.
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.concurrency = tasks.clamp(1, MOST);
        self
    }

    /// How often Step Functions is told that the work goes on. 20 seconds by default; take a third of the state's
    /// `HeartbeatSeconds`.
    pub fn heartbeat(mut self, period: Duration) -> Self {
        self.heartbeat = period.max(Duration::from_millis(10));
        self
    }

    /// How tasks are started. The owner is the step, where it is known.
    pub fn start_options(mut self, options: StartOptions) -> Self {
        self.options = options;
        self
    }

    /// Stops when this token fires: asks for nothing more, and ends when what it works on has ended, or after the grace. A poll that
    /// is under way is waited for as long, since Step Functions may have given it a task already; that task fails with
    /// `WorkerStopped`.
    pub fn stop_on(mut self, token: CancellationToken) -> Self {
        self.stop = token;
        self
    }

    /// How long what it works on may go on once it was told to stop. 30 seconds by default. What has not ended by then is dropped
    /// and given back, its attempt is not counted, and its state fails with `WorkerStopped`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Stops as soon as this token fires, and gives back what it works on, grace or no grace. A poll that is under way is not waited
    /// for: where Step Functions gives it a task after all, that state waits until its heartbeat's timeout.
    pub fn give_back_on(mut self, token: CancellationToken) -> Self {
        self.abandon = token;
        self
    }

    /// Calls this for each event: for metrics, progress, or a log of one's own. It should be quick.
    pub fn on_event(mut self, hook: impl Fn(&ActivityEvent<'_>) + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// Works, until it is told to stop.
    ///
    /// A panic of the handler is recorded as the task's failure, and the others go on; an input at which the key panics fails its
    /// state with `InvalidEvent`. Throttling and lost connections are waited out.
    ///
    /// # Errors
    ///
    /// What no waiting mends: no such activity, no permission, no credentials. Tasks that are being worked on are ended first, as if
    /// it had been told to stop.
    ///
    /// # Panics
    ///
    /// Where [`on_event`](Self::on_event) panics, after all that is being worked on has ended and its states were told. A task whose work
    /// has not begun by then is given back, and its attempt is not counted.
    pub async fn run<F, Fut>(self, handler: F) -> Result<ActivityReport, Error>
    where
        F: Fn(Activity<D>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<D, WorkError>> + Send + 'static,
    {
        let shift = Arc::new(Shift {
            // Of its own, so that a fault stops this worker and not whoever shares its token.
            stop: self.stop.child_token(),
            abandon: self.abandon.child_token(),
            panic: Mutex::default(),
            report: Mutex::default(),
            handler,
            worker: self,
        });
        let mut slots = JoinSet::new();
        for _ in 0..shift.worker.concurrency {
            slots.spawn(slot(Arc::clone(&shift)));
        }
        let worked = shift.supervise(slots).await;
        if let Some(panic) = lock(&shift.panic).take() {
            resume_unwind(panic);
        }
        worked.map(|()| *lock(&shift.report))
    }
}

impl<D> fmt::Debug for ActivityWorker<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityWorker")
            .field("client", &self.client)
            .field("arn", &self.arn)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

/// A worker at work.
struct Shift<D, F> {
    worker: ActivityWorker<D>,
    handler: F,
    stop: CancellationToken,
    /// Fires when what has not ended is to be given back.
    abandon: CancellationToken,
    /// What the hook panicked with first, which goes on when the worker has stopped.
    panic: Mutex<Option<Panic>>,
    report: Mutex<ActivityReport>,
}

/// One task after the other, until there is to be no other.
async fn slot<D, F, Fut>(shift: Arc<Shift<D, F>>) -> Result<(), Error>
where
    D: Data,
    F: Fn(Activity<D>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<D, WorkError>> + Send + 'static,
{
    let mut tries = 0;
    while !shift.stops() {
        match shift.poll().await {
            Ok(Some(polled)) => job::handle(&shift, polled).await,
            Ok(None) => {}
            Err(error) if error.is_temporary() => {
                tries += 1;
                tracing::warn!(tries, "no task from Step Functions, and asks again: {error}");
                shift.pause(AGAIN.delay(tries)).await;
                continue;
            }
            Err(error) => return Err(error),
        }
        tries = 0;
    }
    Ok(())
}

impl<D: Data, F> Shift<D, F> {
    fn sleep(&self, duration: Duration) -> crate::time::Sleep {
        self.worker.client.context.clock.sleep(duration)
    }

    /// Whether it is to begin nothing more.
    fn stops(&self) -> bool {
        self.stop.is_cancelled() || self.abandon.is_cancelled()
    }

    /// Waits, unless it is to stop.
    async fn pause(&self, duration: Duration) {
        tokio::select! {
            () = self.sleep(duration) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Waits for the slots. What has not ended when the grace is over is given back.
    async fn supervise(&self, mut slots: JoinSet<Result<(), Error>>) -> Result<(), Error> {
        let mut worked = Ok(());
        while !self.stop.is_cancelled() {
            tokio::select! {
                ended = slots.join_next() => match ended {
                    None => return worked,
                    Some(ended) => self.tally(ended, &mut worked),
                },
                () = self.stop.cancelled() => {}
                () = self.abandon.cancelled() => self.stop.cancel(),
            }
        }
        let clock = &*self.worker.client.context.clock;
        finish(&mut slots, &self.abandon, self.worker.grace, clock, |ended| self.tally(ended, &mut worked)).await;
        worked
    }

    /// What a slot cannot go on after, the others can't either. One that was aborted has nothing to say.
    fn tally(&self, ended: Result<Result<(), Error>, JoinError>, worked: &mut Result<(), Error>) {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                if worked.is_ok() {
                    tracing::error!("the worker stops: {error}");
                    self.stop.cancel();
                    *worked = Err(error);
                }
            }
            Err(ended) => {
                if let Ok(panic) = ended.try_into_panic() {
                    self.stop_at(panic);
                }
            }
        }
    }

    /// A hook that panics costs no task: what it panics at has happened all the same, and the state is still to hear of that.
    fn tell(&self, event: &ActivityEvent<'_>) {
        lock(&self.report).add(event);
        let Some(hook) = &self.worker.hook else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(event))) {
            self.stop_at(panic);
        }
    }

    /// Stops, and keeps the panic until it has.
    fn stop_at(&self, panic: Panic) {
        tracing::error!("the worker stops: it panicked");
        lock(&self.panic).get_or_insert(panic);
        self.stop.cancel();
    }

    /// Whether work that has not begun is to be given back.
    fn gives_back(&self) -> bool {
        self.abandon.is_cancelled() || lock(&self.panic).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
