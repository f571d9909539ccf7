//! Records and requests of every kind, for the tests that compare the rules with DynamoDB.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dynamo_tracker::protocol::{Acquire, Terms, Verdict};
use dynamo_tracker::{
    AttemptError, LockToken, Refusal, StartOptions, Status, StatusSet, TaskId, Tracker, TrackerClient,
};
use proptest::prelude::*;

/// The skew and the lease that requests here go by, in milliseconds.
pub(crate) const SKEW: i64 = 1000;
pub(crate) const LEASE: i64 = 60_000;
/// The limit of attempts.
pub(crate) const MAX_ATTEMPTS: u32 = 3;

/// A token that some record has, and some request holds.
pub(crate) const HELD: LockToken = LockToken::from_u128(1);
/// A token of somebody else.
pub(crate) const OTHER: LockToken = LockToken::from_u128(2);
/// The owner of some record's lock, who may be re-entrant.
pub(crate) const OWNER: &str = "execution-1";

/// A stage after the default one, so that the previous stage's success is a state of its own.
pub(crate) fn statuses() -> StatusSet {
    let codes = [(100, "new"), (110, "busy"), (120, "failed"), (130, "dead"), (140, "done"), (150, "skipped")];
    StatusSet::new(codes).unwrap().after(&StatusSet::default()).unwrap()
}

/// The previous stage's success.
pub(crate) const PREVIOUS: Status = Status::Other(40);
/// A code that nobody knows.
pub(crate) const STRANGE: Status = Status::Other(77);

pub(crate) const STATUSES: [Status; 8] = [
    Status::Pending,
    Status::InProgress,
    Status::Failed,
    Status::Exhausted,
    Status::Succeeded,
    Status::Ignored,
    PREVIOUS,
    STRANGE,
];

pub(crate) fn at(now: DateTime<Utc>, millis: i64) -> DateTime<Utc> {
    now + TimeDelta::milliseconds(millis)
}

/// A record that may or may not make sense: the rules and DynamoDB must agree on it all the same.
pub(crate) fn record(id: TaskId, now: DateTime<Utc>) -> impl Strategy<Value = Tracker<u32>> {
    let token = prop::sample::select(vec![HELD, OTHER]);
    let owner = prop::option::of(prop::sample::select(vec![OWNER, "execution-2"]));
    let around_expiry =
        prop_oneof![-3 * SKEW..3 * SKEW, prop::sample::select(vec![-SKEW - 1, -SKEW, 1 - SKEW, -1, 0, 1]),];
    let around_now = prop_oneof![-5000_i64..5000, prop::sample::select(vec![-1, 0, 1])];
    let errors = prop::collection::vec(0_u32..9, 0..12);
    let lock = prop::option::of((token.clone(), owner, around_expiry));
    (
        prop::sample::select(STATUSES.to_vec()),
        (0..=MAX_ATTEMPTS + 1, 1..=MAX_ATTEMPTS + 1, 0_u64..1 << 40, 0_u32..9),
        lock,
        prop::option::of(token),
        prop::option::of(around_now.clone()),
        prop::option::of(-3_i64..3),
        (any::<u32>(), errors, around_now),
    )
        .prop_map(
            move |(status, (attempts, max_attempts, generation, step), lock, last_lock, due, expire, rest)| {
                let mut record = Tracker::new(id.clone(), rest.0, max_attempts, at(now, rest.2));
                record.status = status;
                (record.attempts, record.generation, record.step) = (attempts, generation, step);
                if let Some((token, owner, expiry)) = lock {
                    record.lock = Some(token);
                    record.lock_owner = owner.map(str::to_owned);
                    record.lock_time = Some(at(now, expiry - LEASE));
                    record.lock_expire_time = Some(at(now, expiry));
                }
                record.last_lock = last_lock;
                record.due_time = due.map(|due| at(now, due));
                record.expire_at = expire.map(|expire| at(now, expire * 1000));
                let error = |attempt| AttemptError::from_parts(attempt, now, "E", "message", None);
                record.errors = rest.1.into_iter().map(error).collect();
                record
            },
        )
}

