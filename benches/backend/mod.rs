//! What a bench runs on: a DynamoDB in the process, or DynamoDB Local beside it.

#[expect(dead_code, reason = "the tests need more of it than the benches do")]
#[path = "../../tests/it/bed/dynamodb_local.rs"]
mod dynamodb_local;
#[path = "../../tests/it/bed/port.rs"]
mod port;

use std::fmt;
use std::path::Path;

use aws_sdk_dynamodb::config::{self, BehaviorVersion, Credentials, Region};
use clap::ValueEnum;
use dynamo_tracker::embedded::Embedded;

/// Where the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// In this process.
    Embedded,
    /// In a process of its own: AWS's DynamoDB Local. `tests/dynamodb-local` gets it.
    Local,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Embedded => "embedded",
            Backend::Local => "DynamoDB Local",
        })
    }
}

/// A DynamoDB that answers, until this is dropped.
pub(crate) struct Server {
    endpoint: String,
    _embedded: Option<Embedded>,
}

impl Server {
    /// The embedded one keeps its tables in `file`, or else in memory.
    pub(crate) async fn start(backend: Backend, file: Option<&Path>) -> Self {
        let embedded = match (backend, file) {
            (Backend::Local, _) => {
                let endpoint = dynamodb_local::endpoint().unwrap_or_else(|why| panic!("{why}"));
                return Self { endpoint, _embedded: None };
            }
            (Backend::Embedded, Some(file)) => Embedded::in_file(file).await,
            (Backend::Embedded, None) => Embedded::in_memory().await,
        };
        let embedded = embedded.expect("a store");
        Self { endpoint: embedded.endpoint().to_owned(), _embedded: Some(embedded) }
    }

    /// One that is there already.
    #[allow(dead_code, reason = "only processes that share one ask")]
    pub(crate) fn at(endpoint: &str) -> Self {
        Self { endpoint: endpoint.to_owned(), _embedded: None }
    }

    /// Where it answers.
    #[allow(dead_code, reason = "only the processes that are measured against each other ask")]
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The SDK's configuration for it.
    pub(crate) fn config(&self) -> config::Builder {
        config::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.endpoint)
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
    }
}
