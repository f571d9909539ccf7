//! How far it is: a bar on a terminal, a line now and then in a log.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const STYLE: &str = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
/// In a log, a line follows the one before after so long.
const PAUSE: Duration = Duration::from_secs(20);

/// Says on standard error that a part is over, and when, so that a log of a run that was broken off says how far it came.
pub(crate) fn passed(what: &str) {
    let now = chrono::Utc::now().format("%H:%M:%S");
    eprintln!("{now} {what}, {:.0} MB at most", peak_rss_mb());
}

pub(crate) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    begun: Instant,
    said: Mutex<Instant>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, all: u64) -> Self {
        let style = ProgressStyle::with_template(STYLE).expect("a template");
        let bar = ProgressBar::new(all).with_style(style).with_message(what);
        let now = Instant::now();
        Self { what, bar, begun: now, said: Mutex::new(now) }
    }

    /// One more.
    pub(crate) fn add(&self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.is_time() {
            let (now, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            let rate = now as f64 / self.begun.elapsed().as_secs_f64();
            eprintln!("{now} of {all} {}, {rate:.0} a second, {:.0} MB at most", self.what, peak_rss_mb());
        }
    }

    fn is_time(&self) -> bool {
        let mut said = self.said.lock().expect("nobody panics with it");
        let is_time = said.elapsed() >= PAUSE;
        if is_time {
            *said = Instant::now();
        }
        is_time
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// The most memory that this process has ever had, as the kernel counts it.
pub(crate) fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high-water mark");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024.0 / 1e6
}
