//! The protocol's writes in DynamoDB's language: conditions and updates. No I/O.
//!
//! Each function says again what `permits` and `apply` of the same write say in `protocol`. Attribute names that
//! DynamoDB reserves (`lock`, `status`, `data`), and the key's, which the user chooses, stand behind a `#` placeholder.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::error::Error;
use crate::protocol::{Acquire, End, Exhaust, Extend, Operate, Operation, Path};
use crate::record::{AttemptError, BatchMember, LockToken, TaskId, TaskToken, Version};
use crate::schema::{ATTRIBUTES, Codec, Item, attr, encode_errors, millis, number, seconds, string};
use crate::status::Status;
use crate::time::minus;

/// An `UpdateItem` but for its key.
#[derive(Clone, Default)]
pub(crate) struct Update {
    pub(crate) condition: String,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: Item,
    set: String,
    remove: String,
    add: String,
}

impl Update {
    /// An empty one, with room for so many names and values, and for as long texts as most writes have: to grow a map costs more than
    /// all that is put into it.
    fn with_room(names: usize, values: usize) -> Self {
        // The start is what has many values.
        let text = 30 * values;
        Self {
            condition: String::with_capacity(text),
            names: HashMap::with_capacity(names),
            values: HashMap::with_capacity(values),
            set: String::with_capacity(text),
            remove: String::with_capacity(80),
            add: String::new(),
        }
    }

    /// The update expression.
    pub(crate) fn update(&self) -> String {
        let mut text = String::with_capacity(self.set.len() + self.remove.len() + self.add.len() + 16);
        for (keyword, clauses) in [("SET ", &self.set), (" REMOVE ", &self.remove), (" ADD ", &self.add)] {
            if !clauses.is_empty() {
                text.push_str(keyword);
                text.push_str(clauses);
            }
        }
        text
    }

    pub(crate) fn value(&mut self, placeholder: &str, value: AttributeValue) -> &mut Self {
        self.values.insert(placeholder.to_owned(), value);
        self
    }

    pub(crate) fn name(&mut self, placeholder: &str, name: &str) -> &mut Self {
        self.names.insert(placeholder.to_owned(), name.to_owned());
        self
    }

    /// Adds assignments, such as `step = :step, update_time = :now`.
    pub(crate) fn set(&mut self, clauses: &str) -> &mut Self {
        append(&mut self.set, ", ", clauses);
        self
    }

    pub(crate) fn remove(&mut self, names: &str) -> &mut Self {
        append(&mut self.remove, ", ", names);
        self
    }

    /// Adds members to a set, such as `names :name`.
    pub(crate) fn add(&mut self, clause: &str) -> &mut Self {
        append(&mut self.add, ", ", clause);
        self
    }

    pub(crate) fn and(&mut self, clause: &str) -> &mut Self {
        append(&mut self.condition, " AND ", clause);
        self
    }

    /// Adds that `name` is as it was seen: absent, or this value.
    fn and_seen(&mut self, name: &str, placeholder: &str, seen: Option<AttributeValue>) -> &mut Self {
        match seen {
            None => self.and(&format!("attribute_not_exists({name})")),
            Some(value) => self.value(placeholder, value).and(&format!("{name} = {placeholder}")),
        }
    }

    /// Adds that the record is still of the version that was seen.
    fn and_version(&mut self, seen: Version, codec: &Codec) -> &mut Self {
        self.name("#status", attr::STATUS)
            .value(":seen_generation", number(seen.generation))
            .value(":seen_status", number(codec.statuses.code(seen.status)))
            .value(":seen_step", number(seen.step))
            .value(":seen_update_time", millis(seen.update_time))
            .and("generation = :seen_generation AND #status = :seen_status AND step = :seen_step")
            .and("update_time = :seen_update_time")
    }

    fn set_data(&mut self, data: Option<AttributeValue>) -> &mut Self {
        match data {
            None => self,
            Some(data) => self.name("#data", attr::DATA).value(":data", data).set("#data = :data"),
        }
    }

