//! What a test stands on: a backend, a table of its own, a clock to move, and an HTTP layer that injects faults.

mod dynamodb_local;
mod example;
pub(crate) mod http;
pub(crate) mod lambda;
pub(crate) mod log;
pub(crate) mod meter;
mod moto;
mod port;
pub(crate) mod proxy;
pub(crate) mod queue;
pub(crate) mod reaper;
pub(crate) mod states;
pub(crate) mod stepfunctions;

use std::fmt;
use std::future::Future;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config, config};
use chrono::DateTime;
use dynamo_tracker::embedded::Embedded;
use dynamo_tracker::{Data, ManualClock, TrackerClient, TrackerClientBuilder};

pub(crate) use example::example;
use http::FaultyHttp;

/// Where the tests' clocks begin: the year 2100, so that no time in a test is past for a backend that deletes expired
/// items by the real clock.
const BEGINNING: i64 = 4_102_444_800;

/// How many shards the index of a test's table has. A client keeps the index only if it is built to.
pub(crate) const SHARDS: u16 = 4;

/// A DynamoDB that the suite runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    DynamodbLocal,
    Embedded,
}

impl Backend {
    pub(crate) const ALL: [Backend; 2] = [Backend::DynamodbLocal, Backend::Embedded];

    /// Whether `TRACKER_TEST_BACKEND` asks for it, which names one backend. Without it, all are wanted.
    pub(crate) fn is_wanted(self) -> bool {
        match std::env::var("TRACKER_TEST_BACKEND") {
            Err(_) => true,
            Ok(name) if name == "all" || name.is_empty() => true,
            Ok(name) => {
                let known = Self::ALL.map(|backend| backend.to_string());
                assert!(known.contains(&name), "TRACKER_TEST_BACKEND is {name:?}; it can be all or one of {known:?}");
                name == self.to_string()
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::DynamodbLocal => "dynamodb_local",
            Backend::Embedded => "embedded",
        })
    }
}

/// One test's own surroundings.
pub(crate) struct Bed {
    pub(crate) clock: ManualClock,
    pub(crate) http: FaultyHttp,
    pub(crate) endpoint: String,
    pub(crate) table: String,
    _embedded: Option<Embedded>,
    _server: Option<dynamodb_local::Server>,
}

impl Bed {
    pub(crate) async fn new(backend: Backend) -> Result<Self, String> {
        let embedded = match backend {
            Backend::DynamodbLocal => None,
            Backend::Embedded => Some(Embedded::in_memory().await.map_err(|error| error.to_string())?),
        };
        let endpoint = match &embedded {
            Some(embedded) => embedded.endpoint().to_owned(),
            None => dynamodb_local::endpoint()?,
        };
        let bed = Self {
            clock: ManualClock::new(DateTime::from_timestamp(BEGINNING, 0).unwrap()),
            http: FaultyHttp::new(),
            endpoint,
            table: format!("test-{}", uuid::Uuid::new_v4()),
            _embedded: embedded,
            _server: None,
        };
        // With the index from the beginning: DynamoDB Local takes seconds to add one.
        bed.builder::<()>()
            .index(SHARDS)
            .build()
            .unwrap()
            .create_table()
            .await
            .map_err(|error| format!("{error:?}"))?;
        bed.http.forget();
        Ok(bed)
    }

    /// The same on a table without the index, whose attributes can be of any type.
    pub(crate) async fn on_a_plain_table(self) -> Self {
        let bed = Self { table: format!("{}-plain", self.table), ..self };
        bed.builder::<()>().build().unwrap().create_table().await.unwrap();
        bed.http.forget();
        bed
    }

    /// The same on a server that nobody else uses.
    pub(crate) async fn on_a_server_of_its_own(self) -> Self {
        let another = if self._embedded.is_none() { dynamodb_local::another().unwrap() } else { None };
        match (&self._embedded, another) {
            (None, Some(server)) => Self { endpoint: server.endpoint.clone(), _server: Some(server), ..self },
            _ => self,
        }
    }

    /// The SDK's configuration for this backend, through the fault layer.
    pub(crate) fn sdk_config(&self) -> config::Builder {
        sdk_config(&self.endpoint).http_client(self.http.clone())
    }

    pub(crate) fn sdk(&self) -> Client {
        Client::from_conf(self.sdk_config().build())
    }

    /// A client in the making: this table, the namespace `test`, the manual clock, a lease of a minute.
    pub(crate) fn builder<D: Data>(&self) -> TrackerClientBuilder<D> {
        TrackerClient::builder(self.sdk())
            .table(&self.table)
            .namespace("test")
            .clock(self.clock.clone())
            .lease(std::time::Duration::from_secs(60))
    }

    /// The key of a task of the namespace `test`.
    pub(crate) fn key(id: &str) -> AttributeValue {
        AttributeValue::S(format!("test#{id}"))
    }

    /// Deletes a task's item behind everybody's back.
    pub(crate) async fn wipe(&self, id: &str) {
        self.sdk().delete_item().table_name(&self.table).key("id", Self::key(id)).send().await.unwrap();
    }

    /// Changes a task's item behind everybody's back.
    pub(crate) async fn set(&self, id: &str, name: &str, value: AttributeValue) {
        let update = self.sdk().update_item().table_name(&self.table).key("id", Self::key(id));
        let update = update.update_expression("SET #name = :value").expression_attribute_names("#name", name);
        update.expression_attribute_values(":value", value).send().await.unwrap();
    }

    pub(crate) fn client<D: Data>(&self) -> TrackerClient<D> {
        self.builder().build().unwrap()
    }
}

/// Runs this on one thread, so that nobody sees what it does between two waits until it waits.
pub(crate) fn on_one_thread(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::block_in_place(move || {
        runtime.block_on(body);
        drop(runtime);
    });
}

/// The SDK's configuration for a backend at `endpoint`.
pub(crate) fn sdk_config(endpoint: &str) -> config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
}
