//! One task of an activity, from its token to the reply.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::poll::Polled;
use super::{ActivityEvent, Shift};
use crate::backoff::Backoff;
use crate::client::{Recorded, RunError};
use crate::error::Error;
use crate::lease::Lease;
use crate::protocol::{Refusal, StartOptions};
use crate::record::TaskToken;
use crate::schema::{Data, to_value};
use crate::status::Status;
use crate::stepfunctions::Step;
use crate::stepfunctions::json::to_json;
use crate::stepfunctions::reply::{MAX_OUTPUT_BYTES, Reply, Taken, error_name, heartbeat};
use crate::stepfunctions::wait::until_as_json;
use crate::work_error::WorkError;

/// A reply or a heartbeat that Step Functions did not take is sent again after so long, besides what the SDK does.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// A reply is sent this often. After that, the state times out, and its retry gets the same.
const MAX_TRIES: u32 = 10;
const WAITS_NO_MORE: &str = "the state waits no more for this attempt: it timed out, or was stopped";

/// A task in hand: what the handler of an [`ActivityWorker`](super::ActivityWorker) gets. `Debug` does not show the input.
#[non_exhaustive]
pub struct Activity<D> {
    /// The state's input.
    pub input: Value,
    /// Which step it is, where the state passes on its context object.
    pub step: Option<Step>,
    /// The lease on the task: attempt, fencing token, checkpoints. What the handler returns is recorded by the worker.
    pub lease: Lease<D>,
}

impl<D> fmt::Debug for Activity<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").field("step", &self.step).field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// What is to be done.
struct Job {
    id: String,
    input: Value,
    step: Option<Step>,
    token: TaskToken,
    /// Fires when Step Functions has said that the state waits no more.
    gone: CancellationToken,
    /// Set when the work was dropped for that.
    stale: AtomicBool,
}

