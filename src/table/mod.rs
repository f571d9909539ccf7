//! The only caller of the SDK.

mod failure;
mod policy;
mod read;
mod repeats;
mod rooms;
mod settings;
mod setup;
mod transact;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

pub use policy::RequestPolicy;
pub(crate) use read::{MAX_BATCH, Slice};
pub(crate) use transact::{Actions, Created, MAX_ACTIONS, MAX_BYTES, Writes};

use crate::error::Error;
use crate::expression::Update;
use crate::record::TaskId;
use crate::schema::{Item, KeySchema};
use repeats::Repeats;
use rooms::{Answer, Rooms};

/// One table, with everything that a request needs besides its own content.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    client: Client,
    pub(crate) name: String,
    pub(crate) key: KeySchema,
    policy: RequestPolicy,
    repeats: Arc<AtomicU64>,
    rooms: Rooms,
}

/// What DynamoDB made of a conditional write.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is in. The item as it is now, where it was asked for.
    Done(Option<Item>),
    /// The condition did not hold.
    Refused {
        /// The item as it was, where there is one.
        item: Option<Item>,
        /// Whether the SDK had sent the same request before, so that the earlier copy may be what is in the way. Where a token
        /// in the item tells, this does not.
        repeated: bool,
    },
}

/// What an update gives back, and how long that is of use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Want {
    pub(crate) item: bool,
    pub(crate) within: Option<Duration>,
    /// A token in the item tells whether it is from this write, so nobody asks whether the request was repeated. Not to count that
    /// spares each request of a task 2 % of its instructions.
    pub(crate) known_by_token: bool,
}

/// Sends a customized request with the settings that its answer's usefulness asks for.
macro_rules! send {
    ($table:expr, $request:expr, $within:expr) => {
        match $table.policy.settings($within) {
            Some(settings) => $request.config_override(settings).send().await,
            None => $request.send().await,
        }
    };
}
use send;

impl Table {
    pub(crate) fn new(client: Client, name: String, key: KeySchema, policy: RequestPolicy) -> Self {
        Self { client: policy.client(client), name, key, policy, repeats: Arc::default(), rooms: Rooms::default() }
    }

    /// How often requests had to be repeated so far. While it grows, DynamoDB asks for patience.
    pub(crate) fn pressure(&self) -> u64 {
        self.repeats.load(Ordering::Relaxed)
    }

    /// Reads an item, consistently.
    pub(crate) async fn get(&self, id: &TaskId, within: Option<Duration>) -> Result<Option<Item>, Error> {
        self.get_at(self.key.key(id), within).await.map_err(|error| error.about(id))
    }

