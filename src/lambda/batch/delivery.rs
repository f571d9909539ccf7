//! What the handler of a record is given.

use std::fmt;

/// A record as its handler gets it. `Debug` shows neither the body nor the record.
#[non_exhaustive]
pub struct Delivery<T, R> {
    /// The body, read from JSON.
    pub body: T,
    /// The record as Lambda sent it: for a queue the message with its attributes, for a stream the record with its keys.
    pub record: R,
    /// Which attempt this is, counted from 1.
    pub attempt: u32,
    /// The fencing token: greater than that of every attempt before. See [`Lease::generation`](crate::Lease::generation).
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
