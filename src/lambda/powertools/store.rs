//! The requests: what Powertools sends, with conditions on our token where Powertools has none.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::attributes::Attributes;
use super::identity::Identity;
use super::record::{COMPLETED, IN_PROGRESS};
use crate::error::Error;
use crate::expression::Update;
use crate::schema::{Item, millis, seconds, string};
use crate::table::{Table, Want, Written};

/// The very condition of Powertools: there is no record, or it has expired, or whoever worked on it has run out of time.
const FREE: &str = "attribute_not_exists(#id) OR #expiry < :now OR (#status = :inprogress AND \
                    attribute_exists(#in_progress_expiry) AND #in_progress_expiry < :now_in_millis)";
/// The record is still the one that we began. A late completion of another must not be undone.
const OURS: &str = "#token = :token AND #status = :inprogress";

#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) table: Table,
    pub(super) names: Attributes,
}

/// The times of a record that is begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) now: DateTime<Utc>,
    pub(super) in_progress_until: DateTime<Utc>,
    pub(super) expires: DateTime<Utc>,
}

impl Store {
    pub(super) async fn get(&self, key: &str) -> Result<Option<Item>, Error> {
        self.table.get_at(self.names.key_of(key), None).await
    }

    /// Writes that we work on it, unless somebody else does or it is done.
    pub(super) async fn begin(
        &self,
        identity: &Identity,
        token: &str,
        times: Times,
        within: Duration,
    ) -> Result<Written, Error> {
        let names = &self.names;
        let mut item = names.key_of(&identity.key);
        item.insert(names.status.clone(), string(IN_PROGRESS));
        item.insert(names.expiration.clone(), seconds(times.expires));
        item.insert(names.in_progress_expiration.clone(), millis(times.in_progress_until));
        item.insert(names.token.clone(), string(token));
        item.extend(identity.validation.as_ref().map(|hash| (names.validation.clone(), string(hash))));
        self.table.put_if("begin", item, self.free(times.now), Some(within)).await
    }

    fn free(&self, now: DateTime<Utc>) -> Update {
        let names = &self.names;
        let mut free = Update::default();
        free.name("#id", &names.key)
            .name("#expiry", &names.expiration)
            .name("#in_progress_expiry", &names.in_progress_expiration)
            .name("#status", &names.status)
            .value(":now", seconds(now))
            .value(":now_in_millis", millis(now))
            .value(":inprogress", string(IN_PROGRESS))
            .and(FREE);
        free
    }

    /// Writes that it is done. A record that has been deleted in the meantime is made again: nobody works on it, and it is
    /// done.
    pub(super) async fn complete(
        &self,
        identity: &Identity,
        token: &str,
        data: Option<&AttributeValue>,
        expires: DateTime<Utc>,
        within: Duration,
    ) -> Result<Written, Error> {
        let names = &self.names;
        let mut done = self.ours(token);
        done.name("#id", &names.key).name("#expiry", &names.expiration);
        done.value(":expiry", seconds(expires)).value(":completed", string(COMPLETED));
        done.condition = format!("attribute_not_exists(#id) OR ({OURS})");
        done.set("#status = :completed, #expiry = :expiry, #token = :token");
        if let Some(data) = data {
            done.name("#data", &names.data).value(":data", data.clone()).set("#data = :data");
        }
        if let Some(hash) = &identity.validation {
            done.name("#validation", &names.validation).value(":validation", string(hash));
            done.set("#validation = :validation");
        }
        let want = Want { within: Some(within), ..Want::default() };
        self.table.update_at("complete it", names.key_of(&identity.key), done, want).await
    }

    /// Deletes the record that we began, so that the next may begin at once.
    pub(super) async fn release(&self, key: &str, token: &str, within: Duration) -> Result<Written, Error> {
        self.table.delete_at(self.names.key_of(key), self.ours(token), Some(within)).await
    }

    fn ours(&self, token: &str) -> Update {
        let mut ours = Update::default();
        ours.name("#token", &self.names.token)
            .name("#status", &self.names.status)
            .value(":token", string(token))
            .value(":inprogress", string(IN_PROGRESS))
            .and(OURS);
        ours
    }
}
