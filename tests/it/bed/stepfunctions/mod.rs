//! AWS Step Functions, on moto's server: its interpreter runs the state machines, which call the functions of
//! [`lambda`](super::lambda) and the tables of the bed. `server.py` says what moto's lacks, and what differs from AWS.
//!
//! ```text
//! let machines = StateMachines::new(&bed, [&function]);
//! let execution = machines.run(&definition, &json!({ "order_id": "A1" })).await;
//! assert_eq!(execution.succeeded()["payment_id"], "P1");
//! ```

mod execution;
mod statelint;

use std::time::Duration;

use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sfn::{Client, Config};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use uuid::Uuid;

use super::lambda::{ACCOUNT, Deployed, InvokeApi, REGION};
use super::{Bed, moto};

pub(crate) use execution::Execution;
pub(crate) use statelint::statelint;

/// How long an execution may take: longer than any test's takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often it is looked whether an execution is over. What is looked at does not depend on it.
const INTERVAL: Duration = Duration::from_millis(50);

/// State machines that may call these functions, and the tables of a bed.
pub(crate) struct StateMachines {
    pub(crate) client: Client,
    role: String,
    _functions: InvokeApi,
}

impl StateMachines {
    pub(crate) fn new<'a>(bed: &Bed, functions: impl IntoIterator<Item = &'a Deployed>) -> Self {
        let functions = InvokeApi::serve(functions);
        let path = format!("functions/{}/tables/{}", port(&functions.endpoint()), port(&bed.endpoint));
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{path}/test");
        Self { client: client(), role, _functions: functions }
    }

    /// The same, but of the first machine's calls to DynamoDB, the first one's answer is lost.
    pub(crate) fn losing_an_answer(self) -> Self {
        let role = self.role.replace("/test", &format!("/losing/{}", Uuid::new_v4()));
        Self { role, ..self }
    }

    /// Where the SDK finds Step Functions.
    pub(crate) fn endpoint() -> String {
        moto::endpoint().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates a state machine, and returns its ARN.
    pub(crate) async fn create(&self, definition: &Value) -> String {
        let request = self.client.create_state_machine().name(format!("test-{}", Uuid::new_v4()));
        let created = request.definition(definition.to_string()).role_arn(&self.role).send().await;
        created.unwrap_or_else(|error| panic!("{error:?}")).state_machine_arn
    }

    /// Creates an activity, and returns its ARN.
    pub(crate) async fn create_activity(&self) -> String {
        let request = self.client.create_activity().name(format!("test-{}", Uuid::new_v4()));
        request.send().await.unwrap().activity_arn
    }

    /// Starts an execution, and returns its ARN.
    pub(crate) async fn start(&self, machine: &str, input: &Value) -> String {
        let request = self.client.start_execution().state_machine_arn(machine).name(Uuid::new_v4());
        request.input(input.to_string()).send().await.unwrap().execution_arn
    }

    /// Creates a state machine and runs it once, to its end.
    pub(crate) async fn run(&self, definition: &Value, input: &Value) -> Execution {
        let machine = self.create(definition).await;
        self.run_again(&machine, input).await
    }

    /// Runs a state machine once, to its end.
    pub(crate) async fn run_again(&self, machine: &str, input: &Value) -> Execution {
        let execution = self.start(machine, input).await;
        self.wait(&execution).await
    }

    /// Waits until the execution is over.
    pub(crate) async fn wait(&self, execution: &str) -> Execution {
        let begun = std::time::Instant::now();
        loop {
            let described = self.client.describe_execution().execution_arn(execution).send().await.unwrap();
            if described.status != ExecutionStatus::Running {
                return Execution::new(described);
            }
            assert!(begun.elapsed() < PATIENCE, "{execution} does not end; {:?}", self.entered(execution).await);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Redrives an execution that has failed, from the state that failed to its end: all children of a map, which is more than AWS does.
    pub(crate) async fn redrive(&self, execution: &Execution) -> Execution {
        self.client.redrive_execution().execution_arn(&execution.arn).send().await.unwrap();
        self.wait(&execution.arn).await
    }

    /// Creates a bucket, and returns its name.
    pub(crate) async fn create_bucket(&self) -> String {
        let name = format!("test-{}", Uuid::new_v4());
        put(&name, "").await;
        name
    }

    /// Puts JSON into a bucket.
    pub(crate) async fn put_object(&self, bucket: &str, key: &str, content: &Value) {
        put(&format!("{bucket}/{key}"), &content.to_string()).await;
    }

    /// Ends an execution that goes on.
    pub(crate) async fn stop(&self, execution: &str) {
        // It may be over by now.
        let _ = self.client.stop_execution().execution_arn(execution).send().await;
    }

    /// The names of the states that it has entered, in their order; not those within a Distributed Map.
    pub(crate) async fn entered(&self, execution: &str) -> Vec<String> {
        let history = self.client.get_execution_history().execution_arn(execution).send().await.unwrap();
        let entered = history.events.into_iter().filter_map(|event| event.state_entered_event_details);
        entered.map(|details| details.name).collect()
    }

    /// The same, as soon as it has entered this state.
    pub(crate) async fn entered_until(&self, execution: &str, state: &str) -> Vec<String> {
        let begun = std::time::Instant::now();
        loop {
            let entered = self.entered(execution).await;
            if entered.iter().any(|other| other == state) {
                return entered;
            }
            assert!(begun.elapsed() < PATIENCE, "{execution} does not come to {state}, but has entered {entered:?}");
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// S3, which is so simple that it needs no SDK of its own.
async fn put(path: &str, content: &str) {
    let uri = format!("{}/{path}", StateMachines::endpoint());
    let request = Request::put(uri).body(Full::new(Bytes::from(content.to_owned()))).expect("a good address");
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http();
    let answer = http.request(request).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {answer:?}");
}

fn port(endpoint: &str) -> &str {
    endpoint.trim_end_matches('/').rsplit(':').next().expect("an endpoint has a port")
}

fn client() -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(StateMachines::endpoint())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    Client::from_conf(config.build())
}
