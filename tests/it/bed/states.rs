//! Step Functions as those see it who have a task token or work for an activity: a server in the process, whose states wait until
//! they are told, and can time out when a test says so. The faults are those of [`FaultyHttp`], before it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sfn::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sfn::{Client, Config, config};
use dynamo_tracker::TaskToken;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use super::http::FaultyHttp;
use super::lambda::server::{Reply, Server, reply};

/// The activity that there is.
pub(crate) const ACTIVITY: &str = "arn:aws:states:us-east-1:123456789012:activity:print";

/// How long a poll waits for a task. With AWS, it is a minute.
const POLL: Duration = Duration::from_millis(300);
/// No test waits so long for a state to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a state was told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Success(Value),
    Failure(String, String),
}

impl Told {
    /// The name of the error, and what it was told besides.
    #[track_caller]
    pub(crate) fn failure(self) -> (String, String) {
        match self {
            Told::Failure(error, cause) => (error, cause),
            Told::Success(output) => panic!("it went on, with {output}"),
        }
    }
}

/// How long Step Functions takes to give away a task, where a test has it slow.
const SLOW: Duration = Duration::from_millis(250);

/// Step Functions, and the faults on the way to it.
pub(crate) struct States {
    pub(crate) http: FaultyHttp,
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Each state that ever waited; `Ok(None)` while it waits, `Err` when it has timed out.
    waiting: HashMap<String, Result<Option<Told>, ()>>,
    /// Tasks of the activity that nobody has taken.
    tasks: VecDeque<(String, String)>,
    /// How often each state was told that the work goes on.
    beats: HashMap<String, u32>,
    /// States that waited no more when they were told that the work goes on.
    refused: HashSet<String>,
    /// What was asked, in its order.
    calls: Vec<String>,
    /// Whether a poll has no answer for a while, though there is a task.
    slow: bool,
}

impl States {
    pub(crate) fn new() -> Self {
        let shared = Arc::<Shared>::default();
        let server = Server::start({
            let shared = Arc::clone(&shared);
            move |request| answer(Arc::clone(&shared), request)
        });
        Self { http: FaultyHttp::new(), shared, server }
    }

    /// The same, whose polls have no answer for a while, whatever there is.
    pub(crate) fn slow(self) -> Self {
        self.shared.state.lock().unwrap().slow = true;
        self
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(crate) fn config(&self) -> config::Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.endpoint())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(self.http.clone())
    }

    pub(crate) fn client(&self) -> Client {
        Client::from_conf(self.config().build())
    }

    /// The token of a state that waits from now on.
    pub(crate) fn wait(&self) -> TaskToken {
        let token = Uuid::new_v4().to_string();
        self.shared.state.lock().unwrap().waiting.insert(token.clone(), Ok(None));
        TaskToken::new(token).unwrap()
    }

    /// A state gives the activity this task, and waits.
    pub(crate) fn offer(&self, input: &Value) -> TaskToken {
        let token = self.wait();
        self.shared.state.lock().unwrap().tasks.push_back((token.as_str().to_owned(), input.to_string()));
        self.shared.changed.notify_waiters();
        token
    }

    /// The state waits no more.
    pub(crate) fn time_out(&self, token: &TaskToken) {
        self.shared.state.lock().unwrap().waiting.insert(token.as_str().to_owned(), Err(()));
    }

    /// What the state was told, if it was.
    pub(crate) fn told(&self, token: &TaskToken) -> Option<Told> {
        self.shared.state.lock().unwrap().waiting[token.as_str()].clone().ok().flatten()
    }

    /// What the state is told, when it is.
    pub(crate) async fn until_told(&self, token: &TaskToken) -> Told {
        self.until("the state is told", || self.told(token)).await
    }

    /// Waits until it was told so often that the work goes on.
    pub(crate) async fn until_beats(&self, token: &TaskToken, beats: u32) {
        self.until("heartbeats", || (self.beats(token) >= beats).then_some(())).await;
    }

    /// How often it was told that the work goes on.
    pub(crate) fn beats(&self, token: &TaskToken) -> u32 {
        self.shared.state.lock().unwrap().beats.get(token.as_str()).copied().unwrap_or_default()
    }

    /// Waits until somebody hears that the state waits no more.
    pub(crate) async fn until_refused(&self, token: &TaskToken) {
        let refused = || self.shared.state.lock().unwrap().refused.contains(token.as_str());
        self.until("a refusal", || refused().then_some(())).await;
    }

    async fn until<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> T {
        let found = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                // From here on, no change is missed.
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("it never happened: {what}"))
    }

    /// The operations that were asked for since the last call of this.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().unwrap().calls)
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Bytes>) -> Reply {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix("AWSStepFunctions.").unwrap_or_default().to_owned();
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    shared.state.lock().unwrap().calls.push(operation.clone());
    let answer = match operation.as_str() {
        "GetActivityTask" => shared.poll(&body).await,
        "SendTaskHeartbeat" => shared.beat(&body),
        "SendTaskSuccess" => match serde_json::from_str(body["output"].as_str().unwrap()) {
            Ok(output) => shared.tell(&body, Told::Success(output)),
            Err(_) => Err("InvalidOutput"),
        },
        "SendTaskFailure" => {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            shared.tell(&body, Told::Failure(text("error"), text("cause")))
        }
        other => panic!("there is no {other:?}"),
    };
    match answer {
        Ok(answer) => reply(200, &[], answer.to_string()),
        // As AWS does, it quotes what it does not like.
        Err(code) => reply(400, &[], json!({"__type": code, "message": format!("{code}: {body}")}).to_string()),
    }
}

impl Shared {
    async fn poll(&self, body: &Value) -> Result<Value, &'static str> {
        if body["activityArn"] != ACTIVITY {
            return Err("ActivityDoesNotExist");
        }
        if self.state.lock().unwrap().slow {
            tokio::time::sleep(SLOW).await;
        }
        let over = tokio::time::sleep(POLL);
        tokio::pin!(over);
        loop {
            let offered = self.changed.notified();
            tokio::pin!(offered);
            offered.as_mut().enable();
            if let Some((token, input)) = self.state.lock().unwrap().tasks.pop_front() {
                return Ok(json!({"taskToken": token, "input": input}));
            }
            tokio::select! {
                () = offered => {}
                () = &mut over => return Ok(json!({"taskToken": null})),
            }
        }
    }

    fn tell(&self, body: &Value, told: Told) -> Result<Value, &'static str> {
        let mut state = self.state.lock().unwrap();
        let waiting = state.waiting.get_mut(body["taskToken"].as_str().unwrap()).ok_or("InvalidToken")?;
        match waiting {
            Ok(None) => *waiting = Ok(Some(told)),
            Ok(Some(_)) | Err(()) => return Err("TaskTimedOut"),
        }
        self.changed.notify_waiters();
        Ok(json!({}))
    }

    fn beat(&self, body: &Value) -> Result<Value, &'static str> {
        let mut state = self.state.lock().unwrap();
        let token = body["taskToken"].as_str().unwrap();
        match state.waiting.get(token) {
            None => return Err("InvalidToken"),
            Some(Ok(None)) => *state.beats.entry(token.to_owned()).or_default() += 1,
            Some(_) => {
                state.refused.insert(token.to_owned());
                self.changed.notify_waiters();
                return Err("TaskTimedOut");
            }
        }
        self.changed.notify_waiters();
        Ok(json!({}))
    }
}
