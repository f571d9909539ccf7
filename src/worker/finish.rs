//! How a worker ends what it has under way.

use std::pin::pin;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::time::Clock;

/// What was told to give its task back has so long to say so to AWS.
const GIVING_BACK: Duration = Duration::from_secs(10);

/// Waits until nothing runs any more. What has not ended when the grace is over is told by `abandon` to give its task back; where
/// even that does not get through, it is aborted, and its lease runs out by itself. `tally` gets whatever ends.
pub(crate) async fn finish<T: 'static>(
    running: &mut JoinSet<T>,
    abandon: &CancellationToken,
    grace: Duration,
    clock: &dyn Clock,
    mut tally: impl FnMut(Result<T, JoinError>),
) {
    let mut over = pin!(clock.sleep(grace));
    while !abandon.is_cancelled() {
        tokio::select! {
            ended = running.join_next() => match ended {
                None => return,
                Some(ended) => tally(ended),
            },
            () = abandon.cancelled() => {}
            () = &mut over => abandon.cancel(),
        }
    }
    let mut over = pin!(clock.sleep(GIVING_BACK));
    loop {
        tokio::select! {
            ended = running.join_next() => match ended {
                None => return,
                Some(ended) => tally(ended),
            },
            () = &mut over => break,
        }
    }
    running.abort_all();
    while let Some(ended) = running.join_next().await {
        tally(ended);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::time::ManualClock;

    #[tokio::test]
    async fn what_does_not_even_give_back_is_aborted() {
        let (clock, abandon) = (ManualClock::new(DateTime::UNIX_EPOCH), CancellationToken::new());
        let mut running = JoinSet::new();
        // More than one, so that it waits on after the first.
        for _ in 0..3 {
            running.spawn(std::future::pending::<()>());
        }
        let mut aborted = 0;
        let grace = Duration::from_secs(30);
        let finished = finish(&mut running, &abandon, grace, &clock, |ended| {
            aborted += u32::from(ended.is_err_and(|error| error.is_cancelled()));
        });
        let time = async {
            clock.advance(grace);
            abandon.cancelled().await;
            // Its next sleep begins before this task has another turn.
            tokio::task::yield_now().await;
            clock.advance(GIVING_BACK);
        };
        tokio::join!(finished, time);
        assert_eq!(aborted, 3);
    }

    #[tokio::test]
    async fn what_ends_within_the_grace_is_not_told_to_give_back() {
        let (clock, abandon) = (ManualClock::new(DateTime::UNIX_EPOCH), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(async { 7 });
        let mut ended = Vec::new();
        finish(&mut running, &abandon, Duration::from_secs(30), &clock, |one| ended.push(one.ok())).await;
        assert_eq!((ended, abandon.is_cancelled()), (vec![Some(7)], false));
    }
}
