//! How often, how fast and how long a request is tried.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_sdk_dynamodb::config::{Builder, Config, StalledStreamProtectionConfig};

use crate::timer;

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
/// costs a second, and three refusals in a row are an error. By default, the requests of this crate have settings
/// of their own: a first backoff of 25 ms that doubles up to 1 s, with full jitter (*Exponential Backoff And Jitter*, AWS
/// Architecture Blog), 3 s for each try, and as many tries as fit into its patience.
///
/// So the tracker's client is the given one with other settings, and waits by tokio's timer, whatever the configuration names for that.
/// It has connections of its own, unless the SDK's configuration names an HTTP client to share.
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

    /// The client whose requests have these settings, as long as their answers are of use for the whole of the patience. Settings
    /// that each request brings along cost it about 2 % of its instructions.
    pub(super) fn client(&self, given: Client) -> Client {
        let Some(patience) = self.whole() else { return given };
        let timeouts = given.config().timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        // The time-out of each try covers its body as well, so nobody needs to watch how fast that flows.
        let unwatched = StalledStreamProtectionConfig::disabled();
        let config =
            given.config().to_builder().stalled_stream_protection(unwatched).timeout_config(timed(timeouts, patience));
        let config = config.retry_config(retries(patience)).retry_partition(partition()).sleep_impl(timer::Sleeper);
        Client::from_conf(config.build())
    }

    /// The settings of a request whose answer is of use for less than that; `None` for the client's own.
    pub(super) fn settings(&self, useful: Option<Duration>) -> Option<Builder> {
        let (patience, useful) = (self.whole()?, useful?.max(LEAST_PATIENCE));
        if useful >= patience {
            return None;
        }
        let timeouts = timed(TimeoutConfig::builder(), useful);
        Some(Config::builder().retry_config(retries(useful)).timeout_config(timeouts))
    }

    fn whole(&self) -> Option<Duration> {
        self.patience.map(|patience| patience.clamp(LEAST_PATIENCE, MAX_PATIENCE))
    }
}

fn retries(patience: Duration) -> RetryConfig {
    RetryConfig::standard()
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(MAX_BACKOFF)
        .with_max_attempts(tries_within(patience))
}

fn timed(timeouts: TimeoutConfigBuilder, patience: Duration) -> TimeoutConfig {
    timeouts.operation_attempt_timeout(ATTEMPT_TIMEOUT.min(patience)).operation_timeout(patience).build()
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
    use aws_sdk_dynamodb::config::{BehaviorVersion, Region};

    use super::*;

    #[test]
    fn tries_grow_with_patience() {
        let tries = [0, 100, 1000, 20_000].map(|millis| tries_within(Duration::from_millis(millis)));
        assert_eq!(tries, [1, 3, 6, 25]);
    }

    fn client() -> Client {
        let timeouts = TimeoutConfig::builder().connect_timeout(Duration::from_secs(1)).build();
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).timeout_config(timeouts);
        Client::from_conf(config.region(Region::from_static("eu-west-1")).build())
    }

    #[test]
    fn a_useless_answer_is_not_waited_for() {
        let policy = RequestPolicy::default();
        let timeout = |config: Config| config.timeout_config().unwrap().operation_timeout().unwrap();
        let patient = policy.client(client()).config().clone();
        assert_eq!(patient.timeout_config().unwrap().connect_timeout(), Some(Duration::from_secs(1)), "the user's own");
        assert_eq!((timeout(patient), policy.settings(None).is_none()), (Duration::from_secs(20), true));
        for (useful, patience) in [(0, 500), (400, 500), (5000, 5000), (19_999, 19_999)] {
            let settings = policy.settings(Some(Duration::from_millis(useful))).unwrap();
            let settings = settings.behavior_version(BehaviorVersion::latest()).build();
            assert_eq!(settings.retry_config().unwrap().max_attempts(), tries_within(Duration::from_millis(patience)));
            assert_eq!(timeout(settings), Duration::from_millis(patience));
        }
        assert!(policy.settings(Some(Duration::from_secs(20))).is_none());
    }

    #[test]
    fn a_client_may_know_best() {
        let policy = RequestPolicy::of_the_client();
        assert!(policy.settings(None).is_none() && policy.settings(Some(Duration::ZERO)).is_none());
        assert_eq!(policy.client(client()).config().timeout_config().unwrap().operation_timeout(), None);
    }

    #[test]
    fn the_patience_has_bounds() {
        let whole = |patience| RequestPolicy::patient_for(patience).whole().unwrap();
        assert_eq!((whole(Duration::ZERO), whole(Duration::MAX)), (LEAST_PATIENCE, MAX_PATIENCE));
    }
}
