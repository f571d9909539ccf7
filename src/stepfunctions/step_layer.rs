//! A Lambda function's handler as a step that a retry finds as it was.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use chrono::{DateTime, Utc};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tower::{Layer, Service};

use super::{Step, wait};
use crate::lambda::{Idempotency, IdempotencyError, IdempotencyErrorKind, read};
use crate::work_error::WorkError;

/// Makes a handler the work of a *task step*, as a [`tower::Layer`] around it: it runs once for each input, and a step whose
/// sandbox died goes on at once when Step Functions retries it.
///
/// The state passes its input and its context object on:
///
/// ```json
/// "Parameters": {
///   "FunctionName": "charge",
///   "Payload": { "input.$": "$", "context.$": "$$" }
/// }
/// ```
///
/// The [key](crate::lambda::IdempotencyBuilder::key), and what else the [`Idempotency`] looks at, is of the input. An input that was
/// handled before, by whichever execution, gets the response that is kept; put `$$.Execution.Id` into the input where each
/// execution is to have an effect of its own. The lock is taken in the name of the step ([`Step::owner`], which says what follows
/// from that), so a retry of the step has it back at once, and other executions are refused with `TaskLocked`.
///
/// Of the context object, `Execution.Id` and `State.Name` are enough, and within a Map `Map.Item`. Where input or context are
/// large, pass on no more than that: all of the event counts towards 256 KiB, and the context object has the execution's input
/// once more. For a Map within a Map, a third field of the payload, `within`, says what tells the outer items apart
/// ([`Step::within`]).
///
/// ```no_run
/// use dynamo_tracker::TrackerClient;
/// use dynamo_tracker::lambda::Idempotency;
/// use dynamo_tracker::stepfunctions::{StepEvent, StepLayer};
/// use lambda_runtime::{Error, LambdaEvent, service_fn};
/// use serde::Deserialize;
/// use tower::Layer;
///
/// #[derive(Deserialize)]
/// struct Order {
///     order_id: String,
/// }
///
/// async fn charge(event: LambdaEvent<StepEvent<Order>>) -> Result<String, Error> {
///     let StepEvent { input, step, .. } = event.payload;
///     Ok(format!("{} is paid by {}", input.order_id, step.execution()))
/// }
///
/// # async fn main_(sdk_client: aws_sdk_dynamodb::Client) -> Result<(), Error> {
/// let client = TrackerClient::builder(sdk_client).table("tasks").namespace("payments").build()?;
/// let idempotency = Idempotency::builder(client).build()?;
/// lambda_runtime::run(StepLayer::new(idempotency).layer(service_fn(charge))).await
/// # }
/// ```
pub struct StepLayer<T> {
    settings: Settings,
    input: PhantomData<fn() -> T>,
}

#[derive(Clone, Debug)]
struct Settings {
    idempotency: Idempotency,
    return_refusals: bool,
}

impl<T> StepLayer<T> {
    /// With these records and rules.
    #[must_use]
    pub fn new(idempotency: Idempotency) -> Self {
        Self { settings: Settings { idempotency, return_refusals: false }, input: PhantomData }
    }

    /// Returns a refusal that time will lift, instead of failing: somebody else works on the input, or it failed and is not due
    /// yet. The output is `{"done": RESPONSE}` then, or `{"refused": {"error": "TaskLocked", "until": …, "seconds": …, "cause":
    /// …}}`, so that a `Choice` can lead to a `Wait` until then and back. Let `ResultPath` keep the output beside the input, and
    /// give the function only its own part of that, or the next call would have another key: the README has such states. All else
    /// fails as ever.
    #[must_use]
    pub fn return_refusals(mut self) -> Self {
        self.settings.return_refusals = true;
        self
    }
}

impl<T> Clone for StepLayer<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), input: PhantomData }
    }
}

impl<T> fmt::Debug for StepLayer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StepLayer").field(&self.settings).finish()
    }
}

impl<S, T> Layer<S> for StepLayer<T> {
    type Service = StepHandler<S, T>;

    fn layer(&self, handler: S) -> Self::Service {
        StepHandler { handler, settings: self.settings.clone(), input: PhantomData }
    }
}

/// What the handler of a step gets. `Debug` does not show the input.
#[derive(Clone)]
#[non_exhaustive]
pub struct StepEvent<T> {
    /// The state's input.
    pub input: T,
    /// Which step it is.
    pub step: Step,
}

impl<T> fmt::Debug for StepEvent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepEvent").field("step", &self.step).finish_non_exhaustive()
    }
}

/// A handler that [`StepLayer`] has made the work of a step.
pub struct StepHandler<S, T> {
    handler: S,
    settings: Settings,
    input: PhantomData<fn() -> T>,
}

impl<S: Clone, T> Clone for StepHandler<S, T> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), settings: self.settings.clone(), input: PhantomData }
    }
}

