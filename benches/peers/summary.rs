//! What came of it.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::Args;
use crate::command::{Operation, Taken};
use crate::median::median;
use crate::peer::IN_FLIGHT;
use crate::report::Bars;
use crate::rounds::{Cell, LANES, Measured};
use crate::side::Side;

pub(crate) struct Summary<'a> {
    pub(crate) args: &'a Args,
    pub(crate) requests: HashMap<(Side, Operation), usize>,
    pub(crate) measured: Measured,
}

impl Summary<'_> {
    pub(crate) fn print(&self) {
        let Args { rounds, tasks, .. } = self.args;
        for about in &self.measured.about {
            println!("{about}");
        }
        println!("medians of {rounds} rounds of {tasks} tasks, on one DynamoDB Local");
        print_table("requests of a task", &Side::ALL, |side, operation| self.requests[&(side, operation)].to_string());
        for in_flight in LANES {
            let median = |what: fn(&Taken) -> f64| {
                move |side, operation| format!("{:.0}", self.median(Cell { side, operation, in_flight }, what))
            };
            let title = |what| format!("µs of {what} a task, {in_flight} in flight");
            print_table(&title("processor's time"), &Side::ALL, median(|taken| taken.cpu_us));
            print_table(&title("the clock"), &Side::ALL, median(|taken| taken.wall_us));
            for ours in Side::OURS {
                let title = format!("processor's time of {}, as a part of theirs, {in_flight} in flight", ours.name());
                print_table(&title, &Side::PEERS, |peer, operation| {
                    let ratio = self.ratio(Cell { side: ours, operation, in_flight }, peer);
                    format!("1/{:.1}", 1.0 / ratio)
                });
            }
        }
    }

    /// Everything, with the ratios that the crate is held to by names of their own: those of a first call, many in flight.
    pub(crate) fn json(&self) -> Value {
        json!({
            "ratio_python": self.first(Side::Idempotency, Side::Python),
            "ratio_typescript": self.first(Side::Idempotency, Side::TypeScript),
            "ratio_pynamodb_mate": self.first(Side::Run, Side::Mate),
            "rounds": self.args.rounds,
            "tasks": self.args.tasks,
            "about": self.measured.about,
            "rows": each(&Side::ALL, |cell| self.row(cell)),
            "ratios": each(&Side::OURS, |cell| self.ratios(cell)),
        })
    }

    /// The processor's time of each side, many tasks in flight.
    pub(crate) fn chart(&self) -> Bars {
        self.bars("Processor's time of a task, 32 in flight", "µs", IN_FLIGHT, |taken| taken.cpu_us)
    }

    /// How long a task takes where each waits for the one before.
    pub(crate) fn walls(&self) -> Bars {
        self.bars("Time of a task, one after the other", "µs", 1, |taken| taken.wall_us)
    }

    fn bars(&self, title: &str, y: &str, in_flight: u32, what: fn(&Taken) -> f64) -> Bars {
        let values =
            |side| Operation::ALL.map(|operation| self.median(Cell { side, operation, in_flight }, what)).to_vec();
        Bars {
            title: title.to_owned(),
            y: y.to_owned(),
            groups: Operation::ALL.map(|operation| operation.name().to_owned()).to_vec(),
            series: Side::ALL.map(|side| (side.name().to_owned(), values(side))).to_vec(),
        }
    }

    /// What a task took.
    fn row(&self, cell: Cell) -> Value {
        let Cell { side, operation, in_flight } = cell;
        json!({
            "side": side.name(),
            "operation": operation,
            "in_flight": in_flight,
            "requests": self.requests[&(side, operation)],
            "cpu_us": self.median(cell, |taken| taken.cpu_us),
            "wall_us": self.median(cell, |taken| taken.wall_us),
        })
    }

    /// What a task took of the processor, over what the same took the peers.
    fn ratios(&self, cell: Cell) -> Value {
        let Cell { side, operation, in_flight } = cell;
        json!({
            "side": side.name(),
            "operation": operation,
            "in_flight": in_flight,
            "typescript": self.ratio(cell, Side::TypeScript),
            "python": self.ratio(cell, Side::Python),
            "pynamodb_mate": self.ratio(cell, Side::Mate),
        })
    }

    /// The median of what a task took.
    fn median(&self, cell: Cell, what: fn(&Taken) -> f64) -> f64 {
        let tasks = f64::from(self.args.tasks);
        median(self.measured.rounds[&cell].iter().map(|taken| what(taken) / tasks))
    }

    /// The ratio that counts most.
    fn first(&self, ours: Side, peer: Side) -> f64 {
        self.ratio(Cell { side: ours, operation: Operation::First, in_flight: IN_FLIGHT }, peer)
    }

    /// Our processor's time over that of a peer: the median of the rounds.
    fn ratio(&self, ours: Cell, peer: Side) -> f64 {
        let [ours, theirs] = [ours, Cell { side: peer, ..ours }].map(|cell| &self.measured.rounds[&cell]);
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us))
    }
}

fn print_table(title: &str, sides: &[Side], cell: impl Fn(Side, Operation) -> String) {
    let names = Operation::ALL.map(|operation| format!("{:>10}", operation.name()));
    println!("\n{title}\n{:14}{}", "", names.concat());
    for &side in sides {
        let cells = Operation::ALL.map(|operation| format!("{:>10}", cell(side, operation)));
        println!("{:14}{}", side.name(), cells.concat());
    }
}

/// What is said of each cell of the table.
fn each(sides: &[Side], say: impl Fn(Cell) -> Value) -> Vec<Value> {
    let mut rows = Vec::new();
    for in_flight in LANES {
        for operation in Operation::ALL {
            rows.extend(sides.iter().map(|&side| say(Cell { side, operation, in_flight })));
        }
    }
    rows
}
