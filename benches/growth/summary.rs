//! What it has come to: tables for people, and charts.

use crate::measure::{Look, Task};
use crate::report::{Axis, Lines};
use crate::steps::Step;

/// A table of the steps of one thing that grows.
pub(crate) fn print(what: &str, steps: &[Step]) {
    println!("\n{what:>20}  side                  p50  write units");
    for Step { size, tasks, page, stats } in steps {
        for task in tasks {
            let side = task.side.name();
            println!("{size:20}  {side:16}  {:6.0} µs  {:11}", task.p50_us, task.write_units);
        }
        for (name, look) in [("page of 100 due", page), ("stats", stats)] {
            let Some(Look { p50_ms, requests, read_units }) = look else { continue };
            println!("{size:20}  {name:16}  {p50_ms:6.1} ms  {requests} requests, {read_units} read units");
        }
    }
}

/// The time of a task, of each side.
pub(crate) fn tasks_chart(title: &str, x: &str, y: Axis, steps: &[Step]) -> Lines {
    let tasks = steps.first().map_or(&[][..], |step| &step.tasks);
    let line = |(at, task): (usize, &Task)| {
        (task.side.name().to_owned(), steps.iter().map(|step| (step.size, step.tasks[at].p50_us)).collect())
    };
    Lines {
        title: title.to_owned(),
        x: (x.to_owned(), Axis::Log),
        y: ("µs (median)".to_owned(), y),
        series: tasks.iter().enumerate().map(line).collect(),
    }
}

/// The time of a page and of a count.
pub(crate) fn looks_chart(title: &str, x: &str, steps: &[Step]) -> Lines {
    let line = |of: fn(&Step) -> Option<Look>| {
        steps.iter().filter_map(|step| of(step).map(|look| (step.size, look.p50_ms))).collect()
    };
    Lines {
        title: title.to_owned(),
        x: (x.to_owned(), Axis::Log),
        y: ("ms (median)".to_owned(), Axis::Log),
        series: vec![
            ("page of 100 due tasks".to_owned(), line(|step| step.page)),
            ("stats".to_owned(), line(|step| step.stats)),
        ],
    }
}
