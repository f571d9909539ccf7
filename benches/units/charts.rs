//! The rows as bars.

use crate::measure::{Data, Row};
use crate::report::Bars;

const LIFE: [&str; 6] = ["create", "start", "succeed", "fail", "checkpoint", "extension"];
const OPERATORS: [&str; 6] = ["release", "dump", "ignore", "redrive", "unlock", "delete"];
const LONG: [&str; 5] = ["create", "start", "succeed", "extension", "delete"];
const READS: [&str; 3] = ["load", "query 100 due tasks", "stats"];

/// Write units with and without index, and read units.
pub(crate) fn charts(rows: &[Row]) -> Vec<Bars> {
    vec![
        write_units("Write units of a task's life, no data", rows, Data::None, &LIFE),
        write_units("Write units of what operators do, no data", rows, Data::None, &OPERATORS),
        write_units("Write units with 10 KB of data that stays", rows, Data::Kept, &LONG),
        read_units(rows),
    ]
}

fn write_units(title: &str, rows: &[Row], data: Data, operations: &[&str]) -> Bars {
    let units = |index: bool| {
        let of = |operation: &&str| find(rows, operation, data, index).write_units.expect("it was not refused");
        operations.iter().map(of).collect()
    };
    Bars {
        title: title.to_owned(),
        y: "write units".to_owned(),
        groups: operations.iter().map(|operation| (*operation).to_owned()).collect(),
        series: vec![("without index".to_owned(), units(false)), ("with index".to_owned(), units(true))],
    }
}

fn read_units(rows: &[Row]) -> Bars {
    let units = |data: Data| READS.iter().map(|operation| find(rows, operation, data, true).read_units).collect();
    Bars {
        title: "Read units, with index".to_owned(),
        y: "read units".to_owned(),
        groups: READS.iter().map(|operation| (*operation).to_owned()).collect(),
        series: [Data::None, Data::Kept].map(|data| (format!("data: {}", <&str>::from(data)), units(data))).to_vec(),
    }
}

fn find<'a>(rows: &'a [Row], operation: &str, data: Data, index: bool) -> &'a Row {
    let wanted = |row: &&Row| row.operation == operation && row.data == data && row.index == index;
    rows.iter().find(wanted).expect("it was measured")
}
