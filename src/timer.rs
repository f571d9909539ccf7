//! Many sleeps on one of tokio's timers.
//!
//! A task of ours waits for six things that hardly ever come about: for each of its two requests, the time-outs of the try and of the
//! whole; then the next heartbeat, and the lease's end. To begin and end such a wait with tokio costs a task as much time as all else that
//! the crate does, since an earlier time than the others' wakes the thread that waits for the earliest. Here a wait is an entry in a slab,
//! and its time one in a heap, into which most come in their order. The task that wakes whoever waits sleeps until the earliest time there
//! was, and takes what has been given up since then into account only when that has passed.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_sdk_dynamodb::config::{self, AsyncSleep};
use futures_util::future::select;
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

/// As good as never, for times that can't be told.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);
/// So many times that nobody waits for any more may be left in the heap, however few are waited for.
const LEFT_OVER: usize = 64;
/// Room for so many is kept when nobody waits.
const MOST_KEPT: usize = 256;

/// Waits for so long.
pub(crate) fn sleep(duration: Duration) -> Sleep {
    let now = Instant::now();
    let until = now.checked_add(duration).unwrap_or(now + NEVER);
    Sleep { until: Some(until).filter(|until| *until > now), place: None }
}

/// The same for the SDK's time-outs and backoffs.
#[derive(Debug)]
pub(crate) struct Sleeper;

impl AsyncSleep for Sleeper {
    fn sleep(&self, duration: Duration) -> config::Sleep {
        config::Sleep::new(sleep(duration))
    }
}

/// A wait for a time. It is over when the task that wakes others has come round to it, a little after that.
pub(crate) struct Sleep {
    /// `None` where there is nothing to wait for.
    until: Option<Instant>,
    /// Where it stands, from its first turn on.
    place: Option<(Arc<Sleeps>, usize)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((sleeps, place)) = &self.place {
            return sleeps.wait(*place, cx.waker());
        }
        let Some(until) = self.until else { return Poll::Ready(()) };
        let sleeps = Sleeps::of_this_runtime();
        let place = sleeps.begin(until, cx.waker().clone());
        self.place = Some((sleeps, place));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((sleeps, place)) = &self.place {
            // Dropped when the lock is free again: a waker may be the last to hold a future, with another sleep in it.
            let _waker = sleeps.state().leave(*place);
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Those of one runtime, since a runtime may stand still while another goes on.
struct Sleeps {
    runtime: Handle,
    state: Mutex<State>,
    /// Wakes the task that wakes the others, since there is an earlier time.
    earlier: Notify,
}

#[derive(Default)]
struct State {
    waiting: Slab<Wait>,
    /// The times of all who wait, and their places. Who waits no more is left in it for a while, since to look for its time would cost
    /// more than all else. Another may have its place by then.
    times: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Until when the task that wakes them sleeps. `None` where there is no such task.
    sleeps_until: Option<Instant>,
}

struct Wait {
    until: Instant,
    /// `None` once the time has come.
    waker: Option<Waker>,
}

impl State {
    fn leave(&mut self, place: usize) -> Option<Waker> {
        let left = self.waiting.try_remove(place)?;
        // So rarely that it comes to a step or two for each who leaves.
        if self.times.len() > 2 * self.waiting.len() + LEFT_OVER {
            let Self { waiting, times, .. } = self;
            times.retain(|Reverse(time)| is_awaited(waiting, *time));
        }
        if self.waiting.is_empty() && self.waiting.capacity() > MOST_KEPT {
            // There were many, and they are to leave no more behind than few.
            self.waiting.shrink_to_fit();
            self.times.shrink_to(MOST_KEPT);
        }
        left.waker
    }

    /// The wakers of those whose time has come.
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut due = Vec::new();
        while let Some(&Reverse(first)) = self.times.peek() {
            let awaited = is_awaited(&self.waiting, first);
            if awaited && first.0 > now {
                break;
            }
            self.times.pop();
            if awaited {
                due.extend(self.waiting[first.1].waker.take());
            }
        }
        due
    }
}

/// Whether somebody with this place waits for this time.
fn is_awaited(waiting: &Slab<Wait>, (time, place): (Instant, usize)) -> bool {
    waiting.get(place).is_some_and(|wait| wait.until == time)
}

impl Sleeps {
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    fn of_this_runtime() -> Arc<Self> {
        thread_local! {
            /// A thread is nearly always of the same runtime.
            static LATEST: RefCell<Weak<Sleeps>> = const { RefCell::new(Weak::new()) };
        }
        let runtime = Handle::current();
        LATEST.with_borrow_mut(|latest| match latest.upgrade() {
            Some(sleeps) if sleeps.runtime.id() == runtime.id() => sleeps,
            _ => {
                let sleeps = Self::of(runtime);
                *latest = Arc::downgrade(&sleeps);
                sleeps
            }
        })
    }

