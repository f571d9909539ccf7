//! A table, and who does tasks on it.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config;
use aws_sdk_dynamodb::types::{AttributeValue, Put};
use dynamo_tracker::{NewTask, TrackerClient};
use serde::Serialize;

use crate::raw;

const NAMESPACE: &str = "bench";

/// Who does a task, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    /// The SDK's two calls.
    Raw,
    /// `start` and `succeed`, without the index.
    Crate,
    /// The same with it.
    Indexed,
    /// As `Raw`, and the data is set anew at the end.
    RawAnew,
    /// As `Crate`, and the data is set anew at the end.
    CrateAnew,
}

impl Side {
    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Side::Raw => "raw",
            Side::Crate => "crate",
            Side::Indexed => "crate, index",
            Side::RawAnew => "raw, data anew",
            Side::CrateAnew => "crate, data anew",
        }
    }
}

/// Clients of all sides on one table.
pub(crate) struct Clients {
    pub(crate) sdk: Client,
    plain: TrackerClient<String>,
    pub(crate) indexed: TrackerClient<String>,
}

impl Clients {
    pub(crate) fn new(config: config::Builder, table: &str, shards: u16) -> Self {
        let sdk = Client::from_conf(config.build());
        let builder = || TrackerClient::builder(sdk.clone()).table(table).namespace(NAMESPACE);
        let plain = builder().build().expect("a client");
        let indexed = builder().index(shards).build().expect("a client");
        Self { sdk, plain, indexed }
    }

    /// Has a side do a task that is there, with this data, and says how long that took. The task is made before and deleted
    /// after, so that the table stays as large as it was.
    pub(crate) async fn task(&self, side: Side, number: usize, data: &str) -> Duration {
        let id = format!("{side:?}-{number}");
        let client = if side == Side::Indexed { &self.indexed } else { &self.plain };
        let put = item(client, NewTask::new(&id).data(data.to_owned()));
        self.sdk.put_item().table_name(&put.table_name).set_item(Some(put.item)).send().await.expect("it is made");
        let begun = Instant::now();
        match side {
            Side::Raw => raw::task(&self.sdk, client.table(), &key(&id)).await,
            Side::RawAnew => {
                let data = AttributeValue::S(data.to_owned());
                raw::task_with_data(&self.sdk, client.table(), &key(&id), data).await;
            }
            Side::Crate | Side::Indexed | Side::CrateAnew => {
                let mut lease = client.start(&id).await.expect("it starts");
                if side == Side::CrateAnew {
                    lease.set_data(data.to_owned()).expect("it can be written");
                }
                lease.succeed().await.expect("it ends");
            }
        }
        let taken = begun.elapsed();
        let delete = self.sdk.delete_item().table_name(client.table());
        delete.key("id", AttributeValue::S(key(&id))).send().await.expect("it is deleted");
        taken
    }
}

/// The item of a task to be made, as the client itself would write it.
pub(crate) fn item(client: &TrackerClient<String>, task: NewTask<String>) -> Put {
    client.create_item(task).expect("it can be written").put.expect("it is a put")
}

fn key(id: &str) -> String {
    format!("{NAMESPACE}#{id}")
}
