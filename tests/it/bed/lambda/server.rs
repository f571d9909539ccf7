//! A small HTTP server on a port of its own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) type Reply = Response<Full<Bytes>>;

/// It ends, with all its connections, when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Each request is answered by `handler`, which has its whole body.
    pub(crate) fn start<F>(handler: impl Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        // Bound by the standard library, which does it at once: whoever starts a server need not wait for it.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        listener.set_nonblocking(true).expect("tokio needs it so");
        let address = listener.local_addr().expect("it is bound");
        let listener = TcpListener::from_std(listener).expect("within a runtime");
        Self { address, task: tokio::spawn(accept(listener, handler)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<F>(listener: TcpListener, handler: impl Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = Reply> + Send + 'static,
{
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, handler.clone()));
        // Those that are over are not kept.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve<F>(stream: TcpStream, handler: impl Fn(Request<Bytes>) -> F + Clone)
where
    F: Future<Output = Reply>,
{
    // Else the second packet of a small answer waits for the other side's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, handler.clone()));
    // An error here is a connection that the other side has cut, as a process does that is killed.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer<F>(request: Request<Incoming>, handler: impl Fn(Request<Bytes>) -> F) -> Result<Reply, hyper::Error>
where
    F: Future<Output = Reply>,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(handler(Request::from_parts(head, body)).await)
}

/// A reply with a body of JSON.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::new(body.into())).expect("the headers are good")
}
