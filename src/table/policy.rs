//! How often, how fast and how long a request is tried.

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder, Config};

/// The waiting time before the first repetition. It doubles each time, and is drawn at random between 0 and that.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
/// The waiting time grows no further than this.
const MAX_BACKOFF: Duration = Duration::from_secs(1);
/// Each try gets this long for its answer. DynamoDB answers in milliseconds; what takes longer is lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// A request is tried for no longer than this, whatever it is asked to.
const MAX_PATIENCE: Duration = Duration::from_secs(3600);
/// A request that can't wait at all still gets this long.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);

/// How requests are retried.
///
/// The SDK's own default, three tries with a first backoff of a second, suits neither DynamoDB nor leases: a lost answer
/// costs a second, and three refusals in a row are an error. By default, each request of this crate carries its own
/// settings: a first backoff of 25 ms that doubles up to 1 s, with full jitter (*Exponential Backoff And Jitter*, AWS
/// Architecture Blog), 3 s for each try, and as many tries as fit into its patience.
///
/// ```
/// use std::time::Duration;
/// use dynamo_tracker::RequestPolicy;
///
/// let policy = RequestPolicy::patient_for(Duration::from_secs(5));
/// let client_knows_best = RequestPolicy::of_the_client();
/// # let _ = (policy, client_knows_best);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPolicy {
    patience: Option<Duration>,
}

impl RequestPolicy {
    /// Tries each request for at most so long. No request is tried for longer than its answer is of use, which for a
    /// start and an outcome is the lease, nor for longer than an hour.
    #[must_use]
    pub const fn patient_for(patience: Duration) -> Self {
        Self { patience: Some(patience) }
    }

    /// Leaves retries and time-outs as the user's SDK client has them.
    #[must_use]
    pub const fn of_the_client() -> Self {
        Self { patience: None }
    }

    /// The settings for a request whose answer is of use for `useful`; `None` for the client's own.
    pub(crate) fn settings(&self, useful: Option<Duration>) -> Option<Builder> {
        let patience = self.patience?.min(MAX_PATIENCE);
        let patience = useful.map_or(patience, |useful| useful.min(patience)).max(LEAST_PATIENCE);
        let retries = RetryConfig::standard()
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(MAX_BACKOFF)
            .with_max_attempts(tries_within(patience));
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT.min(patience))
            .operation_timeout(patience)
            .build();
        Some(Config::builder().retry_config(retries).timeout_config(timeouts).retry_partition(partition()))
    }
}

impl Default for RequestPolicy {
    /// Patient for 20 seconds.
    fn default() -> Self {
        Self::patient_for(Duration::from_secs(20))
    }
}

/// The SDK's retry quota is shared by all clients of a region in the process, and a burst of faults uses it up. Ours is
/// bounded by tries and time instead, so it neither takes from others nor runs dry.
fn partition() -> RetryPartition {
    RetryPartition::custom("dynamo-tracker").token_bucket(TokenBucket::unlimited()).build()
}

/// How many tries fit into `patience` even if each backs off for as long as it may. So refusals end with the last refusal
/// as their cause, and the time-out is left for answers that never come.
fn tries_within(patience: Duration) -> u32 {
    let mut tries = 1;
    let mut backoff = FIRST_BACKOFF;
    let mut waited = backoff;
    while waited <= patience {
        tries += 1;
        backoff = (backoff * 2).min(MAX_BACKOFF);
        waited += backoff;
    }
    tries
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::BehaviorVersion;

    use super::*;

    #[test]
    fn tries_grow_with_patience() {
        let tries = [0, 100, 1000, 20_000].map(|millis| tries_within(Duration::from_millis(millis)));
        assert_eq!(tries, [1, 3, 6, 25]);
    }

    #[test]
    fn a_useless_answer_is_not_waited_for() {
        let policy = RequestPolicy::default();
        let timeout = |useful| {
            let config = policy.settings(useful).unwrap().behavior_version(BehaviorVersion::latest()).build();
            config.timeout_config().unwrap().operation_timeout().unwrap()
        };
        assert_eq!(timeout(None), Duration::from_secs(20));
        assert_eq!(timeout(Some(Duration::from_secs(5))), Duration::from_secs(5));
        assert_eq!(timeout(Some(Duration::ZERO)), LEAST_PATIENCE);
        assert!(RequestPolicy::of_the_client().settings(None).is_none());
    }
}
