//! An HTTP layer between the SDK and the backend that loses, refuses and repeats as it is told.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures_util::future::BoxFuture;

/// How late a late request is.
const LATE: std::time::Duration = std::time::Duration::from_millis(60);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is carried out and answered.
    None,
    /// It is carried out and answered, but late.
    Late,
    /// It is carried out, and its answer does not come, though the connection stays.
    NoAnswer,
    /// It never arrives.
    LostRequest,
    /// It is carried out, and its answer never arrives.
    LostAnswer,
    /// It is carried out, and answered with an internal error.
    DoneButFailed,
    /// It is refused with an internal error.
    Failed,
    /// It is refused, since there are too many.
    Throttled,
    /// It is refused, since its sender may not do it.
    Denied,
    /// It is refused in words that quote it.
    Quoting,
    /// None of the keys of a batch is got to.
    Unprocessed,
    /// A transaction is refused, since another one is under way.
    Conflict,
}

/// The layer. Clones share everything.
#[derive(Clone)]
pub(crate) struct FaultyHttp {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What happens to the next requests; to those after, nothing.
    plan: VecDeque<Fault>,
    /// The requests that were sent, each try of its own.
    sent: Vec<Sent>,
    /// What the next requests meet after the plan, drawn at random.
    chance: Option<Chance>,
    /// Whether each copy of a transaction has a token of its own, as if DynamoDB had forgotten the one before.
    forgets_tokens: bool,
    /// Done once, when the next answer is there but not yet delivered.
    before_answer: Option<Hook>,
    /// Done once, after the next fault and before the SDK hears of it.
    after_fault: Option<Hook>,
}

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

struct Chance {
    random: fastrand::Rng,
    faults: Vec<(Fault, f64)>,
}

impl Chance {
    fn draw(&mut self) -> Fault {
        let mut left = self.random.f64();
        for (fault, share) in &self.faults {
            left -= share;
            if left < 0.0 {
                return *fault;
            }
        }
        Fault::None
    }
}

struct Sent {
    operation: String,
    request: HttpRequest,
    connector: SharedHttpConnector,
}

impl FaultyHttp {
    pub(crate) fn new() -> Self {
        Self { inner: aws_smithy_http_client::Builder::new().build_http(), state: Arc::default() }
    }

    /// The next requests meet these faults, in this order.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().plan = faults.into_iter().collect();
    }

    /// From now on, requests meet a fault of these as often as it says, drawn with this seed.
    pub(crate) fn chance(&self, seed: u64, faults: &[(Fault, f64)]) {
        let random = fastrand::Rng::with_seed(seed);
        self.state.lock().unwrap().chance = Some(Chance { random, faults: faults.to_vec() });
    }

    /// DynamoDB forgets the tokens of transactions, as it does after ten minutes.
    pub(crate) fn forget_tokens(&self) {
        self.state.lock().unwrap().forgets_tokens = true;
    }

    /// The names of the operations that were sent since the last [`forget`](Self::forget), each try of its own.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.state.lock().unwrap().sent.iter().map(|sent| sent.operation.clone()).collect()
    }

    /// The bodies of the same requests.
    pub(crate) fn bodies(&self) -> Vec<String> {
        let text = |sent: &Sent| String::from_utf8_lossy(sent.request.body().bytes().unwrap_or_default()).into_owned();
        self.state.lock().unwrap().sent.iter().map(text).collect()
    }

    pub(crate) fn forget(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// Does this when the next answer is there but not yet delivered.
    pub(crate) fn before_answer<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl FnOnce() -> F + Send + 'static,
    ) {
        let hook: Hook = Box::new(move || Box::pin(hook()));
        self.state.lock().unwrap().before_answer = Some(hook);
    }

    /// Does this after the next fault, before the SDK hears of it.
    pub(crate) fn after_fault<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl FnOnce() -> F + Send + 'static,
    ) {
        let hook: Hook = Box::new(move || Box::pin(hook()));
        self.state.lock().unwrap().after_fault = Some(hook);
    }

    /// Sends a copy of a request that was sent before, as a network might after any delay.
    pub(crate) async fn repeat(&self, number: usize) {
        let (request, connector) = {
            let state = self.state.lock().unwrap();
            let sent = &state.sent[number];
            (sent.request.try_clone().unwrap(), sent.connector.clone())
        };
        connector.call(request).await.expect("the copy is answered, whatever the answer");
    }
}

