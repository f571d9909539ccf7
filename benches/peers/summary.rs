//! What came of it.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::Args;
use crate::command::{Operation, Taken};
use crate::peer::IN_FLIGHT;
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
        self.print_table("requests of a task", |side, operation| self.requests[&(side, operation)].to_string());
        for in_flight in LANES {
            let with = |what: fn(&Taken) -> f64| {
                move |side, operation| format!("{:.0}", self.median(Cell { side, operation, in_flight }, what))
            };
            self.print_table(
                &format!("µs of processor's time a task, {in_flight} in flight"),
                with(|taken| taken.cpu_us),
            );
            self.print_table(&format!("µs of the clock a task, {in_flight} in flight"), with(|taken| taken.wall_us));
        }
        println!("\nprocessor's time of a first call with {IN_FLIGHT} in flight, as a part of theirs");
        for ours in Side::OURS {
            let parts = Side::PEERS.map(|peer| format!("1/{:.1} of {}", 1.0 / self.first(ours, peer), peer.name()));
            println!("{:14}{}", ours.name(), parts.join(", "));
        }
    }

    fn print_table(&self, title: &str, cell: impl Fn(Side, Operation) -> String) {
        let names = Operation::ALL.map(|operation| format!("{:>10}", operation.name()));
        println!("\n{title}\n{:14}{}", "", names.concat());
        for side in Side::ALL {
            let cells = Operation::ALL.map(|operation| format!("{:>10}", cell(side, operation)));
            println!("{:14}{}", side.name(), cells.concat());
        }
    }

    /// Everything, and before all the ratios that the crate is held to: those of a first call, many in flight.
    pub(crate) fn json(&self) -> Value {
        let mut json = Map::new();
        json.insert("ratio_python".into(), json!(self.first(Side::Idempotency, Side::Python)));
        json.insert("ratio_typescript".into(), json!(self.first(Side::Idempotency, Side::TypeScript)));
        json.insert("ratio_pynamodb_mate".into(), json!(self.first(Side::Run, Side::Mate)));
        json.insert("rounds".into(), json!(self.args.rounds));
        json.insert("tasks".into(), json!(self.args.tasks));
        json.insert(
            "rows".into(),
            self.each(&Side::ALL, |side, operation, in_flight| self.row(side, operation, in_flight)),
        );
        json.insert(
            "ratios".into(),
            self.each(&Side::OURS, |ours, operation, in_flight| {
                let ratios = Side::PEERS
                    .map(|peer| (peer.name().to_owned(), json!(self.ratio(ours, peer, operation, in_flight))));
                let mut row = Map::from_iter(ratios);
                row.extend(place(ours, operation, in_flight));
                row.into()
            }),
        );
        json.insert("about".into(), json!(self.measured.about));
        json.into()
    }

    fn each(&self, sides: &[Side], row: impl Fn(Side, Operation, u32) -> Value) -> Value {
        let mut rows = Vec::new();
        for in_flight in LANES {
            for operation in Operation::ALL {
                rows.extend(sides.iter().map(|side| row(*side, operation, in_flight)));
            }
        }
        rows.into()
    }

    fn row(&self, side: Side, operation: Operation, in_flight: u32) -> Value {
        let cell = Cell { side, operation, in_flight };
        let mut row = Map::from_iter(place(side, operation, in_flight));
        row.insert("cpu_us".into(), json!(self.median(cell, |taken| taken.cpu_us)));
        row.insert("wall_us".into(), json!(self.median(cell, |taken| taken.wall_us)));
        row.insert("requests".into(), json!(self.requests[&(side, operation)]));
        row.into()
    }

    /// The median of what a task took.
    fn median(&self, cell: Cell, what: fn(&Taken) -> f64) -> f64 {
        let tasks = f64::from(self.args.tasks);
        median(self.measured.rounds[&cell].iter().map(|taken| what(taken) / tasks))
    }

    fn first(&self, ours: Side, peer: Side) -> f64 {
        self.ratio(ours, peer, Operation::First, IN_FLIGHT)
    }

    /// Our processor's time over that of a peer: the median of the rounds.
    fn ratio(&self, ours: Side, peer: Side, operation: Operation, in_flight: u32) -> f64 {
        let [ours, theirs] = [ours, peer].map(|side| &self.measured.rounds[&Cell { side, operation, in_flight }]);
        median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.cpu_us / theirs.cpu_us))
    }
}

/// Where in the table something stands.
fn place(side: Side, operation: Operation, in_flight: u32) -> [(String, Value); 3] {
    [
        ("side".into(), json!(side.name())),
        ("operation".into(), json!(operation)),
        ("in_flight".into(), json!(in_flight)),
    ]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
