//! Keeping a lease while work runs, and stopping the work when it is lost.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};

use super::Held;
use super::beats::Beats;
use crate::error::Error;

/// What is done for a lease while its work runs, and when it is over.
pub(crate) struct Care {
    /// Whether it is extended.
    beats: bool,
    /// What finds out who has the task now, where the lease ran out. A pointer, so that a program which does not look has none
    /// of the SDK's code for reading.
    look: Option<for<'a> fn(&'a Held) -> BoxFuture<'a, Error>>,
}

impl Care {
    /// All of it.
    pub(crate) fn full() -> Self {
        Self { beats: true, look: Some(|held| Box::pin(held.look_who_has_it())) }
    }

    /// Without a look at the end, for which a Lambda function has neither time nor, perhaps, the permission.
    #[cfg(feature = "lambda")]
    pub(crate) fn without_look() -> Self {
        Self { beats: true, look: None }
    }

    pub(crate) fn beating(self, beats: bool) -> Self {
        Self { beats, ..self }
    }
}

/// A lease that is cared for.
pub(crate) struct Heart {
    held: Arc<Held>,
    care: Care,
    /// `None` where the lease is long enough as it is.
    beats: Option<Beats>,
}

/// The work was stopped.
pub(crate) struct Stopped<T> {
    /// Who has the task now, as far as that is known.
    pub(crate) error: Error,
    /// What came of the work, where it ended within the grace.
    pub(crate) output: Option<T>,
}

impl Heart {
    pub(crate) fn start(held: &Arc<Held>, care: Care) -> Self {
        let beats = care.beats.then(|| Beats::start(held));
        Self { held: Arc::clone(held), care, beats }
    }

    fn stop(&self) {
        if let Some(beats) = &self.beats {
            beats.stop();
        }
    }

    /// Runs `work` for as long as the lease is held. When it is lost, or has run out, whoever watches the token is told,
    /// and the work is dropped after the grace.
    pub(crate) async fn guard<F: Future>(&self, work: F) -> Result<F::Output, Stopped<F::Output>> {
        let (lost, output) = {
            let mut work = pin!(work);
            if let Some(output) = self.while_held(work.as_mut()).await {
                return Ok(output);
            }
            self.stop();
            let lost = self.held.give_up();
            (lost, self.within_grace(work).await)
        };
        // The work is gone by now, so it does not wait for this.
        let error = match (lost, self.care.look) {
            (Some(error), _) => error,
            (None, Some(look)) => look(&self.held).await,
            (None, None) => self.held.ran_out(None),
        };
        Err(Stopped { error, output })
    }

    /// What comes of the work; `None` where the lease is over before.
    async fn while_held<F: Future>(&self, mut work: Pin<&mut F>) -> Option<F::Output> {
        let mut over = pin!(self.held.until_over());
        poll_fn(|cx| {
            // A process that was suspended finds out here, before its work goes on.
            if self.held.has_run_out() || self.held.is_lost() {
                return Poll::Ready(None);
            }
            // The work comes first: where it is done at once, there is nothing to wait for.
            match work.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending => over.as_mut().poll(cx).map(|()| None),
            }
        })
        .await
    }

    /// What comes of the work whose lease is lost, where it ends within the grace.
    async fn within_grace<F: Future>(&self, work: Pin<&mut F>) -> Option<F::Output> {
        match self.held.grace() {
            // Without a grace, the work does not get another turn.
            Duration::ZERO => None,
            grace => match select(work, self.held.sleep(grace)).await {
                Either::Left((output, _)) => Some(output),
                Either::Right(_) => None,
            },
        }
    }
}
