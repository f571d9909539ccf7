//! What is the same for all clients of a table, and kept in it.

use super::{Table, failure, send};
use crate::error::Error;
use crate::schema::number;

/// The key of the item with the settings. No task has it, since no namespace is empty.
const KEY: &str = "#dynamo-tracker";

impl Table {
    /// How many shards readers must look into. `None` where nobody has said.
    pub(crate) async fn stored_shards(&self) -> Result<Option<u16>, Error> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(self.key.key_of(KEY))).consistent_read(true);
        let answer = send!(self, request.customize(), None);
        let answer = answer.map_err(|error| failure::failure("read the number of shards", &self.name, error))?;
        Ok(answer.item.and_then(|item| item.get("shards")?.as_n().ok()?.parse().ok()))
    }

    /// Sees to it that readers look into so many shards. The number never goes down, since old items stay where they are.
    pub(crate) async fn raise_shards(&self, shards: u16) -> Result<(), Error> {
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(self.key.key_of(KEY)))
            .update_expression("SET shards = :shards")
            .condition_expression("attribute_not_exists(shards) OR shards < :shards")
            .expression_attribute_values(":shards", number(shards));
        match send!(self, request.customize(), None) {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(failure::failure("store the number of shards", &self.name, error)),
        }
    }
}
