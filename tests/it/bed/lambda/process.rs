//! The process of one sandbox, from its start to its end.

use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::{Notify, watch};

use super::Answer;
use super::runtime_api::Watcher;
use crate::bed::reaper;

/// What is known of a process.
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// It has not asked for an invocation yet.
    Init,
    Ready,
    /// It has said that it can't initialise, and is killed.
    CannotStart(Answer),
    Ended(ExitStatus),
}

impl Life {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::CannotStart(_) | Self::Ended(_))
    }
}

pub(super) struct Process {
    begun: Instant,
    init: OnceLock<Duration>,
    life: watch::Sender<Life>,
    kill: Notify,
}

impl Process {
    pub(super) fn new() -> Arc<Self> {
        let life = watch::Sender::new(Life::Init);
        Arc::new(Self { begun: Instant::now(), init: OnceLock::new(), life, kill: Notify::new() })
    }

    /// Runs `command` until it ends or is killed. It does not outlive the runtime, nor this program.
    pub(super) fn run(self: &Arc<Self>, mut command: Command) {
        let child = command.kill_on_drop(true).spawn();
        let child = child.unwrap_or_else(|error| panic!("can't start {:?}: {error}", command.as_std().get_program()));
        tokio::spawn(Arc::clone(self).supervise(child));
    }

    async fn supervise(self: Arc<Self>, mut child: Child) {
        let _watched = reaper::watch(child.id().expect("nobody has waited for it"));
        let ended = tokio::select! {
            status = child.wait() => status,
            () = self.kill.notified() => {
                // Where it has ended in this moment, there is nothing to kill.
                let _ = child.start_kill();
                child.wait().await
            }
        };
        let ended = Life::Ended(ended.expect("a child can be waited for"));
        // What it said of its end counts for more than the end itself.
        self.change(ended, |life| !life.is_over());
    }

    fn change(&self, to: Life, allowed: impl FnOnce(&Life) -> bool) {
        self.life.send_if_modified(|life| {
            let allowed = allowed(life);
            if allowed {
                *life = to;
            }
            allowed
        });
    }

    /// Kills it, without waiting for the end.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    pub(super) fn life(&self) -> Life {
        self.life.borrow().clone()
    }

    /// From the start of the process to its first question for an invocation, once that has come.
    pub(super) fn init(&self) -> Option<Duration> {
        self.init.get().copied()
    }

    /// Waits until its initialisation is over, one way or the other.
    pub(super) async fn initialised(&self) -> Life {
        self.until(|life| !matches!(life, Life::Init)).await
    }

    pub(super) async fn ended(&self) -> Life {
        self.until(Life::is_over).await
    }

    async fn until(&self, what: impl FnMut(&Life) -> bool) -> Life {
        self.life.subscribe().wait_for(what).await.expect("this has the sender").clone()
    }
}

impl Watcher for Process {
    fn asks(&self) {
        self.init.get_or_init(|| self.begun.elapsed());
        self.change(Life::Ready, |life| matches!(life, Life::Init));
    }

    fn cannot_start(&self, error: Answer) {
        self.change(Life::CannotStart(error), |life| !life.is_over());
        self.kill();
    }
}
