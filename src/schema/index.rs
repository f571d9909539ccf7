//! The index: which partition a task is in, and what the index is called.

use chrono::{DateTime, Utc};

use crate::record::{TaskId, Tracker};
use crate::status::{Status, StatusSet};

/// The index's name in every table.
pub(crate) const INDEX: &str = "by_due_time";

/// The most shards that a state is spread over.
pub(crate) const MAX_SHARDS: u16 = 1024;

/// An index whose states are spread over so many shards.
///
/// DynamoDB takes 1,000 write units a second for one partition key (*Best practices for designing and using partition keys
/// effectively*, Amazon DynamoDB Developer Guide), and a task that is taken costs two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) shards: u16,
}

impl Index {
    /// The partition key of a task in this state: `namespace#status#NN`. `None` for a state that is not in the index.
    pub(crate) fn partition_of(&self, id: &TaskId, status: Status, statuses: &StatusSet) -> Option<String> {
        let shard = share(id, self.shards);
        statuses.is_indexed(status).then(|| partition(id.namespace(), statuses.code(status), shard))
    }
}

impl Index {
    /// Where a record that is written as it is stands in the index.
    pub(crate) fn due_time_of<D>(
        &self,
        record: &Tracker<D>,
        statuses: &StatusSet,
        at_once: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let due = match record.status {
            Status::InProgress => record.lock_expire_time,
            _ => record.due_time,
        };
        statuses.is_indexed(record.status).then(|| due.unwrap_or(at_once))
    }
}

/// The key of a partition. The status is its code, which no other stage has.
pub(crate) fn partition(namespace: &str, code: u32, shard: u16) -> String {
    format!("{namespace}#{code}#{shard:02}")
}

/// Which of so many equal shares a task falls to.
pub(crate) fn share(id: &TaskId, shares: u16) -> u16 {
    (hash(id.as_str()) % u64::from(shares.max(1))) as u16
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo), folded to mix the high half into the low one. It is the same for ever and in every
/// language: items lie where it said when they were written.
pub(crate) fn hash(id: &str) -> u64 {
    let full = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    full ^ (full >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // The full values are those of the algorithm's own test suite; here they are folded.
        let folded = |full: u64| full ^ (full >> 32);
        assert_eq!(hash(""), folded(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash("a"), folded(0xaf63_dc4c_8601_ec8c));
        assert_eq!(hash("foobar"), folded(0x8594_4171_f739_67e8));
        let index = Index { shards: 8 };
        let shards = ["order-42", "page-7", "a", "ü", "task-1000000"].map(|id| {
            let id = TaskId::new("orders", id).unwrap();
            index.partition_of(&id, Status::Pending, &StatusSet::default()).unwrap()
        });
        assert_eq!(shards, GOLDEN);
    }

    const GOLDEN: [&str; 5] = ["orders#0#02", "orders#0#03", "orders#0#00", "orders#0#05", "orders#0#07"];

    #[test]
    fn ids_are_spread_evenly() {
        let index = Index { shards: 8 };
        let mut counts = std::collections::HashMap::<String, u32>::new();
        for number in 0..80_000 {
            let id = TaskId::new("orders", &format!("task-{number}")).unwrap();
            *counts.entry(index.partition_of(&id, Status::Failed, &StatusSet::default()).unwrap()).or_default() += 1;
        }
        assert!(counts.len() == 8 && counts.values().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
        let done = TaskId::new("orders", "task-1").unwrap();
        assert_eq!(index.partition_of(&done, Status::Succeeded, &StatusSet::default()), None);
    }
}
