//! A handler for the tests of the emulator, which does what its event says. It is a copy of the tests' own program.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use dynamo_tracker::TrackerClient;
use dynamo_tracker::lambda::{Idempotency, IdempotencyLayer, Key};
use dynamo_tracker::stepfunctions::{StepEvent, StepLayer};
use futures_util::future::BoxFuture;
use lambda_runtime::tower::Layer;
use lambda_runtime::{Context, Error, LambdaEvent, Runtime, SnapStartResource, service_fn};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{batch, batch_function};
use crate::bed::lambda::Function;
use crate::stepfunctions::function as stepfunctions;

/// Set for such a copy. What it is set to is what it does before it is ready: `start`, `exit`, `fail`, or milliseconds to
/// wait. With `batch` it is another function; with `idempotent`, one that does once what an event with a `key` says; with `step`
/// or `waiting-step`, a step of a state machine that does once what its input says, and the latter returns refusals.
const HANDLER: &str = "TRACKER_TEST_LAMBDA_HANDLER";

/// A function of this handler.
pub(crate) fn function(init: &str) -> Function {
    Function::new(std::env::current_exe().unwrap()).env(HANDLER, init)
}

pub(crate) fn is_handler() -> bool {
    std::env::var_os(HANDLER).is_some()
}

pub(crate) fn handle() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    match runtime.block_on(run(&std::env::var(HANDLER).unwrap())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(init: &str) -> Result<(), Error> {
    println!("process {} begins", std::process::id());
    if init == batch_function::BATCH {
        return batch_function::run().await;
    }
    if init == stepfunctions::ITEM {
        return stepfunctions::run().await;
    }
    if init == "idempotent" {
        return lambda_runtime::run_concurrent(IdempotencyLayer::new(idempotency().await?).layer(service_fn(answer)))
            .await;
    }
    if init == "step" || init == "waiting-step" {
        let layer = StepLayer::new(idempotency().await?);
        let layer = if init == "step" { layer } else { layer.return_refusals() };
        return lambda_runtime::run_concurrent(layer.layer(service_fn(answer_step))).await;
    }
    let mut runtime = Runtime::new(service_fn(answer));
    match init {
        "exit" => std::process::exit(4),
        "fail" => runtime = runtime.register_snapstart_resource(std::sync::Arc::new(Broken)),
        "start" => (),
        millis => tokio::time::sleep(Duration::from_millis(millis.parse()?)).await,
    }
    runtime.run_concurrent().await
}

/// On the table and the endpoint that the environment names.
async fn idempotency() -> Result<Idempotency, Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = TrackerClient::builder(aws_sdk_dynamodb::Client::new(&config));
    let client = client.table(std::env::var("DYNAMO_TRACKER_TABLE")?).namespace("does").build()?;
    Ok(Idempotency::builder(client).key(Key::new(|event| Some(event["key"].as_str()?.to_owned()))).build()?)
}

/// What makes the runtime report an error of the initialisation, by its own means.
struct Broken;

impl SnapStartResource for Broken {
    fn before_snapshot(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Err("it is broken".into()) })
    }
}

/// The input of the step is what an event is elsewhere.
async fn answer_step(event: LambdaEvent<StepEvent<Value>>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    answer(LambdaEvent::new(event.input, context)).await
}

/// The event is `{"do": …}`; each thing to do has its own keys. Or it is a batch of a queue.
async fn answer(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let (event, context) = event.into_parts();
    if let Some(records) = event["Records"].as_array() {
        return batch::answer(records);
    }
    let text = |key: &str| event[key].as_str().unwrap_or_default();
    match text("do") {
        "echo" => Ok(event["value"].clone()),
        "pid" => Ok(json!(std::process::id())),
        "context" => Ok(described(&context)),
        "print" => {
            println!("{}", text("text"));
            Ok(Value::Null)
        }
        "meet" => meet(Path::new(text("folder")), text("name"), text("other")).await,
        "hold" => hold(text("address")).await,
        "exit" => std::process::exit(i32::try_from(event["code"].as_i64().unwrap_or(0))?),
        "panic" => panic!("{}", text("text")),
        "fail" => {
            println!("failing");
            Err(text("text").into())
        }
        other => Err(format!("there is no {other:?}").into()),
    }
}

fn described(context: &Context) -> Value {
    let left = context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
    json!({
        "milliseconds_left": u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        "request_id": context.request_id,
        "arn": context.invoked_function_arn,
        "name": context.env_config.function_name,
    })
}

/// Waits for another invocation, which waits for this one: both come to an end only if they run at the same time.
async fn meet(folder: &Path, name: &str, other: &str) -> Result<Value, Error> {
    std::fs::write(folder.join(name), "")?;
    while !folder.join(other).exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(json!(std::process::id()))
}

/// Keeps a connection for as long as the process lives.
async fn hold(address: &str) -> Result<Value, Error> {
    let _connection = TcpStream::connect(address).await?;
    std::future::pending().await
}
