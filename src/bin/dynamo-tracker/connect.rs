//! A client, from what the command line and the environment say.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use dynamo_tracker::embedded::Embedded;
use dynamo_tracker::stepfunctions::Callbacks;
use dynamo_tracker::{TrackerClient, TrackerClientBuilder};

use crate::args::Global;
use crate::data::Data;
use crate::output::{self, Failure};

/// A connection to a table.
pub(crate) struct Connection {
    sdk: Client,
    table: String,
    namespace: String,
    shards: u16,
    pack_over: Option<usize>,
    callbacks: Callbacks,
    /// Which file it is, if it is one, from the root.
    file: Option<String>,
    endpoint: Option<String>,
    /// Serves the file, if it is one, for as long as it is used.
    _embedded: Option<Embedded>,
}

/// What must be said, by an option or a variable.
pub(crate) fn required(value: &Option<String>, flag: &str, variable: &str) -> Result<String, Failure> {
    match value.as_deref() {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(Failure::usage(&format!("which {flag}? Pass --{flag}, or set {variable}"))),
    }
}

/// Finds out where the table is. Nothing is sent to it yet.
pub(crate) async fn connect(global: &Global) -> Result<Connection, Failure> {
    let table = required(&global.table, "table", "DYNAMO_TRACKER_TABLE")?;
    let namespace = required(&global.namespace, "namespace", "DYNAMO_TRACKER_NAMESPACE")?;
    let embedded = match &global.embedded {
        Some(file) => Some(Embedded::in_file(file).await?),
        None => None,
    };
    let sdk = match &embedded {
        Some(embedded) => embedded.client(),
        None => aws(global.endpoint_url.as_deref()).await,
    };
    let file = global.embedded.as_ref().and_then(|file| std::fs::canonicalize(file).ok()?.to_str().map(str::to_owned));
    let (shards, pack_over, endpoint) = (global.shards, global.pack_over, global.endpoint_url.clone());
    let callbacks = callbacks(global.json);
    Ok(Connection { sdk, table, namespace, shards, pack_over, callbacks, file, endpoint, _embedded: embedded })
}

/// By AWS's own environment and config, whatever the table's endpoint is. Nothing is looked up before somebody is to be told.
fn callbacks(json: bool) -> Callbacks {
    let connect = || async { aws_sdk_sfn::Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await) };
    Callbacks::lazily(connect).on_error(move |_, error| output::owed(error, json))
}

async fn aws(endpoint: Option<&str>) -> Client {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let mut builder = Builder::from(&config);
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    Client::from_conf(builder.build())
}

impl Connection {
    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    /// What makes another call of this program go to the same table.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("DYNAMO_TRACKER_TABLE", self.table.clone()),
            ("DYNAMO_TRACKER_NAMESPACE", self.namespace.clone()),
            ("DYNAMO_TRACKER_SHARDS", self.shards.to_string()),
        ];
        variables.extend(self.pack_over.map(|bytes| ("DYNAMO_TRACKER_PACK_OVER", bytes.to_string())));
        variables.extend(self.file.clone().map(|file| ("DYNAMO_TRACKER_EMBEDDED", file)));
        variables.extend(self.endpoint.clone().map(|endpoint| ("AWS_ENDPOINT_URL_DYNAMODB", endpoint)));
        variables
    }

    /// Whether the table's index is kept.
    pub(crate) fn is_indexed(&self) -> bool {
        self.shards > 0
    }

    /// A client in the making.
    pub(crate) fn builder(&self) -> TrackerClientBuilder<Data> {
        let builder = TrackerClient::builder(self.sdk.clone()).table(&self.table).namespace(&self.namespace);
        let builder = builder.callbacks(self.callbacks.clone()).pack_data_over(self.pack_over.unwrap_or(usize::MAX));
        match self.shards {
            0 => builder,
            shards => builder.index(shards),
        }
    }

    /// A client with the usual settings.
    pub(crate) fn client(&self) -> Result<TrackerClient<Data>, Failure> {
        Ok(self.builder().build()?)
    }

    /// A client whose leases are so long.
    pub(crate) fn client_with_lease(&self, lease: Duration) -> Result<TrackerClient<Data>, Failure> {
        Ok(self.builder().lease(lease).build()?)
    }
}