    fn of(runtime: Handle) -> Arc<Self> {
        static ALL: Mutex<Vec<Weak<Sleeps>>> = Mutex::new(Vec::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().filter_map(Weak::upgrade).find(|sleeps| sleeps.runtime.id() == runtime.id());
        known.unwrap_or_else(|| {
            let sleeps = Arc::new(Self { runtime, state: Mutex::default(), earlier: Notify::new() });
            all.retain(|sleeps| sleeps.strong_count() > 0);
            all.push(Arc::downgrade(&sleeps));
            sleeps
        })
    }

    /// The place of a new wait.
    fn begin(self: &Arc<Self>, until: Instant, waker: Waker) -> usize {
        let mut state = self.state();
        let place = state.waiting.insert(Wait { until, waker: Some(waker) });
        state.times.push(Reverse((until, place)));
        let known = state.sleeps_until;
        if known.is_some_and(|time| time <= until) {
            return place;
        }
        state.sleeps_until = Some(until);
        match known {
            Some(_) => self.earlier.notify_one(),
            None => drop(self.runtime.spawn(wake_in_time(Arc::clone(self)))),
        }
        self.hand_over();
        place
    }

    /// Lets another thread have the task that wakes others. What a thread of the runtime has woken last is that thread's alone (*LIFO slot*,
    /// documentation of `tokio::runtime`), until something else comes there. If the thread now did work that does not yield, nobody
    /// would be woken.
    fn hand_over(&self) {
        self.runtime.spawn(async {});
    }

    /// Whether the time has come. Where not, this waker is the one to be woken.
    fn wait(&self, place: usize, waker: &Waker) -> Poll<()> {
        // Declared before the lock is taken, so dropped when it is free again.
        let _before;
        let mut state = self.state();
        match &mut state.waiting[place].waker {
            None => return Poll::Ready(()),
            Some(known) if known.will_wake(waker) => {}
            Some(known) => _before = std::mem::replace(known, waker.clone()),
        }
        Poll::Pending
    }

    /// Wakes those whose time has come. Returns the time of the next; `None` where nobody waits, and then this task is to end.
    fn wake_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let (due, next) = {
            let mut state = self.state();
            let due = state.take_due(now);
            state.sleeps_until = state.times.peek().map(|Reverse((time, _))| *time);
            (due, state.sleeps_until)
        };
        due.into_iter().for_each(Waker::wake);
        next
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever waits, until nobody does.
async fn wake_in_time(sleeps: Arc<Sleeps>) {
    while let Some(next) = sleeps.wake_due() {
        select(pin!(tokio::time::sleep_until(next)), pin!(sleeps.earlier.notified())).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    const SHORT: Duration = Duration::from_millis(10);

    fn alive() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    /// The task that wakes others ends some time after the last of them.
    async fn until_nobody_waits() {
        while alive() > 0 {
            tokio::time::sleep(SHORT).await;
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn each_wakes_in_its_turn() {
        let begun = Instant::now();
        let sleeps = [3, 1, 2, 1, 0, 4].map(|times| async move {
            sleep(SHORT * times).await;
            assert!(begun.elapsed() >= SHORT * times);
        });
        join_all(sleeps).await;
        until_nobody_waits().await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_earlier_time_is_not_missed() {
        let mut late = pin!(sleep(Duration::from_secs(3600)));
        assert!(late.as_mut().now_or_never().is_none());
        // Now the task that wakes others sleeps for an hour.
        tokio::task::yield_now().await;
        sleep(SHORT).await;
        assert!(late.now_or_never().is_none());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_waits_no_more_is_forgotten() {
        for _ in 0..1000 {
            assert!(sleep(SHORT).now_or_never().is_none());
        }
        let sleeps = Sleeps::of_this_runtime();
        assert!(sleeps.state().waiting.is_empty());
        assert!(sleeps.state().times.len() <= LEFT_OVER);
        let mut many: Vec<_> = (0..10_000).map(|_| Box::pin(sleep(SHORT))).collect();
        many.iter_mut().for_each(|sleep| assert!(sleep.now_or_never().is_none()));
        drop(many);
        assert!(sleeps.state().waiting.capacity() <= MOST_KEPT);
        assert!(sleeps.state().times.capacity() <= MOST_KEPT);
        assert_eq!(alive(), 2, "one task for all of them, and the empty one that hands it over");
        until_nobody_waits().await;
        sleep(SHORT).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thread_that_does_not_yield_holds_up_no_wait() {
        struct Ring(std::sync::mpsc::SyncSender<()>);
        impl std::task::Wake for Ring {
            fn wake(self: Arc<Self>) {
                self.0.send(()).unwrap();
            }
        }
        // The second is earlier than the task that wakes others knows.
        let blocks = |before: Duration| async move {
            let mut late = pin!(sleep(before));
            assert!(late.as_mut().now_or_never().is_none());
            let (ring, rung) = std::sync::mpsc::sync_channel(1);
            let mut wait = pin!(sleep(SHORT));
            let waker = Waker::from(Arc::new(Ring(ring)));
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            rung.recv_timeout(Duration::from_secs(60)).unwrap();
        };
        tokio::spawn(blocks(SHORT)).await.unwrap();
        tokio::spawn(blocks(Duration::from_secs(3600))).await.unwrap();
    }

    #[test]
    fn a_runtime_that_stands_still_holds_up_no_other() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (still, other) = (runtime(), runtime());
        still.block_on(async { assert!(sleep(SHORT).now_or_never().is_none()) });
        other.block_on(sleep(SHORT));
        still.block_on(sleep(SHORT));
    }

    #[tokio::test]
    async fn a_time_that_can_t_be_told_does_not_come() {
        assert!(sleep(Duration::MAX).now_or_never().is_none());
    }
}
