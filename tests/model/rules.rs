//! The crate's rules on a request as it arrives, and ways to break them.

use dynamo_tracker::protocol::{Acquire, End, Exhaust, Extend, Path, Terms, Verdict};
use dynamo_tracker::{StartOptions, Status, Tracker};

use crate::item::{Cause, Item, Ticks, Token, error, length, lock_token, new_record, time};

/// The length of a lease, the clock error that is tolerated, and the retention.
pub(crate) const LEASE: Ticks = 2;
pub(crate) const SKEW: Ticks = 1;
pub(crate) const RETENTION: Ticks = 1;

/// A rule that is left out or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mutant {
    /// An outcome is written whoever has the lock.
    NoFence,
    /// A start takes a task that is locked with its own fresh token.
    FreshTokenInCondition,
    /// A contender takes over as soon as the lease ends by its own clock.
    NoSkew,
    /// An extension is written whatever its step.
    NoStep,
    /// A start does not look at the last lock.
    NoLastLock,
    /// An own start that was answered late is taken for a refusal.
    LateStartNotRecognised,
    /// An own outcome that was answered late is taken for a lost lease.
    LateEndNotRecognised,
    /// A failure is taken for written where the status alone fits.
    ErrorNotCompared,
    /// An abandoned task is exhausted although its holder has extended its lease since.
    ExhaustIgnoresExpiry,
    /// An expired record is replaced with its generation beginning again.
    GenerationBeginsAgain,
    /// A takeover does not count its attempt.
    TakeoverNotCounted,
    /// An abandoned task with no attempts left is refused, and never ended.
    AbandonedNotEnded,
    /// A task that has succeeded can be started.
    SucceededIsStartable,
}

/// A request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Request {
    Start { token: Token, now: Ticks, way: Way },
    Exhaust { token: Token, now: Ticks, generation: u8, lock: Option<Token>, expiry: Option<Ticks> },
    Extend { token: Token, now: Ticks, step: u8 },
    End { token: Token, now: Ticks, status: Outcome },
}

/// [`Path`] in a form that can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Way {
    Ordinary,
    Replace { generation: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Exhausted,
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Status::Succeeded,
            Outcome::Failed => Status::Failed,
            Outcome::Exhausted => Status::Exhausted,
        }
    }
}

/// What the sender is told, if it is told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Answer {
    /// It is in. For a start, how many attempts that makes.
    Done { attempts: u8 },
    /// Take it this way.
    Take(Way),
    /// Mark it exhausted.
    Exhaust { generation: u8, lock: Option<Token>, expiry: Option<Ticks> },
    /// A start is refused, or a lease lost.
    No,
}

impl Request {
    pub(crate) fn token(self) -> Token {
        match self {
            Request::Start { token, .. }
            | Request::Exhaust { token, .. }
            | Request::Extend { token, .. }
            | Request::End { token, .. } => token,
        }
    }

    /// Carries the request out on the item, and answers it.
    pub(crate) fn deliver(self, item: Option<Item>, limit: u32, mutant: Option<Mutant>) -> (Option<Item>, Answer) {
        let is = |wanted| mutant == Some(wanted);
        let mut record = item.map(Item::to_record);
        let last_lock = record.as_ref().and_then(|record| record.last_lock);
        let forgets = is(Mutant::NoLastLock) && matches!(self, Request::Start { .. });
        if let (Some(record), true) = (&mut record, forgets) {
            record.last_lock = None;
        }
        let (after, answer) = match self {
            Request::Start { token, now, way } => {
                start(acquire(token, now, way, limit, mutant), record.clone(), mutant)
            }
            Request::Exhaust { now, generation, lock, expiry, .. } => {
                let mut write = exhaust(now, generation, lock, expiry);
                if let (Some(record), true) = (&record, is(Mutant::ExhaustIgnoresExpiry)) {
                    write.lock_expire_time = record.lock_expire_time;
                }
                match write.permits(record.as_ref()) {
                    true => (record.clone().map(|record| write.apply(record, 1)), Answer::Done { attempts: 0 }),
                    false => (record.clone(), Answer::No),
                }
            }
            Request::Extend { token, now, step } => extend(token, now, step, record.clone(), mutant),
            Request::End { token, now, status } => end(&write_end(token, now, status), record.clone(), mutant),
        };
        let mut after = after;
        if let (Some(after), true) = (&mut after, forgets) {
            after.last_lock = after.last_lock.or(last_lock);
        }
        (after.as_ref().map(Item::of), answer)
    }
}

fn acquire(token: Token, now: Ticks, way: Way, limit: u32, mutant: Option<Mutant>) -> Acquire {
    let terms = Terms {
        indexed: false,
        now: time(now),
        lease: length(LEASE),
        skew: length(if mutant == Some(Mutant::NoSkew) { 0 } else { SKEW }),
        max_attempts: limit,
        previous_succeeded: None,
    };
    let mut acquire = Acquire::new(&StartOptions::new(), lock_token(token), terms);
    if let Way::Replace { generation } = way {
        acquire.path = Path::Replace { generation: generation.into() };
    }
    acquire
}

