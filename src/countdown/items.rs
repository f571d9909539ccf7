//! The items of a batch, and the writes to them.

use std::str::FromStr;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use chrono::{DateTime, Utc};

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::expression::Update;
use crate::record::{BatchMember, MAX_KEY_BYTES, TaskId};
use crate::schema::{Item, attr, millis, number, share, string};
use crate::table::{Actions, Want, Written};

/// As many as fit into the transaction that ends the last task, besides a few of the caller's own.
pub(crate) const MAX_DEPENDENTS: usize = 80;

/// When a task is due that waits for a batch: the end of the year 9999, the last that RFC 3339 can write.
pub(crate) fn never() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(253_402_300_799_999).expect("a time within chrono's range")
}

/// One part of a batch's counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartState {
    /// How many tasks were ever added to it.
    pub(crate) tasks: u64,
    /// How many of them have not ended.
    pub(crate) open_tasks: u64,
    /// Whether no more are added.
    pub(crate) closed: bool,
}

/// The batch itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootState {
    /// Which of the batches of this name it is, one after the other.
    pub(crate) instance: String,
    pub(crate) parts: u16,
    /// How many parts have a task that has not ended, or may still be given one.
    pub(crate) open_parts: u64,
    /// The keys of the tasks that become due with the last one's end.
    pub(crate) dependents: Vec<String>,
    /// How often that list has been added to.
    pub(crate) dependent_count: u64,
    pub(crate) complete_time: Option<DateTime<Utc>>,
}

/// The items of one batch.
pub(crate) struct Counters<'a> {
    pub(crate) context: &'a Context,
    batch: &'a str,
    instance: &'a str,
}

/// Begins an update whose conditions name the key.
fn update(context: &Context) -> Update {
    let mut update = Update::default();
    update.name("#pk", &context.table.key.partition);
    update
}

impl<'a> Counters<'a> {
    pub(crate) fn of(context: &'a Context, batch: &'a str, instance: &'a str) -> Self {
        Self { context, batch, instance }
    }

    pub(crate) fn of_member(context: &'a Context, member: &'a BatchMember) -> Self {
        Self::of(context, member.batch(), member.instance())
    }

    /// Whether the root is that of this batch, and not of a later one of the same name.
    pub(crate) fn is_of(&self, root: &RootState) -> bool {
        root.instance == self.instance
    }

    /// No task has such a key, since no namespace is empty. A part's is of this instance alone, so that the tasks of a batch that was
    /// deleted count for no other of the same name.
    fn key(&self, part: Option<u16>) -> Item {
        let (namespace, batch, instance) = (&self.context.namespace, self.batch, self.instance);
        self.context.table.key.key_of(&match part {
            None => format!("#batch##{namespace}#{batch}"),
            Some(part) => format!("#batch#{part}.{instance}#{namespace}#{batch}"),
        })
    }

    /// A name whose keys DynamoDB takes.
    pub(crate) fn check_name(&self) -> Result<(), Error> {
        let bytes = "#batch#65535.01234567##".len() + self.context.namespace.len() + self.batch.len();
        if !self.batch.is_empty() && bytes <= MAX_KEY_BYTES {
            return Ok(());
        }
        let message = format!("the batch's name must be from 1 to {MAX_KEY_BYTES} bytes long, with the namespace");
        Err(Error::new(ErrorKind::InvalidArgument, message))
    }

    /// The part that a task belongs to.
    pub(crate) fn member(&self, id: &TaskId, parts: u16) -> BatchMember {
        BatchMember::new(self.batch, self.instance, share(id, parts))
    }

    pub(crate) fn gone(&self) -> Error {
        let message =
            format!("there is no batch {:?} in the namespace {:?}; open it", self.batch, self.context.namespace);
        Error::new(ErrorKind::NotFound, message)
    }

    pub(crate) async fn read_part(&self, part: u16) -> Result<Option<PartState>, Error> {
        let item = self.context.table.get_at(self.key(Some(part)), None).await?;
        item.map(|item| {
            Ok(PartState {
                tasks: self.number(&item, "tasks")?,
                open_tasks: self.number(&item, "open_tasks")?,
                closed: item.contains_key("closed_time"),
            })
        })
        .transpose()
    }

