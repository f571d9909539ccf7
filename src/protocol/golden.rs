//! Every rule on every kind of record, written out in `golden.txt`, so that a change of the rules shows as a change there.
//!
//! That DynamoDB does the same is tested in `tests/it`. To write the file anew, after a change that is meant:
//!
//!     TRACKER_GOLDEN=write cargo test --lib golden

use std::fmt::Write as _;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Acquire, End, Extend, Operate, Operation, Path, StartOptions, Terms, Verdict};
use crate::record::{AttemptError, LockToken, TaskId, Tracker};
use crate::status::Status;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/protocol/golden.txt");
const OURS: LockToken = LockToken::from_u128(1);
const HELD: LockToken = LockToken::from_u128(2);
const OTHER: LockToken = LockToken::from_u128(3);
const OWNER: &str = "owner";
const LIMIT: u32 = 3;
const GENERATION: u64 = 5;
const PREVIOUS: Status = Status::Other(40);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1000, 0).expect("a time")
}

fn at(millis: i64) -> DateTime<Utc> {
    now() + TimeDelta::milliseconds(millis)
}

/// A lock, its owner, and how many milliseconds from now its lease ends.
type Lock = (LockToken, &'static str, i64);

/// Every state of lock and last lock that the rules tell apart.
const LOCKS: [(&str, Option<Lock>, Option<LockToken>); 9] = [
    ("unlocked", None, None),
    ("unlocked by other", None, Some(OTHER)),
    ("unlocked by us", None, Some(OURS)),
    ("ours", Some((OURS, "x", 60_000)), None),
    ("live", Some((OTHER, "x", 60_000)), None),
    ("within skew", Some((OTHER, "x", -999)), Some(HELD)),
    ("lapsed", Some((OTHER, "x", -1000)), None),
    ("held", Some((HELD, "x", 60_000)), None),
    ("owned", Some((OTHER, OWNER, 60_000)), None),
];

fn records() -> Vec<(String, Tracker<()>)> {
    let statuses = Status::ALL.into_iter().chain([PREVIOUS, Status::Other(77)]);
    let mut all = Vec::new();
    for status in statuses {
        for (lock_name, lock, last_lock) in LOCKS {
            for attempts in [LIMIT - 1, LIMIT] {
                for (when, due, expire) in [
                    ("due", Some(0), None),
                    ("later", Some(1), None),
                    ("expired", None, Some(0)),
                    ("kept", None, Some(1000)),
                ] {
                    let id = TaskId::new("ns", "t").expect("a good id");
                    let mut record = Tracker::new(id, (), LIMIT + 4, at(-5000));
                    (record.status, record.attempts, record.generation, record.step) =
                        (status, attempts, GENERATION, 2);
                    record.last_lock = last_lock;
                    if let Some((token, owner, expiry)) = lock {
                        record.lock = Some(token);
                        record.lock_owner = Some(owner.to_owned());
                        record.lock_time = Some(at(-7000));
                        record.lock_expire_time = Some(at(expiry));
                    }
                    record.errors.push(error("old"));
                    record.due_time = due.map(at);
                    record.expire_at = expire.map(at);
                    all.push((format!("{status}, {lock_name}, {attempts} of {LIMIT}, {when}"), record));
                }
            }
        }
    }
    all
}

fn error(message: &str) -> AttemptError {
    AttemptError::from_parts(2, now(), "E", message, None)
}

fn options() -> [(&'static str, StartOptions); 10] {
    let new = StartOptions::new;
    [
        ("plain", new()),
        ("owner", new().owner(OWNER)),
        ("reentrant", new().reentrant_owner(OWNER)),
        ("held", new().lock(HELD)),
        ("ignore_lock", new().ignore_lock()),
        ("force", new().force_execution()),
        ("both", new().ignore_lock().force_execution()),
        ("existing", new().only_existing()),
        ("once", new().at_most_once()),
        ("other limit", new().max_attempts(LIMIT + 1).expire(Duration::from_secs(5)).now(at(1))),
    ]
}

fn acquire(options: &StartOptions, previous: bool) -> Acquire {
    let terms = Terms {
        indexed: false,
        now: now(),
        lease: Duration::from_secs(60),
        skew: Duration::from_secs(1),
        max_attempts: LIMIT,
        previous_succeeded: previous.then_some(40),
    };
    Acquire::new(options, OURS, terms)
}

/// A token by its number, or `-`.
fn token(token: Option<LockToken>) -> String {
    token.map_or("-".to_owned(), |token| token.as_u128().to_string())
}

/// A time by its distance from now, or `-`.
fn time(time: Option<DateTime<Utc>>) -> String {
    time.map_or("-".to_owned(), |time| (time - now()).num_milliseconds().to_string())
}

fn fields(record: &Tracker<()>) -> [(&'static str, String); 15] {
    let errors: Vec<_> = record.errors.iter().map(|error| error.message.as_str()).collect();
    [
        ("status", record.status.to_string()),
        ("attempts", record.attempts.to_string()),
        ("max", record.max_attempts.to_string()),
        ("generation", record.generation.to_string()),
        ("step", record.step.to_string()),
        ("lock", token(record.lock)),
        ("last_lock", token(record.last_lock)),
        ("owner", record.lock_owner.clone().unwrap_or_default()),
        ("from", time(record.lock_time)),
        ("to", time(record.lock_expire_time)),
        ("due", time(record.due_time)),
        ("expire", time(record.expire_at)),
        ("create", time(Some(record.create_time))),
        ("update", time(Some(record.update_time))),
        ("errors", errors.join("+")),
    ]
}

/// What a write changes.
fn changes(before: Option<&Tracker<()>>, after: &Tracker<()>) -> String {
    let before = before.map(fields);
    let changed = fields(after)
        .into_iter()
        .enumerate()
        .filter(|(at, field)| before.as_ref().is_none_or(|all| all[*at] != *field));
    changed.map(|(_, (name, value))| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

/// What a start leads to, by one write or two.
fn start(request: &Acquire, record: Option<&Tracker<()>>) -> String {
    let new = || Tracker::new(TaskId::new("ns", "t").expect("a good id"), (), request.max_attempts, request.now);
    let take = |request: &Acquire| changes(record, &request.apply(record.cloned(), new));
    let permitted = request.permits(record);
    match request.judge(record) {
        Verdict::Permitted if permitted => format!("take {}", take(request)),
        _ if permitted => "take, and judged otherwise".to_owned(),
        Verdict::Take(path) => {
            let request = Acquire { path, ..request.clone() };
            let elsewhere = record.map(|record| Tracker { generation: GENERATION + 1, ..record.clone() });
            format!("{} {} {path:?} {}", request.permits(record), request.permits(elsewhere.as_ref()), take(&request))
        }
        Verdict::Exhaust(write) => {
            let record = record.expect("a record to exhaust");
            let others = [
                Tracker { generation: GENERATION + 1, ..record.clone() },
                Tracker { status: Status::Failed, lock: Some(HELD), ..record.clone() },
                Tracker { lock_expire_time: Some(at(7)), ..record.clone() },
                Tracker { status: Status::Succeeded, ..record.clone() },
            ];
            let permitted = (write.permits(Some(record)), others.map(|other| write.permits(Some(&other))));
            format!("exhaust {permitted:?} {}", changes(Some(record), &write.apply(record.clone(), 10)))
        }
        Verdict::Refuse(refusal) => format!("{refusal}"),
        other => format!("{other:?}"),
    }
}

fn table() -> String {
    let mut text = String::new();
    let mut line = |what: &str, result: String| writeln!(text, "{what}: {result}").expect("memory");
    let starts = options().into_iter().map(|(option, options)| (option, acquire(&options, false)));
    for (option, request) in starts.chain([("next stage", acquire(&StartOptions::new(), true))]) {
        line(&format!("start {option}, absent"), start(&request, None));
        for (name, record) in records() {
            line(&format!("start {option}, {name}"), start(&request, Some(&record)));
        }
    }
    // The rest does not depend on attempts and due time, but for those that are looked at.
    let few =
        || records().into_iter().filter(|(name, _)| name.ends_with("2 of 3, due") || name.contains("unlocked, 3 of 3"));
    let absent: Option<&Tracker<()>> = None;
    for path in [Path::NextStage { generation: GENERATION }, Path::Replace { generation: GENERATION }] {
        let request = Acquire { path, ..acquire(&StartOptions::new(), true) };
        line(&format!("{path:?}, absent"), request.permits(absent).to_string());
        for (name, record) in few() {
            line(&format!("{path:?}, {name}"), request.permits(Some(&record)).to_string());
        }
    }
    for (name, record) in few() {
        for (what, end) in ends() {
            let told = (end.permits(Some(&record)), end.is_in(Some(&record)));
            line(
                &format!("end {what}, {name}"),
                format!("{told:?} {}", changes(Some(&record), &end.apply(record.clone()))),
            );
        }
        for step in [1, 2, 3] {
            let write = Extend { token: OURS, now: now(), step, expires: (step != 3).then(|| at(9)), indexed: false };
            let told = (write.permits(Some(&record)), write.is_in(Some(&record)));
            line(
                &format!("extend {step}, {name}"),
                format!("{told:?} {}", changes(Some(&record), &write.apply(record.clone()))),
            );
        }
        for operation in [Operation::Redrive, Operation::Ignore, Operation::Unlock] {
            let write = Operate::on(&record, operation, now(), Some(at(8)));
            let after = write.apply(record.clone());
            let others = [
                Tracker { generation: 1, ..record.clone() },
                Tracker { lock: Some(LockToken::from_u128(9)), ..record.clone() },
                Tracker { status: Status::Other(1), ..record.clone() },
            ];
            let permitted =
                (write.permits(Some(&record)), write.permits(absent), others.map(|other| write.permits(Some(&other))));
            let later = Tracker { update_time: at(1), ..after.clone() };
            let locked = Tracker { lock: Some(OTHER), ..after.clone() };
            let next = Tracker { generation: GENERATION + 1, ..after.clone() };
            let told = [&after, &record, &later, &locked, &next].map(|record| write.is_in(record));
            let legal = operation.is_legal(&record);
            let words = (operation.name(), operation.expects());
            line(
                &format!("{words:?}, {name}"),
                format!("{legal} {permitted:?} {told:?} {}", changes(Some(&record), &after)),
            );
        }
        let failures = [LIMIT - 1, LIMIT, LIMIT + 1].map(|max_attempts| Tracker { max_attempts, ..record.clone() });
        let failures = failures.map(|record| End::status_of_failure(&record).to_string());
        line(&format!("failure, {name}"), failures.join(" "));
        let locked = [None, Some(HELD)].map(|held| record.is_locked(held, now()));
        line(&format!("is_locked, {name}"), format!("{locked:?} {}", record.has_expired(now())));
    }
    for (what, end) in ends() {
        line(&format!("end {what}, absent"), format!("{} {}", end.permits(absent), end.is_in(absent)));
    }
    let extend = Extend { token: OURS, now: now(), step: 1, expires: None, indexed: false };
    line("extend, absent", format!("{} {}", extend.permits(absent), extend.is_in(absent)));
    for kept in [1, 2, 3, 9] {
        let history = End::history(vec![error("1"), error("2")], &error("3"), kept);
        line(
            &format!("history of {kept}"),
            format!("{:?}", history.iter().map(|error| &*error.message).collect::<Vec<_>>()),
        );
    }
    text
}

fn ends() -> [(&'static str, End); 5] {
    let end = |status, errors: Option<&str>| End {
        token: OURS,
        now: now(),
        status,
        attempts: None,
        errors: errors.map(|message| vec![error(message)]),
        due_time: None,
        expire_at: None,
    };
    [
        ("success", End { expire_at: Some(at(6)), ..end(Status::Succeeded, None) }),
        ("success then", End { now: at(-5000), ..end(Status::Succeeded, None) }),
        ("failure", End { due_time: Some(at(7)), ..end(Status::Failed, Some("new")) }),
        ("failure again", end(Status::Exhausted, Some("old"))),
        ("release", End { attempts: Some(1), ..end(Status::Pending, None) }),
    ]
}

#[test]
fn golden() {
    let table = table();
    if std::env::var_os("TRACKER_GOLDEN").is_some() {
        std::fs::write(FILE, &table).expect("the file is written");
    }
    let golden = std::fs::read_to_string(FILE).expect("the file is there");
    let changed = table.lines().zip(golden.lines()).find(|(now, then)| now != then);
    assert_eq!(changed, None, "a rule has changed; if that is meant, see this file's head");
    assert_eq!(table.lines().count(), golden.lines().count());
}
