//! What the crate costs a Lambda function over the AWS SDK alone: bytes of its program, time until it is ready, and the time of
//! its invocations.
//!
//!     cargo bench --bench lambda --features lambda              builds both programs, which takes a while
//!     cargo bench --bench lambda --features lambda -- --json    the same, ending with one line of JSON
//!     cargo bench --profile dev --bench lambda --features lambda -- --profile dev --starts 3 --warm 10
//!
//! The programs are the examples `lambda_http` and `lambda_bare`, built with the profile `lambda`: the same handler, which makes
//! two updates for each event. They run on the tests' own AWS Lambda, and on a DynamoDB in this process. Ready is a function that
//! asks the Runtime API for its first event. Its first invocation is timed from there to its response, so it has the connection to
//! DynamoDB in it, but no TLS; the warm ones are those after it, each with a key of its own. Then the same keys come again: a
//! duplicate is one refused update, and the response that was kept. The two take turns, in an order that chance picks each time,
//! so that both meet what else the machine does. All times are medians.

#[path = "../backend/mod.rs"]
mod backend;
// The tests' AWS Lambda looks for the reaper here.
#[expect(dead_code, unused_imports, reason = "the tests need more of it than the benches do")]
#[path = "../../tests/it/bed"]
mod bed {
    pub(crate) mod lambda;
    pub(crate) mod reaper;
}
#[path = "../median/mod.rs"]
mod median;
#[path = "../programs/mod.rs"]
mod programs;
#[path = "../report/mod.rs"]
mod report;
mod side;
mod summary;

use clap::Parser;
use dynamo_tracker::TrackerClient;

use backend::{Backend, Server};
use side::{Moment, Side};
use summary::Summary;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    output: report::Output,
    /// How often each program is started. Once more comes before them, which does not count: it reads the program from disk.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// How many invocations follow the first one of each process, and how many duplicates follow them.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    warm: u32,
    /// The profile of cargo's that the programs are built with.
    #[arg(long, value_name = "NAME", default_value = "lambda")]
    profile: String,
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let args = Args::parse();
    let programs = programs::build(&args.profile).unwrap_or_else(|why| panic!("{why}"));
    let server = Server::start(Backend::Embedded, None).await;
    make_table(&server).await;
    let mut sides = programs.map(|program| Side::new(program, server.endpoint()));
    measure(&mut sides, &args).await;
    let summary = Summary::of(&sides);
    summary.print(&args);
    let [times, size] = summary.charts();
    args.output.finish("lambda", summary.json(), &[&times, &size]);
}

/// Both have the same table, in which each has a prefix of its own before its keys.
async fn make_table(server: &Server) {
    let sdk = aws_sdk_dynamodb::Client::from_conf(server.config().build());
    let client = TrackerClient::<()>::builder(sdk).table(side::TABLE).namespace("payments").build();
    client.expect("a client").create_table().await.expect("a table");
}

async fn measure(sides: &mut [Side; 2], args: &Args) {
    for start in 0..=args.starts {
        one_start(sides, args.warm).await;
        if start == 0 {
            sides.iter_mut().for_each(Side::forget);
        }
    }
}

/// A process of each, from its start to its end.
async fn one_start(sides: &mut [Side; 2], warm: u32) {
    for at in shuffled() {
        sides[at].start().await;
    }
    for moment in [Moment::Warm, Moment::Duplicate] {
        for event in 1..=warm {
            for at in shuffled() {
                sides[at].take(moment, event).await;
            }
        }
    }
    for side in sides {
        side.stop().await;
    }
}

/// Whoever comes after the other finds what that one has left in the caches.
fn shuffled() -> [usize; 2] {
    let mut order = [0, 1];
    fastrand::shuffle(&mut order);
    order
}