    /// Puts the task where its state belongs in the index, if that is kept.
    fn shard(&mut self, id: &TaskId, status: Status, codec: &Codec) -> &mut Self {
        match &codec.index {
            None => self,
            // A state of another stage is in that stage's place, which is its own to change.
            Some(_) if matches!(status, Status::Other(_)) => self,
            Some(index) => {
                let partition = index.partition_of(id, status, &codec.statuses);
                self.name("#shard", attr::SHARD).set_or_remove("#shard", ":shard", partition.map(string))
            }
        }
    }

    fn set_or_remove(&mut self, name: &str, placeholder: &str, value: Option<AttributeValue>) -> &mut Self {
        match value {
            None => self.remove(name),
            Some(value) => self.value(placeholder, value).set(&format!("{name} = {placeholder}")),
        }
    }
}

/// Not inlined, as it is called for each clause.
#[inline(never)]
fn append(text: &mut String, separator: &str, part: &str) {
    if !text.is_empty() {
        text.push_str(separator);
    }
    text.push_str(part);
}

/// Takes the task.
pub(crate) fn acquire(write: &Acquire, id: &TaskId, codec: &Codec) -> Update {
    let mut update = Update::with_room(6, 14);
    update.name("#status", attr::STATUS).name("#lock", attr::LOCK);
    update
        .value(":in_progress", number(codec.statuses.code(Status::InProgress)))
        .value(":token", string(write.token))
        .value(":now", millis(write.now))
        .value(":expires", millis(write.expires()))
        .value(":max", number(write.max_attempts))
        .value(":zero", number(0))
        .value(":one", number(1));
    update.set(
        "#status = :in_progress, #lock = :token, lock_time = :now, lock_expire_time = :expires, update_time = :now, \
         max_attempts = :max, step = :zero, generation = if_not_exists(generation, :zero) + :one",
    );
    update.set(match write.path {
        Path::Ordinary => "attempts = if_not_exists(attempts, :zero) + :one",
        Path::NextStage { .. } | Path::Replace { .. } => "attempts = :one",
    });
    update.set(match write.path {
        Path::Ordinary | Path::NextStage { .. } => "create_time = if_not_exists(create_time, :now)",
        Path::Replace { .. } => "create_time = :now",
    });
    update.remove(attr::EXPIRE_AT).shard(id, Status::InProgress, codec);
    match write.indexed {
        true => update.set("due_time = :expires"),
        false => update.remove(attr::DUE_TIME),
    };
    if write.may_displace() {
        update.set("last_lock = if_not_exists(#lock, if_not_exists(last_lock, :token))");
    }
    if let Path::Replace { .. } = write.path {
        update.name("#data", attr::DATA).remove("#data, errors, last_lock, last_batch");
    }
    match (&write.callback, write.path) {
        (Some(token), _) => wait_for(&mut update, token),
        (None, Path::Replace { .. }) => _ = update.remove(attr::CALLBACK),
        (None, _) => {}
    }
    update.set_or_remove(attr::LOCK_OWNER, ":owner", write.owner.as_deref().map(string));
    acquire_condition(&mut update, write, codec);
    update
}

fn acquire_condition(update: &mut Update, write: &Acquire, codec: &Codec) {
    update.and("NOT #lock = :token AND NOT last_lock = :token");
    match write.path {
        Path::Ordinary => {
            let startable = write.startable().iter().map(|status| codec.statuses.code(*status));
            and_status_in(update, startable);
            and_free(update, write);
            if !write.force_execution {
                update.and("attempts < :max");
            }
            and_due(update, write);
            if !write.only_existing {
                update.name("#pk", &codec.key.partition);
                update.condition = format!("attribute_not_exists(#pk) OR ({})", update.condition);
            }
        }
        Path::NextStage { generation } => {
            update.value(":generation", number(generation)).and("generation = :generation");
            and_status_in(update, write.previous_succeeded);
            and_free(update, write);
            and_due(update, write);
        }
        Path::Replace { generation } => {
            update.value(":generation", number(generation)).and("generation = :generation");
            // The attribute holds whole seconds, so the time's milliseconds make no difference to `<=`.
            update.value(":now_seconds", seconds(write.now)).and("expire_at <= :now_seconds");
        }
    }
}

