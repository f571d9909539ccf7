//! Whether the SDK sent a request more than once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// Counts the tries of one request.
///
/// A write whose answer was lost is sent again, and the second copy finds the item as the first one left it. Where no
/// token in the item tells, this is how we know that it may have been us.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(Arc<AtomicU32>);

impl Repeats {
    /// Whether the request was sent more than once.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

impl Intercept for Repeats {
    fn name(&self) -> &'static str {
        "Repeats"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
