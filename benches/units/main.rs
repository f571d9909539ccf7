//! What each operation takes of what AWS bills: requests, write units and read units, as DynamoDB says them
//! (`ReturnConsumedCapacity`), with and without the index, and with data, since write units grow with the whole item.
//!
//!     cargo bench --bench units
//!     cargo bench --bench units -- --backend embedded --json
//!     cargo bench --bench units -- --save          the table as JSON and its chart, in docs/benches
//!
//! Figures are counts, so they are the same in every run. Of a request that it refuses, DynamoDB does not say the units; AWS
//! documents that it takes those of the item that is there, or of what it would have become, if that is larger (*DynamoDB
//! read and write operations*, Amazon DynamoDB Developer Guide). The two backends agree but on `stats`: for a partition of
//! the index that is empty, DynamoDB Local says nothing, and the embedded one half a unit.

#[path = "../backend/mod.rs"]
mod backend;
mod charts;
mod measure;
#[path = "../report/mod.rs"]
mod report;

use clap::Parser;
use serde_json::json;

use backend::Backend;
use measure::Row;
use report::Chart;

#[derive(Parser)]
struct Args {
    /// Where the tables are.
    #[arg(long, value_enum, default_value_t = Backend::Local)]
    backend: Backend,
    #[command(flatten)]
    output: report::Output,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    let rows = measure::measure(args.backend).await;
    print(args.backend, &rows);
    let charts = charts::charts(&rows);
    let charts: Vec<&dyn Chart> = charts.iter().map(|chart| chart as &dyn Chart).collect();
    args.output.finish("units", json!({"backend": args.backend.to_string(), "rows": rows}), &charts);
}

fn print(backend: Backend, rows: &[Row]) {
    println!("requests, write units and read units on {backend}");
    println!("operation              data             index  requests  write units  read units");
    for Row { operation, data, index, requests, write_units, read_units } in rows {
        let (data, index) = (<&str>::from(*data), if *index { "yes" } else { "no" });
        let write_units = write_units.map_or("not said".to_owned(), |units| units.to_string());
        println!("{operation:21}  {data:15}  {index:>5}  {requests:8}  {write_units:>11}  {read_units:10}");
    }
}
