//! A task to be made.

use chrono::{DateTime, Utc};

use crate::record::TaskToken;
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
    pub(crate) callback: Option<TaskToken>,
}

impl<D> NewTask<D> {
    /// A task with no data that may be taken at once.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), data: None, due: None, callback: None }
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

    /// Waited for by the state of a state machine that has this task token: see
    #[cfg_attr(feature = "stepfunctions", doc = "[`callbacks`](crate::TrackerClientBuilder::callbacks).")]
    #[cfg_attr(not(feature = "stepfunctions"), doc = "callbacks.")]
    /// Where the task exists already, it is left as it is, and nobody is told.
    #[cfg_attr(
        feature = "stepfunctions",
        doc = "[`call_back`](crate::TrackerClient::call_back) puts the token on one that exists as well."
    )]
    pub fn callback(mut self, token: TaskToken) -> Self {
        self.callback = Some(token);
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
