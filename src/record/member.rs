//! The batch that a task counts for.

use std::fmt;
use std::str::FromStr;

/// The batch that a task counts for, and the part of its counter: see [`Batch`](crate::Batch).
///
/// ```
/// use dynamo_tracker::BatchMember;
///
/// let member: BatchMember = "3.1f0c#import-7".parse()?;
/// assert_eq!((member.batch(), member.part(), member.to_string().as_str()), ("import-7", 3, "3.1f0c#import-7"));
/// # Ok::<(), dynamo_tracker::InvalidBatchMember>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchMember {
    batch: String,
    instance: String,
    part: u16,
}

/// A text that names no part of a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form PART.INSTANCE#BATCH")]
pub struct InvalidBatchMember(String);

impl BatchMember {
    pub(crate) fn new(batch: &str, instance: &str, part: u16) -> Self {
        Self { batch: batch.to_owned(), instance: instance.to_owned(), part }
    }

    /// The batch's name.
    #[must_use]
    pub fn batch(&self) -> &str {
        &self.batch
    }

    /// Which of the batches of this name it is: one that was deleted and opened again is another.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Which of the batch's counters counts it.
    #[must_use]
    pub fn part(&self) -> u16 {
        self.part
    }
}

impl fmt::Display for BatchMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}#{}", self.part, self.instance, self.batch)
    }
}

impl FromStr for BatchMember {
    type Err = InvalidBatchMember;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidBatchMember(text.to_owned());
        let (place, batch) = text.split_once('#').ok_or_else(invalid)?;
        let (part, instance) = place.split_once('.').ok_or_else(invalid)?;
        let part = part.parse().map_err(|_| invalid())?;
        if batch.is_empty() || instance.is_empty() { Err(invalid()) } else { Ok(Self::new(batch, instance, part)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_form_is_read() {
        for bad in ["", "3", "3#", "#x", "3#x", "3.#x", ".i#x", "3.i#", "x.i#3", "70000.i#x", "-1.i#x"] {
            assert!(bad.parse::<BatchMember>().is_err(), "{bad}");
        }
        assert_eq!("0.i#a#b".parse(), Ok(BatchMember::new("a#b", "i", 0)));
    }
}
