//! Where the table is: in memory, in a file, at an endpoint, or in AWS.

use std::path::PathBuf;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use dynamo_tracker::embedded::Embedded;

#[derive(clap::Args)]
pub(crate) struct Place {
    /// Keeps the table in this file, instead of in memory.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint_url", "aws"])]
    store: Option<PathBuf>,
    /// A DynamoDB at this address, such as DynamoDB Local's.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// A real table, by your AWS configuration. It is made if there is none, with payment per request.
    #[arg(long)]
    aws: bool,
    /// The table's name.
    #[arg(long, value_name = "NAME", default_value = "dynamo-tracker-quickstart")]
    table: String,
}

/// A place that is open.
pub(crate) struct Open {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) name: String,
    _embedded: Option<Embedded>,
}

impl Place {
    pub(crate) async fn open(self) -> Result<Open, dynamo_tracker::Error> {
        let table = self.table;
        // AWS's own variable names an endpoint too, unless the user has asked for something else.
        let endpoint_url = self.endpoint_url.or_else(|| match self.store {
            None => std::env::var("AWS_ENDPOINT_URL_DYNAMODB").ok(),
            Some(_) => None,
        });
        if self.aws || endpoint_url.is_some() {
            let name = match &endpoint_url {
                Some(url) => format!("table {table} at {url}"),
                None => format!("table {table} in AWS"),
            };
            return Ok(Open { client: configured(endpoint_url).await, table, name, _embedded: None });
        }
        let (embedded, name) = match self.store {
            Some(file) => (Embedded::in_file(&file).await?, format!("embedded DynamoDB in {}", file.display())),
            None => (Embedded::in_memory().await?, "embedded DynamoDB in memory".to_owned()),
        };
        Ok(Open { client: embedded.client(), table, name, _embedded: Some(embedded) })
    }
}

/// A client by the AWS configuration. One on this machine takes any region and credentials, so none need be set for it.
async fn configured(endpoint_url: Option<String>) -> Client {
    let mut config = aws_config::defaults(BehaviorVersion::latest());
    if let Some(url) = endpoint_url {
        let here = ["//localhost", "//127.", "//[::1]"].iter().any(|host| url.contains(host));
        let set = |name| std::env::var_os(name).is_some();
        if here && !set("AWS_ACCESS_KEY_ID") && !set("AWS_PROFILE") {
            config = config.credentials_provider(Credentials::new("local", "local", None, None, "quickstart"));
        }
        if here && !set("AWS_REGION") && !set("AWS_DEFAULT_REGION") {
            config = config.region(Region::from_static("us-east-1"));
        }
        config = config.endpoint_url(url);
    }
    Client::new(&config.load().await)
}
