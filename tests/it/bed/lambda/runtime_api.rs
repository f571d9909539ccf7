//! The Runtime API of one sandbox: hands out invocations and takes their answers.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hyper::body::Bytes;
use hyper::{Method, Request};
use tokio::sync::{mpsc, oneshot};

use super::Answer;
use super::server::{Reply, Server, reply};

const PREFIX: &str = "/2018-06-01/runtime/";

/// An invocation that waits for the process to ask for it.
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    /// In milliseconds since 1970.
    pub(super) deadline: i64,
}

/// What the process does with its life.
pub(super) trait Watcher: Send + Sync + 'static {
    /// It asks for an invocation. The first time, that ends its initialisation.
    fn asks(&self);
    /// It says that it can't initialise.
    fn cannot_start(&self, error: Answer);
}

pub(super) struct RuntimeApi {
    exchange: Arc<Exchange>,
    server: Server,
}

struct Exchange {
    arn: String,
    todo: mpsc::UnboundedSender<Invocation>,
    /// Several requests may wait here, where a process takes several invocations at a time.
    next: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
}

impl RuntimeApi {
    pub(super) fn start(arn: String, watcher: Arc<impl Watcher>) -> Self {
        let (todo, next) = mpsc::unbounded_channel();
        let exchange = Arc::new(Exchange { arn, todo, next: next.into(), running: Mutex::default() });
        let shared = Arc::clone(&exchange);
        let server = Server::start(move |request| route(Arc::clone(&shared), Arc::clone(&watcher), request));
        Self { exchange, server }
    }

    /// For `AWS_LAMBDA_RUNTIME_API`.
    pub(super) fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Hands this over at the next chance. The answer comes when the process gives it.
    pub(super) fn submit(&self, invocation: Invocation) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.exchange.running.lock().unwrap().insert(invocation.request_id.clone(), sender);
        self.exchange.todo.send(invocation).unwrap_or_else(|_| unreachable!("the exchange has the other end"));
        receiver
    }
}

async fn route(exchange: Arc<Exchange>, watcher: Arc<impl Watcher>, request: Request<Bytes>) -> Reply {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let parts: Vec<_> = path.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => {
            watcher.asks();
            exchange.next().await
        }
        (&Method::POST, ["invocation", id, "response"]) => exchange.end(id, Answer::response(request.body())),
        (&Method::POST, ["invocation", id, "error"]) => exchange.end(id, Answer::reported(request.body())),
        (&Method::POST, ["init", "error"]) => {
            watcher.cannot_start(Answer::reported(request.body()));
            accepted()
        }
        _ => refused(404, "InvalidPath", "the Runtime API has no such path"),
    }
}

impl Exchange {
    /// Where the process is killed meanwhile, its connection closes, and this is dropped with nothing taken.
    async fn next(&self) -> Reply {
        let invocation = self.next.lock().await.recv().await.expect("the exchange has the other end");
        let headers = [
            ("lambda-runtime-aws-request-id", invocation.request_id.as_str()),
            ("lambda-runtime-deadline-ms", &invocation.deadline.to_string()),
            ("lambda-runtime-invoked-function-arn", &self.arn),
            ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0"),
        ];
        reply(200, &headers, invocation.payload)
    }

    fn end(&self, id: &str, answer: Answer) -> Reply {
        match self.running.lock().unwrap().remove(id) {
            Some(caller) => {
                // Nobody waits where the invocation has timed out in this moment.
                let _ = caller.send(answer);
                accepted()
            }
            None => refused(400, "InvalidRequestID", "no invocation with this id is running"),
        }
    }
}

fn accepted() -> Reply {
    reply(202, &[], r#"{"status":"OK"}"#)
}

fn refused(status: u16, error_type: &str, message: &str) -> Reply {
    reply(status, &[], serde_json::json!({ "errorType": error_type, "errorMessage": message }).to_string())
}
