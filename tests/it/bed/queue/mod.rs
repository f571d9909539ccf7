//! A queue of SQS, its dead-letter queue, and the event source mapping from it to a function.

mod event;
mod poller;
mod verdict;

use std::collections::HashMap;

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use aws_sdk_sqs::{Client, Config};
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::lambda::REGION;
use super::moto;

pub(crate) use poller::{Batch, Poller};

/// How long a message that was received is hidden: longer than any test, so that none comes back by itself.
const VISIBILITY: &str = "900";

pub(crate) struct Queue {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) arn: String,
    dead_letters: Option<Box<Queue>>,
    /// moto may give one message to two that receive at the same time, even of a FIFO queue.
    receiving: Mutex<()>,
}

impl Queue {
    /// A standard queue. After so many receives, a message goes to the dead-letter queue.
    pub(crate) async fn standard(max_receives: u32) -> Self {
        Self::with_dead_letters(max_receives, false).await
    }

    /// The same, with the order kept within each group of messages.
    pub(crate) async fn fifo(max_receives: u32) -> Self {
        Self::with_dead_letters(max_receives, true).await
    }

    async fn with_dead_letters(max_receives: u32, is_fifo: bool) -> Self {
        let dead_letters = Self::create(is_fifo, None).await;
        let policy = json!({ "deadLetterTargetArn": dead_letters.arn, "maxReceiveCount": max_receives });
        let queue = Self::create(is_fifo, Some(policy.to_string())).await;
        Self { dead_letters: Some(Box::new(dead_letters)), ..queue }
    }

    async fn create(is_fifo: bool, redrive_policy: Option<String>) -> Self {
        let client = client();
        let suffix = if is_fifo { ".fifo" } else { "" };
        let mut request = client.create_queue().queue_name(format!("test-{}{suffix}", Uuid::new_v4()));
        request = request.attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY);
        if is_fifo {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
            request = request.attributes(QueueAttributeName::ContentBasedDeduplication, "true");
        }
        if let Some(policy) = redrive_policy {
            request = request.attributes(QueueAttributeName::RedrivePolicy, policy);
        }
        let url = request.send().await.unwrap().queue_url.expect("a new queue has a URL");
        let queue = Self { client, url, arn: String::new(), dead_letters: None, receiving: Mutex::default() };
        let arn = queue.attribute(QueueAttributeName::QueueArn).await;
        Self { arn, ..queue }
    }

    /// Sends a message, and returns its id.
    pub(crate) async fn send(&self, body: impl ToString) -> String {
        let request = self.client.send_message().queue_url(&self.url).message_body(body.to_string());
        request.send().await.unwrap().message_id.expect("a message has an id")
    }

    /// The same for a FIFO queue, to a group of messages.
    pub(crate) async fn send_to(&self, group: &str, body: impl ToString) -> String {
        let request = self.client.send_message().queue_url(&self.url).message_body(body.to_string());
        // Without this, moto gives the message no sequence number. (Those that it gives do not ascend, as SQS's do.)
        let request = request.message_deduplication_id(Uuid::new_v4());
        request.message_group_id(group).send().await.unwrap().message_id.expect("a message has an id")
    }

    pub(crate) fn dead_letters(&self) -> &Queue {
        self.dead_letters.as_deref().expect("a dead-letter queue has none of its own")
    }

    /// The bodies of all messages that wait, which are received by this and so hidden.
    pub(crate) async fn take_bodies(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let messages = self.receive(10).await;
            if messages.is_empty() {
                return bodies;
            }
            bodies.extend(messages.into_iter().map(|message| message.body.expect("a message has a body")));
        }
    }

    /// Whether the order within each group is kept.
    fn is_fifo(&self) -> bool {
        self.arn.ends_with(".fifo")
    }

    /// How many messages wait, and how many were received and not deleted.
    pub(crate) async fn depth(&self) -> (usize, usize) {
        let waiting = self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await;
        let hidden = self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await;
        (waiting.parse().unwrap(), hidden.parse().unwrap())
    }

    async fn attribute(&self, name: QueueAttributeName) -> String {
        let request = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let attributes: HashMap<_, _> = request.send().await.unwrap().attributes.unwrap_or_default();
        attributes.get(&name).unwrap_or_else(|| panic!("the queue has no {name}")).clone()
    }

    /// At most so many messages, and none if none waits.
    async fn receive(&self, count: i32) -> Vec<Message> {
        let _alone = self.receiving.lock().await;
        let request = self.client.receive_message().queue_url(&self.url).max_number_of_messages(count);
        let request = request.wait_time_seconds(0).message_attribute_names("All");
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        request.send().await.unwrap().messages.unwrap_or_default()
    }
}

fn client() -> Client {
    let endpoint = moto::endpoint().unwrap_or_else(|error| panic!("{error}"));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"));
    Client::from_conf(config.build())
}
