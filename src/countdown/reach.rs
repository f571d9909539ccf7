//! How far the end of one task reaches.

use super::{PartState, RootState};

/// What the end of one task brings to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// No more than itself: others of its part are open, or may still be added.
    Part,
    /// Its part, and if that was the last, the batch.
    Batch,
    /// The batch does not count it: it was deleted.
    Nobody,
}

pub(super) fn reach(part: Option<&PartState>, root: Option<&RootState>) -> Reach {
    match (part, root) {
        (None, _) | (_, None) | (Some(PartState { open_tasks: 0, .. }), _) => Reach::Nobody,
        (Some(PartState { open_tasks: 1, closed: true, .. }), Some(_)) => Reach::Batch,
        (Some(_), Some(_)) => Reach::Part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_of_a_closed_part_reaches_farther() {
        let root = RootState {
            instance: "i".to_owned(),
            parts: 4,
            open_parts: 2,
            dependents: Vec::new(),
            dependent_count: 0,
            complete_time: None,
        };
        let part = |open_tasks, closed| Some(PartState { open_tasks, tasks: 9, closed });
        for (part, expected) in [
            (None, Reach::Nobody),
            (part(0, false), Reach::Nobody),
            (part(0, true), Reach::Nobody),
            (part(1, false), Reach::Part),
            (part(1, true), Reach::Batch),
            (part(2, true), Reach::Part),
        ] {
            assert_eq!(reach(part.as_ref(), Some(&root)), expected, "{part:?}");
            assert_eq!(reach(part.as_ref(), None), Reach::Nobody);
        }
    }
}
