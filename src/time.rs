//! Where the time comes from. Everything in the crate asks a [`Clock`], so a test moves time instead of waiting for it.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;

/// A time being waited for.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of time.
///
/// Two kinds of time are needed. The *wall clock* goes into the item, where other machines compare it with theirs. The
/// *monotonic* time measures how long this process has held a lease; nobody can set it back.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use dynamo_tracker::Clock;
///
/// #[derive(Debug)]
/// struct OneHourAhead;
///
/// impl Clock for OneHourAhead {
///     fn now(&self) -> DateTime<Utc> {
///         Utc::now() + chrono::TimeDelta::hours(1)
///     }
/// }
/// assert!(OneHourAhead.now() > Utc::now());
/// ```
pub trait Clock: Debug + Send + Sync {
    /// The wall clock.
    fn now(&self) -> DateTime<Utc>;

    /// Time since a fixed moment in the past of this process. It never goes backwards.
    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    /// Waits until the monotonic time is so much later. By default, by tokio's timer.
    fn sleep(&self, duration: Duration) -> Sleep {
        Box::pin(crate::timer::sleep(duration))
    }

    /// Waits until the monotonic time is this: at once, if it is by now. By default, [`sleep`](Self::sleep) for what is left.
    fn sleep_until(&self, time: Duration) -> Sleep {
        self.sleep(time.saturating_sub(self.monotonic()))
    }
}

/// The machine's own clock.
///
/// ```
/// use dynamo_tracker::{Clock, SystemClock};
/// assert!(SystemClock.now().timestamp() > 1_700_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock that stands still until it is moved, for tests. Clones show the same time. Whoever sleeps by it wakes when it
/// is moved far enough.
///
/// ```
/// use std::time::Duration;
/// use chrono::DateTime;
/// use dynamo_tracker::{Clock, ManualClock};
///
/// let clock = ManualClock::new(DateTime::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().timestamp(), 90);
/// assert_eq!(clock.monotonic(), Duration::from_secs(90));
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<watch::Sender<(DateTime<Utc>, Duration)>>);

impl ManualClock {
    /// A clock that shows `now`, with a monotonic time of zero.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Arc::new(watch::Sender::new((now, Duration::ZERO))))
    }

    /// Moves both the wall clock and the monotonic time forward.
    pub fn advance(&self, by: Duration) {
        self.0.send_modify(|(now, monotonic)| {
            *now = plus(*now, by);
            *monotonic = monotonic.saturating_add(by);
        });
    }

    /// Sets the wall clock alone, as an operator or NTP would. The monotonic time stays.
    pub fn set(&self, to: DateTime<Utc>) {
        self.0.send_modify(|(now, _)| *now = to);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.borrow().0
    }

    fn monotonic(&self) -> Duration {
        self.0.borrow().1
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.monotonic().saturating_add(duration))
    }

    /// Reads no time itself: whoever moves the clock just before this does not move the time that is waited for.
    fn sleep_until(&self, time: Duration) -> Sleep {
        let mut clock = self.0.subscribe();
        Box::pin(async move {
            // An error means that the clock is gone, and nobody can move it any more.
            if clock.wait_for(|(_, monotonic)| *monotonic >= time).await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// Cuts to whole milliseconds, which is what an item holds: what was written then reads back equal.
pub(crate) fn to_millis(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

/// `time + by`, or the end of time where that has no representation.
pub(crate) fn plus(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// `time - by`, or the beginning of time where that has no representation.
pub(crate) fn minus(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_sub_signed(by)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_not_rounded() {
        let time = DateTime::from_timestamp(10, 999_999_999).unwrap();
        assert_eq!(to_millis(time).timestamp_subsec_nanos(), 999_000_000);
        assert_eq!(to_millis(to_millis(time)), to_millis(time));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(plus(DateTime::UNIX_EPOCH, Duration::MAX), DateTime::<Utc>::MAX_UTC);
        assert_eq!(minus(DateTime::UNIX_EPOCH, Duration::MAX), DateTime::<Utc>::MIN_UTC);
    }

    #[tokio::test]
    async fn a_time_that_has_come_before_the_sleep_is_not_missed() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        let time = clock.monotonic() + Duration::from_secs(20);
        clock.advance(Duration::from_secs(20));
        clock.sleep_until(time).await;
        SystemClock.sleep_until(SystemClock.monotonic()).await;
    }

    #[test]
    fn setting_the_wall_clock_leaves_the_monotonic_time() {
        let clock = ManualClock::new(DateTime::UNIX_EPOCH);
        clock.advance(Duration::from_secs(5));
        clock.set(DateTime::UNIX_EPOCH);
        assert_eq!((clock.now(), clock.monotonic()), (DateTime::UNIX_EPOCH, Duration::from_secs(5)));
    }
}
