//! The three things that grow, each from step to step.

use serde::Serialize;

use crate::Args;
use crate::backend::Server;
use crate::clients::Side;
use crate::fill::fill;
use crate::measure::{Look, Table, Task};
use crate::progress::passed;

/// How many shards the index has where that is not what grows.
const SHARDS: u16 = 8;
/// A KB, as DynamoDB counts it.
const KB: f64 = 1024.0;

/// What was measured at one size.
#[derive(Serialize)]
pub(crate) struct Step {
    /// So many tasks, KB or shards.
    pub(crate) size: f64,
    pub(crate) tasks: Vec<Task>,
    /// A page of due tasks, where there are any, and a count of all, where the index is what grows.
    pub(crate) page: Option<Look>,
    pub(crate) stats: Option<Look>,
}

/// The same table with more and more tasks, all of which are due.
pub(crate) async fn tasks(server: &Server, args: &Args) -> Vec<Step> {
    let mut sizes = args.tasks.clone();
    sizes.sort_unstable();
    let table = Table::new(server, SHARDS).await;
    let (mut steps, mut there) = (Vec::new(), 0);
    for tasks in sizes {
        fill(&table.timed, there..tasks).await;
        there = tasks;
        steps.push(indexed(&table, tasks as f64, args.rounds).await);
        passed(&format!("{tasks} tasks in the table"));
    }
    steps
}

/// An empty table, and tasks with more and more data.
pub(crate) async fn kilobytes(server: &Server, args: &Args) -> Vec<Step> {
    let table = Table::new(server, SHARDS).await;
    let mut steps = Vec::new();
    for &size in &args.kilobytes {
        let data = "x".repeat((size * KB) as usize);
        let sides = [Side::Raw, Side::Crate, Side::RawAnew, Side::CrateAnew];
        let tasks = table.tasks(&sides, args.rounds, &data).await;
        steps.push(Step { size, tasks, page: None, stats: None });
        passed(&format!("{size} KB of data"));
    }
    steps
}

/// Tables whose indexes have more and more shards, with equally many due tasks in each.
pub(crate) async fn shards(server: &Server, args: &Args) -> Vec<Step> {
    let mut steps = Vec::new();
    for &shards in &args.shards {
        let table = Table::new(server, shards).await;
        fill(&table.timed, 0..args.spread).await;
        let stats = Some(table.stats(args.spread).await);
        steps.push(Step { stats, ..indexed(&table, shards.into(), args.rounds).await });
        passed(&format!("{shards} shards"));
    }
    steps
}

/// A step where tasks are due.
async fn indexed(table: &Table, size: f64, rounds: u16) -> Step {
    let tasks = table.tasks(&[Side::Raw, Side::Crate, Side::Indexed], rounds, "").await;
    Step { size, tasks, page: Some(table.page().await), stats: None }
}
