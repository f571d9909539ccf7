//! DynamoDB inside the process, for trying out, laptops and tests.
//!
//! It is [dynoxide](https://docs.rs/dynoxide-rs), DynamoDB's API on SQLite, served to this process on a free port of the
//! loopback address. It has no transaction conflicts, and its reads are always consistent. It deletes no expired items.

use std::path::Path;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::{Client, Config};
use dynoxide::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};

/// A DynamoDB of this process's own. It stops when this is dropped, so keep it for as long as its clients.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), dynamo_tracker::Error> {
/// use dynamo_tracker::TrackerClient;
/// use dynamo_tracker::embedded::Embedded;
///
/// let store = Embedded::in_memory().await?;
/// let client = TrackerClient::<()>::builder(store.client()).table("tasks").namespace("orders").build()?;
/// assert!(client.create_table().await?);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Embedded {
    endpoint: String,
    server: JoinHandle<()>,
}

impl Embedded {
    /// One whose tables are gone when it stops.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Service`]: no port is free, or memory is short.
    pub async fn in_memory() -> Result<Self, Error> {
        Self::serve(Database::memory().map_err(|error| fail("in memory", error))?).await
    }

    /// One whose tables are in the file at `path`, which is made if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Service`]: the file can't be opened or is no such file, or no port is free.
    pub async fn in_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let text = path.to_str().ok_or_else(|| fail(&shown, "the path is no valid UTF-8"))?;
        Self::serve(Database::new(text).map_err(|error| fail(&shown, error))?).await
    }

    /// Where it is served: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An SDK client on it.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("embedded", "embedded", None, None, "embedded"))
            .build();
        Client::from_conf(config)
    }

    async fn serve(database: Database) -> Result<Self, Error> {
        let port = |error| fail("on a free port", error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(port)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(port)?);
        let server = tokio::spawn(dynoxide::server::serve_on(listener, database));
        Ok(Self { endpoint, server })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn fail(place: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message =
        format!("can't open an embedded DynamoDB {place}; is it a folder, another kind of file, or not to be written?");
    Error::new(ErrorKind::Service, message).with_source(source)
}
