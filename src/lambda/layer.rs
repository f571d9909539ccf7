//! A whole handler, made idempotent.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as Poller, Poll};

use lambda_runtime::{Context, LambdaEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::{Layer, Service};

use super::idempotency::{Idempotency, IdempotencyError, IdempotencyErrorKind};
use super::powertools::Powertools;
use crate::error::{Error, ErrorKind};
use crate::work_error::WorkError;

/// Makes a handler idempotent, as a [`tower::Layer`] around it.
///
/// The handler is any service for `lambda_runtime`, such as a `service_fn`. It gets its event as its own type; the key is made
/// of the whole event as it came, with the fields that the type does not have. The service that comes out goes into
/// `lambda_runtime::run`, or into `run_concurrent`, which it is [`Clone`] for.
///
/// ```no_run
/// use dynamo_tracker::TrackerClient;
/// use dynamo_tracker::lambda::{Idempotency, IdempotencyLayer, Key};
/// use lambda_runtime::{Error, LambdaEvent, service_fn};
/// use serde::Deserialize;
/// use tower::Layer;
///
/// #[derive(Deserialize)]
/// struct Paid {
///     detail: Order,
/// }
///
/// #[derive(Deserialize)]
/// struct Order {
///     order_id: String,
/// }
///
/// async fn ship(event: LambdaEvent<Paid>) -> Result<String, Error> {
///     Ok(format!("{} is on its way", event.payload.detail.order_id))
/// }
///
/// # async fn main_(sdk_client: aws_sdk_dynamodb::Client) -> Result<(), Error> {
/// let client = TrackerClient::builder(sdk_client).table("tasks").namespace("shipping").build()?;
/// let idempotency = Idempotency::builder(client).key(Key::eventbridge()).build()?;
/// lambda_runtime::run(IdempotencyLayer::new(idempotency).layer(service_fn(ship))).await
/// # }
/// ```
pub struct IdempotencyLayer<T, I = Idempotency> {
    idempotency: I,
    event: PhantomData<fn() -> T>,
}

impl<T> IdempotencyLayer<T> {
    /// With the records of this crate.
    #[must_use]
    pub fn new(idempotency: Idempotency) -> Self {
        Self { idempotency, event: PhantomData }
    }
}

impl<T> IdempotencyLayer<T, Powertools> {
    /// With a table of Powertools, which functions in other languages share.
    ///
    /// An event may be taken over when the function's deadline is past; without one, after the 15 minutes that a function can run.
    /// The work is not stopped before its deadline, and attempts are not counted.
    #[must_use]
    pub fn powertools(powertools: Powertools) -> Self {
        Self { idempotency: powertools, event: PhantomData }
    }
}

impl<T, I: Clone> Clone for IdempotencyLayer<T, I> {
    fn clone(&self) -> Self {
        Self { idempotency: self.idempotency.clone(), event: PhantomData }
    }
}

impl<T, I: fmt::Debug> fmt::Debug for IdempotencyLayer<T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IdempotencyLayer").field(&self.idempotency).finish()
    }
}

impl<S, T, I: Clone> Layer<S> for IdempotencyLayer<T, I> {
    type Service = IdempotentHandler<S, T, I>;

    fn layer(&self, handler: S) -> Self::Service {
        IdempotentHandler { handler, idempotency: self.idempotency.clone(), event: PhantomData }
    }
}

/// A handler that [`IdempotencyLayer`] has made idempotent.
pub struct IdempotentHandler<S, T, I = Idempotency> {
    handler: S,
    idempotency: I,
    event: PhantomData<fn() -> T>,
}

impl<S: Clone, T, I: Clone> Clone for IdempotentHandler<S, T, I> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), idempotency: self.idempotency.clone(), event: PhantomData }
    }
}

impl<S, T, I: fmt::Debug> fmt::Debug for IdempotentHandler<S, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotentHandler").field("idempotency", &self.idempotency).finish_non_exhaustive()
    }
}

impl<S, T, I> Service<LambdaEvent<Value>> for IdempotentHandler<S, T, I>
where
    S: Service<LambdaEvent<T>> + Clone + Send + 'static,
    S::Response: Serialize + DeserializeOwned + Send,
    S::Error: Into<WorkError> + Send,
    S::Future: Send,
    T: DeserializeOwned + Send + 'static,
    I: Records,
{
    type Response = S::Response;
    type Error = IdempotencyError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, IdempotencyError>> + Send>>;

    fn poll_ready(&mut self, poller: &mut Poller<'_>) -> Poll<Result<(), IdempotencyError>> {
        let failed = |error: S::Error| IdempotencyError::of_work(IdempotencyErrorKind::HandlerFailed, error.into());
        self.handler.poll_ready(poller).map_err(failed)
    }

    fn call(&mut self, event: LambdaEvent<Value>) -> Self::Future {
        // What `poll_ready` found ready is this one, not a clone of it.
        let clone = self.handler.clone();
        let mut handler = std::mem::replace(&mut self.handler, clone);
        let idempotency = self.idempotency.clone();
        Box::pin(async move {
            let LambdaEvent { payload, context } = event;
            let typed = read(&payload)?;
            let work = || handler.call(LambdaEvent::new(typed, context.clone()));
            idempotency.handle(&payload, &context, work).await
        })
    }
}

/// The event as the handler's own type. Where it is none, the error says at which field, and nothing of what is there.
pub(crate) fn read<T: DeserializeOwned>(payload: &Value) -> Result<T, IdempotencyError> {
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let message = format!(
            "the event can't be read as `{}`, at {}; look at the event, or at the function's type",
            type_name::<T>(),
            error.path()
        );
        let error = Error::new(ErrorKind::InvalidArgument, message);
        IdempotencyError::new(IdempotencyErrorKind::InvalidEvent, error)
    })
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Idempotency {}
    impl Sealed for super::Powertools {}
}

/// Where the records are that a layer works with. Nobody else can implement it.
pub trait Records: sealed::Sealed + Clone + Send + Sync + 'static {
    /// Runs the work, or gives the response that is kept of it.
    #[doc(hidden)]
    fn handle<R, E, F, Fut>(
        &self,
        event: &Value,
        context: &Context,
        work: F,
    ) -> impl Future<Output = Result<R, IdempotencyError>> + Send
    where
        R: Serialize + DeserializeOwned + Send,
        E: Into<WorkError> + Send,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<R, E>> + Send;
}

impl Records for Idempotency {
    async fn handle<R, E, F, Fut>(&self, event: &Value, context: &Context, work: F) -> Result<R, IdempotencyError>
    where
        R: Serialize + DeserializeOwned + Send,
        E: Into<WorkError> + Send,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<R, E>> + Send,
    {
        self.run(event, Some(context), work).await.map(|outcome| outcome.response)
    }
}

impl Records for Powertools {
    async fn handle<R, E, F, Fut>(&self, event: &Value, context: &Context, work: F) -> Result<R, IdempotencyError>
    where
        R: Serialize + DeserializeOwned + Send,
        E: Into<WorkError> + Send,
        F: FnOnce() -> Fut + Send,
        Fut: Future<Output = Result<R, E>> + Send,
    {
        let work = || async { work().await.map_err(Into::into) };
        let outcome = self.run(event, self.left(context), work).await;
        outcome.map(|outcome| outcome.into_response()).or_else(IdempotencyError::of_powertools)
    }
}