    pub(crate) async fn read_root(&self) -> Result<Option<RootState>, Error> {
        let item = self.context.table.get_at(self.key(None), None).await?;
        item.map(|item| {
            let complete_time = item.get("complete_time").and_then(|time| time.as_n().ok()?.parse().ok());
            Ok(RootState {
                instance: item.get("instance").and_then(|text| text.as_s().ok()).cloned().unwrap_or_default(),
                parts: self.number(&item, "parts")?,
                open_parts: self.number(&item, "open_parts")?,
                dependents: item.get("dependents").and_then(|keys| keys.as_ss().ok()).cloned().unwrap_or_default(),
                dependent_count: self.number(&item, "dependent_count")?,
                complete_time: complete_time.and_then(DateTime::from_timestamp_millis),
            })
        })
        .transpose()
    }

    fn number<N: FromStr>(&self, item: &Item, name: &str) -> Result<N, Error> {
        item.get(name).and_then(|value| value.as_n().ok()?.parse().ok()).ok_or_else(|| {
            let message = format!("the attribute `{name}` of the batch {:?} is no number; mend its item", self.batch);
            Error::new(ErrorKind::Unreadable, message)
        })
    }

    /// Makes the root, with every part open. Returns whether there was none.
    pub(crate) async fn open(&self, parts: u16) -> Result<bool, Error> {
        let mut update = update(self.context);
        update
            .value(":parts", number(parts))
            .value(":instance", string(self.instance))
            .value(":zero", number(0))
            .value(":now", millis(self.context.now()))
            .set("instance = :instance, parts = :parts, open_parts = :parts, dependent_count = :zero, create_time = :now")
            .and("attribute_not_exists(#pk)");
        let written = self.context.table.update_at("open the batch", self.key(None), update, Want::default()).await?;
        Ok(matches!(written, Written::Done(_)))
    }

    /// Counts so many tasks more, unless the part is closed.
    pub(crate) fn add_tasks(&self, part: u16, tasks: usize) -> Result<TransactWriteItem, Error> {
        let mut update = Update::default();
        update
            .value(":tasks", number(tasks))
            .value(":zero", number(0))
            .set("tasks = if_not_exists(tasks, :zero) + :tasks, open_tasks = if_not_exists(open_tasks, :zero) + :tasks")
            .and("attribute_not_exists(closed_time)");
        self.write(Some(part), update)
    }

    /// Counts a task that had ended as open again, while its part has not ended.
    pub(crate) fn reopen_task(&self, part: u16) -> Result<TransactWriteItem, Error> {
        let mut update = update(self.context);
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .set("open_tasks = open_tasks + :one")
            .and("attribute_exists(#pk) AND (attribute_not_exists(closed_time) OR open_tasks > :zero)");
        self.write(Some(part), update)
    }

    /// Opens a part again that had ended, for one task.
    pub(super) fn reopen_part(&self, part: u16) -> Result<TransactWriteItem, Error> {
        let mut update = Update::default();
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .set("open_tasks = :one")
            .and("attribute_exists(closed_time) AND open_tasks = :zero");
        self.write(Some(part), update)
    }

    /// Counts a part as open again, while the batch is not complete.
    pub(super) fn reopen_root(&self) -> Result<TransactWriteItem, Error> {
        let mut update = self.root();
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .set("open_parts = open_parts + :one")
            .and("open_parts > :zero");
        self.write(None, update)
    }

    /// Begins an update of the root of this very batch.
    fn root(&self) -> Update {
        let mut update = Update::default();
        update.value(":instance", string(self.instance)).and("instance = :instance");
        update
    }

    /// Counts a task as ended that is not the last of a closed part.
    pub(super) fn count_task(&self, part: u16) -> Result<TransactWriteItem, Error> {
        let mut update = Update::default();
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .set("open_tasks = open_tasks - :one")
            .and("open_tasks > :zero AND (attribute_not_exists(closed_time) OR open_tasks > :one)");
        self.write(Some(part), update)
    }

