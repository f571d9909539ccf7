//! The pure rules and DynamoDB's conditions agree, on generated records of every kind.

use std::time::Duration;

use chrono::{DateTime, Utc};
use dynamo_tracker::protocol::{End, Extend, Operate, Operation};
use dynamo_tracker::{Clock, Lease, Status, TaskId, Tracker, TrackerClient, TrackerClientBuilder};
use futures_util::StreamExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::bed::Bed;
use crate::generate::{MAX_ATTEMPTS, Start, options, record, statuses};

crate::tests![starts_agree_with_the_rules, writes_under_a_lock_agree_with_the_rules, operators_agree_with_the_rules];

/// How many records of each kind are generated in a run. `TRACKER_TEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("TRACKER_TEST_CASES").ok().map_or(2000, |cases| cases.parse().expect("a number of cases"))
}

/// How many are tried at once. Each is a task of its own.
const AT_ONCE: usize = 16;

/// Generates cases, and tries each with `check`, which says what is wrong, if anything is. On failure, the seed repeats
/// the run.
async fn for_all<S, F, Fut>(strategy: impl Fn(TaskId) -> S, check: F)
where
    S: Strategy,
    F: Fn(TaskId, S::Value) -> Fut,
    Fut: Future<Output = Option<String>>,
{
    let seed = std::env::var("TRACKER_TEST_SEED").ok().map_or_else(rand_seed, |seed| seed.parse().expect("a seed"));
    let mut runner = TestRunner::new_with_rng(Default::default(), rng(seed));
    let cases: Vec<_> = (0..cases())
        .map(|number| {
            let id = TaskId::new("test", &format!("case-{number}")).unwrap();
            let value = strategy(id.clone()).new_tree(&mut runner).expect("a case").current();
            (id, value)
        })
        .collect();
    let results = futures_util::stream::iter(cases).map(|(id, value)| check(id, value));
    let wrong: Vec<_> = results.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "TRACKER_TEST_SEED={seed}: {} are wrong, such as\n{}", wrong.len(), wrong[0]);
}

fn rand_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

fn rng(seed: u64) -> proptest::test_runner::TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &bytes)
}

fn builder(bed: &Bed) -> TrackerClientBuilder<u32> {
    bed.builder().statuses(statuses()).max_attempts(MAX_ATTEMPTS)
}

/// One whose records go an hour after they are over.
fn client(bed: &Bed) -> TrackerClient<u32> {
    builder(bed).retention(Duration::from_secs(3600)).build().unwrap()
}

async fn starts_agree_with_the_rules(bed: Bed) {
    let (client, now) = (&builder(&bed).build().unwrap(), bed.clock.now());
    let strategy = |id| (prop::option::weighted(0.95, record(id, now)), options());
    for_all(strategy, |id, (record, options)| async move {
        let shown = format!("{record:?} with {options:?}");
        let (actual, expected) = Start::both(client, id, record, options, now).await;
        (actual != expected).then(|| format!("{shown}: {actual:?}, but the rules say {expected:?}"))
    })
    .await;
}

/// What a holder may do.
#[derive(Clone, Copy, Debug)]
enum Act {
    Succeed,
    Fail,
    Release,
    Ignore,
    Extend,
    Checkpoint,
}

/// A lease on a task, whose item then becomes any record at all, with our token in one of its places or in none.
async fn writes_under_a_lock_agree_with_the_rules(bed: Bed) {
    let (bed, client, now) = (&bed, &client(&bed), bed.clock.now());
    let acts = vec![Act::Succeed, Act::Fail, Act::Release, Act::Ignore, Act::Extend, Act::Checkpoint];
    let strategy = |id| (record(id, now), prop::sample::select(acts.clone()), 0..4_u8);
    for_all(strategy, |id, (mut record, act, place)| async move {
        client.create(id.as_str()).await.unwrap();
        let lease = client.start(id.as_str()).await.unwrap();
        match place {
            0 | 1 if record.lock.is_some() => record.lock = Some(lease.token()),
            2 => record.last_lock = Some(lease.token()),
            _ => {}
        }
        bed.wipe(id.as_str()).await;
        client.dump(&mut record).await.unwrap();
        // An expired record is shown to nobody, so it would hide what was written.
        record.expire_at = record.expire_at.filter(|_| !record.has_expired(now));
        client.dump(&mut record).await.unwrap();
        let shown = format!("{act:?} as {:?} on {record:?}", lease.token());
        let expected = by_the_rules(&lease, act, record.clone(), now);
        let result = do_it(lease, act).await;
        let left = client.load(id.as_str()).await.unwrap();
        let wrong = result != expected.0 || left.as_ref() != Some(&expected.1);
        wrong.then(|| format!("{shown}: {result} leaves {left:?}, but the rules say {expected:?}"))
    })
    .await;
}

