//! The rules: which write is allowed on which record, and what it makes of it.
//!
//! Everything here is a pure function of a record, a write and a time, with no I/O. Each write has a `permits`, which is
//! its condition, and an `apply`, which is its effect. `expression` says the same again in DynamoDB's language; a
//! property test holds the two against each other on the real DynamoDB Local.

mod end;
mod extend;
mod operate;
mod start;

pub use end::End;
pub use extend::Extend;
pub use operate::{Operate, Operation};
pub use start::{Acquire, Exhaust, Path, Refusal, StartOptions, Terms, Verdict};

#[cfg(test)]
mod golden;
