//! Signals that this program passes on to its command.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// Where the signals come from that a command is to get.
pub(super) trait Orders {
    /// The next one.
    async fn next(&self) -> Signal;
    /// Whether they were so many that the command is to be killed. A terminal that is hung up sends several by itself.
    fn is_order(&self) -> bool;
}

/// The signals that ask a program to end.
pub(super) struct Signals {
    streams: RefCell<Vec<(Signal, unix::Signal)>>,
    /// How many have come, of any kind; and how many that a second one of makes an order.
    all: Cell<u32>,
    orders: Cell<u32>,
}

impl Signals {
    /// From now on, they no longer end this program. Those that were ignored when it began, as by `nohup`, stay ignored.
    pub(super) fn listen() -> io::Result<Self> {
        // A parent that ignores its children's ends hands that on, and nobody could be waited for.
        drop(unix::signal(SignalKind::child())?);
        let ignored = ignored();
        let mut streams = Vec::new();
        for (signal, kind) in [
            (Signal::TERM, SignalKind::terminate()),
            (Signal::INT, SignalKind::interrupt()),
            (Signal::HUP, SignalKind::hangup()),
        ] {
            if ignored & (1 << (signal.as_raw() - 1)) == 0 {
                streams.push((signal, unix::signal(kind)?));
            }
        }
        Ok(Self { streams: RefCell::new(streams), all: Cell::new(0), orders: Cell::new(0) })
    }

    /// Whether any has come.
    pub(super) fn any(&self) -> bool {
        self.all.get() > 0
    }

    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Signal> {
        let mut streams = self.streams.borrow_mut();
        let come = streams.iter_mut().find_map(|(signal, stream)| stream.poll_recv(cx).is_ready().then_some(*signal));
        let Some(signal) = come else { return Poll::Pending };
        self.all.set(self.all.get() + 1);
        self.orders.set(self.orders.get() + u32::from(signal != Signal::HUP));
        Poll::Ready(signal)
    }

    /// What comes of `future`, or the signal that comes before.
    pub(super) async fn during<F: Future>(&self, future: F) -> Result<F::Output, Signal> {
        tokio::select! {
            output = future => Ok(output),
            signal = self.next() => Err(signal),
        }
    }
}

impl Orders for Signals {
    async fn next(&self) -> Signal {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn is_order(&self) -> bool {
        self.orders.get() > 1
    }
}

/// The signals that are ignored, a bit for each, where the system says (`proc_pid_status(5)`).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default()
}

/// Whether the terminal has sent this signal to the command as well, as it does with Ctrl-C to all of the foreground.
pub(super) fn came_from_the_terminal(signal: Signal) -> bool {
    signal == Signal::INT
        && std::fs::File::open("/dev/tty").is_ok_and(|terminal| {
            rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
        })
}
