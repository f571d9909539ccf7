//! Signals that this program passes on to its command.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::Mutex;

/// The signals that ask a program to end.
pub(crate) struct Signals {
    streams: Mutex<Vec<(Signal, unix::Signal)>>,
    /// How many have come.
    count: Cell<u32>,
}

impl Signals {
    /// From now on, they no longer end this program.
    pub(crate) fn listen() -> io::Result<Self> {
        let wanted = [
            (Signal::TERM, SignalKind::terminate()),
            (Signal::INT, SignalKind::interrupt()),
            (Signal::HUP, SignalKind::hangup()),
        ];
        let streams = wanted.into_iter().map(|(signal, kind)| Ok((signal, unix::signal(kind)?)));
        Ok(Self { streams: Mutex::new(streams.collect::<io::Result<_>>()?), count: Cell::new(0) })
    }

    /// Whether any has come.
    pub(crate) fn any(&self) -> bool {
        self.count.get() > 0
    }

    /// The next one, and whether it is the first.
    pub(crate) async fn next(&self) -> (Signal, bool) {
        let mut streams = self.streams.lock().await;
        let signal = std::future::poll_fn(|cx| {
            let come =
                streams.iter_mut().find_map(|(signal, stream)| stream.poll_recv(cx).is_ready().then_some(*signal));
            come.map_or(Poll::Pending, Poll::Ready)
        });
        let signal = signal.await;
        self.count.set(self.count.get() + 1);
        (signal, self.count.get() == 1)
    }

    /// What comes of `future`; `None` where a signal comes before.
    pub(crate) async fn during<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            output = future => Some(output),
            _ = self.next() => None,
        }
    }
}

/// Whether the terminal has sent this signal to the command as well, as it does with Ctrl-C to all of the foreground.
pub(crate) fn came_from_the_terminal(signal: Signal) -> bool {
    signal == Signal::INT
        && rustix::termios::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}
