//! What a task costs the process that has it done, in processor's time, against the peers in other languages.
//!
//!     cargo bench --profile fast --bench peers --features lambda
//!     cargo bench --profile fast --bench peers --features lambda -- --fresh
//!     cargo bench --profile fast --bench peers --features lambda -- --rounds 3 --tasks 200 --json
//!     cargo bench --profile fast --bench peers --features lambda -- --fresh --save
//!
//! All of them work on one DynamoDB Local in one run, and take turns with each operation. Each is a process of its own, which does
//! nothing but what it is told, keeps its connections, and has one batch of each operation to warm up, unless `--fresh` asks for new processes. The work is the same and
//! does nothing: it returns a small piece of JSON, which is kept and given again. What each answers is looked at, and how often the work
//! was run. A ratio is the median of the rounds' own ratios, so that it holds while the machine does other things.
//!
//! Needs DynamoDB Local, which `tests/dynamodb-local` gets, and python3, node and npm; the packages are got by `benches/peers/get`.

#[path = "../backend/mod.rs"]
mod backend;
mod command;
#[expect(dead_code, reason = "the tests need more of it than to count")]
#[path = "../../tests/it/bed/http.rs"]
mod http;
#[path = "../median/mod.rs"]
mod median;
mod ours;
mod peer;
#[expect(dead_code, reason = "the tests need more of it than to count")]
#[path = "../../tests/it/bed/proxy.rs"]
mod proxy;
#[path = "../raw/mod.rs"]
mod raw;
#[path = "../report/mod.rs"]
mod report;
mod rounds;
mod side;
mod summary;

use aws_sdk_dynamodb::Client;
use clap::Parser;
use dynamo_tracker::TrackerClient;

use backend::{Backend, Server};
use peer::Peers;
use side::Side;

#[derive(Parser)]
pub(crate) struct Args {
    /// How many rounds count, best an odd number.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many tasks each batch has.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// Begin each round with new processes, and count from their first task on: a function's process answers some hundreds of events.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    output: report::Output,
    /// Do as one of the crate's sides what standard input says. The bench starts itself so.
    #[arg(long, hide = true)]
    serve: Option<Side>,
}

fn main() {
    let args = Args::parse();
    match args.serve {
        Some(side) => ours::serve(side),
        None => compare(&args),
    }
}

#[tokio::main(worker_threads = 2)]
async fn compare(args: &Args) {
    let server = Server::start(Backend::Local, None).await;
    make_tables(&Client::from_conf(server.config().build())).await;
    let peers = Peers::get(server.endpoint());
    let requests = rounds::count_requests(&peers).await;
    let measured = rounds::measure(&peers, args);
    let summary = summary::Summary { args, requests, measured };
    summary.print();
    args.output.finish("peers", summary.json(), &[&summary.chart(), &summary.walls()]);
}

/// One for each side. Powertools takes the crate's own, whose key is called `id` too; `pynamodb_mate` makes its own.
async fn make_tables(sdk: &Client) {
    for side in Side::ALL.into_iter().filter(|side| *side != Side::Mate) {
        let builder = TrackerClient::<()>::builder(sdk.clone()).table(side.name()).namespace("peers");
        builder.build().expect("a client").create_table().await.expect("a table");
    }
}
