//! What the crate's own work in a call costs, piece by piece, without any request.
//!
//!     cargo bench --bench micro                      all of it, by criterion
//!     cargo bench --bench micro -- --quick           a short look, with wide errors
//!     cargo bench --bench micro -- --json --save     the same, for programs, and kept in docs/benches
//!
//! `benches/overhead` says what a whole task costs; this says of which piece, and what a change of one does. The pieces are
//! private, so they are called through `dynamo_tracker::internals`. Large is data, or an event, of about 100 KB as JSON. The
//! figures are criterion's medians, read from its own files in `target/criterion`, where it also keeps what it compares the next
//! run with.

mod charts;
mod codec;
mod expressions;
mod index;
mod keys;
mod measure;
mod orders;
#[path = "../report/mod.rs"]
mod report;

use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::{Client, Config};
use clap::Parser;
use dynamo_tracker::TrackerClient;

use measure::Measure;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    output: report::Output,
    /// Measure each piece for a moment only.
    #[arg(long)]
    quick: bool,
}

fn main() {
    let args = Args::parse();
    let mut measure = Measure::new(args.quick);
    expressions::measure(&mut measure);
    codec::measure(&mut measure);
    index::measure(&mut measure);
    keys::measure(&mut measure);
    let medians = measure.medians();
    medians.print();
    let charts = charts::of(medians);
    args.output.finish("micro", medians.figures(), &charts.each_ref().map(AsRef::as_ref));
}

/// A client of a table that nobody asks, with an index of so many shards or without.
fn client(shards: Option<u16>) -> TrackerClient<()> {
    let sdk = Client::from_conf(Config::builder().behavior_version(BehaviorVersion::latest()).build());
    let builder = TrackerClient::builder(sdk).table("micro").namespace("orders");
    match shards {
        Some(shards) => builder.index(shards),
        None => builder,
    }
    .build()
    .expect("a client")
}
