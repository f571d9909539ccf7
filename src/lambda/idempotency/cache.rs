//! Finished results in memory.

use std::sync::Arc;
use std::time::Duration;

use crate::record::Tracker;

use super::Replay;

/// Behind a trait, so that a program which asks for no cache has none of its code.
pub(super) trait Cache: Send + Sync {
    fn get(&self, id: &str) -> Option<Arc<Tracker<Replay>>>;
    fn insert(&self, id: &str, record: Arc<Tracker<Replay>>);
}

/// A cache with room for so many records, each for so long.
pub(super) fn in_memory(entries: u64, ttl: Duration) -> Arc<dyn Cache> {
    let cache = moka::sync::Cache::builder().max_capacity(entries).time_to_live(ttl).build();
    Arc::new(Moka(cache))
}

struct Moka(moka::sync::Cache<String, Arc<Tracker<Replay>>>);

impl Cache for Moka {
    fn get(&self, id: &str) -> Option<Arc<Tracker<Replay>>> {
        self.0.get(id)
    }

    fn insert(&self, id: &str, record: Arc<Tracker<Replay>>) {
        self.0.insert(id.to_owned(), record);
    }
}
