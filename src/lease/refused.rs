//! What a refused write says of the lease: who has the task now.

use crate::error::{Error, ErrorKind};
use crate::record::{RawData, TaskId, Tracker};

/// What DynamoDB showed when it refused a write.
pub(super) struct Refused {
    /// On the heap, since every write's answer would have the room for it.
    pub(super) shown: Option<Box<Tracker<RawData>>>,
    pub(super) unreadable: Option<Error>,
}

pub(super) fn lost(now: &str, shown: Option<Tracker<RawData>>, id: &TaskId) -> Error {
    let message =
        format!("the lease is lost, and this was not written: {now}; stop this work, and start the task again");
    Error::new(ErrorKind::LeaseLost, message).with_tracker(shown).about(id)
}

/// The error for a lock that is not the one on the task any more.
pub(crate) fn not_held(shown: Option<Tracker<RawData>>, id: &TaskId) -> Error {
    lost(&describe(shown.as_ref()), shown, id)
}

/// Who has the task now, for people.
fn describe(record: Option<&Tracker<RawData>>) -> String {
    match record {
        None => "it was deleted".to_owned(),
        Some(Tracker { lock: Some(_), lock_owner, .. }) => {
            format!("it was taken over by {}", lock_owner.as_deref().unwrap_or("another worker"))
        }
        Some(record) => format!("it was unlocked and is {} now", record.status),
    }
}