fn and_status_in(update: &mut Update, codes: impl IntoIterator<Item = u32>) {
    let mut list = String::new();
    for (at, code) in codes.into_iter().enumerate() {
        let placeholder = format!(":status{at}");
        append(&mut list, ", ", &placeholder);
        update.value(&placeholder, number(code));
    }
    update.and(&format!("#status IN ({list})"));
}

fn and_free(update: &mut Update, write: &Acquire) {
    if write.ignore_lock {
        return;
    }
    let mut free = String::from("attribute_not_exists(#lock) OR lock_expire_time <= :ran_out");
    update.value(":ran_out", millis(minus(write.now, write.skew)));
    if let Some(held) = write.held {
        update.value(":held", string(held));
        free.push_str(" OR #lock = :held");
    }
    if write.reentrant && write.owner.is_some() {
        free.push_str(" OR lock_owner = :owner");
    }
    update.and(&format!("({free})"));
}

fn and_due(update: &mut Update, write: &Acquire) {
    if !write.force_execution {
        update.and("(#status = :in_progress OR attribute_not_exists(due_time) OR due_time <= :now)");
    }
}

fn wait_for(update: &mut Update, token: &TaskToken) {
    update.value(":callback", string(token.as_str())).set("callback = :callback");
}

/// Has somebody else told of the task's end, provided that the stored record is still waited for by whom was seen. A record that
/// is over does not expire before that. Neither this nor [`told`] is a change of the task, so its version stays.
pub(crate) fn call_back(token: &TaskToken, seen: Version, instead_of: Option<&TaskToken>, codec: &Codec) -> Update {
    let mut update = Update::default();
    wait_for(&mut update, token);
    update.and_version(seen, codec);
    if seen.status.is_final() {
        update.remove(attr::EXPIRE_AT);
    }
    waited_for_by(update, instead_of)
}

/// Whoever waited for the task's end was told of it, or waits no more. From then on, its retention counts.
#[cfg(feature = "stepfunctions")]
pub(crate) fn told(token: &TaskToken, seen: Version, expire_at: Option<DateTime<Utc>>, codec: &Codec) -> Update {
    let mut update = Update::default();
    update.value(":callback", string(token.as_str())).and("callback = :callback").remove(attr::CALLBACK);
    if let Some(expire_at) = expire_at {
        update.and_version(seen, codec).value(":expire_at", seconds(expire_at)).set("expire_at = :expire_at");
    }
    update
}

/// Extends the lease, or keeps `data` as a checkpoint, or both.
pub(crate) fn extend(write: &Extend, data: Option<AttributeValue>) -> Update {
    let mut update = Update::with_room(3, 6);
    update
        .name("#lock", attr::LOCK)
        .value(":token", string(write.token))
        .value(":step", number(write.step))
        .value(":now", millis(write.now))
        .set("step = :step, update_time = :now")
        .and("#lock = :token AND step < :step");
    if let Some(expires) = write.expires {
        update.value(":expires", millis(expires)).set("lock_expire_time = :expires");
        if write.indexed {
            update.set("due_time = :expires");
        }
    }
    update.set_data(data);
    update
}

