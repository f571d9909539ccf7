//! How long to wait before trying again.

use std::time::Duration;

/// Exponential backoff with full jitter: each time twice as long, up to a limit, and drawn at random between nothing and
/// that (*Exponential Backoff And Jitter*, AWS Architecture Blog).
///
/// ```
/// use std::time::Duration;
/// use dynamo_tracker::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// assert_eq!(backoff.longest(3), Duration::from_secs(4));
/// assert_eq!(backoff.longest(30), Duration::from_secs(60));
/// assert!(backoff.delay(3) <= Duration::from_secs(4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
}

impl Backoff {
    /// Waits up to `first` after the first attempt, and never longer than `limit`.
    #[must_use]
    pub const fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit }
    }

    /// The longest that is waited after this attempt, counted from 1.
    #[must_use]
    pub fn longest(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.limit)
    }

    /// How long to wait after this attempt: at random, up to [`longest`](Self::longest).
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        self.longest(attempt).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_doubles_up_to_the_limit() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let longest = [0, 1, 2, 3, 4, 5, u32::MAX].map(|attempt| backoff.longest(attempt).as_millis());
        assert_eq!(longest, [100, 100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn delays_fill_the_whole_range() {
        let backoff = Backoff::new(Duration::from_secs(8), Duration::from_secs(8));
        let delays: Vec<_> = (0..1000).map(|_| backoff.delay(1).as_secs()).collect();
        assert!((0..8).all(|second| delays.contains(&second)), "each second of eight is drawn");
        assert!(delays.iter().all(|delay| *delay < 8));
    }
}
