//! How much is under way at a time: more while all goes well, less while DynamoDB asks for patience.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Additive increase, multiplicative decrease (Chiu and Jain, *Analysis of the Increase and Decrease Algorithms for Congestion
/// Avoidance in Computer Networks*, 1989), as TCP does it.
pub(super) struct Limiter {
    turns: Semaphore,
    state: Mutex<State>,
    most: usize,
}

struct State {
    limit: usize,
    /// How many have gone well since the limit was changed.
    well: usize,
    /// How many turns are to be kept back when they end.
    surplus: usize,
}

impl Limiter {
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        let state = State { limit: most, well: 0, surplus: 0 };
        Self { turns: Semaphore::new(most), state: Mutex::new(state), most }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = self.turns.acquire().await.ok()?;
        let mut state = self.state();
        if state.surplus > 0 {
            // This one goes, and takes its turn with it.
            state.surplus -= 1;
            turn.forget();
            return None;
        }
        Some(turn)
    }

    /// How a turn went: under pressure, or well.
    pub(super) fn adapt(&self, pressed: bool) {
        let mut state = self.state();
        if pressed {
            // Those that were under way together count as one sign.
            if state.well > 0 {
                let fewer = state.limit / 2;
                state.surplus += fewer;
                state.limit -= fewer;
                state.well = 0;
            }
            return;
        }
        state.well += 1;
        if state.well >= state.limit && state.limit < self.most {
            state.limit += 1;
            state.well = 1;
            match state.surplus {
                0 => self.turns.add_permits(1),
                _ => state.surplus -= 1,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_halves_and_success_adds_one() {
        let limiter = Limiter::new(16);
        let limit = || limiter.state().limit;
        limiter.adapt(false);
        limiter.adapt(true);
        assert_eq!(limit(), 8);
        // The others that were under way say the same, and it is not said twice.
        limiter.adapt(true);
        assert_eq!(limit(), 8);
        (0..8).for_each(|_| limiter.adapt(false));
        assert_eq!(limit(), 9);
        (0..1000).for_each(|_| limiter.adapt(false));
        assert_eq!(limit(), 16, "and never more than it may");
    }

    #[tokio::test]
    async fn turns_follow_the_limit() {
        let limiter = Limiter::new(4);
        let turns = [limiter.turn().await, limiter.turn().await, limiter.turn().await, limiter.turn().await];
        limiter.adapt(false);
        limiter.adapt(true);
        drop(turns);
        // Two go with their turns, and two are left.
        assert!(limiter.turn().await.is_none() && limiter.turn().await.is_none());
        let (one, two) = (limiter.turn().await, limiter.turn().await);
        assert!(one.is_some() && two.is_some() && limiter.turns.try_acquire().is_err());
    }
}
