//! What `run` costs over the two SDK calls that any such tracker must make.
//!
//!     cargo bench --bench overhead              time, and instructions where valgrind is installed
//!     cargo bench --bench overhead -- --json    the same, ending with one line of JSON
//!
//! Both sides send the same two updates of the same item, one after the other, to the same in-memory DynamoDB in the
//! same process, in alternating batches. So the ratio holds whatever else the machine is doing.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use clap::Parser;
use dynamo_tracker::embedded::Embedded;
use dynamo_tracker::{StartOptions, TrackerClient};

const TABLE: &str = "overhead";
/// Tasks in a batch, and batches of each side.
const BATCH: usize = 200;
const BATCHES: usize = 25;
/// The instructions of a task are those of this many tasks more, so that start-up does not count.
const COUNTED: usize = 300;

#[derive(Parser)]
struct Args {
    /// End with one line of JSON.
    #[arg(long)]
    json: bool,
    /// Only run so many tasks on one side, `raw` or `run`, and measure nothing: for an instruction counter.
    #[arg(long, num_args = 2, value_names = ["SIDE", "TASKS"])]
    solo: Option<Vec<String>>,
    /// Cargo passes this to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    if let Some(solo) = args.solo {
        let tasks = solo[1].parse().expect("a number of tasks");
        runtime.block_on(async {
            let bench = Bench::new().await;
            bench.batch(&solo[0], "solo", tasks).await;
        });
        return ExitCode::SUCCESS;
    }
    let time = runtime.block_on(measure_time());
    println!("time per task: raw {:?}, run {:?} (medians of {BATCHES} batches of {BATCH})", time.raw, time.run);
    println!("time ratio (median of the pairs): {:.3}", time.ratio);
    let instructions = measure_instructions();
    match &instructions {
        Ok((raw, run)) => {
            println!("instructions per task: raw {raw}, run {run}");
            println!("instruction ratio: {:.3}", *run as f64 / *raw as f64);
        }
        Err(why) => println!("instructions not counted: {why}"),
    }
    if args.json {
        let ratio = instructions.map_or("null".to_owned(), |(raw, run)| format!("{:.4}", run as f64 / raw as f64));
        println!("{{\"time_ratio\": {:.4}, \"instruction_ratio\": {ratio}}}", time.ratio);
    }
    ExitCode::SUCCESS
}

struct Time {
    raw: Duration,
    run: Duration,
    ratio: f64,
}

async fn measure_time() -> Time {
    let bench = Bench::new().await;
    bench.batch("raw", "warm", BATCH).await;
    bench.batch("run", "warm", BATCH).await;
    let (mut raws, mut runs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..BATCHES {
        let name = number.to_string();
        // Whoever goes second finds warmer caches, so they take turns.
        let (raw, run) = if number % 2 == 0 {
            let raw = bench.batch("raw", &name, BATCH).await;
            (raw, bench.batch("run", &name, BATCH).await)
        } else {
            let run = bench.batch("run", &name, BATCH).await;
            (bench.batch("raw", &name, BATCH).await, run)
        };
        ratios.push(run.as_secs_f64() / raw.as_secs_f64());
        raws.push(raw / BATCH as u32);
        runs.push(run / BATCH as u32);
    }
    ratios.sort_by(f64::total_cmp);
    raws.sort();
    runs.sort();
    Time { raw: raws[BATCHES / 2], run: runs[BATCHES / 2], ratio: ratios[BATCHES / 2] }
}

/// Instructions per task of the whole process, DynamoDB included, for both sides.
fn measure_instructions() -> Result<(u64, u64), String> {
    let per_task = |side: &str| -> Result<u64, String> {
        let few = count_instructions(side, COUNTED)?;
        let many = count_instructions(side, 2 * COUNTED)?;
        Ok((many - few) / COUNTED as u64)
    };
    Ok((per_task("raw")?, per_task("run")?))
}

fn count_instructions(side: &str, tasks: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--solo", side, &tasks.to_string()])
        .output()
        .map_err(|error| format!("valgrind is not here ({error}); install it by the system's packages"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).ok_or(text)
}

struct Bench {
    sdk: Client,
    tracker: TrackerClient<()>,
    _store: Embedded,
}

impl Bench {
    async fn new() -> Self {
        let store = Embedded::in_memory().await.expect("a store");
        let sdk = store.client();
        let tracker = TrackerClient::builder(sdk.clone()).table(TABLE).namespace("bench").build().expect("a client");
        tracker.create_table().await.expect("a table");
        Self { sdk, tracker, _store: store }
    }

    async fn batch(&self, side: &str, name: &str, tasks: usize) -> Duration {
        let begun = Instant::now();
        for number in 0..tasks {
            let id = format!("{side}-{name}-{number}");
            match side {
                "raw" => self.raw(&id).await,
                "run" => self.run(&id).await,
                other => panic!("{other:?} is neither raw nor run"),
            }
        }
        begun.elapsed()
    }

    async fn run(&self, id: &str) {
        self.tracker.run(id, StartOptions::new(), |_| async { Ok(()) }).await.expect("it runs");
    }

    /// What one would write by hand: the two calls with the same conditions and updates, and no look at the answers.
    async fn raw(&self, id: &str) {
        let number = |value: i64| AttributeValue::N(value.to_string());
        let now = chrono::Utc::now().timestamp_millis();
        let lock = uuid::Uuid::new_v4().to_string();
        let key = AttributeValue::S(format!("bench#{id}"));
        self.sdk
            .update_item()
            .table_name(TABLE)
            .key("id", key.clone())
            .update_expression(
                "SET #status = :in_progress, #lock = :token, lock_time = :now, lock_expire_time = :expires, \
                 update_time = :now, max_attempts = :max, step = :zero, \
                 generation = if_not_exists(generation, :zero) + :one, \
                 attempts = if_not_exists(attempts, :zero) + :one, create_time = if_not_exists(create_time, :now) \
                 REMOVE due_time, expire_at, lock_owner",
            )
            .condition_expression(
                "attribute_not_exists(#pk) OR (NOT #lock = :token AND NOT last_lock = :token \
                 AND #status IN (:status0, :status1, :status2) \
                 AND (attribute_not_exists(#lock) OR lock_expire_time <= :ran_out) AND attempts < :max \
                 AND (#status = :in_progress OR attribute_not_exists(due_time) OR due_time <= :now))",
            )
            .expression_attribute_names("#pk", "id")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#lock", "lock")
            .expression_attribute_values(":in_progress", number(10))
            .expression_attribute_values(":status0", number(0))
            .expression_attribute_values(":status1", number(20))
            .expression_attribute_values(":status2", number(10))
            .expression_attribute_values(":token", AttributeValue::S(lock.clone()))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":expires", number(now + 900_000))
            .expression_attribute_values(":ran_out", number(now - 1000))
            .expression_attribute_values(":max", number(3))
            .expression_attribute_values(":zero", number(0))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await
            .expect("it starts");
        self.sdk
            .update_item()
            .table_name(TABLE)
            .key("id", key)
            .update_expression(
                "SET update_time = :now, last_lock = :lock, #status = :status \
                 REMOVE #lock, lock_owner, lock_time, lock_expire_time, due_time, expire_at",
            )
            .condition_expression("#lock = :lock")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#lock", "lock")
            .expression_attribute_values(":lock", AttributeValue::S(lock))
            .expression_attribute_values(":now", number(chrono::Utc::now().timestamp_millis()))
            .expression_attribute_values(":status", number(40))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await
            .expect("it ends");
    }
}
