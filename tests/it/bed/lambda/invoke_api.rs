//! The Invoke API, for SDKs, for moto and for whoever else calls functions over HTTP.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use std::collections::HashMap;
use std::sync::Arc;

use hyper::body::Bytes;
use hyper::{Method, Request};

use super::deployed::Inner;
use super::server::{Reply, Server, reply};
use super::{Answer, Deployed};

/// It is gone when this is dropped.
pub(crate) struct InvokeApi {
    server: Server,
}

type Functions = HashMap<String, Arc<Inner>>;

impl InvokeApi {
    /// Serves these by their names.
    pub(crate) fn serve<'a>(functions: impl IntoIterator<Item = &'a Deployed>) -> Self {
        let functions = functions.into_iter().map(Deployed::inner);
        let functions: Arc<Functions> = Arc::new(functions.map(|one| (one.function.name.clone(), one)).collect());
        Self { server: Server::start(move |request| route(Arc::clone(&functions), request)) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.server.address)
    }
}

async fn route(functions: Arc<Functions>, request: Request<Bytes>) -> Reply {
    let path = request.uri().path().strip_prefix("/2015-03-31/functions/").unwrap_or_default();
    match (request.method(), path.split_once('/')) {
        (&Method::POST, Some((function, "invocations"))) => match functions.get(&name(function)) {
            Some(inner) => invoke(inner, request).await,
            None => not_found(&format!("Function not found: {function}")),
        },
        _ => not_found("the Invoke API has no such path"),
    }
}

/// The name within a name, a name with a qualifier or an ARN, of which the colons may be encoded.
fn name(function: &str) -> String {
    let function = function.replace("%3A", ":");
    let name = function.rsplit_once(":function:").map_or(function.as_str(), |(_, name)| name);
    name.split(':').next().unwrap_or_default().to_owned()
}

async fn invoke(function: &Arc<Inner>, request: Request<Bytes>) -> Reply {
    let kind = request.headers().get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_event = kind == "Event";
    let payload = request.into_body();
    let payload = if payload.is_empty() { Bytes::from_static(b"{}") } else { payload };
    if is_event {
        tokio::spawn(invoke_event(Arc::clone(function), payload));
        return reply(202, &[], "");
    }
    let answer = function.invoke(payload).await;
    let mut headers = vec![("x-amz-executed-version", "$LATEST")];
    headers.extend(matches!(answer, Answer::Error { .. }).then_some(("x-amz-function-error", "Unhandled")));
    reply(200, &headers, answer.body().to_string())
}

/// A function that fails is invoked twice more. In Lambda that is after one minute and after two; here it is at once.
async fn invoke_event(function: Arc<Inner>, payload: Bytes) {
    for _ in 0..3 {
        if let Answer::Ok(_) = function.invoke(payload.clone()).await {
            return;
        }
    }
}

fn not_found(message: &str) -> Reply {
    let body = serde_json::json!({ "Type": "User", "Message": message }).to_string();
    reply(404, &[("x-amzn-errortype", "ResourceNotFoundException")], body)
}
