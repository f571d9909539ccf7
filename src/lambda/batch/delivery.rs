//! What the handler of a record is given.

use std::fmt;

/// A record as its handler gets it. `Debug` shows neither the body nor the record.
///
/// ```
/// use dynamo_tracker::WorkError;
/// use dynamo_tracker::lambda::batch::SqsDelivery;
///
/// async fn pay(delivery: SqsDelivery<u64>) -> Result<(), WorkError> {
///     let tenant = delivery.record.message_attributes.get("tenant").and_then(|tenant| tenant.string_value.as_deref());
///     println!("{tenant:?} pays {} cents, in attempt {}", delivery.body, delivery.attempt);
///     Ok(())
/// }
/// ```
#[non_exhaustive]
pub struct Delivery<T, R> {
    /// The body, read from JSON: of a queue the message's body, of Kinesis the data, of a DynamoDB table the item as it is now,
    /// or as it was where it is deleted, or its key where the stream has no more. With [`run_raw`](super::Batch::run_raw) there is
    /// none.
    pub body: T,
    /// The record as Lambda sent it: for a queue the message with its attributes, for a stream the record with its keys.
    pub record: R,
    /// Which attempt this is, counted from 1. 0 where [idempotency is off](crate::lambda::Idempotency#switches).
    pub attempt: u32,
    /// The fencing token: greater than that of every attempt before. See [`Lease::generation`](crate::Lease::generation).
    /// 0 where idempotency is off.
    pub generation: u64,
}

impl<T, R> fmt::Debug for Delivery<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("attempt", &self.attempt)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
