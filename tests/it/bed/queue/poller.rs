//! The event source mapping from a queue to a function.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
};
use serde_json::Value;

use super::event::event;
use super::{Queue, verdict};
use crate::bed::lambda::{Answer, Deployed};

/// How long nothing may come of a queue that is not empty: longer than an invocation takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Receives batches, invokes the function, and deletes what has succeeded, by the rules of `ReportBatchItemFailures`.
pub(crate) struct Poller<'a> {
    queue: &'a Queue,
    function: &'a Deployed,
    batch_size: i32,
    concurrency: usize,
}

/// What became of a batch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) event: Value,
    pub(crate) answer: Answer,
    /// The ids of the messages that are done.
    pub(crate) deleted: Vec<String>,
    /// Those of the messages that can be received again.
    pub(crate) returned: Vec<String>,
    /// Why the whole batch is taken for failed.
    pub(crate) failed_as_a_whole: Option<String>,
}

impl<'a> Poller<'a> {
    /// Batches of up to ten messages, one at a time.
    pub(crate) fn new(queue: &'a Queue, function: &'a Deployed) -> Self {
        Self { queue, function, batch_size: 10, concurrency: 1 }
    }

    /// At most ten, which is what can be received at once.
    pub(crate) fn batch_size(self, batch_size: i32) -> Self {
        Self { batch_size, ..self }
    }

    /// How many batches there are at a time.
    pub(crate) fn concurrency(self, concurrency: usize) -> Self {
        Self { concurrency, ..self }
    }

    /// Goes on until the queue is empty: each message is done, or in the dead-letter queue.
    pub(crate) async fn drain(&self) -> Vec<Batch> {
        let pumps = (0..self.concurrency).map(|_| self.pump());
        futures_util::future::join_all(pumps).await.into_iter().flatten().collect()
    }

    async fn pump(&self) -> Vec<Batch> {
        let (mut batches, mut last) = (Vec::new(), Instant::now());
        loop {
            match self.poll().await {
                Some(batch) => {
                    batches.push(batch);
                    last = Instant::now();
                }
                None if self.queue.depth().await == (0, 0) => return batches,
                None if last.elapsed() > PATIENCE => panic!("nobody deletes or gives back the rest of the queue"),
                // Others have the rest in hand, and may give some of it back.
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// One batch of what waits now. `None` where nothing does.
    pub(crate) async fn poll(&self) -> Option<Batch> {
        let messages = self.queue.receive(self.batch_size).await;
        if messages.is_empty() {
            return None;
        }
        let event = event(self.queue, &messages);
        let answer = self.function.invoke(&event).await;
        let ids: Vec<_> = messages.iter().map(id).collect();
        let verdict = verdict::failed(&answer, &ids);
        let failed_as_a_whole = verdict.as_ref().err().cloned();
        let failed = verdict.unwrap_or_else(|_| ids.iter().map(|&id| id.to_owned()).collect());
        if self.queue.is_fifo() {
            check_order(&messages, &failed);
        }
        let (returned, deleted) = messages.iter().partition::<Vec<_>, _>(|message| failed.contains(id(message)));
        self.delete(&deleted).await;
        self.give_back(&returned).await;
        let names = |messages: Vec<&Message>| messages.into_iter().map(|message| id(message).to_owned()).collect();
        Some(Batch { event, answer, deleted: names(deleted), returned: names(returned), failed_as_a_whole })
    }

    async fn delete(&self, messages: &[&Message]) {
        if messages.is_empty() {
            return;
        }
        let entry = |message: &&Message| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id(message)).receipt_handle(handle(message));
            entry.build().unwrap()
        };
        let entries = messages.iter().map(entry).collect();
        let request = self.queue.client.delete_message_batch().queue_url(&self.queue.url).set_entries(Some(entries));
        let failed = request.send().await.unwrap().failed;
        assert!(failed.is_empty(), "{failed:?}");
    }

    /// Lambda leaves them until their visibility timeout, and so makes tests wait. Here they are visible at once, in their
    /// order.
    async fn give_back(&self, messages: &[&Message]) {
        if messages.is_empty() {
            return;
        }
        let entry = |message: &&Message| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id(message));
            entry.receipt_handle(handle(message)).visibility_timeout(0).build().unwrap()
        };
        let entries = messages.iter().map(entry).collect();
        let request = self.queue.client.change_message_visibility_batch().queue_url(&self.queue.url);
        let failed = request.set_entries(Some(entries)).send().await.unwrap().failed;
        assert!(failed.is_empty(), "{failed:?}");
    }
}

/// After a failure in a group, the function must report the rest of the group as well: Lambda would delete the rest, and
/// the order would be lost.
fn check_order(messages: &[Message], failed: &HashSet<String>) {
    let mut failed_groups = HashSet::new();
    for message in messages {
        let group = group(message);
        if failed.contains(id(message)) {
            failed_groups.insert(group);
        } else {
            let lost = failed_groups.contains(group);
            assert!(!lost, "{} is not reported, though one before it in the group {group} has failed", id(message));
        }
    }
}

fn group(message: &Message) -> &str {
    let attributes = message.attributes.as_ref();
    attributes.and_then(|attributes| attributes.get(&MessageSystemAttributeName::MessageGroupId)).expect("it is FIFO")
}

fn id(message: &Message) -> &str {
    message.message_id.as_deref().expect("a message has an id")
}

fn handle(message: &Message) -> &str {
    message.receipt_handle.as_deref().expect("a message that was received has a handle")
}
