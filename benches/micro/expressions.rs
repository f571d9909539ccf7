//! The requests of a task's life, without and with an index.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dynamo_tracker::protocol::{Acquire, End, Extend, Terms};
use dynamo_tracker::{AttemptError, LockToken, StartOptions, Status, TaskId, TrackerClient, internals};

use crate::client;
use crate::measure::Measure;

pub(crate) const GROUPS: [&str; 2] = ["expression", "expression-indexed"];
pub(crate) const WRITES: [&str; 4] = ["start", "success", "failure", "extension"];

pub(crate) fn measure(measure: &mut Measure) {
    for (group, shards) in GROUPS.into_iter().zip([None, Some(8)]) {
        let (client, id) = (client(shards), TaskId::new("orders", "order-42").expect("an id"));
        let now = Utc::now();
        let (start, extension) = (start(now, shards.is_some()), extension(now, shards.is_some()));
        let (success, failure) = (success(now), failure(now, shards.is_some()));
        let [start_name, success_name, failure_name, extension_name] = WRITES;
        measure.piece(group, start_name, || internals::acquire(&client, &start, &id));
        measure.piece(group, success_name, || end(&client, &success, &id));
        measure.piece(group, failure_name, || end(&client, &failure, &id));
        measure.piece(group, extension_name, || internals::extend(&extension, None));
    }
}

fn end(client: &TrackerClient<()>, write: &End, id: &TaskId) -> internals::Request {
    internals::end(client, write, id, None).expect("it can be written")
}

fn start(now: DateTime<Utc>, indexed: bool) -> Acquire {
    let terms = Terms {
        now,
        lease: Duration::from_secs(900),
        skew: Duration::from_secs(1),
        max_attempts: 3,
        previous_succeeded: None,
        indexed,
    };
    Acquire::new(&StartOptions::new(), LockToken::random(), terms)
}

fn success(now: DateTime<Utc>) -> End {
    End {
        token: LockToken::random(),
        now,
        status: Status::Succeeded,
        attempts: None,
        errors: None,
        due_time: None,
        expire_at: None,
    }
}

fn failure(now: DateTime<Utc>, indexed: bool) -> End {
    let error = AttemptError::new(1, now, &std::io::Error::other("the amount is negative"));
    let due_time = indexed.then_some(now);
    End { status: Status::Failed, errors: Some(vec![error]), due_time, ..success(now) }
}

fn extension(now: DateTime<Utc>, indexed: bool) -> Extend {
    Extend { token: LockToken::random(), now, step: 1, expires: Some(now + TimeDelta::minutes(15)), indexed }
}
