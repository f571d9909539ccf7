//! Reading many items: from the index, by their keys, and by scanning.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Select};

use super::{Table, failure, send};
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::record::TaskId;
use crate::schema::{INDEX, Item, attr, number};
use crate::time::Clock;

/// DynamoDB's limit for the keys of one `BatchGetItem`.
pub(crate) const MAX_BATCH: usize = 100;
/// Keys that DynamoDB did not get to are asked for again after so long, and so often.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
const MAX_ROUNDS: u32 = 20;
/// A page of a scan is no longer than this, unless its caller says otherwise, so that a page of small items is no burden on
/// memory. Of items of a KB or more, DynamoDB's own limit of a MB lets fewer through.
const SCANNED: u16 = 1000;

/// A part of the index: one partition, within a range of due times in milliseconds, both ends included.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    pub(crate) partition: String,
    pub(crate) from: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) newest_first: bool,
}

/// Items, and the key after which there are more.
pub(crate) type Items = (Vec<Item>, Option<Item>);

impl Slice {
    fn condition(&self) -> String {
        let range = match (self.from, self.until) {
            (None, None) => "",
            (Some(_), None) => " AND due_time >= :from",
            (None, Some(_)) => " AND due_time <= :until",
            (Some(_), Some(_)) => " AND due_time BETWEEN :from AND :until",
        };
        format!("#shard = :shard{range}")
    }

    /// No due time is in the range.
    fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if from > until)
    }

    fn values(&self) -> Item {
        let mut values = Item::from([(":shard".to_owned(), AttributeValue::S(self.partition.clone()))]);
        values.extend(self.from.map(|from| (":from".to_owned(), number(from))));
        values.extend(self.until.map(|until| (":until".to_owned(), number(until))));
        values
    }
}

impl Table {
    /// The next keys of a slice, at most `limit` of them.
    pub(crate) async fn query(&self, slice: &Slice, limit: i32, after: Option<Item>) -> Result<Items, Error> {
        if slice.is_empty() {
            return Ok((Vec::new(), None));
        }
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression(slice.condition())
            .expression_attribute_names("#shard", attr::SHARD)
            .set_expression_attribute_values(Some(slice.values()))
            .scan_index_forward(!slice.newest_first)
            .limit(limit)
            .set_exclusive_start_key(after);
        let answer =
            send!(self, request.customize(), None).map_err(|error| self.index_failure("query the index", error))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }

    /// How many items a slice has.
    pub(crate) async fn count(&self, slice: &Slice) -> Result<u64, Error> {
        let mut count = 0;
        let mut after = None;
        loop {
            let request = self
                .client
                .query()
                .table_name(&self.name)
                .index_name(INDEX)
                .select(Select::Count)
                .key_condition_expression(slice.condition())
                .expression_attribute_names("#shard", attr::SHARD)
                .set_expression_attribute_values(Some(slice.values()))
                .set_exclusive_start_key(after);
            let answer = send!(self, request.customize(), None)
                .map_err(|error| self.index_failure("count in the index", error))?;
            count += u64::try_from(answer.count).unwrap_or_default();
            after = answer.last_evaluated_key;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    /// The items of these tasks, consistently, in any order; those that there are.
    pub(crate) async fn get_many(&self, ids: &[TaskId], clock: &dyn Clock) -> Result<Vec<Item>, Error> {
        let mut items = Vec::with_capacity(ids.len());
        let mut wanted: Vec<Item> = ids.iter().map(|id| self.key.key(id)).collect();
        for round in 0..=MAX_ROUNDS {
            if wanted.is_empty() {
                return Ok(items);
            }
            if round > 0 {
                clock.sleep(AGAIN.delay(round)).await;
            }
            let batch: Vec<_> = wanted.drain(..wanted.len().min(MAX_BATCH)).collect();
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(batch)).build();
            let keys =
                keys.map_err(|error| Error::new(ErrorKind::Service, "the SDK takes no such keys").with_source(error))?;
            let request = self.client.batch_get_item().request_items(&self.name, keys);
            let answer = send!(self, request.customize(), None)
                .map_err(|error| failure::failure("read the tasks", &self.name, error))?;
            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
            let left = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|keys| keys.keys);
            wanted.extend(left);
        }
        let message = "DynamoDB did not get to all keys of a batch, after all retries; try again later";
        Err(Error::new(ErrorKind::Throttled, message))
    }

    /// The next items of a segment of the table that are of this namespace, and in one of these states, if any are named.
    /// There may be none on a page though more follow.
    pub(crate) async fn scan(
        &self,
        namespace: &str,
        codes: &[u32],
        segment: (i32, i32),
        after: Option<Item>,
        page: Option<u16>,
    ) -> Result<Items, Error> {
        let mut filter = "begins_with(#pk, :prefix)".to_owned();
        let mut names = HashMap::from([("#pk".to_owned(), self.key.partition.clone())]);
        let mut values = Item::from([(":prefix".to_owned(), AttributeValue::S(format!("{namespace}#")))]);
        if let Some((name, value)) = &self.key.sort {
            filter.push_str(" AND #sk = :sort");
            names.insert("#sk".to_owned(), name.clone());
            values.insert(":sort".to_owned(), AttributeValue::S(value.clone()));
        }
        if !codes.is_empty() {
            let placeholders: Vec<_> = (0..codes.len()).map(|at| format!(":status{at}")).collect();
            filter.push_str(&format!(" AND #status IN ({})", placeholders.join(", ")));
            names.insert("#status".to_owned(), attr::STATUS.to_owned());
            values.extend(placeholders.into_iter().zip(codes.iter().map(number)));
        }
        // One segment is all of the table. Said as a segment, the embedded DynamoDB would sort the table for each page.
        let (segment, total) = if segment.1 > 1 { (Some(segment.0), Some(segment.1)) } else { (None, None) };
        let request = self
            .client
            .scan()
            .table_name(&self.name)
            .filter_expression(filter)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .set_segment(segment)
            .set_total_segments(total)
            .limit(page.unwrap_or(SCANNED).into())
            .set_exclusive_start_key(after);
        let answer = send!(self, request.customize(), None)
            .map_err(|error| failure::failure("scan the table", &self.name, error))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }

    fn index_failure<E>(&self, action: &str, error: aws_sdk_dynamodb::error::SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let message = error.message().unwrap_or_default();
        // Others name the index too, such as a permission that is missing.
        if error.code() == Some("ValidationException") && message.contains("specified index") {
            let message = format!("can't {action}: the table {:?} has no index; create_table adds it", self.name);
            return Error::new(ErrorKind::TableNotFound, message).with_source(error);
        }
        if message.contains("backfilling") {
            let message = format!("can't {action}: DynamoDB is still filling it; try again later");
            return Error::new(ErrorKind::Conflict, message).with_source(error);
        }
        failure::failure(action, &self.name, error)
    }
}
