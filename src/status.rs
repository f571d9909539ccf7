//! What state a task is in, and the numbers and names that a table stores for it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The state of a task.
///
/// The numbers are those of the default [`StatusSet`]; a task with codes of its own has other numbers for the same six
/// states.
///
/// ```
/// use dynamo_tracker::Status;
/// assert_eq!(Status::Succeeded.code(), 40);
/// assert_eq!(Status::InProgress.to_string(), "in_progress");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Status {
    /// 0: waiting for its first attempt, or for one after a redrive.
    Pending,
    /// 10: somebody works on it, or died doing so.
    InProgress,
    /// 20: the latest attempt failed, and another may follow.
    Failed,
    /// 30: the attempts are used up, or the error was fatal. Only a redrive helps.
    Exhausted,
    /// 40: done.
    Succeeded,
    /// 50: somebody decided that it is not to be done.
    Ignored,
    /// A code that the status set in use does not know: another stage's, or a newer program's.
    Other(u32),
}

impl Status {
    /// The six states that every task goes through, in the order of their codes.
    pub const ALL: [Status; 6] =
        [Status::Pending, Status::InProgress, Status::Failed, Status::Exhausted, Status::Succeeded, Status::Ignored];

    /// The number under which the default [`StatusSet`] stores it.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Status::Pending => 0,
            Status::InProgress => 10,
            Status::Failed => 20,
            Status::Exhausted => 30,
            Status::Succeeded => 40,
            Status::Ignored => 50,
            Status::Other(code) => code,
        }
    }

    /// The default name, in snake case. `other` for a code that the set does not know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::InProgress => "in_progress",
            Status::Failed => "failed",
            Status::Exhausted => "exhausted",
            Status::Succeeded => "succeeded",
            Status::Ignored => "ignored",
            Status::Other(_) => "other",
        }
    }

    /// True where no worker will take the task again by itself: exhausted, succeeded, ignored.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Status::Exhausted | Status::Succeeded | Status::Ignored)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Other(code) => write!(f, "status {code}"),
            known => f.write_str(known.name()),
        }
    }
}

/// The codes and names of a task's six states.
///
/// Most tasks use [`StatusSet::default`]. A set of your own is for a table that has codes already, or for *stages*: jobs
/// that follow one another on the same item, each with its own six codes. A stage made with [`after`](Self::after) can
/// be started once the previous one has succeeded, and its attempts begin again at 1.
///
/// ```
/// use dynamo_tracker::{Status, StatusSet};
///
/// let download = StatusSet::default();
/// let convert = StatusSet::new([
///     (100, "to_convert"), (110, "converting"), (120, "convert_failed"),
///     (130, "convert_exhausted"), (140, "converted"), (150, "convert_ignored"),
/// ])?.after(&download)?;
/// assert_eq!(convert.code(Status::Succeeded), 140);
/// assert_eq!(convert.status(40), Status::Other(40));
/// assert_eq!(convert.previous_succeeded(), Some(40));
/// # Ok::<(), dynamo_tracker::InvalidStatusSet>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Arc<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    codes: [u32; 6],
    names: [String; 6],
    previous: Option<StatusSet>,
    indexes_succeeded: bool,
}

/// Why codes and names do not make a [`StatusSet`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidStatusSet {
    /// Two states have the same code, within a set or across its stages.
    #[error("code {0} stands for two statuses; give each of the six, in every stage, its own")]
    RepeatedCode(u32),
    /// Two states of a set have the same name.
    #[error("the name {0:?} stands for two statuses; give each of the six its own")]
    RepeatedName(String),
    /// A name is empty or contains `#`, which separates the parts of a key.
    #[error("{0:?} can't name a status; a name is not empty and has no '#'")]
    BadName(String),
}

impl StatusSet {
    /// A set of the codes and names of, in this order: pending, in progress, failed, exhausted, succeeded, ignored.
    ///
    /// # Errors
    ///
    /// Two codes or two names are the same, or a name is empty or contains `#`.
    pub fn new(states: [(u32, &str); 6]) -> Result<Self, InvalidStatusSet> {
        let mut codes = HashSet::new();
        let mut names = HashSet::new();
        for (code, name) in states {
            if name.is_empty() || name.contains('#') {
                return Err(InvalidStatusSet::BadName(name.to_owned()));
            }
            if !codes.insert(code) {
                return Err(InvalidStatusSet::RepeatedCode(code));
            }
            if !names.insert(name) {
                return Err(InvalidStatusSet::RepeatedName(name.to_owned()));
            }
        }
        Ok(Self(Arc::new(Inner {
            codes: states.map(|(code, _)| code),
            names: states.map(|(_, name)| name.to_owned()),
            previous: None,
            indexes_succeeded: false,
        })))
    }