fn start(acquire: Acquire, record: Option<Tracker<()>>, mutant: Option<Mutant>) -> (Option<Tracker<()>>, Answer) {
    let is = |wanted| mutant == Some(wanted);
    let own = record.as_ref().is_some_and(|record| record.lock == Some(acquire.token));
    let in_progress = record.as_ref().is_some_and(|record| record.status == Status::InProgress);
    let succeeded = record.as_ref().is_some_and(|record| record.status == Status::Succeeded);
    let permitted = acquire.permits(record.as_ref())
        || (is(Mutant::FreshTokenInCondition) && own)
        || (is(Mutant::SucceededIsStartable) && succeeded && acquire.path == Path::Ordinary);
    if permitted {
        let mut after = acquire.apply(record, new_record);
        if is(Mutant::GenerationBeginsAgain) && acquire.path != Path::Ordinary {
            after.generation = 1;
        }
        if is(Mutant::TakeoverNotCounted) && in_progress {
            after.attempts -= 1;
        }
        let attempts = after.attempts.try_into().expect("few attempts");
        return (Some(after), Answer::Done { attempts });
    }
    let ordinary = Acquire { path: Path::Ordinary, ..acquire };
    let answer = match ordinary.judge(record.as_ref()) {
        Verdict::Ours if is(Mutant::LateStartNotRecognised) => Answer::No,
        Verdict::Ours => {
            let attempts = record.as_ref().map_or(0, |record| record.attempts).try_into().expect("few attempts");
            Answer::Done { attempts }
        }
        Verdict::Take(Path::Replace { generation }) => {
            Answer::Take(Way::Replace { generation: generation.try_into().expect("few generations") })
        }
        Verdict::Exhaust(_) if is(Mutant::AbandonedNotEnded) => Answer::No,
        Verdict::Exhaust(write) => {
            let seen = record.as_ref().map(Item::of).expect("what was judged");
            debug_assert_eq!(write.generation, u64::from(seen.generation));
            Answer::Exhaust { generation: seen.generation, lock: seen.lock, expiry: seen.expiry }
        }
        // The next try is another start; a worker of the model makes one by itself.
        _ => Answer::No,
    };
    (record, answer)
}

fn exhaust(now: Ticks, generation: u8, lock: Option<Token>, expiry: Option<Ticks>) -> Exhaust {
    Exhaust {
        due_time: None,
        now: time(now),
        status: Status::InProgress,
        generation: generation.into(),
        lock: lock.map(lock_token),
        lock_expire_time: expiry.map(time),
        error: Some(error(Cause::LeaseExpired)),
        expire_at: None,
    }
}

fn extend(
    token: Token,
    now: Ticks,
    step: u8,
    record: Option<Tracker<()>>,
    mutant: Option<Mutant>,
) -> (Option<Tracker<()>>, Answer) {
    let write = Extend {
        token: lock_token(token),
        now: time(now),
        step: step.into(),
        expires: Some(time(now + LEASE)),
        indexed: false,
    };
    let any_step = Extend { step: u32::MAX, ..write.clone() };
    let permitted =
        write.permits(record.as_ref()) || (mutant == Some(Mutant::NoStep) && any_step.permits(record.as_ref()));
    match record {
        Some(record) if permitted => (Some(write.apply(record)), Answer::Done { attempts: 0 }),
        record if write.is_in(record.as_ref()) => (record, Answer::Done { attempts: 0 }),
        record => (record, Answer::No),
    }
}

fn write_end(token: Token, now: Ticks, outcome: Outcome) -> End {
    let status = Status::from(outcome);
    let errors = (status != Status::Succeeded).then(|| vec![error(Cause::Work(token))]);
    let expire_at = (status == Status::Succeeded).then(|| time(now + RETENTION));
    End { token: lock_token(token), now: time(now), status, attempts: None, errors, due_time: None, expire_at }
}

fn end(write: &End, record: Option<Tracker<()>>, mutant: Option<Mutant>) -> (Option<Tracker<()>>, Answer) {
    let done = Answer::Done { attempts: 0 };
    let permitted = write.permits(record.as_ref()) || (mutant == Some(Mutant::NoFence) && record.is_some());
    match record {
        Some(record) if permitted => (Some(write.apply(record)), done),
        record if mutant == Some(Mutant::LateEndNotRecognised) => (record, Answer::No),
        record if mutant == Some(Mutant::ErrorNotCompared) => {
            let loose = End { errors: None, ..write.clone() };
            let answer = if loose.is_in(record.as_ref()) { done } else { Answer::No };
            (record, answer)
        }
        record if write.is_in(record.as_ref()) => (record, done),
        record => (record, Answer::No),
    }
}
