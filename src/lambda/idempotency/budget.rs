//! How long the lease is, and how long the work may take.

use std::time::Duration;

use crate::context::Context;

/// The time that a function has for an event, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(in crate::lambda) struct Budget {
    /// When the process is killed; `None` where nobody does that.
    deadline: Option<Duration>,
    /// How long before that the work is stopped.
    margin: Duration,
}

impl Budget {
    pub(super) fn new(context: &Context, left: Option<Duration>, margin: Duration) -> Self {
        let deadline = left.map(|left| context.clock.monotonic().saturating_add(left));
        // A function with little time in all still gets half of it for its work.
        Self { deadline, margin: left.map_or(margin, |left| margin.min(left / 2)) }
    }

    /// How long the work may take; `None` for as long as it likes.
    pub(in crate::lambda) fn for_work(&self, context: &Context) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_sub(self.margin + context.clock.monotonic()))
    }

    /// The length of a lease that is taken now, and whether it needs no heartbeat.
    ///
    /// Where there is a deadline, it ends a margin after that, for the outcome is still written until then; then the event is
    /// anybody's, since the process is gone. A lease must be longer than the skew.
    pub(super) fn lease(&self, context: &Context) -> (Duration, bool) {
        let Some(deadline) = self.deadline else { return (context.lease, false) };
        let needed = deadline.saturating_sub(context.clock.monotonic()) + self.margin;
        let least = context.skew + Duration::from_millis(100);
        (needed.max(least).min(context.lease), needed <= context.lease)
    }
}
