//! Making a [`Powertools`]. Every bad value is an error here, not at the first event.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::Powertools;
use super::attributes::Attributes;
use super::flavor::Flavor;
use super::identity::Identities;
use super::store::Store;
use crate::client::{LONGEST, check, check_table};
use crate::error::Error;
use crate::lambda::JmesPath;
use crate::schema::KeySchema;
use crate::table::{RequestPolicy, Table};
use crate::time::{Clock, SystemClock};

/// A name longer than this leaves no room for the hash in a sort key, which has 1,024 bytes.
const MAX_NAME_BYTES: usize = 960;
/// DynamoDB's limit for the name of an attribute in an expression.
const MAX_ATTRIBUTE_BYTES: usize = 255;

/// A [`Powertools`] in the making. All values must be those that the functions have which share the table.
///
/// ```
/// # let client = aws_sdk_dynamodb::Client::from_conf(aws_sdk_dynamodb::Config::builder()
/// #     .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest()).build());
/// use std::time::Duration;
/// use dynamo_tracker::lambda::JmesPath;
/// use dynamo_tracker::lambda::powertools::{Flavor, Powertools};
///
/// let powertools = Powertools::builder(client)
///     .table("idempotency")
///     .name("orders-fn.process")
///     .flavor(Flavor::TypeScript)
///     .sort_key("sk", "idempotency#orders-fn")
///     .key(JmesPath::new("powertools_json(body).order_id")?)
///     .validate(JmesPath::new("powertools_json(body).total")?)
///     .expires_after(Duration::from_secs(24 * 3600))
///     .build()?;
/// # Ok::<(), dynamo_tracker::Error>(())
/// ```
#[must_use]
#[derive(Debug)]
pub struct PowertoolsBuilder {
    client: aws_sdk_dynamodb::Client,
    table: String,
    identities: Identities,
    names: Attributes,
    expires_after: Duration,
    clock: Arc<dyn Clock>,
    requests: RequestPolicy,
}

impl PowertoolsBuilder {
    pub(super) fn new(client: aws_sdk_dynamodb::Client) -> Self {
        let identities = Identities {
            name: String::new(),
            flavor: Flavor::Python,
            key: None,
            validation: None,
            may_lack_key: false,
        };
        Self {
            client,
            table: String::new(),
            identities,
            names: Attributes::default(),
            expires_after: Duration::from_secs(3600),
            clock: Arc::new(SystemClock),
            requests: RequestPolicy::default(),
        }
    }