/// Records an outcome, and `data` with it where it changed.
pub(crate) fn end(write: &End, id: &TaskId, data: Option<AttributeValue>, codec: &Codec) -> Result<Update, Error> {
    let mut update = Update::with_room(3, 7);
    set_unlocked(&mut update, Some(write.token), write.now);
    update
        .name("#status", attr::STATUS)
        .value(":status", number(codec.statuses.code(write.status)))
        .set("#status = :status")
        .and("#lock = :lock")
        .set_or_remove(attr::DUE_TIME, ":due_time", write.due_time.map(millis))
        .set_or_remove(attr::EXPIRE_AT, ":expire_at", write.expire_at.map(seconds))
        .shard(id, write.status, codec)
        .set_data(data);
    if let Some(attempts) = write.attempts {
        update.value(":attempts", number(attempts)).set("attempts = :attempts");
    }
    if let Some(errors) = &write.errors {
        update.value(":errors", encode_errors(errors)?).set("errors = :errors");
    }
    Ok(update)
}

/// Writes down that an abandoned task is exhausted. `errors` is the whole history.
pub(crate) fn exhaust(write: &Exhaust, id: &TaskId, errors: &[AttemptError], codec: &Codec) -> Result<Update, Error> {
    let mut update = Update::default();
    set_unlocked(&mut update, write.lock, write.now);
    update
        .name("#status", attr::STATUS)
        .value(":exhausted", number(codec.statuses.code(Status::Exhausted)))
        .value(":seen_status", number(codec.statuses.code(write.status)))
        .value(":generation", number(write.generation))
        .set("#status = :exhausted")
        .set_or_remove(attr::DUE_TIME, ":due_time", write.due_time.map(millis))
        .shard(id, Status::Exhausted, codec)
        .set_or_remove(attr::EXPIRE_AT, ":expire_at", write.expire_at.map(seconds))
        .and("#status = :seen_status AND generation = :generation")
        .and_seen("#lock", ":lock", write.lock.map(string))
        .and_seen(attr::LOCK_EXPIRE_TIME, ":expiry", write.lock_expire_time.map(millis));
    if write.error.is_some() {
        update.value(":errors", encode_errors(errors)?).set("errors = :errors");
    }
    Ok(update)
}

/// The same write, of a task whose end its batch counts with it.
pub(crate) fn counted(mut update: Update, batch: &BatchMember) -> Update {
    update.name("#batch", attr::BATCH).value(":batch", string(batch)).set("last_batch = :batch").remove("#batch");
    update
}

/// The same write, of a task that was seen to be in no batch.
pub(crate) fn uncounted(mut update: Update) -> Update {
    update.name("#batch", attr::BATCH).and("attribute_not_exists(#batch)");
    update
}

/// The same write, of a task whose end its batch had counted, and that it counts again unless it is too late for that.
pub(crate) fn recounted(mut update: Update, batch: &BatchMember, in_time: bool) -> Update {
    update.value(":batch", string(batch)).and("last_batch = :batch").remove(attr::LAST_BATCH);
    if in_time {
        update.name("#batch", attr::BATCH).set("#batch = :batch");
    }
    update
}

/// A write of a task that there is not, which is refused.
pub(crate) fn refused(codec: &Codec) -> Update {
    let mut update = Update::default();
    update.name("#pk", &codec.key.partition).and("attribute_exists(#pk)");
    update.name("#lock", attr::LOCK).remove("#lock");
    update
}

/// Nothing but the condition that a record is still of the version that was seen, as a delete needs it.
pub(crate) fn unchanged(seen: Version, codec: &Codec) -> Update {
    let mut update = Update::default();
    update.and_version(seen, codec);
    update
}

/// The same write where it says when the record expires: nobody waits for the task's end, or they would be forgotten untold.
pub(crate) fn unless_waited_for(update: Update, expire_at: Option<DateTime<Utc>>) -> Update {
    if expire_at.is_some() { waited_for_by(update, None) } else { update }
}

/// The same write, of a task whose end this one waits for, or nobody. Who that is comes and goes without a change of the version.
pub(crate) fn waited_for_by(mut update: Update, callback: Option<&TaskToken>) -> Update {
    update.and_seen(attr::CALLBACK, ":seen_callback", callback.map(|token| string(token.as_str())));
    update
}

