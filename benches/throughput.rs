//! How many tasks a second are taken and ended, against the raw SDK's two calls, at several numbers of tasks in flight.
//!
//!     cargo bench --bench throughput
//!     cargo bench --bench throughput -- --backend local --json

mod backend;
mod compare;

use backend::Backend;
use clap::Parser;
use compare::{Bench, Compared, Side, Size};
use serde_json::json;

#[derive(Parser)]
struct Args {
    /// Where the table is; embedded, it is in memory.
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    /// How many tasks are in flight; several numbers, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "1,8,32,128")]
    in_flight: Vec<usize>,
    /// How many pairs of batches at each number, and how many tasks a batch has.
    #[arg(long, default_value_t = 25)]
    pairs: usize,
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    let bench = Bench::new(args.backend).await;
    println!("start + succeed on {}, {} pairs of batches of {}", args.backend, args.pairs, args.batch);
    println!("in flight  raw/s  crate/s  ratio");
    let mut rows = Vec::new();
    for in_flight in args.in_flight {
        let size = Size { pairs: args.pairs, batch: args.batch, in_flight };
        let Compared { raw, crates, ratio } = bench.compare(Side::Lease, size).await;
        println!("{in_flight:9}  {raw:5.0}  {crates:7.0}  {ratio:.3}");
        rows.push(json!({"in_flight": in_flight, "raw": raw, "crate": crates, "throughput_ratio": ratio}));
    }
    if args.json {
        println!("{}", json!({"backend": args.backend.to_string(), "rows": rows}));
    }
}
