//! Whether the SDK sent a request more than once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

/// Counts the tries of one request.
///
/// A write whose answer was lost is sent again, and the second copy finds the item as the first one left it. Where no
/// token in the item tells, this is how we know that it may have been us.
#[derive(Clone, Debug)]
pub(super) struct Repeats {
    tries: Arc<AtomicU32>,
    /// All repetitions of the table's requests: how hard DynamoDB is pressed.
    all: Arc<AtomicU64>,
}

impl Repeats {
    pub(super) fn counted_in(all: &Arc<AtomicU64>) -> Self {
        Self { tries: Arc::default(), all: Arc::clone(all) }
    }

    /// Whether the request was sent more than once.
    pub(super) fn any(&self) -> bool {
        self.tries.load(Ordering::Relaxed) > 1
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
        if self.tries.fetch_add(1, Ordering::Relaxed) > 0 {
            self.all.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}
