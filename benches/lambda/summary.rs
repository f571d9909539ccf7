//! What came of it.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::Args;
use crate::median::median;
use crate::report::Bars;
use crate::side::{Moment, Side};

/// A figure with the crate, and without it.
#[derive(Clone, Copy)]
struct Pair {
    crates: f64,
    bare: f64,
}

impl Pair {
    fn ratio(self) -> f64 {
        self.crates / self.bare
    }
}

pub(crate) struct Summary {
    /// In bytes.
    size: Pair,
    /// In microseconds.
    times: [(Moment, Pair); 4],
}

impl Summary {
    pub(crate) fn of([crates, bare]: &[Side; 2]) -> Self {
        let size = |side: &Side| side.program.metadata().expect("it is built").len() as f64;
        let times = Moment::ALL.map(|moment| {
            let time = |side: &Side| median(side.taken[&moment].iter().copied());
            (moment, Pair { crates: time(crates), bare: time(bare) })
        });
        Self { size: Pair { crates: size(crates), bare: size(bare) }, times }
    }

    pub(crate) fn print(&self, args: &Args) {
        let Args { starts, warm, profile, .. } = args;
        println!(
            "profile {profile}, medians of {starts} starts, each followed by {warm} warm invocations and as many duplicates"
        );
        println!("{:14}{:>12}{:>12}{:>8}", "", "bare", "crate", "ratio");
        let Pair { crates, bare } = self.size;
        println!("{:14}{bare:>12}{crates:>12}{:>8.3}", "size, bytes", self.size.ratio());
        for (moment, pair) in self.times {
            let [bare, crates] =
                [pair.bare, pair.crates].map(|us| format!("{:.2?}", Duration::from_secs_f64(us / 1e6)));
            println!("{:14}{bare:>12}{crates:>12}{:>8.3}", moment.name(), pair.ratio());
        }
    }

    /// `NAME`, `bare_NAME` and `NAME_ratio`; times have their unit in the name.
    pub(crate) fn json(&self) -> Value {
        let mut figures = Map::new();
        let mut add = |name: &str, unit: &str, pair: Pair| {
            figures.insert(format!("bare_{name}{unit}"), (pair.bare.round() as u64).into());
            figures.insert(format!("{name}{unit}"), (pair.crates.round() as u64).into());
            figures.insert(format!("{name}_ratio"), pair.ratio().into());
        };
        add("size", "", self.size);
        for (moment, pair) in self.times {
            add(moment.name(), "_us", pair);
        }
        figures.into()
    }

    pub(crate) fn charts(&self) -> [Bars; 2] {
        let times =
            bars("A function's time", "milliseconds", self.times.map(|(moment, pair)| (moment.name(), pair, 1e3)));
        [times, bars("Its program", "megabytes", [("size", self.size, 1e6)])]
    }
}

/// A group for each pair, in a unit that is so many of its own.
fn bars<const N: usize>(title: &str, unit: &str, pairs: [(&str, Pair, f64); N]) -> Bars {
    let series = |value: fn(Pair) -> f64| pairs.map(|(_, pair, per)| value(pair) / per).to_vec();
    Bars {
        title: title.to_owned(),
        y: unit.to_owned(),
        groups: pairs.map(|(name, ..)| name.to_owned()).to_vec(),
        series: vec![
            ("the AWS SDK alone".to_owned(), series(|pair| pair.bare)),
            ("with dynamo-tracker".to_owned(), series(|pair| pair.crates)),
        ],
    }
}