/// Does a task, and tells Step Functions what came of it.
pub(super) async fn handle<D, F, Fut>(shift: &Arc<Shift<D, F>>, Polled { token, input }: Polled)
where
    D: Data,
    F: Fn(Activity<D>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<D, WorkError>> + Send + 'static,
{
    if shift.stops() {
        shift.tell(&ActivityEvent::Stopped);
        return shift.reply(&token, &stopped()).await;
    }
    let reply = match shift.read(&input, token.clone()) {
        Ok(job) => shift.work(&job).await,
        Err(reply) => {
            shift.tell(&ActivityEvent::Unknown);
            Some(reply)
        }
    };
    if let Some(reply) = reply {
        shift.reply(&token, &reply).await;
    }
}

fn stopped() -> Reply {
    Reply::failure("WorkerStopped", "the worker stops; retry the state, for another worker to do it")
}

fn given_back() -> WorkError {
    WorkError::release("the worker stops")
}

impl<D: Data, F> Shift<D, F> {
    /// The job of an input, or why there is none.
    fn read(&self, input: &str, token: TaskToken) -> Result<Job, Reply> {
        let invalid = |cause: &str| Reply::failure("InvalidEvent", cause);
        let input: Value = serde_json::from_str(input).map_err(|_| invalid("the activity's input is no JSON"))?;
        let (step, input) = with_step(input);
        // One input that the key was not made for must not stop the worker.
        let key = catch_unwind(AssertUnwindSafe(|| (self.worker.key)(&input)));
        let key = key.map_err(|_| invalid("the worker's key panicked at the activity's input"))?;
        match key.filter(|id| !id.is_empty()) {
            Some(id) => {
                Ok(Job { id, input, step, token, gone: CancellationToken::new(), stale: AtomicBool::new(false) })
            }
            None => Err(Reply::failure("MissingKey", "there is nothing in the activity's input to know its task by")),
        }
    }

    fn options(&self, job: &Job) -> StartOptions {
        let options = self.worker.options.clone();
        match &job.step {
            Some(step) => options.reentrant_owner(step.owner()),
            None if options.owner.is_none() => options.owner(&self.worker.name),
            None => options,
        }
    }

    /// Tells Step Functions, and again until it is in. Where the state waits no more, an earlier copy whose answer was lost may be
    /// what has told it, and else the retry gets the same from the record.
    async fn reply(&self, token: &TaskToken, reply: &Reply) {
        for tries in 1.. {
            match reply.send(&self.worker.step_functions, token).await {
                Ok(Taken::Now) => return,
                Ok(Taken::Stale | Taken::Unknown) => {
                    return tracing::info!("the state waits no more for this reply");
                }
                Err(error) if tries == MAX_TRIES || !error.is_temporary() => {
                    tracing::warn!("the state was not told what came of its task: {error}");
                    return self.tell(&ActivityEvent::NotTold { error: &error });
                }
                Err(error) => tracing::debug!(tries, "not told yet, and tries again: {error}"),
            }
            self.sleep(AGAIN.delay(tries)).await;
        }
    }
}

/// An input with the step that it came from, where it says so.
fn with_step(mut input: Value) -> (Option<Step>, Value) {
    let Ok(step) = Step::from_context(&input["context"]) else { return (None, input) };
    let Some(own) = input.get_mut("input").map(Value::take) else { return (None, input) };
    let step = match input.get_mut("within") {
        Some(outer) => step.within(outer.take()),
        None => step,
    };
    (Some(step), own)
}

impl<D, F, Fut> Shift<D, F>
where
    D: Data,
    F: Fn(Activity<D>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<D, WorkError>> + Send + 'static,
{
    /// Starts the task, works and records what came of it. Returns what Step Functions is to be told, if it still listens.
    async fn work(self: &Arc<Self>, job: &Job) -> Option<Reply> {
        // From before the start until the outcome is in, since either may take DynamoDB as long as it likes. In a task of its own, so that
        // work which is slow to yield does not time out. It ends with this future.
        let mut beats = JoinSet::new();
        beats.spawn(Arc::clone(self).until_gone(job.token.clone(), job.gone.clone()));
        let run = self.worker.client.run_recorded(&job.id, self.options(job), |lease| self.attempt(job, lease));
        match AssertUnwindSafe(run).catch_unwind().await {
            Ok(ended) => self.conclude(job, ended),
            Err(panic) => {
                // `run` has recorded it as the task's failure.
                self.tell(&ActivityEvent::Panicked { id: &job.id });
                let error = WorkError::from_panic(&*panic);
                Some(Reply::failure(error.type_name(), &error.to_string()))
            }
        }
    }

    /// The work itself, for as long as it is wanted.
    async fn attempt(&self, job: &Job, lease: Lease<D>) -> Result<Value, WorkError> {
        self.may_begin(job)?;
        self.tell(&ActivityEvent::Started { id: lease.id(), attempt: lease.attempt() });
        // The hook may have panicked at that.
        self.may_begin(job)?;
        let held = Arc::clone(&lease.held);
        let activity = Activity { input: job.input.clone(), step: job.step.clone(), lease };
        tokio::select! {
            // Work that is done is recorded, whatever else has come by then.
            biased;
            output = (self.handler)(activity) => {
                let (value, output) = keep(&output?)?;
                held.set_unsaved(value).map_err(|error| WorkError::from(error).into_fatal())?;
                Ok(output)
            }
            () = self.abandon.cancelled() => Err(given_back()),
            () = job.gone.cancelled() => {
                job.stale.store(true, Ordering::Relaxed);
                Err(WorkError::from_parts("TaskTokenStale", WAITS_NO_MORE, None))
            }
        }
    }

    /// Whether the work is still wanted. What has not begun is given back, and its attempt is not counted.
    fn may_begin(&self, job: &Job) -> Result<(), WorkError> {
        if self.gives_back() {
            return Err(given_back());
        }
        if job.gone.is_cancelled() {
            job.stale.store(true, Ordering::Relaxed);
            return Err(WorkError::release(WAITS_NO_MORE));
        }
        Ok(())
    }

    /// Tells Step Functions that the work goes on, until the state waits no more.
    async fn until_gone(self: Arc<Self>, token: TaskToken, gone: CancellationToken) {
        let mut tries = 0;
        loop {
            let period = self.worker.heartbeat;
            self.sleep(if tries == 0 { period } else { AGAIN.delay(tries).min(period) }).await;
            match heartbeat(&self.worker.step_functions, &token).await {
                Ok(Taken::Now) => tries = 0,
                Ok(Taken::Stale | Taken::Unknown) => return gone.cancel(),
                Err(error) => {
                    tries += 1;
                    tracing::warn!(tries, "a heartbeat did not get through, and is sent again: {error}");
                }
            }
        }
    }

    /// What Step Functions is to be told.
    fn conclude(&self, job: &Job, ended: Result<Recorded<Value>, RunError<Value>>) -> Option<Reply> {
        let id = job.id.as_str();
        match ended {
            Ok(Recorded { value, tracker }) if tracker.status == Status::Succeeded => {
                self.tell(&ActivityEvent::Succeeded { id: &tracker.id });
                Some(Reply::success(&value))
            }
            Ok(Recorded { tracker, .. }) => {
                let error = WorkError::from("the handler has recorded this itself");
                self.tell(&ActivityEvent::Failed { id: &tracker.id, tracker: &tracker, error: &error });
                Some(Reply::failure("HandlerFailed", &format!("{error}: the task is {} now", tracker.status)))
            }
            Err(RunError::DataNotKept { value, tracker, .. }) => {
                self.tell(&ActivityEvent::Succeeded { id: &tracker.id });
                Some(Reply::success(&value))
            }
            Err(RunError::Failed { tracker, .. }) if job.stale.load(Ordering::Relaxed) => {
                self.tell(&ActivityEvent::Stale { id: &tracker.id });
                None
            }
            Err(RunError::Failed { tracker, error }) => {
                self.tell(&ActivityEvent::Failed { id: &tracker.id, tracker: &tracker, error: &error });
                let given_back = self.gives_back() && tracker.status == Status::Pending;
                Some(if given_back { stopped() } else { Reply::failure(error.type_name(), &error.to_string()) })
            }
            Err(RunError::Refused(error)) => Some(self.refused(id, &error)),
            Err(RunError::NotStarted(error)) => {
                self.tell(&ActivityEvent::NotRecorded { id, error: &error });
                Some(Reply::failure(error_name(error.kind()), &error.to_string()))
            }
            Err(RunError::NotRecorded { error, .. }) => {
                self.tell(&ActivityEvent::NotRecorded { id, error: &error });
                Some(Reply::failure("OutcomeNotRecorded", &error.to_string()))
            }
            Err(RunError::LeaseLost { error, .. }) => {
                self.tell(&ActivityEvent::LeaseLost { id, error: &error });
                Some(Reply::failure(error_name(error.kind()), &error.to_string()))
            }
        }
    }

    /// What a refusal means to the state: the output, where the task is done.
    fn refused(&self, id: &str, error: &Error) -> Reply {
        let done = error.tracker().filter(|_| error.is_already_succeeded());
        let kept = done.filter(|record| !record.data_not_kept());
        match kept.map(|record| (record, record.data.unpacked())) {
            Some((record, Ok(Some(output)))) => {
                self.tell(&ActivityEvent::Replayed { id: &record.id });
                return Reply::success(&to_json(output));
            }
            Some((record, Err(unreadable))) => {
                let error = unreadable.about(&record.id);
                self.tell(&ActivityEvent::Refused { id, error: &error });
                return Reply::failure(error_name(error.kind()), &error.to_string());
            }
            _ => {}
        }
        self.tell(&ActivityEvent::Refused { id, error });
        if done.is_some() {
            let cause = "the task is done, but its output is not in its record: it was too large for the item, or whoever ended the task \
                         kept none";
            return Reply::failure("ResponseNotKept", cause);
        }
        let cause = match error.refusal() {
            Some(Refusal::Locked { until, .. } | Refusal::NotDue { until }) => {
                until_as_json(&error.to_string(), *until, self.worker.client.context.now())
            }
            _ => error.to_string(),
        };
        Reply::failure(error_name(error.kind()), &cause)
    }
}

/// The output as it is kept and as Step Functions gets it. One that it would not take is no output: the work is done, and is not to
/// be run again, but nobody would ever get what it returned.
fn keep<D: Data>(output: &D) -> Result<(AttributeValue, Value), WorkError> {
    let too_large = |what: String| WorkError::from_parts("ResponseTooLarge", what, None).into_fatal();
    let value = to_value(output).map_err(|error| too_large(error.to_string()))?;
    let output = to_json(&value);
    match output.to_string().len() {
        ..=MAX_OUTPUT_BYTES => Ok((value, output)),
        bytes => Err(too_large(format!(
            "the output has {bytes} bytes, and Step Functions takes {MAX_OUTPUT_BYTES}; return less, such as the address of a \
             file in S3"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_step_is_told_from_the_input() {
        let context = json!({"Execution": {"Id": "run-7"}, "State": {"Name": "Ship"}});
        let (step, input) = with_step(json!({"input": {"a": 1}, "context": context}));
        assert_eq!((step.unwrap().owner().as_str(), input), ("run-7##Ship", json!({"a": 1})));
        for plain in [json!({"input": 1}), json!({"context": context}), json!({"input": 1, "context": {}}), json!([1])]
        {
            let (step, input) = with_step(plain.clone());
            assert!(step.is_none() && input == plain, "{plain}");
        }
    }

    #[test]
    fn an_output_that_step_functions_would_not_take_is_fatal() {
        let (_, output) = keep(&"x".repeat(MAX_OUTPUT_BYTES - 2)).unwrap();
        assert_eq!(output.to_string().len(), MAX_OUTPUT_BYTES);
        for bytes in [MAX_OUTPUT_BYTES - 1, 500_000] {
            let error = keep(&"x".repeat(bytes)).unwrap_err();
            assert_eq!(error.type_name(), "ResponseTooLarge");
            assert_eq!(error.decision(), crate::work_error::Decision::Fatal);
        }
    }
}