impl<S, T> fmt::Debug for StepHandler<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepHandler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<S, T> Service<LambdaEvent<Value>> for StepHandler<S, T>
where
    S: Service<LambdaEvent<StepEvent<T>>> + Clone + Send + 'static,
    S::Response: Serialize + DeserializeOwned + Send,
    S::Error: Into<WorkError> + Send,
    S::Future: Send,
    T: DeserializeOwned + Send + 'static,
{
    type Response = StepOutput<S::Response>;
    type Error = StepError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, StepError>> + Send>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), StepError>> {
        let now = self.settings.now();
        let failed = |error: S::Error| IdempotencyError::of_work(IdempotencyErrorKind::HandlerFailed, error.into());
        self.handler.poll_ready(poller).map_err(|error| StepError::new(failed(error), now))
    }

    fn call(&mut self, event: LambdaEvent<Value>) -> Self::Future {
        // What `poll_ready` found ready is this one, not a clone of it.
        let clone = self.handler.clone();
        let mut handler = std::mem::replace(&mut self.handler, clone);
        let settings = self.settings.clone();
        Box::pin(async move {
            let LambdaEvent { payload, context } = event;
            let (step, input) = parts(payload).map_err(|error| settings.error(error))?;
            let typed = read(&input).map_err(|error| settings.error(error))?;
            let idempotency = settings.idempotency.reentrant_owner(&step.owner());
            let left = idempotency.left(&context);
            let event = LambdaEvent::new(StepEvent { input: typed, step }, context);
            let ended = idempotency.run_event(&input, left, || handler.call(event)).await;
            settings.output(ended.map(|outcome| outcome.response))
        })
    }
}

impl Settings {
    fn now(&self) -> DateTime<Utc> {
        self.idempotency.client().context.now()
    }

    fn error(&self, error: IdempotencyError) -> StepError {
        StepError::new(error, self.now())
    }

    fn output<R>(&self, ended: Result<R, IdempotencyError>) -> Result<StepOutput<R>, StepError> {
        match ended {
            Ok(response) if self.return_refusals => Ok(StepOutput::Done(response)),
            Ok(response) => Ok(StepOutput::Response(response)),
            Err(error) => {
                let error = self.error(error);
                match error.refused() {
                    Some(refused) if self.return_refusals => Ok(StepOutput::Refused(refused)),
                    _ => Err(error),
                }
            }
        }
    }
}

/// The step of an event, and its input.
fn parts(mut payload: Value) -> Result<(Step, Value), IdempotencyError> {
    let invalid = |error| IdempotencyError::new(IdempotencyErrorKind::InvalidEvent, error);
    let step = Step::from_context(&payload["context"]).map_err(invalid)?;
    let step = match payload.get_mut("within") {
        Some(outer) => step.within(outer.take()),
        None => step,
    };
    Ok((step, payload.get_mut("input").map(Value::take).unwrap_or_default()))
}

/// What a step ends with. `Debug` does not show the response.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum StepOutput<R> {
    /// The response as it is: the output of a step that fails where it is refused.
    Response(R),
    /// The response of a step that [returns refusals](StepLayer::return_refusals), as `{"done": RESPONSE}`.
    Done(R),
    /// A refusal that time will lift, as `{"refused": {…}}`.
    Refused(Refused),
}

impl<R: Serialize> Serialize for StepOutput<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tagged = match self {
            Self::Response(response) => return response.serialize(serializer),
            Self::Done(_) | Self::Refused(_) => serializer.serialize_map(Some(1))?,
        };
        match self {
            Self::Response(response) | Self::Done(response) => tagged.serialize_entry("done", response)?,
            Self::Refused(refused) => tagged.serialize_entry("refused", refused)?,
        }
        tagged.end()
    }
}

impl<R> fmt::Debug for StepOutput<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(_) => f.write_str("Response(…)"),
            Self::Done(_) => f.write_str("Done(…)"),
            Self::Refused(refused) => f.debug_tuple("Refused").field(refused).finish(),
        }
    }
}

/// A refusal that time will lift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refused {
    /// `TaskLocked` or `TaskNotDue`.
    pub error: &'static str,
    /// When to come again, for the `TimestampPath` of a `Wait`.
    #[serde(serialize_with = "timestamp")]
    pub until: DateTime<Utc>,
    /// How long that is from now, for its `SecondsPath`: whole seconds, and never too few.
    pub seconds: u64,
    /// The same for people.
    pub cause: String,
}

fn timestamp<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&wait::timestamp(time))
}

/// How a step failed. Lambda reports it to Step Functions by its name, which `Retry` and `Catch` go by.
///
/// The text of a `TaskLocked` and a `TaskNotDue` is a JSON object with `message`, `until` and `seconds`, for a definition to wait by:
/// it is the `errorMessage` in the JSON that Step Functions gives as `Cause`.
pub struct StepError {
    error: IdempotencyError,
    /// When it was found out.
    now: DateTime<Utc>,
}

impl StepError {
    fn new(error: IdempotencyError, now: DateTime<Utc>) -> Self {
        Self { error, now }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> IdempotencyErrorKind {
        self.error.kind()
    }

    /// The error as any handler has it.
    #[must_use]
    pub fn error(&self) -> &IdempotencyError {
        &self.error
    }

    /// The refusal, where it is one that time will lift.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        let until = self.error.until()?;
        let (error, cause) = (self.kind().name(), self.error.to_string());
        Some(Refused { error, until, seconds: wait::seconds(until, self.now), cause })
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StepError").field(&self.error).finish()
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl From<StepError> for Diagnostic {
    fn from(error: StepError) -> Self {
        match error.error.until() {
            None => error.error.into(),
            Some(until) => Self {
                error_type: error.kind().name().to_owned(),
                error_message: wait::until_as_json(&error.error.to_string(), until, error.now),
            },
        }
    }
}