    /// Counts the last task of a closed part.
    pub(super) fn end_part(&self, part: u16) -> Result<TransactWriteItem, Error> {
        let mut update = Update::default();
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .set("open_tasks = :zero")
            .and("open_tasks = :one AND attribute_exists(closed_time)");
        self.write(Some(part), update)
    }

    /// Counts a part as ended that is not the last.
    pub(super) fn count_part(&self) -> Result<TransactWriteItem, Error> {
        let mut update = self.root();
        update.value(":one", number(1)).set("open_parts = open_parts - :one").and("open_parts > :one");
        self.write(None, update)
    }

    /// Counts the last part, provided that the dependents are those that were seen.
    pub(super) fn complete(&self, seen: &RootState, now: DateTime<Utc>) -> Result<TransactWriteItem, Error> {
        let mut update = self.root();
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .value(":seen", number(seen.dependent_count))
            .value(":now", millis(now))
            .set("open_parts = :zero, complete_time = :now")
            .and("open_parts = :one AND dependent_count = :seen");
        self.write(None, update)
    }

    /// Lists a task as one that waits, while the batch is not complete.
    pub(crate) fn add_dependent(&self, id: &TaskId) -> Result<TransactWriteItem, Error> {
        let mut update = self.root();
        update
            .value(":one", number(1))
            .value(":zero", number(0))
            .value(":most", number(MAX_DEPENDENTS))
            .value(":key", AttributeValue::Ss(vec![id.key().to_owned()]))
            .set("dependent_count = dependent_count + :one")
            .and("open_parts > :zero AND dependent_count < :most")
            .add("dependents :key");
        self.write(None, update)
    }

    /// Makes a task due that waits.
    pub(super) fn make_due(&self, id: &TaskId, now: DateTime<Utc>) -> Result<TransactWriteItem, Error> {
        let mut update = Update::default();
        update
            .name("#lock", attr::LOCK)
            .value(":never", millis(never()))
            .value(":due", millis(self.context.at_once(now)))
            .value(":now", millis(now))
            .set("due_time = :due, update_time = :now")
            .and("due_time = :never AND attribute_not_exists(#lock)");
        self.context.table.update_action(self.context.table.key.key(id), update)
    }

    /// Closes a part that has open tasks. Returns whether that could be.
    pub(super) async fn close_open(&self, part: u16, now: DateTime<Utc>) -> Result<bool, Error> {
        let mut update = Update::default();
        update
            .value(":zero", number(0))
            .value(":now", millis(now))
            .set("closed_time = :now")
            .and("attribute_not_exists(closed_time) AND open_tasks > :zero");
        let key = self.key(Some(part));
        let written = self.context.table.update_at("close the batch", key, update, Want::default()).await?;
        Ok(matches!(written, Written::Done(_)))
    }

    /// Closes a part that has none, with the writes that count it. Returns whether that could be.
    pub(super) async fn close_empty(
        &self,
        part: u16,
        now: DateTime<Utc>,
        writes: Vec<TransactWriteItem>,
    ) -> Result<bool, Error> {
        let mut update = Update::default();
        update
            .value(":zero", number(0))
            .value(":now", millis(now))
            .set("closed_time = :now, open_tasks = :zero, tasks = if_not_exists(tasks, :zero)")
            .and("attribute_not_exists(closed_time) AND (attribute_not_exists(open_tasks) OR open_tasks = :zero)");
        let ours = self.write(Some(part), update)?;
        let table = &self.context.table;
        let written = table.transact("close the batch", ours, Actions::once(writes), Want::default()).await?;
        Ok(matches!(written, Written::Done(_)))
    }

    /// Deletes the batch's items. Its tasks go uncounted from then on.
    pub(crate) async fn delete(&self, parts: u16) -> Result<(), Error> {
        // The root last: as long as it is there, this can be said again.
        for part in (0..parts).map(Some).chain([None]) {
            let mut any = update(self.context);
            any.and("attribute_exists(#pk)");
            self.context.table.delete_at(self.key(part), any, None).await?;
        }
        Ok(())
    }

    fn write(&self, part: Option<u16>, update: Update) -> Result<TransactWriteItem, Error> {
        self.context.table.update_action(self.key(part), update)
    }
}