    /// Reads the item with this key, consistently.
    pub(crate) async fn get_at(&self, key: Item, within: Option<Duration>) -> Result<Option<Item>, Error> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        let answer = send!(self, request.customize(), within);
        answer.map(|answer| answer.item).map_err(|error| self.failure("read it", error))
    }

    /// Writes an item that does not exist yet.
    pub(crate) async fn put_new(&self, id: &TaskId, item: Item) -> Result<Written, Error> {
        let mut absent = Update::default();
        absent.name("#pk", &self.key.partition).and("attribute_not_exists(#pk)");
        self.put_if("create it", item, absent, None).await.map_err(|error| error.about(id))
    }

    /// Writes an item, in the place of the one with its key if there is one, under a condition.
    pub(crate) async fn put_if(
        &self,
        action: &str,
        item: Item,
        condition: Update,
        within: Option<Duration>,
    ) -> Result<Written, Error> {
        let repeats = Repeats::counted_in(&self.repeats);
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression(condition.condition)
            .set_expression_attribute_names(Some(condition.names))
            // DynamoDB takes no empty map.
            .set_expression_attribute_values(Some(condition.values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match send!(self, request.customize().interceptor(repeats.clone()), within) {
            Ok(_) => Ok(Written::Done(None)),
            Err(SdkError::ServiceError(answer)) if answer.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = answer.into_err() else { unreachable!() };
                Ok(Written::Refused { item: refused.item, repeated: repeats.any() })
            }
            Err(error) => Err(self.failure(action, error)),
        }
    }

    /// Changes an item under a condition.
    pub(crate) fn update<'a>(
        &'a self,
        action: &'a str,
        id: &'a TaskId,
        update: Update,
        want: Want,
    ) -> impl Future<Output = Result<Written, Error>> + Send + 'a {
        let written = self.update_at(action, self.key.key(id), update, want);
        async move { written.await.map_err(|error| error.about(id)) }
    }

    /// Changes the item with this key under a condition.
    ///
    /// The request is made here, not in the future: that would keep the room for all that it is made of until the answer is there.
    pub(crate) fn update_at<'a>(
        &'a self,
        action: &'a str,
        key: Item,
        update: Update,
        want: Want,
    ) -> impl Future<Output = Result<Written, Error>> + Send + 'a {
        let request = self.update_item(key, update, want.item);
        let repeats = (!want.known_by_token).then(|| Repeats::counted_in(&self.repeats));
        let sent = match (&repeats, self.policy.settings(want.within)) {
            (None, None) => self.rooms.send(request),
            (repeats, settings) => Rooms::send_customized(request, repeats.clone(), settings),
        };
        async move { self.written(action, sent.answer().await, repeats) }
    }

    fn written(&self, action: &str, answer: Answer, repeats: Option<Repeats>) -> Result<Written, Error> {
        match answer {
            Ok(item) => Ok(Written::Done(item)),
            Err(error) => self.not_updated(action, *error, repeats),
        }
    }

    #[cold]
    fn not_updated(
        &self,
        action: &str,
        error: SdkError<UpdateItemError>,
        repeats: Option<Repeats>,
    ) -> Result<Written, Error> {
        match error {
            SdkError::ServiceError(answer) if answer.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(refused) = answer.into_err() else {
                    unreachable!()
                };
                let repeated = repeats.is_some_and(|repeats| repeats.any());
                Ok(Written::Refused { item: refused.item, repeated })
            }
            error => Err(self.failure(action, error)),
        }
    }

    /// Not inlined: each of the builder's steps moves it, and those who await the answer would have all of them on their stack.
    #[inline(never)]
    fn update_item(&self, key: Item, update: Update, item: bool) -> UpdateItemFluentBuilder {
        let (expression, condition) = (update.update(), update.condition);
        self.client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .update_expression(expression)
            .condition_expression(condition)
            // DynamoDB takes no empty map.
            .set_expression_attribute_names(Some(update.names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(update.values).filter(|values| !values.is_empty()))
            .set_return_values(item.then_some(ReturnValue::AllNew))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Deletes an item under a condition.
    pub(crate) async fn delete(&self, id: &TaskId, condition: Update) -> Result<Written, Error> {
        self.delete_at(self.key.key(id), condition, None).await.map_err(|error| error.about(id))
    }

    /// Deletes the item with this key under a condition.
    pub(crate) async fn delete_at(
        &self,
        key: Item,
        condition: Update,
        within: Option<Duration>,
    ) -> Result<Written, Error> {
        let repeats = Repeats::counted_in(&self.repeats);
        let request = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .condition_expression(condition.condition)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match send!(self, request.customize().interceptor(repeats.clone()), within) {
            Ok(_) => Ok(Written::Done(None)),
            Err(SdkError::ServiceError(answer)) if answer.err().is_conditional_check_failed_exception() => {
                let DeleteItemError::ConditionalCheckFailedException(refused) = answer.into_err() else {
                    unreachable!()
                };
                Ok(Written::Refused { item: refused.item, repeated: repeats.any() })
            }
            Err(error) => Err(self.failure("delete it", error)),
        }
    }

    fn failure<E>(&self, action: &str, error: SdkError<E>) -> Error
    where
        E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        failure::failure(action, &self.name, error)
    }
}
