//! The figures drawn: the requests, the rest of a task, what grows with data, and what grows with shards.

use crate::measure::Medians;
use crate::report::{Axis, Bars, Chart, Lines, LogBars};
use crate::{codec, expressions, index, keys};

pub(crate) fn of(medians: &Medians) -> [Box<dyn Chart>; 4] {
    [Box::new(requests(medians)), Box::new(rest(medians)), Box::new(sizes(medians)), Box::new(merges(medians))]
}

fn requests(medians: &Medians) -> Bars {
    let values = |group| expressions::WRITES.map(|name| medians.of(group, name)).to_vec();
    let [plain, indexed] = expressions::GROUPS.map(values);
    Bars {
        title: "Making a request's expressions".to_owned(),
        y: "ns".to_owned(),
        groups: expressions::WRITES.map(str::to_owned).to_vec(),
        series: vec![("without an index".to_owned(), plain), ("with an index".to_owned(), indexed)],
    }
}

fn rest(medians: &Medians) -> LogBars {
    let pieces = [
        ("lock token", medians.of(keys::GROUP, "lock-token")),
        ("hash", medians.of(index::GROUP, "shard-hash")),
        ("partition", medians.of(index::GROUP, "partition")),
        ("to item", medians.of(codec::GROUP, "record-to-item")),
        ("from item", medians.of(codec::GROUP, "item-to-record")),
        ("JMESPath", medians.of(keys::GROUP, "path-in-small-event")),
    ];
    LogBars(Bars {
        title: "Smaller pieces".to_owned(),
        y: "ns".to_owned(),
        groups: pieces.map(|(name, _)| name.to_owned()).to_vec(),
        series: vec![("one".to_owned(), pieces.map(|(_, value)| value).to_vec())],
    })
}

fn sizes(medians: &Medians) -> LogBars {
    let values = |size: usize| {
        let data = [codec::WRITTEN, codec::READ].map(|names| medians.of(codec::GROUP, names[size]));
        [data[0], data[1], medians.of(keys::GROUP, keys::WHOLE[size])].map(|nanoseconds| nanoseconds / 1e3).to_vec()
    };
    LogBars(Bars {
        title: "Data and events".to_owned(),
        y: "µs".to_owned(),
        groups: ["data written", "data read", "event hashed"].map(str::to_owned).to_vec(),
        series: vec![("small".to_owned(), values(0)), ("100 KB".to_owned(), values(1))],
    })
}

fn merges(medians: &Medians) -> Lines {
    let of_a_task = |shards: u16| medians.of(index::GROUP, &index::merge_name(shards)) / index::TASKS as f64;
    Lines {
        title: format!("A query of {} tasks merged", index::TASKS),
        x: ("shards".to_owned(), Axis::Log),
        y: ("ns a task".to_owned(), Axis::Linear),
        series: vec![("one page of each".to_owned(), index::SHARDS.map(|s| (s.into(), of_a_task(s))).to_vec())],
    }
}