    /// The same set, whose succeeded tasks stay in the index: for a stage that others follow, whose workers look for them
    /// there, and for lists of what is done. It costs one write unit more for each success.
    #[must_use]
    pub fn index_succeeded(self) -> Self {
        Self(Arc::new(Inner { indexes_succeeded: true, ..self.0.as_ref().clone() }))
    }

    /// Whether tasks in this state are in the index, where one is kept: all but those that have succeeded, unless
    /// [`index_succeeded`](Self::index_succeeded) says otherwise.
    #[must_use]
    pub fn is_indexed(&self, status: Status) -> bool {
        match status {
            Status::Succeeded => self.0.indexes_succeeded,
            Status::Other(_) => false,
            _ => true,
        }
    }

    /// The same set as a stage that follows `previous` on the same item.
    ///
    /// # Errors
    ///
    /// A code is also one of `previous`, or of a stage before it: the item could not tell the two apart.
    pub fn after(&self, previous: &StatusSet) -> Result<Self, InvalidStatusSet> {
        let mut stage = Some(previous);
        while let Some(earlier) = stage {
            if let Some(code) = self.0.codes.iter().find(|code| earlier.0.codes.contains(code)) {
                return Err(InvalidStatusSet::RepeatedCode(*code));
            }
            stage = earlier.0.previous.as_ref();
        }
        Ok(Self(Arc::new(Inner { previous: Some(previous.clone()), ..self.0.as_ref().clone() })))
    }

    /// The number that stands for `status` in the item.
    #[must_use]
    pub fn code(&self, status: Status) -> u32 {
        match position(status) {
            Some(at) => self.0.codes[at],
            None => status.code(),
        }
    }

    /// The name of `status` in this set.
    #[must_use]
    pub fn name(&self, status: Status) -> &str {
        match position(status) {
            Some(at) => &self.0.names[at],
            None => status.name(),
        }
    }

    /// The state that `code` stands for; [`Status::Other`] where this set does not have it.
    #[must_use]
    pub fn status(&self, code: u32) -> Status {
        match self.0.codes.iter().position(|known| *known == code) {
            Some(at) => Status::ALL[at],
            None => Status::Other(code),
        }
    }

    /// The code under which the previous stage records its success, where there is a previous stage.
    #[must_use]
    pub fn previous_succeeded(&self) -> Option<u32> {
        self.0.previous.as_ref().map(|previous| previous.code(Status::Succeeded))
    }
}

impl Default for StatusSet {
    /// 0 `pending`, 10 `in_progress`, 20 `failed`, 30 `exhausted`, 40 `succeeded`, 50 `ignored`.
    fn default() -> Self {
        Self(Arc::new(Inner {
            codes: Status::ALL.map(Status::code),
            names: Status::ALL.map(|status| status.name().to_owned()),
            previous: None,
            indexes_succeeded: false,
        }))
    }
}

fn position(status: Status) -> Option<usize> {
    Status::ALL.iter().position(|known| *known == status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: [(u32, &str); 6] = [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e"), (6, "f")];

    #[test]
    fn the_default_codes_and_names_are_the_contract() {
        let set = StatusSet::default();
        let stored: Vec<_> = Status::ALL.iter().map(|s| (set.code(*s), set.name(*s))).collect();
        let contract = [
            (0, "pending"),
            (10, "in_progress"),
            (20, "failed"),
            (30, "exhausted"),
            (40, "succeeded"),
            (50, "ignored"),
        ];
        assert_eq!(stored, contract);
        for status in Status::ALL {
            assert_eq!(set.status(set.code(status)), status);
        }
        assert_eq!(set.status(41), Status::Other(41));
        assert_eq!(set.code(Status::Other(41)), 41);
    }

    #[test]
    fn a_set_has_six_distinct_codes_and_names() {
        let mut states = STAGE;
        states[5].0 = 1;
        assert_eq!(StatusSet::new(states), Err(InvalidStatusSet::RepeatedCode(1)));
        let mut states = STAGE;
        states[5].1 = "a";
        assert_eq!(StatusSet::new(states), Err(InvalidStatusSet::RepeatedName("a".into())));
        for bad in ["", "a#b"] {
            let mut states = STAGE;
            states[0].1 = bad;
            assert_eq!(StatusSet::new(states), Err(InvalidStatusSet::BadName(bad.into())));
        }
    }

    #[test]
    fn a_stage_shares_no_code_with_any_stage_before_it() {
        let first = StatusSet::default();
        let second = StatusSet::new(STAGE).unwrap().after(&first).unwrap();
        assert_eq!(second.previous_succeeded(), Some(40));
        assert_eq!(first.after(&second), Err(InvalidStatusSet::RepeatedCode(0)));
        let third = STAGE.map(|(code, name)| (code + 100, name));
        let third = StatusSet::new(third).unwrap().after(&second).unwrap();
        assert_eq!(third.previous_succeeded(), Some(5));
    }
}
