//! Which record waits for which.

use std::collections::HashMap;

/// The records that one record waits for, by their places in the batch. They are before it, so no two wait for each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    /// The one before it in its group, which must be acknowledged first.
    pub(super) in_group: Option<usize>,
    /// The one before it with the same key, which must be over first: both at a time would refuse each other.
    pub(super) same_key: Option<usize>,
}

/// For each record, of which these are group and key, what it waits for.
pub(super) fn order(records: impl IntoIterator<Item = (Option<String>, String)>) -> Vec<Before> {
    let (mut groups, mut keys) = (HashMap::new(), HashMap::new());
    let before = |(place, (group, key)): (usize, (Option<String>, String))| Before {
        in_group: group.and_then(|group| groups.insert(group, place)),
        same_key: keys.insert(key, place),
    };
    records.into_iter().enumerate().map(before).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(records: &[(&str, &str)]) -> Vec<(Option<usize>, Option<usize>)> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let order = order(records.iter().map(|(group, key)| (some(group), (*key).to_owned())));
        order.into_iter().map(|before| (before.in_group, before.same_key)).collect()
    }

    #[test]
    fn each_waits_for_the_last_of_its_group_and_of_its_key() {
        assert_eq!(
            of(&[("", "x"), ("", "y"), ("", "x"), ("", "x")]),
            [(None, None), (None, None), (None, Some(0)), (None, Some(2))]
        );
        assert_eq!(
            of(&[("a", "x"), ("b", "y"), ("a", "y"), ("b", "z"), ("a", "x")]),
            [(None, None), (None, None), (Some(0), Some(1)), (Some(1), None), (Some(2), Some(0)),]
        );
    }

    proptest! {
        #[test]
        fn nobody_waits_for_a_later_one(records in proptest::collection::vec(("[ab]?", "[xyz]"), 0..20)) {
            let records: Vec<_> = records.iter().map(|(group, key)| (group.as_str(), key.as_str())).collect();
            for (place, (in_group, same_key)) in of(&records).into_iter().enumerate() {
                prop_assert!(in_group.is_none_or(|other| other < place && records[other].0 == records[place].0));
                prop_assert!(same_key.is_none_or(|other| other < place && records[other].1 == records[place].1));
            }
        }
    }
}