impl fmt::Debug for FaultyHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyHttp")
    }
}

impl HttpClient for FaultyHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FaultyConnector { inner, state: Arc::clone(&self.state) })
    }
}

#[derive(Clone)]
struct FaultyConnector {
    inner: SharedHttpConnector,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for FaultyConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyConnector")
    }
}

impl HttpConnector for FaultyConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let fault = {
            let mut state = self.state.lock().unwrap();
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let copy = request.try_clone().expect("a body in memory");
            // A long run under chance would remember too much.
            if state.chance.is_none() {
                state.sent.push(Sent { operation, request: copy, connector: self.inner.clone() });
            }
            if state.forgets_tokens {
                renew_token(&mut request);
            }
            let drawn = state.chance.as_mut().map_or(Fault::None, Chance::draw);
            state.plan.pop_front().unwrap_or(drawn)
        };
        let (inner, state) = (self.inner.clone(), Arc::clone(&self.state));
        HttpConnectorFuture::new(async move {
            let answer = answer(fault, inner, request).await;
            let hook = {
                let mut state = state.lock().unwrap();
                if fault == Fault::None { state.before_answer.take() } else { state.after_fault.take() }
            };
            if let Some(hook) = hook {
                hook().await;
            }
            answer
        })
    }
}

async fn answer(
    fault: Fault,
    inner: SharedHttpConnector,
    request: HttpRequest,
) -> Result<HttpResponse, ConnectorError> {
    match fault {
        Fault::None => inner.call(request).await,
        Fault::Late => {
            tokio::time::sleep(LATE).await;
            inner.call(request).await
        }
        Fault::NoAnswer => {
            inner.call(request).await?;
            std::future::pending().await
        }
        Fault::LostRequest => Err(lost("request")),
        Fault::LostAnswer => {
            inner.call(request).await?;
            Err(lost("answer"))
        }
        Fault::DoneButFailed => {
            inner.call(request).await?;
            Ok(refusal(500, "InternalServerError"))
        }
        Fault::Failed => Ok(refusal(500, "InternalServerError")),
        Fault::Throttled => Ok(refusal(400, "ThrottlingException")),
        Fault::Denied => Ok(refusal(400, "AccessDeniedException")),
        Fault::Quoting => {
            let mut response = refusal(400, "ValidationException");
            let quoted = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
            let body = serde_json::json!({"__type": "ValidationException", "message": format!("bad: {quoted}")});
            *response.body_mut() = SdkBody::from(body.to_string());
            Ok(response)
        }
        Fault::Unprocessed => {
            let body: serde_json::Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
            let body = serde_json::json!({"Responses": {}, "UnprocessedKeys": body["RequestItems"]});
            Ok(HttpResponse::new(200.try_into().expect("a status"), SdkBody::from(body.to_string())))
        }
        Fault::Conflict => {
            let mut response = refusal(400, "TransactionCanceledException");
            let reasons =
                r#""CancellationReasons":[{"Code":"TransactionConflict","Message":"on purpose"},{"Code":"None"}]"#;
            let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
            let body = format!(r#"{{"__type":"{kind}","Message":"on purpose",{reasons}}}"#);
            *response.body_mut() = SdkBody::from(body);
            Ok(response)
        }
    }
}

/// Gives a transaction another token of the same length.
fn renew_token(request: &mut HttpRequest) {
    const NAME: &str = "\"ClientRequestToken\":\"";
    let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
    if let Some((before, after)) = body.split_once(NAME) {
        let (_, rest) = after.split_once('"').expect("the end of the token");
        *request.body_mut() = SdkBody::from(format!("{before}{NAME}{}\"{rest}", uuid::Uuid::new_v4()));
    }
}

fn lost(what: &str) -> ConnectorError {
    ConnectorError::io(format!("the {what} was lost on purpose").into())
}

fn refusal(status: u16, code: &str) -> HttpResponse {
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"on purpose"}}"#);
    let status = status.try_into().expect("a status");
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}