/// Puts a task that nobody has changed since where it belongs in the index.
pub(crate) fn place(seen: Version, shard: Option<String>, due: Option<DateTime<Utc>>, codec: &Codec) -> Update {
    let mut update = Update::default();
    update
        .name("#shard", attr::SHARD)
        .set_or_remove("#shard", ":shard", shard.map(string))
        .set_or_remove(attr::DUE_TIME, ":due_time", due.map(millis))
        .and_version(seen, codec);
    update
}

/// Does what an operator wants.
pub(crate) fn operate(write: &Operate, id: &TaskId, codec: &Codec) -> Update {
    let mut update = Update::default();
    set_unlocked(&mut update, write.lock, write.now);
    update
        .name("#status", attr::STATUS)
        .value(":seen_status", number(codec.statuses.code(write.status)))
        .value(":generation", number(write.generation))
        .and("#status = :seen_status AND generation = :generation")
        .and_seen("#lock", ":lock", write.lock.map(string))
        .shard(id, write.status_after(), codec);
    let due_time = write.due_time.map(millis);
    match write.operation {
        Operation::Redrive => {
            update.value(":status", number(codec.statuses.code(Status::Pending))).value(":zero", number(0));
            update.set("#status = :status, attempts = :zero").remove(attr::EXPIRE_AT);
            update.set_or_remove(attr::DUE_TIME, ":due_time", due_time);
        }
        Operation::Ignore => {
            update.value(":status", number(codec.statuses.code(Status::Ignored)));
            update.set("#status = :status").set_or_remove(attr::DUE_TIME, ":due_time", due_time);
            update.set_or_remove(attr::EXPIRE_AT, ":expire_at", write.expire_at.map(seconds));
        }
        Operation::Unlock => {
            if due_time.is_some() {
                update.set_or_remove(attr::DUE_TIME, ":due_time", due_time);
            }
        }
    }
    update
}

/// Writes every attribute of `item`, and removes those of a record that it lacks, provided that the stored record is
/// still the one that was loaded. Attributes that are not the record's are left alone, and so is whoever waits for its end: they
/// come and go without a change of the version.
pub(crate) fn dump(mut item: Item, status: Status, loaded: Option<Version>, codec: &Codec) -> Update {
    let mut update = Update::default();
    // Without an index, or in a state of another stage, its own attribute is nobody's business.
    let in_place = codec.index.is_some() && !matches!(status, Status::Other(_));
    let ours = |name: &&&str| **name != attr::CALLBACK && (in_place || **name != attr::SHARD);
    for (number, attribute) in ATTRIBUTES.iter().filter(ours).enumerate() {
        let (name, value) = (format!("#a{number}"), format!(":a{number}"));
        update.name(&name, attribute).set_or_remove(&name, &value, item.remove(*attribute));
    }
    match loaded {
        None => {
            update.name("#pk", &codec.key.partition).and("attribute_not_exists(#pk)");
        }
        Some(seen) => {
            update.and_version(seen, codec);
        }
    }
    update
}

/// The same, of a task that begins anew in the place of one that was waited for by `before`: nobody waits for that one any more.
pub(crate) fn anew(mut update: Update, before: Option<&TaskToken>, callback: Option<&TaskToken>) -> Update {
    update.set_or_remove(attr::CALLBACK, ":callback", callback.map(|token| string(token.as_str())));
    waited_for_by(update, before)
}

/// Takes the lock off and remembers it as the last one.
fn set_unlocked(update: &mut Update, lock: Option<LockToken>, now: DateTime<Utc>) {
    update
        .name("#lock", attr::LOCK)
        .value(":now", millis(now))
        .set("update_time = :now")
        .remove("#lock, lock_owner, lock_time, lock_expire_time");
    if let Some(lock) = lock {
        update.value(":lock", string(lock)).set("last_lock = :lock");
    }
}