/// Any combination of options.
pub(crate) fn options() -> impl Strategy<Value = StartOptions> {
    let owner = prop::option::of((prop::sample::select(vec![OWNER, "execution-3"]), any::<bool>()));
    let held = prop::option::of(Just(HELD));
    let callback = prop::option::of(prop::sample::select(vec!["token-1", "token-2"]));
    (held, owner, any::<[bool; 4]>(), 1..=MAX_ATTEMPTS + 1, callback).prop_map(
        |(held, owner, flags, max_attempts, callback)| {
            let mut options = StartOptions::new().max_attempts(max_attempts);
            if let Some(token) = callback {
                options = options.callback(token.parse().unwrap());
            }
            if let Some(held) = held {
                options = options.lock(held);
            }
            match owner {
                Some((name, true)) => options = options.reentrant_owner(name),
                Some((name, false)) => options = options.owner(name),
                None => {}
            }
            let setters = [
                StartOptions::ignore_lock,
                StartOptions::force_execution,
                StartOptions::only_existing,
                StartOptions::at_most_once,
            ];
            for (flag, set) in flags.into_iter().zip(setters) {
                if flag {
                    options = set(options);
                }
            }
            options
        },
    )
}

/// What comes of a start.
#[derive(Debug, PartialEq)]
pub(crate) struct Start {
    /// Why it was refused, if it was.
    pub(crate) refusal: Option<Refusal>,
    /// The record that is left. An expired one is as good as none.
    pub(crate) left: Option<Tracker<u32>>,
}

impl Start {
    /// What the pure rules say.
    pub(crate) fn expected(id: &TaskId, record: Option<Tracker<u32>>, request: &Acquire) -> Self {
        let (refusal, left) = Self::by_the_rules(id, record, request);
        let left = if refusal.is_some() { left.map(|record| request.refused(record)) } else { left };
        Self { refusal, left: left.filter(|record| !record.has_expired(request.now)) }
    }

    fn by_the_rules(
        id: &TaskId,
        record: Option<Tracker<u32>>,
        request: &Acquire,
    ) -> (Option<Refusal>, Option<Tracker<u32>>) {
        let new = || Tracker::new(id.clone(), 0, request.max_attempts, request.now);
        if request.permits(record.as_ref()) {
            return (None, Some(request.apply(record, new)));
        }
        match request.judge(record.as_ref()) {
            Verdict::Take(path) => {
                let request = Acquire { path, ..request.clone() };
                assert!(request.permits(record.as_ref()), "what the verdict leads to is permitted");
                (None, Some(request.apply(record, new)))
            }
            Verdict::Exhaust(write) => {
                assert!(write.permits(record.as_ref()), "what the verdict leads to is permitted");
                (Some(Refusal::Exhausted), record.map(|record| write.apply(record, 10)))
            }
            Verdict::Refuse(refusal) => (Some(refusal), record),
            verdict => panic!("{verdict:?} can't follow from a token that nobody has had"),
        }
    }

    /// What DynamoDB makes of the same: `record` is stored, and then started with `options`.
    ///
    /// Returns the rules' expectation as well, for the record as it was stored.
    pub(crate) async fn both(
        client: &TrackerClient<u32>,
        id: TaskId,
        record: Option<Tracker<u32>>,
        options: StartOptions,
        now: DateTime<Utc>,
    ) -> (Self, Self) {
        let mut stored = record;
        if let Some(record) = &mut stored {
            client.dump(record).await.unwrap();
        }
        let mut request = request(&options, now);
        let (token, refusal) = match client.start_with(id.as_str(), options).await {
            Ok(lease) => (Some(lease.token()), None),
            Err(error) => (None, Some(error.refusal().unwrap_or_else(|| panic!("{error:?}")).clone())),
        };
        request.token = token.unwrap_or(request.token);
        let left = client.load(id.as_str()).await.unwrap();
        (Self { refusal, left }, Self::expected(&id, stored, &request))
    }
}

/// The request that a start with these options makes, but for its token, which is fresh.
pub(crate) fn request(options: &StartOptions, now: DateTime<Utc>) -> Acquire {
    let terms = Terms {
        indexed: false,
        now,
        lease: Duration::from_millis(LEASE as u64),
        skew: Duration::from_millis(SKEW as u64),
        max_attempts: MAX_ATTEMPTS,
        previous_succeeded: statuses().previous_succeeded(),
    };
    Acquire::new(options, LockToken::random(), terms)
}
