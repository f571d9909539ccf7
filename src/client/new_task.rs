//! A task to be made.

use chrono::{DateTime, Utc};

use crate::time::to_millis;

/// A task to be made: its id, and perhaps data and a due time.
///
/// ```
/// use chrono::{TimeDelta, Utc};
/// use dynamo_tracker::NewTask;
///
/// let task = NewTask::new("report-2026-11").data("monthly".to_owned()).due(Utc::now() + TimeDelta::hours(1));
/// let plain: NewTask<String> = "report-2026-12".into();
/// # let _ = (task, plain);
/// ```
#[derive(Clone)]
#[must_use]
pub struct NewTask<D> {
    pub(crate) id: String,
    pub(crate) data: Option<D>,
    pub(crate) due: Option<DateTime<Utc>>,
}

impl<D> NewTask<D> {
    /// A task with no data that may be taken at once.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), data: None, due: None }
    }

    /// With this data.
    pub fn data(mut self, data: D) -> Self {
        self.data = Some(data);
        self
    }

    /// Not to be taken before this time, to the millisecond.
    pub fn due(mut self, time: DateTime<Utc>) -> Self {
        self.due = Some(to_millis(time));
        self
    }
}

impl<D> From<&str> for NewTask<D> {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl<D> From<String> for NewTask<D> {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl<D> std::fmt::Debug for NewTask<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewTask").field("id", &self.id).field("due", &self.due).finish_non_exhaustive()
    }
}
