//! The batch that a task counts for.

use std::fmt;
use std::str::FromStr;

/// The batch that a task counts for, and the part of its counter: see [`Batch`](crate::Batch).
///
/// ```
/// use dynamo_tracker::BatchMember;
///
/// let member: BatchMember = "3#import-7".parse()?;
/// assert_eq!((member.batch(), member.part(), member.to_string().as_str()), ("import-7", 3, "3#import-7"));
/// # Ok::<(), dynamo_tracker::InvalidBatchMember>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchMember {
    batch: String,
    part: u16,
}

/// A text that names no part of a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number, a '#' and a batch's name")]
pub struct InvalidBatchMember(String);

impl BatchMember {
    pub(crate) fn new(batch: &str, part: u16) -> Self {
        Self { batch: batch.to_owned(), part }
    }

    /// The batch's name.
    #[must_use]
    pub fn batch(&self) -> &str {
        &self.batch
    }

    /// Which of the batch's counters counts it.
    #[must_use]
    pub fn part(&self) -> u16 {
        self.part
    }
}

impl fmt::Display for BatchMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.part, self.batch)
    }
}

impl FromStr for BatchMember {
    type Err = InvalidBatchMember;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidBatchMember(text.to_owned());
        let (part, batch) = text.split_once('#').ok_or_else(invalid)?;
        let part = part.parse().map_err(|_| invalid())?;
        if batch.is_empty() { Err(invalid()) } else { Ok(Self::new(batch, part)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_form_is_read() {
        for bad in ["", "3", "3#", "#x", "x#3", "70000#x", "-1#x"] {
            assert!(bad.parse::<BatchMember>().is_err(), "{bad}");
        }
        assert_eq!("0#a#b".parse(), Ok(BatchMember::new("a#b", 0)));
    }
}
