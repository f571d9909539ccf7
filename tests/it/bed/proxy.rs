//! The fault layer for programs of their own: an HTTP proxy that loses, refuses and counts as it is told.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::http::Fault;

/// How late a late request is: long enough for a test to do something meanwhile.
const LATE: std::time::Duration = std::time::Duration::from_millis(700);

/// A proxy before a backend. It is gone when this is dropped.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    backend: String,
    client: Client<HttpConnector, Full<Bytes>>,
    plan: Mutex<VecDeque<Fault>>,
    sent: Mutex<Vec<String>>,
}

impl Proxy {
    pub(crate) async fn before(backend: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            backend: backend.to_owned(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            plan: Mutex::default(),
            sent: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { endpoint, state, server }
    }

    /// The next requests meet these faults, in this order; those after meet none.
    pub(crate) fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.state.plan.lock().unwrap() = faults.into_iter().collect();
    }

    /// The names of the operations that came, each try of its own.
    pub(crate) fn sent(&self) -> Vec<String> {
        self.state.sent.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&state), request));
            // An error here is a connection that was cut on purpose, or by the other side.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error cuts the connection: that is how a lost request and a lost answer look from outside.
async fn answer(state: Arc<State>, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
    state.sent.lock().unwrap().push(operation);
    let fault = state.plan.lock().unwrap().pop_front().unwrap_or(Fault::None);
    match fault {
        Fault::Late => {
            tokio::time::sleep(LATE).await;
            forward(&state, request).await
        }
        Fault::NoAnswer => {
            forward(&state, request).await?;
            std::future::pending().await
        }
        Fault::LostRequest => Err(io::Error::other("lost on purpose")),
        Fault::LostAnswer => {
            forward(&state, request).await?;
            Err(io::Error::other("lost on purpose"))
        }
        Fault::DoneButFailed => {
            forward(&state, request).await?;
            Ok(refusal(500, "InternalServerError"))
        }
        Fault::Failed => Ok(refusal(500, "InternalServerError")),
        Fault::Throttled => Ok(refusal(400, "ThrottlingException")),
        Fault::Denied | Fault::Quoting => Ok(refusal(400, "AccessDeniedException")),
        _ => forward(&state, request).await,
    }
}

async fn forward(state: &State, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
    let (mut head, body) = request.into_parts();
    head.uri = state.backend.parse::<Uri>().map_err(io::Error::other)?;
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let answer = state.client.request(Request::from_parts(head, Full::new(body))).await.map_err(io::Error::other)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}

fn refusal(status: u16, code: &str) -> Response<Full<Bytes>> {
    let message = "User: nobody is not authorized to perform: dynamodb:UpdateItem on resource: tasks";
    let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}"#);
    let response = Response::builder().status(status).header("x-amzn-requestid", "REQUEST-4711");
    response.body(Full::new(Bytes::from(body))).unwrap_or_else(|_: hyper::http::Error| unreachable!())
}
