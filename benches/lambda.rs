//! What the crate costs a Lambda function over the AWS SDK alone: bytes of its program, and time until it is ready.
//!
//!     cargo bench --bench lambda --features lambda              builds both programs, which takes a while
//!     cargo bench --bench lambda --features lambda -- --json    the same, ending with one line of JSON
//!
//! The programs are the examples `lambda_http` and `lambda_bare`, built with the profile `lambda`. Ready is a function that
//! asks the Runtime API for its first event. The two take turns, so that both meet what else the machine does.

#[path = "median/mod.rs"]
mod median;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

use median::median;

/// The crate's, and what it is measured against.
const PROGRAMS: [&str; 2] = ["lambda_http", "lambda_bare"];
/// At least. The first of each is not counted: it reads the program from disk.
const STARTS: usize = 20;

#[derive(Parser)]
struct Args {
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// How often each program is started.
    #[arg(long, default_value_t = STARTS)]
    starts: usize,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let folder = build();
    let programs = PROGRAMS.map(|name| folder.join(name));
    let [size, bare_size] = programs.each_ref().map(|program| program.metadata().expect("it is built").len());
    let [init, bare_init] = inits(&programs, args.starts.max(1));
    let size_ratio = size as f64 / bare_size as f64;
    let init_ratio = init.as_secs_f64() / bare_init.as_secs_f64();
    println!("size: bare {bare_size} bytes, with the crate {size} bytes: {size_ratio:.3}");
    println!("ready (medians of {}): bare {bare_init:?}, with the crate {init:?}: {init_ratio:.3}", args.starts);
    if args.json {
        let json = serde_json::json!({
            "bare_size": bare_size, "size": size, "size_ratio": size_ratio,
            "bare_init_us": bare_init.as_micros(), "init_us": init.as_micros(), "init_ratio": init_ratio,
        });
        println!("{json}");
    }
}

/// Builds the programs, and returns the folder that they are in.
fn build() -> PathBuf {
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--profile", "lambda", "--features", "lambda"]);
    for program in PROGRAMS {
        build.args(["--example", program]);
    }
    assert!(build.status().expect("cargo runs").success(), "the examples do not build");
    // This program is in `target/PROFILE/deps`.
    let own = std::env::current_exe().expect("this program is somewhere");
    own.ancestors().nth(3).expect("it is in the target folder").join("lambda/examples")
}

/// The medians of how long each takes to be ready.
fn inits(programs: &[PathBuf; 2], starts: usize) -> [Duration; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    for round in 0..=starts {
        for (program, taken) in programs.iter().zip(&mut taken) {
            let init = start(program);
            if round > 0 {
                taken.push(init);
            }
        }
    }
    taken.map(|taken| Duration::from_secs_f64(median(taken.iter().map(Duration::as_secs_f64))))
}

/// From the start of the process to its first question for an event.
fn start(program: &Path) -> Duration {
    let api = TcpListener::bind(("127.0.0.1", 0)).expect("there is a port");
    let address = api.local_addr().expect("it has one").to_string();
    let begun = Instant::now();
    let mut function = Command::new(program)
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "function"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("DYNAMO_TRACKER_TABLE", "tasks"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let (question, _) = api.accept().expect("it asks");
    let mut line = String::new();
    BufReader::new(question).read_line(&mut line).expect("it asks");
    let init = begun.elapsed();
    function.kill().and_then(|()| function.wait()).expect("it is there to be killed");
    assert!(line.starts_with("GET /2018-06-01/runtime/invocation/next "), "it asks for {line:?}");
    init
}
