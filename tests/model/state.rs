//! States, steps between them, and what must hold in each.

use dynamo_tracker::Status;
use dynamo_tracker::protocol::{Operate, Operation};
use stateright::{Model, Property};

use crate::item::{Item, Ticks, Token, time};
use crate::rules::{Answer, LEASE, Mutant, Outcome, Request, SKEW, Way};

/// Time ends here.
const LAST_TICK: Ticks = 6;
/// How far each worker's clock is ahead of the true time. They differ by no more than the skew.
const AHEAD: [Ticks; 3] = [0, SKEW, 0];
/// How many extensions a worker sends under one lock.
const MAX_STEPS: u8 = 2;

/// One scenario: how much of each kind of trouble there is.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    workers: usize,
    /// How often each worker may begin: a start, or a start again after a crash.
    starts: u8,
    /// How often operators redrive, ignore or unlock.
    operations: u8,
    /// The limit of attempts.
    limit: u32,
    /// How much deeper than the others this one is searched, since it has fewer states.
    pub(crate) deeper: usize,
    mutant: Option<Mutant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    now: Ticks,
    item: Option<Item>,
    workers: Vec<Worker>,
    /// Requests that may still arrive, each with how often.
    network: Vec<(Request, u8)>,
    operations: u8,
    seen: Seen,
}

