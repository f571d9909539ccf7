//! Making the table.

use std::time::Duration;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, GlobalSecondaryIndexDescription, IndexStatus, TableDescription, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};

use super::{Table, send};
use crate::error::{Error, ErrorKind};
use crate::schema::{INDEX, Index, add_index, attr, create_table_request};

/// How often the table's state is looked at while it is being made. The SDK's own waiter stalls for 20 seconds or more.
const POLL: Duration = Duration::from_millis(200);
/// How often it is looked at before giving up, which makes five minutes.
const POLLS: u32 = 1500;

impl Table {
    /// Makes the table and turns its TTL on, unless that has been done. Waits until it can be used.
    ///
    /// Returns whether this call made it.
    pub(crate) async fn create(&self, index: Option<Index>) -> Result<bool, Error> {
        let made = self.request_table(index.is_some()).await?;
        let table = self.wait_until_active().await?;
        self.check_key(table.key_schema())?;
        if let Some(index) = index {
            self.raise_shards(index.shards).await?;
            if our_index(&table).is_none() {
                self.add_index(&table).await?;
            }
        }
        self.turn_ttl_on().await?;
        tracing::info!(table = self.name, made, "the table is ready");
        Ok(made)
    }

    async fn request_table(&self, indexed: bool) -> Result<bool, Error> {
        let request = create_table_request(&self.client, &self.name, &self.key, indexed).map_err(not_built)?;
        match send!(self, request.customize(), None) {
            Ok(_) => Ok(true),
            // It exists, or somebody is making it at this moment.
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
                Ok(false)
            }
            Err(error) => Err(super::failure::failure("create the table", &self.name, error)),
        }
    }

    /// Adds the index to a table that was made without, and waits until DynamoDB has filled it with what is there.
    async fn add_index(&self, table: &TableDescription) -> Result<(), Error> {
        let (index, attributes) = add_index().map_err(not_built)?;
        let request = self
            .client
            .update_table()
            .table_name(&self.name)
            .global_secondary_index_updates(index)
            // Those of the key must be said again.
            .set_attribute_definitions(Some(merged(table.attribute_definitions(), attributes)));
        match send!(self, request.customize(), None) {
            Ok(_) => {}
            // Somebody else adds it at this moment.
            Err(error) if error.message().is_some_and(|message| message.contains("already exists")) => {}
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {}
            Err(error) => return Err(super::failure::failure("add the index", &self.name, error)),
        }
        let table = self.wait_until_active().await?;
        if our_index(&table).is_none() {
            let message =
                format!("the table {:?} was being changed by somebody else; create the index again later", self.name);
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        tracing::info!(table = self.name, "added the index");
        Ok(())
    }

    /// Waits until table and index can be used.
    async fn wait_until_active(&self) -> Result<TableDescription, Error> {
        for _ in 0..POLLS {
            match send!(self, self.client.describe_table().table_name(&self.name).customize(), None) {
                Ok(answer) => {
                    if let Some(table) = answer.table.filter(is_usable) {
                        return Ok(table);
                    }
                }
                // Right after its creation, a table may not be known everywhere yet (*DescribeTable*, Amazon DynamoDB API
                // Reference).
                Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                }
                Err(error) => return Err(super::failure::failure("describe the table", &self.name, error)),
            }
            tokio::time::sleep(POLL).await;
        }
        let message = format!("the table {:?} has not become active in five minutes; look at it in AWS", self.name);
        Err(Error::new(ErrorKind::Service, message))
    }

    /// A table that was there already may be somebody else's, with another key.
    fn check_key(&self, found: &[aws_sdk_dynamodb::types::KeySchemaElement]) -> Result<(), Error> {
        let found: Vec<_> = found.iter().map(|element| element.attribute_name.as_str()).collect();
        let wanted: Vec<_> = std::iter::once(self.key.partition.as_str())
            .chain(self.key.sort.as_ref().map(|(name, _)| name.as_str()))
            .collect();
        if found == wanted {
            return Ok(());
        }
        let message = format!(
            "the table {:?} has the key {found:?}, not {wanted:?}; set key_attribute and sort_key, or use another table",
            self.name
        );
        Err(Error::new(ErrorKind::InvalidArgument, message))
    }

    async fn turn_ttl_on(&self) -> Result<(), Error> {
        let fail = |error| super::failure::failure("turn the table's TTL on", &self.name, error);
        let answer = send!(self, self.client.describe_time_to_live().table_name(&self.name).customize(), None)
            .map_err(|error| super::failure::failure("read the table's TTL", &self.name, error))?;
        let ttl = answer.time_to_live_description;
        let status = ttl.as_ref().and_then(|ttl| ttl.time_to_live_status.clone());
        if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
            return self.check_ttl(ttl.and_then(|ttl| ttl.attribute_name));
        }
        let wanted = TimeToLiveSpecification::builder().enabled(true).attribute_name(attr::EXPIRE_AT).build();
        let Ok(wanted) = wanted else { return Ok(()) };
        let request = self.client.update_time_to_live().table_name(&self.name).time_to_live_specification(wanted);
        match send!(self, request.customize(), None) {
            Ok(_) => Ok(()),
            // Somebody else turned it on since we looked.
            Err(error) if error.message().is_some_and(|message| message.contains("already enabled")) => Ok(()),
            Err(error) => Err(fail(error)),
        }
    }

    fn check_ttl(&self, found: Option<String>) -> Result<(), Error> {
        if found.as_deref() == Some(attr::EXPIRE_AT) {
            return Ok(());
        }
        let message = format!(
            "the table {:?} has its TTL on the attribute {:?}, not on `{}`; DynamoDB will not delete expired trackers \
             there, so use another table, or change its TTL",
            self.name,
            found.unwrap_or_default(),
            attr::EXPIRE_AT
        );
        Err(Error::new(ErrorKind::InvalidArgument, message))
    }
}

/// The table, and our index where it is there. Others' indexes are theirs to wait for.
fn is_usable(table: &TableDescription) -> bool {
    let index = our_index(table);
    matches!(table.table_status(), Some(TableStatus::Active | TableStatus::Updating))
        && index.is_none_or(|index| matches!(index.index_status(), Some(IndexStatus::Active | IndexStatus::Updating)))
}

fn our_index(table: &TableDescription) -> Option<&GlobalSecondaryIndexDescription> {
    table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(INDEX))
}

/// The definitions of both, each attribute once.
fn merged(there: &[AttributeDefinition], added: [AttributeDefinition; 2]) -> Vec<AttributeDefinition> {
    let is_new = |added: &AttributeDefinition| there.iter().all(|there| there.attribute_name != added.attribute_name);
    there.iter().cloned().chain(added.into_iter().filter(is_new)).collect()
}

/// It can't happen, since nothing that is required is left out.
fn not_built(error: BuildError) -> Error {
    Error::new(ErrorKind::Service, "the SDK takes no such table").with_source(error)
}