/// Whether the holder is told that it is in, and the record that is left.
fn by_the_rules(lease: &Lease<u32>, act: Act, record: Tracker<u32>, now: DateTime<Utc>) -> (bool, Tracker<u32>) {
    let extend = |expires| Extend { token: lease.token(), now, step: 1, expires, indexed: false };
    let end = |status: Status, attempts, expire_at| {
        let errors = (status == Status::Failed).then(|| vec![error_of(now)]);
        End { token: lease.token(), now, status, attempts, errors, due_time: None, expire_at }
    };
    let over = Some(now + chrono::TimeDelta::hours(1));
    let write_end = |end: End, record: Tracker<u32>| match end.permits(Some(&record)) {
        true => (true, end.apply(record)),
        false => (end.is_in(Some(&record)), record),
    };
    let write_step = |write: Extend, data: Option<u32>, record: Tracker<u32>| match write.permits(Some(&record)) {
        true => {
            let mut after = write.apply(record);
            after.data = data.unwrap_or(after.data);
            (true, after)
        }
        false if write.is_in(Some(&record)) => (true, record),
        // Somebody who was given the lock has used our number, and we count on from theirs.
        false if record.lock == Some(write.token) && record.step < u32::MAX => {
            let mut after = Extend { step: record.step + 1, ..write }.apply(record);
            after.data = data.unwrap_or(after.data);
            (true, after)
        }
        false => (false, record),
    };
    match act {
        Act::Succeed => write_end(end(Status::Succeeded, None, over), record),
        Act::Fail => write_end(end(Status::Failed, None, None), record),
        Act::Release => write_end(end(Status::Pending, Some(0), None), record),
        Act::Ignore => write_end(end(Status::Ignored, None, over), record),
        Act::Extend => write_step(extend(lease.expires()), None, record),
        Act::Checkpoint => write_step(extend(None), Some(99), record),
    }
}

fn error_of(now: DateTime<Utc>) -> dynamo_tracker::AttemptError {
    dynamo_tracker::AttemptError::from_parts(1, now, "&str", "no", None)
}

async fn do_it(mut lease: Lease<u32>, act: Act) -> bool {
    let result = match act {
        Act::Succeed => lease.succeed().await.map(drop),
        Act::Fail => lease.fail("no").await.map(drop),
        Act::Release => lease.release().await.map(drop),
        Act::Ignore => lease.mark_as_ignored().await.map(drop),
        Act::Extend => lease.mark_as_in_progress().await,
        Act::Checkpoint => lease.checkpoint(99).await,
    };
    match result {
        Ok(()) => true,
        Err(error) if error.is_lease_lost() => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// An operator acts on a record that was seen, after the item has perhaps become another.
async fn operators_agree_with_the_rules(bed: Bed) {
    let (bed, client, now) = (&bed, &client(&bed), bed.clock.now());
    let operations = vec![Operation::Redrive, Operation::Ignore, Operation::Unlock];
    let strategy = |id: TaskId| {
        let now_another = prop::option::of(record(id.clone(), now));
        (record(id, now), now_another, prop::sample::select(operations.clone()))
    };
    for_all(strategy, |id, (mut seen, another, operation)| async move {
        seen.expire_at = None;
        client.dump(&mut seen).await.unwrap();
        let mut stored = seen.clone();
        if let Some(another) = another {
            bed.wipe(id.as_str()).await;
            stored = another;
            stored.expire_at = None;
            client.dump(&mut stored).await.unwrap();
        }
        let shown = format!("{operation:?} on {stored:?}, seen as {seen:?}");
        let write = Operate::on(&seen, operation, now, Some(now + chrono::TimeDelta::hours(1)));
        let permitted = operation.is_legal(&seen) && write.permits(Some(&stored));
        let expected = if permitted { write.apply(stored) } else { stored };
        let result = match operation {
            Operation::Redrive => client.redrive(&seen).await,
            Operation::Ignore => client.ignore(&seen).await,
            _ => client.unlock(&seen).await,
        };
        let left = client.load(id.as_str()).await.unwrap().unwrap();
        let wrong = result.is_ok() != permitted || left != expected;
        wrong.then(|| format!("{shown}: {result:?} leaves {left:?}, but the rules say {expected:?}"))
    })
    .await;
}
