//! A batch as a service of tower, which is what `lambda_runtime` runs.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lambda_runtime::LambdaEvent;
use serde::de::DeserializeOwned;
use tower::Service;

use super::{Batch, BatchError, Delivery, Source};
use crate::work_error::WorkError;

/// A batch with its handler, for `lambda_runtime::run` and `run_concurrent`. [`Batch::service`] makes one.
pub struct BatchService<S, T, F> {
    batch: Arc<Batch<S>>,
    handler: Arc<F>,
    body: PhantomData<fn() -> T>,
}

impl<S: Source> Batch<S> {
    /// The same as a service, for `lambda_runtime::run` and `run_concurrent`, and for layers of tower.
    ///
    /// ```no_run
    /// # #[derive(serde::Deserialize)] struct Order { order_id: String }
    /// # async fn example(idempotency: dynamo_tracker::lambda::Idempotency) -> Result<(), lambda_runtime::Error> {
    /// use dynamo_tracker::WorkError;
    /// use dynamo_tracker::lambda::batch::SqsBatch;
    ///
    /// let pay = |delivery: dynamo_tracker::lambda::batch::SqsDelivery<Order>| async move {
    ///     println!("paying for {}", delivery.body.order_id);
    ///     Ok::<_, WorkError>(())
    /// };
    /// lambda_runtime::run(SqsBatch::new(idempotency).service(pay)).await
    /// # }
    /// ```
    pub fn service<T, O, F, Fut>(self, handler: F) -> BatchService<S, T, F>
    where
        T: DeserializeOwned,
        F: Fn(Delivery<T, S::Record>) -> Fut,
        Fut: Future<Output = Result<O, WorkError>>,
    {
        BatchService { batch: Arc::new(self), handler: Arc::new(handler), body: PhantomData }
    }
}

impl<S, T, O, F, Fut> Service<LambdaEvent<S::Event>> for BatchService<S, T, F>
where
    S: Source,
    T: DeserializeOwned + Send + 'static,
    O: Send + 'static,
    F: Fn(Delivery<T, S::Record>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, WorkError>> + Send + 'static,
{
    type Response = S::Response;
    type Error = BatchError;
    type Future = BoxFuture<'static, Result<S::Response, BatchError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BatchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, event: LambdaEvent<S::Event>) -> Self::Future {
        let (batch, handler) = (Arc::clone(&self.batch), Arc::clone(&self.handler));
        async move { batch.run(event, |delivery| handler(delivery)).await }.boxed()
    }
}

impl<S, T, F> Clone for BatchService<S, T, F> {
    fn clone(&self) -> Self {
        Self { batch: Arc::clone(&self.batch), handler: Arc::clone(&self.handler), body: PhantomData }
    }
}

impl<S, T, F> fmt::Debug for BatchService<S, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchService").field("batch", &self.batch).finish_non_exhaustive()
    }
}