    /// The table's name or ARN. Required.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// What stands before the `#` of each key, at most 960 bytes. Required.
    ///
    /// In Python, it is `{AWS_LAMBDA_FUNCTION_NAME}.{module}.{qualified name}` of what is decorated, such as
    /// `orders-fn.app.handler`; in TypeScript, `{AWS_LAMBDA_FUNCTION_NAME}` or `{AWS_LAMBDA_FUNCTION_NAME}.{function name}`; in
    /// both the `key_prefix` or `keyPrefix` alone, where one is set. A record that is there shows it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.identities.name = name.into();
        self
    }

    /// Whose Powertools shares the table. [`Flavor::Python`] by default.
    pub fn flavor(mut self, flavor: Flavor) -> Self {
        self.identities.flavor = flavor;
        self
    }

    /// The part of an event that identifies it: `event_key_jmespath`, `eventKeyJmesPath`. The whole event by default.
    pub fn key(mut self, path: JmesPath) -> Self {
        self.identities.key = Some(path);
        self
    }

    /// The part of an event that must be equal where the key is: `payload_validation_jmespath`, `payloadValidationJmesPath`.
    /// Nothing by default.
    pub fn validate(mut self, path: JmesPath) -> Self {
        self.identities.validation = Some(path);
        self
    }

    /// Takes events in which there is nothing to make a key of. By default, they are an error, as with
    /// `raise_on_no_idempotency_key`.
    ///
    /// What then happens is what Powertools does by its own default. In Python, the work is run without a record, each time. In
    /// TypeScript, all such events share one record.
    pub fn allow_missing_key(mut self) -> Self {
        self.identities.may_lack_key = true;
        self
    }

    /// How long a record is kept, from a second to ten years: `expires_after_seconds`, `expiresAfterSeconds`. An hour by default.
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.expires_after = time;
        self
    }

    /// The name of the table's partition key: `key_attr`, `keyAttr`. `id` by default.
    pub fn key_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.key = name.into();
        self
    }

    /// For a table with a sort key: its name (`sort_key_attr`, `sortKeyAttr`), and the value of the partition key that all
    /// records share (`static_pk_value`, `staticPkValue`; `idempotency#{AWS_LAMBDA_FUNCTION_NAME}` unless set). The
    /// idempotency key is in the sort key then. None by default.
    pub fn sort_key(mut self, name: impl Into<String>, partition: impl Into<String>) -> Self {
        self.names.sort = Some((name.into(), partition.into()));
        self
    }

    /// The name of the attribute with the time when a record expires, in seconds: `expiry_attr`, `expiryAttr`. `expiration` by
    /// default.
    pub fn expiration_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.expiration = name.into();
        self
    }

    /// The name of the attribute with the time until which the work may take, in milliseconds: `in_progress_expiry_attr`,
    /// `inProgressExpiryAttr`. `in_progress_expiration` by default.
    pub fn in_progress_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.in_progress_expiration = name.into();
        self
    }

    /// The name of the attribute with the status: `status_attr`, `statusAttr`. `status` by default.
    pub fn status_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.status = name.into();
        self
    }

    /// The name of the attribute with the response: `data_attr`, `dataAttr`. `data` by default.
    pub fn data_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.data = name.into();
        self
    }

    /// The name of the attribute with the hash of what is compared: `validation_key_attr`, `validationKeyAttr`. `validation`
    /// by default.
    pub fn validation_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.validation = name.into();
        self
    }

    /// The name of the attribute with the token by which a run knows its own record. Powertools has none.
    /// `dynamo_tracker_token` by default.
    pub fn token_attribute(mut self, name: impl Into<String>) -> Self {
        self.names.token = name.into();
        self
    }

    /// Where the time comes from. The machine's clock by default.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How requests are retried.
    pub fn requests(mut self, policy: RequestPolicy) -> Self {
        self.requests = policy;
        self
    }

    /// What was said so far, if it is good.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument): a value is missing or no good; the message says which and why.
    pub fn build(self) -> Result<Powertools, Error> {
        check_table(&self.table)?;
        check_name(&self.identities.name)?;
        check_names(&self.names)?;
        let sensible = (Duration::from_secs(1)..=LONGEST).contains(&self.expires_after);
        check(sensible, "a record must be kept from one second to ten years")?;
        let key = KeySchema { partition: self.names.key.clone(), sort: None };
        let table = Table::new(self.client, self.table, key, self.requests);
        Ok(Powertools {
            store: Arc::new(Store { table, names: self.names }),
            identities: Arc::new(self.identities),
            expires_after: self.expires_after,
            clock: self.clock,
        })
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    check(
        !name.is_empty(),
        "the name before the # of each key is missing; set it with .name(\"…\"), as a record that is there shows it",
    )?;
    check(name.len() <= MAX_NAME_BYTES, "the name before the # of each key must be at most 960 bytes long")
}

fn check_names(names: &Attributes) -> Result<(), Error> {
    let all = names.all();
    for name in &all {
        let len = name.len();
        check((1..=MAX_ATTRIBUTE_BYTES).contains(&len), "an attribute's name must be from 1 to 255 bytes long")?;
    }
    let distinct: HashSet<_> = all.iter().collect();
    check(distinct.len() == all.len(), "two attributes of a record have the same name; each needs its own")?;
    let partition = names.sort.as_ref().map(|(_, partition)| partition.len());
    check(partition.is_none_or(|len| (1..=2048).contains(&len)), "the partition key must be from 1 to 2,048 bytes long")
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Config;
    use aws_sdk_dynamodb::config::BehaviorVersion;

    use super::*;

    fn good() -> PowertoolsBuilder {
        let config = Config::builder().behavior_version(BehaviorVersion::latest()).build();
        Powertools::builder(aws_sdk_dynamodb::Client::from_conf(config)).table("idempotency").name("fn.handler")
    }

    #[test]
    fn bad_values_are_said() {
        good().build().unwrap();
        good().sort_key("sk", "p").key_attribute("pk").build().unwrap();
        let table = [
            (good().table(""), "the table's name is missing"),
            (good().name(""), "the name before the # of each key is missing"),
            (good().name("x".repeat(961)), "at most 960 bytes"),
            (good().expires_after(Duration::from_millis(999)), "from one second to ten years"),
            (good().data_attribute("status"), "two attributes of a record have the same name"),
            (good().sort_key("id", "p"), "two attributes of a record have the same name"),
            (good().sort_key("sk", ""), "the partition key must be from 1 to 2,048"),
            (good().token_attribute(""), "an attribute's name must be from 1 to 255"),
        ];
        for (builder, expected) in table {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
