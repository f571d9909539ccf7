//! What the attributes of a record are called.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::schema::Item;

/// The names, by default those of Powertools.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    pub(super) key: String,
    /// In a table with a sort key: its name, and the value of the partition key, which all records share.
    pub(super) sort: Option<(String, String)>,
    pub(super) expiration: String,
    pub(super) in_progress_expiration: String,
    pub(super) status: String,
    pub(super) data: String,
    pub(super) validation: String,
    /// Ours alone; Powertools leaves attributes that it does not know.
    pub(super) token: String,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            key: "id".to_owned(),
            sort: None,
            expiration: "expiration".to_owned(),
            in_progress_expiration: "in_progress_expiration".to_owned(),
            status: "status".to_owned(),
            data: "data".to_owned(),
            validation: "validation".to_owned(),
            token: "dynamo_tracker_token".to_owned(),
        }
    }
}

impl Attributes {
    /// The key of a record's item.
    pub(super) fn key_of(&self, key: &str) -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        match &self.sort {
            None => Item::from([(self.key.clone(), text(key))]),
            Some((sort, partition)) => Item::from([(self.key.clone(), text(partition)), (sort.clone(), text(key))]),
        }
    }

    pub(super) fn all(&self) -> Vec<&str> {
        let own = [&self.key, &self.expiration, &self.in_progress_expiration, &self.status, &self.data];
        let more = [&self.validation, &self.token].into_iter().chain(self.sort.as_ref().map(|(name, _)| name));
        own.into_iter().chain(more).map(String::as_str).collect()
    }
}
