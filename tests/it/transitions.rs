//! The transition table: every status, every state of the lock, every option, against the pure rules.

use chrono::{DateTime, Utc};
use dynamo_tracker::{Clock, StartOptions, TaskId, Tracker};
use futures_util::StreamExt;

use crate::bed::Bed;
use crate::generate::{HELD, LEASE, MAX_ATTEMPTS, OTHER, OWNER, SKEW, STATUSES, Start, at, statuses};

crate::tests![every_transition_is_as_the_rules_say];

/// How many cells are tried at once. Each is a task of its own.
const AT_ONCE: usize = 16;

async fn every_transition_is_as_the_rules_say(bed: Bed) {
    let now = bed.clock.now();
    let client = bed.builder::<u32>().statuses(statuses()).max_attempts(MAX_ATTEMPTS).build().unwrap();
    let cells: Vec<_> = records(now)
        .into_iter()
        .flat_map(|(state, record)| {
            option_sets().map(|(option, options)| (format!("{state} / {option}"), record.clone(), options))
        })
        .collect();
    let count = cells.len();
    let results = futures_util::stream::iter(cells).map(|(name, record, options)| {
        let client = &client;
        async move {
            let id = TaskId::new("test", &name).unwrap();
            let mut record = record;
            if let Some(record) = &mut record {
                record.id = id.clone();
            }
            let (actual, expected) = Start::both(client, id, record, options, now).await;
            (actual != expected).then(|| format!("{name}: {actual:?}, but the rules say {expected:?}"))
        }
    });
    let wrong: Vec<_> = results.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(wrong.is_empty(), "{} of {count} cells are wrong, such as\n{}", wrong.len(), wrong[0]);
    assert_eq!(count, (8 * 6 * 2 * 3 + 1) * 9);
}

/// Every status × state of the lock × attempts left or not × due, due later or expired; and no record at all.
fn records(now: DateTime<Utc>) -> Vec<(String, Option<Tracker<u32>>)> {
    let locks = [
        ("unlocked", None),
        ("locked by another", Some((OTHER, "host:1", LEASE))),
        ("lapsed within the skew", Some((OTHER, "host:1", 1 - SKEW))),
        ("lapsed", Some((OTHER, "host:1", -SKEW))),
        ("locked with the held token", Some((HELD, "host:1", LEASE))),
        ("locked by the re-entrant owner", Some((OTHER, OWNER, LEASE))),
    ];
    let mut all = vec![("absent".to_owned(), None)];
    for status in STATUSES {
        for (lock_name, lock) in locks {
            for (attempts, attempts_name) in [(1, "attempts left"), (MAX_ATTEMPTS, "none left")] {
                for (when_name, due, expire) in
                    [("due", None, None), ("due later", Some(1), None), ("expired", None, Some(0))]
                {
                    let mut record = Tracker::new(TaskId::new("test", "?").unwrap(), 7, MAX_ATTEMPTS, at(now, -LEASE));
                    record.status = status;
                    record.attempts = attempts;
                    record.generation = 5;
                    if let Some((token, owner, expiry)) = lock {
                        record.lock = Some(token);
                        record.lock_owner = Some(owner.to_owned());
                        record.lock_time = Some(at(now, expiry - LEASE));
                        record.lock_expire_time = Some(at(now, expiry));
                    }
                    record.due_time = due.map(|due| at(now, due));
                    record.expire_at = expire.map(|expire| at(now, expire));
                    all.push((format!("{status}, {lock_name}, {attempts_name}, {when_name}"), Some(record)));
                }
            }
        }
    }
    all
}

fn option_sets() -> [(&'static str, StartOptions); 9] {
    [
        ("plain", StartOptions::new()),
        ("ignore_lock", StartOptions::new().ignore_lock()),
        ("force_execution", StartOptions::new().force_execution()),
        ("both", StartOptions::new().ignore_lock().force_execution()),
        ("only_existing", StartOptions::new().only_existing()),
        ("held lock", StartOptions::new().lock(HELD)),
        ("re-entrant owner", StartOptions::new().reentrant_owner(OWNER)),
        ("at most once", StartOptions::new().at_most_once()),
        ("higher limit", StartOptions::new().max_attempts(MAX_ATTEMPTS + 1)),
    ]
}
