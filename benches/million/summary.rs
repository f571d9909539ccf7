//! What it has come to.

use std::time::Duration;

use serde_json::json;

use crate::Args;
use crate::fill::EARLY;
use crate::look::{Due, Looked};
use crate::progress::peak_rss_mb;
use crate::proof::Proof;
use crate::work::Worked;

/// This process must stay below.
const MOST_MB: f64 = 200.0;

pub(crate) struct Summary {
    pub(crate) created: u64,
    pub(crate) create: Duration,
    /// Among few tasks, and among all.
    pub(crate) due: [Due; 2],
    pub(crate) looked: Looked,
    pub(crate) worked: Worked,
    pub(crate) proof: Proof,
}

impl Summary {
    /// Whether each task ran exactly once, and memory was bounded.
    pub(crate) fn is_right(&self, args: &Args) -> bool {
        let (looked, worked, proof) = (&self.looked, &self.worked, &self.proof);
        let counts = [self.created, looked.counted, looked.listed, worked.succeeded];
        let proofs = [proof.ran_once, proof.recorded, proof.recorded_once];
        let due =
            self.due.iter().all(|due| due.found as u64 == EARLY) && self.due[0].read_units == self.due[1].read_units;
        counts.iter().chain(&proofs).all(|count| *count == args.tasks) && due && peak_rss_mb() < MOST_MB
    }

    pub(crate) fn print(&self, args: &Args) {
        println!("{} tasks on {}, {} workers", args.tasks, args.backend, args.workers);
        self.print_looks();
        self.print_work();
        println!("memory       {:.0} MB at most", peak_rss_mb());
        println!("{}", if self.is_right(args) { "it adds up" } else { "IT DOES NOT ADD UP" });
        if args.json {
            println!("{}", self.json(args));
        }
    }

    fn print_looks(&self) {
        let looked = &self.looked;
        println!("created      {:.1} s, {:.0} a second", self.create.as_secs_f64(), self.per_second(self.create));
        for Due { not_due, found, read_units, time } in &self.due {
            println!("due          {found} among {not_due} that are not: {read_units} read units, {time:.1?}");
        }
        println!("a page       of 100 in {:.1?}", looked.page);
        println!("counted      {} in {:.1?}", looked.counted, looked.count);
        println!("listed       {} in {:.1?}", looked.listed, looked.list);
    }

    fn print_work(&self) {
        let (worked, proof) = (&self.worked, &self.proof);
        println!("worked off   {:.1} s, {:.0} a second", worked.time.as_secs_f64(), self.per_second(worked.time));
        println!("wasted       {} starts, {:.2} %", worked.refused, 100.0 * self.wasted());
        println!("ran once     {}, never {}, more than once {}", proof.ran_once, proof.never_ran, proof.ran_again);
        println!("recorded     {} of {} as succeeded at the first attempt", proof.recorded_once, proof.recorded);
    }

    fn json(&self, args: &Args) -> serde_json::Value {
        let (looked, worked, proof) = (&self.looked, &self.worked, &self.proof);
        json!({
            "tasks": self.created,
            "backend": args.backend.to_string(),
            "workers": args.workers,
            "create_s": self.create.as_secs_f64(),
            "due": self.due.each_ref().map(Due::json),
            "page_ms": millis(looked.page),
            "counted": looked.counted,
            "count_s": looked.count.as_secs_f64(),
            "listed": looked.listed,
            "list_s": looked.list.as_secs_f64(),
            "run_s": worked.time.as_secs_f64(),
            "tasks_per_s": self.per_second(worked.time),
            "wasted_starts": worked.refused,
            "other_outcomes": worked.other,
            "ran_once": proof.ran_once,
            "recorded_once": proof.recorded_once,
            "peak_rss_mb": peak_rss_mb(),
            "right": self.is_right(args),
        })
    }

    fn per_second(&self, time: Duration) -> f64 {
        self.created as f64 / time.as_secs_f64()
    }

    fn wasted(&self) -> f64 {
        self.worked.refused as f64 / (self.worked.refused + self.worked.succeeded) as f64
    }
}

impl Due {
    fn json(&self) -> serde_json::Value {
        json!({
            "not_due": self.not_due, "found": self.found, "read_units": self.read_units, "ms": millis(self.time),
        })
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