/// What an all-knowing observer has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Seen {
    /// An operator has taken a lock away.
    interference: bool,
    /// How often the task was taken since it was made, redriven or replaced.
    acquisitions: u8,
    /// The tokens that have taken the task.
    taken: u16,
    /// The tokens whose outcome was written.
    recorded: u16,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Broken {
    SuccessChanged,
    GenerationNotGrown,
    FalseRefusal,
    FalseLoss,
    FalseRecord,
    LiveLeaseEnded,
    TakenTwice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Worker {
    phase: Phase,
    /// How many tokens it has made.
    made: u8,
    /// When its lease ends by its monotonic clock, in true time.
    deadline: Ticks,
    step: u8,
    attempts: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Idle,
    Starting,
    Holding,
    Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Tick,
    /// A worker makes a token and sends a start.
    Start(usize),
    Extend(usize),
    End(usize, Outcome),
    /// A worker dies, or gives up; it may start again.
    Crash(usize),
    /// The request at this place arrives, and its answer gets through or not.
    Deliver(usize, Fate),
    Operate(Operation),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    AnswerLost,
}

impl Protocol {
    /// Many workers; operators; and few of everything, searched deeper, with two attempts and with one.
    pub(crate) fn scenarios() -> [Self; 4] {
        let many = Self { workers: 3, starts: 2, operations: 0, limit: 2, deeper: 0, mutant: None };
        let operators = Self { starts: 1, operations: 2, ..many.clone() };
        [many, operators, Self::smallest(2), Self::smallest(1)]
    }

    /// Two workers that begin once each.
    pub(crate) fn smallest(limit: u32) -> Self {
        Self { workers: 2, starts: 1, operations: 0, limit, deeper: 2, mutant: None }
    }

    pub(crate) fn broken(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    fn token(&self, worker: usize, made: u8) -> Token {
        u8::try_from(worker).expect("few workers") * self.starts + made
    }

    /// The token that the worker made last.
    fn held(&self, state: &State, worker: usize) -> Token {
        self.token(worker, state.workers[worker].made - 1)
    }

    fn owner(&self, token: Token) -> usize {
        usize::from(token / self.starts)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let worker = Worker { phase: Phase::Idle, made: 0, deadline: 0, step: 0, attempts: 0 };
        vec![State {
            now: 0,
            item: None,
            workers: vec![worker; self.workers],
            network: Vec::new(),
            operations: self.operations,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.seen.broken.is_some() {
            return;
        }
        if state.now < LAST_TICK {
            steps.push(Step::Tick);
        }
        for (number, worker) in state.workers.iter().enumerate() {
            match worker.phase {
                Phase::Idle if worker.made < self.starts => steps.push(Step::Start(number)),
                Phase::Idle => {}
                Phase::Starting | Phase::Ending => steps.push(Step::Crash(number)),
                Phase::Holding => {
                    // An acquisition that was answered after its own deadline is renewed before any work begins.
                    if worker.step < MAX_STEPS && (state.now < worker.deadline || worker.step == 0) {
                        steps.push(Step::Extend(number));
                    }
                    let failed = match u32::from(worker.attempts) < self.limit {
                        true => Outcome::Failed,
                        false => Outcome::Exhausted,
                    };
                    steps.extend([
                        Step::End(number, Outcome::Succeeded),
                        Step::End(number, failed),
                        Step::Crash(number),
                    ]);
                }
            }
        }
        for place in 0..state.network.len() {
            steps.extend([Step::Deliver(place, Fate::Answered), Step::Deliver(place, Fate::AnswerLost)]);
        }
        if let (Some(item), true) = (state.item, state.operations > 0) {
            let record = item.to_record();
            let all = [Operation::Redrive, Operation::Ignore, Operation::Unlock];
            steps.extend(all.into_iter().filter(|operation| operation.is_legal(&record)).map(Step::Operate));
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Tick => state.now += 1,
            Step::Start(number) => {
                let now = state.now + AHEAD[number];
                let worker = &mut state.workers[number];
                let token = self.token(number, worker.made);
                // The lease counts from before the request is sent.
                *worker = Worker {
                    phase: Phase::Starting,
                    made: worker.made + 1,
                    deadline: state.now + LEASE,
                    step: 0,
                    attempts: 0,
                };
                state.send(Request::Start { token, now, way: Way::Ordinary });
            }
            Step::Extend(number) => {
                let (token, now) = (self.held(&state, number), state.now + AHEAD[number]);
                state.workers[number].step += 1;
                let step = state.workers[number].step;
                state.send(Request::Extend { token, now, step });
            }
            Step::End(number, status) => {
                let (token, now) = (self.held(&state, number), state.now + AHEAD[number]);
                state.workers[number].phase = Phase::Ending;
                state.send(Request::End { token, now, status });
            }
            Step::Crash(number) => state.workers[number].phase = Phase::Idle,
            Step::Deliver(place, fate) => self.deliver(&mut state, place, fate),
            Step::Operate(operation) => state.operate(operation),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one holder", |_, state: &State| state.holders() <= 1 || state.seen.interference),
            Property::always("a success stays", |_, state: &State| state.seen.broken != Some(Broken::SuccessChanged)),
            Property::always("attempts are limited", |model: &Self, state: &State| {
                u32::from(state.seen.acquisitions) <= model.limit
            }),
            Property::always("the generation grows", |_, state: &State| {
                state.seen.broken != Some(Broken::GenerationNotGrown)
            }),
            Property::always("a holder is not refused", |_, state: &State| {
                state.seen.broken != Some(Broken::FalseRefusal)
            }),
            Property::always("a recorded outcome is not lost", |_, state: &State| {
                state.seen.broken != Some(Broken::FalseLoss)
            }),
            Property::always("what is told is recorded", |_, state: &State| {
                state.seen.broken != Some(Broken::FalseRecord)
            }),
            Property::always("a live lease is not ended", |_, state: &State| {
                state.seen.broken != Some(Broken::LiveLeaseEnded)
            }),
            Property::always("a token takes the task once", |_, state: &State| {
                state.seen.broken != Some(Broken::TakenTwice)
            }),
            Property::always("a task ends or can be taken", |model: &Self, state: &State| {
                state.item.is_none_or(|item| model.ends_or_can_be_taken(item))
            }),
            Property::sometimes("a task succeeds", |_, state: &State| {
                state.item.is_some_and(|item| item.status == Status::Succeeded)
            }),
            Property::sometimes("a task is exhausted", |_, state: &State| {
                state.item.is_some_and(|item| item.status == Status::Exhausted)
            }),
            Property::sometimes("a lease runs out", |_, state: &State| {
                state.item.is_some_and(|item| item.expiry.is_some_and(|expiry| expiry + SKEW <= state.now))
            }),
        ]
    }
}

impl Protocol {
    fn deliver(&self, state: &mut State, place: usize, fate: Fate) {
        let request = state.network[place].0;
        state.network[place].1 -= 1;
        if state.network[place].1 == 0 {
            state.network.remove(place);
        }
        let before = state.item;
        let (after, answer) = request.deliver(before, self.limit, self.mutant);
        state.item = after;
        self.observe(state, request, before, after);
        if fate == Fate::Answered {
            self.answer(state, request, answer);
        }
    }

    /// What the observer makes of a request that was carried out, or not.
    fn observe(&self, state: &mut State, request: Request, before: Option<Item>, after: Option<Item>) {
        let Some(new) = after.filter(|_| after != before) else { return };
        let replaces = matches!(request, Request::Start { way: Way::Replace { .. }, .. });
        let mut broken = |what| {
            state.seen.broken.get_or_insert(what);
        };
        if let Some(old) = before {
            if old.status == Status::Succeeded && !(replaces && old.expire_at.is_some()) {
                broken(Broken::SuccessChanged);
            }
            let taken = new.lock.is_some() && new.lock != old.lock;
            if new.generation < old.generation || (taken && new.generation == old.generation) {
                broken(Broken::GenerationNotGrown);
            }
        }
        match request {
            Request::Start { token, .. } => {
                // The record remembers two tokens, the lock and the last one. A copy that is later than that takes the task
                // for nobody, which costs an attempt and a lease.
                let remembered = before.is_some_and(|old| old.lock == Some(token) || old.last_lock == Some(token));
                if remembered && state.seen.taken & (1 << token) != 0 {
                    state.seen.broken.get_or_insert(Broken::TakenTwice);
                }
                state.seen.taken |= 1 << token;
                let fresh = before.is_none() || replaces;
                state.seen.acquisitions = if fresh { 1 } else { state.seen.acquisitions + 1 };
            }
            Request::Exhaust { .. } => {
                let live = before.and_then(|old| old.lock).map(|token| self.owner(token)).is_some_and(|number| {
                    let worker = &state.workers[number];
                    worker.phase == Phase::Holding
                        && state.now < worker.deadline
                        && before.and_then(|old| old.lock) == Some(self.held(state, number))
                });
                if live {
                    state.seen.broken.get_or_insert(Broken::LiveLeaseEnded);
                }
            }
            Request::Extend { .. } => {}
            Request::End { token, .. } => state.seen.recorded |= 1 << token,
        }
    }

    /// What a worker does with an answer.
    fn answer(&self, state: &mut State, request: Request, answer: Answer) {
        let token = request.token();
        let number = self.owner(token);
        if state.workers[number].made == 0 || self.held(state, number) != token {
            return;
        }
        let phase = state.workers[number].phase;
        let recorded = state.seen.recorded & (1 << token) != 0;
        let worker = &mut state.workers[number];
        match (request, phase, answer) {
            (Request::Start { .. }, Phase::Starting, Answer::Done { attempts }) => {
                worker.phase = Phase::Holding;
                worker.attempts = attempts;
            }
            (Request::Start { now, .. }, Phase::Starting, Answer::Take(way)) => {
                state.send(Request::Start { token, now, way });
            }
            (Request::Start { now, .. }, Phase::Starting, Answer::Exhaust { generation, lock, expiry }) => {
                state.send(Request::Exhaust { token, now, generation, lock, expiry });
            }
            (Request::Start { .. }, Phase::Starting, Answer::No) => {
                worker.phase = Phase::Idle;
                if state.item.is_some_and(|item| item.lock == Some(token)) {
                    state.seen.broken = Some(Broken::FalseRefusal);
                }
            }
            (Request::Exhaust { .. }, Phase::Starting, _) => worker.phase = Phase::Idle,
            (Request::Extend { now: sent, .. }, Phase::Holding, Answer::Done { .. }) => {
                worker.deadline = worker.deadline.max(sent - AHEAD[number] + LEASE);
            }
            (Request::Extend { .. }, Phase::Holding, _) => worker.phase = Phase::Idle,
            (Request::End { .. }, Phase::Ending, Answer::Done { .. }) => {
                worker.phase = Phase::Idle;
                if !recorded {
                    state.seen.broken = Some(Broken::FalseRecord);
                }
            }
            (Request::End { status, .. }, Phase::Ending, _) => {
                worker.phase = Phase::Idle;
                let untouched = |item: Item| item.last_lock == Some(token) && item.status == status.into();
                if recorded && state.item.is_some_and(untouched) {
                    state.seen.broken = Some(Broken::FalseLoss);
                }
            }
            _ => {}
        }
    }
}

impl State {
    /// Puts a request on its way, which may arrive twice.
    fn send(&mut self, request: Request) {
        let place = self.network.partition_point(|(other, _)| *other < request);
        match self.network.get_mut(place) {
            Some((same, copies)) if *same == request => *copies = 2,
            _ => self.network.insert(place, (request, 2)),
        }
    }

    /// How many workers think that they have the task.
    fn holders(&self) -> usize {
        let holds = |worker: &&Worker| worker.phase == Phase::Holding && self.now < worker.deadline;
        self.workers.iter().filter(holds).count()
    }

    fn operate(&mut self, operation: Operation) {
        let record = self.item.expect("a record to operate on").to_record();
        let write = Operate::on(&record, operation, time(self.now), None);
        self.operations -= 1;
        self.seen.interference |= record.lock.is_some();
        if operation == Operation::Redrive {
            self.seen.acquisitions = 0;
        }
        self.item = Some(Item::of(&write.apply(record)));
    }
}

impl Protocol {
    /// The task is over, or a start at some later time takes it or ends it.
    fn ends_or_can_be_taken(&self, item: Item) -> bool {
        let now = LAST_TICK + LEASE + 2 * SKEW + 1;
        let start = Request::Start { token: Token::MAX, now, way: Way::Ordinary };
        item.status.is_final() || start.deliver(Some(item), self.limit, self.mutant).1 != Answer::No
    }
}
