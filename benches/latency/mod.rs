//! How long one task takes, one after the other, of several sides that take turns task by task, so that each meets what else the
//! machine does.

#[allow(clippy::duplicate_mod, reason = "a bench may have it by `compare` too")]
#[path = "../median/mod.rs"]
pub(crate) mod median;

use std::time::Duration;

use median::{median, quantile};

/// So many rounds come before those that count.
const WARM: usize = 20;

/// What the tasks of one side took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    #[allow(dead_code, reason = "not every bench has tasks enough to say it")]
    pub(crate) p99: Duration,
}

/// Has each side do a task in each round. `task` says how long its own part of that took.
pub(crate) async fn take_turns<S: Copy>(
    sides: &[S],
    rounds: usize,
    mut task: impl AsyncFnMut(S, usize) -> Duration,
) -> Vec<Latency> {
    let mut times = vec![Vec::with_capacity(rounds); sides.len()];
    for round in 0..WARM + rounds {
        for turn in 0..sides.len() {
            let side = whose(round, turn, sides.len());
            let taken = task(sides[side], round).await;
            if round >= WARM {
                times[side].push(taken.as_secs_f64());
            }
        }
    }
    times.iter().map(|times| latency(times)).collect()
}

/// Who begins changes from round to round, and so does who comes after whom: a task may leave caches cold for the next.
fn whose(round: usize, turn: usize, sides: usize) -> usize {
    let step = if round.is_multiple_of(2) { turn } else { sides - turn };
    (round + step) % sides
}

fn latency(seconds: &[f64]) -> Latency {
    let seconds = || seconds.iter().copied();
    let [p50, p99] = [median(seconds()), quantile(seconds(), 0.99)].map(Duration::from_secs_f64);
    Latency { p50, p99 }
}
