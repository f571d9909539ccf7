//! A step for the tests, which does what its input says. It is a copy of the tests' own program.

use std::path::Path;
use std::time::Duration;

use dynamo_tracker::lambda::{Idempotency, Key, TooLarge};
use dynamo_tracker::stepfunctions::{StepEvent, StepLayer};
use dynamo_tracker::{TrackerClient, WorkError};
use lambda_runtime::tower::Layer;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::bed::lambda::{Deployed, Function};
use crate::bed::{Bed, SHARDS};
use crate::lambda::handler::function;

/// What the function is told to be.
pub(crate) const ITEM: &str = "item";
const TABLE: &str = "TRACKER_TEST_TABLE";
/// A folder: what is to go wrong does so until there is a file `mended` in it.
const FOLDER: &str = "TRACKER_TEST_FOLDER";

/// How often a task is tried. Where it is not set, oftener than any state of the machines tries.
pub(super) const ATTEMPTS: &str = "TRACKER_TEST_ATTEMPTS";

/// Where it is set, refusals are returned.
pub(super) const RETURNS: &str = "TRACKER_TEST_RETURNS";

/// Where it is set, a response that is too large is a failure.
pub(super) const TOO_LARGE: &str = "TRACKER_TEST_TOO_LARGE";

/// The function on a table of the bed's.
pub(super) fn on(bed: &Bed, folder: &Path) -> Function {
    let function = function(ITEM).name("step").env(TABLE, &bed.table).env(FOLDER, folder.display());
    function.env("AWS_ENDPOINT_URL_DYNAMODB", &bed.endpoint)
}

/// The ids of all effects that the function has had, in no order.
pub(super) fn effects(function: &Deployed) -> Vec<String> {
    let output = function.output().join("\n");
    let mut ids: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("effect ")).map(str::to_owned).collect();
    ids.sort();
    ids
}

/// How often the function has begun to work.
pub(super) fn begun(function: &Deployed) -> usize {
    function.output().join("\n").lines().filter(|line| line.starts_with("begun ")).count()
}

/// Lets everything go well from now on.
pub(super) fn mend(folder: &Path) {
    std::fs::write(folder.join("mended"), "").unwrap();
}

pub(crate) async fn run() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config));
    let client = client.table(std::env::var(TABLE)?).namespace("test").index(SHARDS);
    let attempts = std::env::var(ATTEMPTS).map_or(Ok(10), |attempts| attempts.parse())?;
    let client = client.max_attempts(attempts).build()?;
    let key = Key::new(|input| Some(input["id"].as_str()?.to_owned()));
    let what = Key::new(|input| Some(input["what"].as_str()?.to_owned()));
    let idempotency = Idempotency::builder(client).key(key).validate(what);
    let idempotency = if is_set(TOO_LARGE) { idempotency.too_large(TooLarge::Fail) } else { idempotency };
    let layer = StepLayer::new(idempotency.build()?);
    let layer = if is_set(RETURNS) { layer.return_refusals() } else { layer };
    lambda_runtime::run(layer.layer(service_fn(work))).await
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

#[derive(Deserialize)]
struct Item {
    id: String,
    /// What goes wrong, and until when; or `as` and the name of an error.
    what: String,
}

async fn work(event: LambdaEvent<StepEvent<Item>>) -> Result<Value, WorkError> {
    let StepEvent { input: Item { id, what }, .. } = event.payload;
    println!("begun {id}");
    let folder = std::env::var(FOLDER).expect("it is set");
    let mended = Path::new(&folder).join("mended").exists();
    // A file that can be made only once.
    let is_first = std::fs::File::create_new(Path::new(&folder).join(format!("first-{id}"))).is_ok();
    match what.as_str() {
        "die_once" if is_first => die(),
        "die" if !mended => die(),
        "fail" if !mended => return Err(WorkError::from_parts("Paper.Jam", "it fails", None)),
        "hang" => loop {
            // The whole process, as a loop without an end would.
            std::thread::park();
        },
        "wait" => until_told(&folder, &id).await,
        // More than a record has room for.
        "large" => return Ok(json!({ "done": id, "large": "x".repeat(500_000) })),
        name if name.starts_with("as ") => {
            return Err(WorkError::from_parts(name[3..].to_owned(), "it fails as it is told", None));
        }
        "fatal" => return Err(WorkError::from_parts("Paper.Burnt", "it fails for good", None).into_fatal()),
        _ => println!("effect {id}"),
    }
    Ok(json!({ "done": id }))
}

/// Lets the function that waits with this id go on.
pub(super) fn tell(folder: &Path, id: &str) {
    std::fs::write(folder.join(format!("told-{id}")), "").unwrap();
}

async fn until_told(folder: &str, id: &str) {
    while !Path::new(folder).join(format!("told-{id}")).exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As `kill -9` would.
fn die() -> ! {
    let own = rustix::process::getpid();
    let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    std::process::abort()
}
