//! One of our writes and the caller's own, together or not at all.

use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update as UpdateItem,
};
use futures_util::future::BoxFuture;

use super::repeats::Repeats;
use super::{Table, Want, Written, failure, send};
use crate::error::{Error, ErrorKind};
use crate::expression::Update;
use crate::record::TaskId;
use crate::schema::{Item, item_size};

/// DynamoDB's limit for the actions of a transaction (`TransactWriteItems`, Amazon DynamoDB API Reference). One is ours.
pub(crate) const MAX_ACTIONS: usize = 100;

/// DynamoDB's limit for the items of a transaction, in bytes.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// About how much of that limit a write takes.
fn size(write: &TransactWriteItem) -> usize {
    let of = |item: Option<&Item>| item.map_or(0, item_size);
    of(write.put().map(|put| &put.item))
        + of(write.update().and_then(|update| update.expression_attribute_values.as_ref()))
        + of(write.delete().map(|delete| &delete.key))
}

/// What sends an update and the caller's writes.
type Send = for<'a> fn(&'a Table, &'a str, &'a TaskId, Update, Actions, Want) -> BoxFuture<'a, Result<Written, Error>>;

const BY_TRANSACTION: Send =
    |table, action, id, update, actions, want| Box::pin(table.update_with(action, id, update, actions, want));

/// The caller's own writes, if any.
///
/// They know how they are sent, so that a program which never has any has none of the SDK's code for transactions: in a
/// Lambda function, that is a hundredth of its size.
#[derive(Clone, Default)]
pub(crate) struct Writes {
    items: Vec<TransactWriteItem>,
    send: Option<Send>,
}

impl Writes {
    pub(crate) fn of(items: Vec<TransactWriteItem>) -> Self {
        Self { send: (!items.is_empty()).then_some(BY_TRANSACTION), items }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// These, and then others.
    pub(crate) fn and(&self, others: Vec<TransactWriteItem>) -> Self {
        Self::of([self.items.clone(), others].concat())
    }

    /// What a transaction needs; `None` where there are no writes, and no transaction is needed.
    pub(crate) fn with_token(&self, token: &str) -> Option<Actions> {
        let send = self.send?;
        Some(Actions { writes: self.items.clone(), token: token.to_owned(), send })
    }

    /// The same, to be sent once, but for the copies that the SDK sends by itself.
    pub(crate) fn once(&self) -> Option<Actions> {
        let send = self.send?;
        Some(Actions { send, ..Actions::once(self.items.clone()) })
    }
}

/// The caller's own writes, and the token that makes repeating them safe.
#[derive(Clone)]
pub(crate) struct Actions {
    writes: Vec<TransactWriteItem>,
    /// At most 36 characters. DynamoDB carries out two requests with the same one within ten minutes once.
    token: String,
    send: Send,
}

impl Actions {
    /// Writes with a token that no others have.
    pub(crate) fn once(writes: Vec<TransactWriteItem>) -> Self {
        Self { writes, token: uuid::Uuid::new_v4().to_string(), send: BY_TRANSACTION }
    }

    /// Changes an item under a condition, with the caller's writes in the same transaction.
    pub(crate) async fn send(
        self,
        table: &Table,
        action: &str,
        id: &TaskId,
        update: Update,
        want: Want,
    ) -> Result<Written, Error> {
        (self.send)(table, action, id, update, self, want).await
    }
}

/// What became of items that are made together.
#[derive(Debug)]
pub(crate) enum Created {
    /// They are made.
    All,
    /// None is made, since those of these numbers exist.
    Exist(Vec<(usize, Option<Item>)>),
    /// None is made, since the write that goes with them was refused.
    Refused,
}

impl Table {
    async fn update_with(
        &self,
        action: &str,
        id: &TaskId,
        update: Update,
        actions: Actions,
        want: Want,
    ) -> Result<Written, Error> {
        let ours = self.update_action(self.key.key(id), update)?;
        self.transact(action, ours, actions, want).await.map_err(|error| error.about(id))
    }

    /// The same, in a transaction only where there are other writes.
    pub(crate) async fn update_and(
        &self,
        action: &str,
        id: &TaskId,
        update: Update,
        writes: Vec<TransactWriteItem>,
        want: Want,
    ) -> Result<Written, Error> {
        match writes.is_empty() {
            true => self.update(action, id, update, want).await,
            false => self.update_with(action, id, update, Actions::once(writes), want).await,
        }
    }

    /// One write of ours, and others in the same transaction.
    pub(crate) async fn transact(
        &self,
        action: &str,
        ours: TransactWriteItem,
        actions: Actions,
        want: Want,
    ) -> Result<Written, Error> {
        match self.send_transaction(action, ours, actions, want).await? {
            None => Ok(Written::Done(None)),
            Some(reasons) => canceled_for(action, reasons),
        }
    }

    /// Makes all of these items and does one write besides, or nothing of it.
    pub(crate) async fn create_all(
        &self,
        action: &str,
        ours: TransactWriteItem,
        items: Vec<Item>,
    ) -> Result<Created, Error> {
        let writes = items.into_iter().map(|item| self.put_action(item)).collect::<Result<Vec<_>, _>>()?;
        let reasons = self.send_transaction(action, ours, Actions::once(writes), Want::default()).await?;
        let Some(reasons) = reasons else { return Ok(Created::All) };
        let refused = |reason: &CancellationReason| reason.code.as_deref() == Some("ConditionalCheckFailed");
        let others = reasons.iter().skip(1).enumerate().filter(|(_, reason)| refused(reason));
        let existing: Vec<_> = others.map(|(number, reason)| (number, reason.item.clone())).collect();
        match reasons.first().is_some_and(refused) {
            true => Ok(Created::Refused),
            false if existing.is_empty() => canceled_for(action, reasons).map(|_| Created::All),
            false => Ok(Created::Exist(existing)),
        }
    }

    /// Returns why it was cancelled, where it was: a reason for each action, ours first.
    async fn send_transaction(
        &self,
        action: &str,
        ours: TransactWriteItem,
        actions: Actions,
        want: Want,
    ) -> Result<Option<Vec<CancellationReason>>, Error> {
        check(action, &actions.writes)?;
        let repeats = Repeats::counted_in(&self.repeats);
        let request = self.client.transact_write_items().client_request_token(actions.token).transact_items(ours);
        let request = actions.writes.into_iter().fold(request, |request, write| request.transact_items(write));
        match send!(self, request.customize().interceptor(repeats), want.within) {
            Ok(_) => Ok(None),
            Err(SdkError::ServiceError(answer)) if answer.err().is_transaction_canceled_exception() => {
                let TransactWriteItemsError::TransactionCanceledException(canceled) = answer.into_err() else {
                    unreachable!()
                };
                Ok(Some(canceled.cancellation_reasons.unwrap_or_default()))
            }
            Err(error) => Err(failure::failure(action, &self.name, error)),
        }
    }

    /// A change under a condition, for a transaction.
    pub(crate) fn update_action(&self, key: Item, update: Update) -> Result<TransactWriteItem, Error> {
        let write = UpdateItem::builder()
            .table_name(&self.name)
            .set_key(Some(key))
            .update_expression(update.update())
            .condition_expression(update.condition)
            .set_expression_attribute_names(Some(update.names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(update.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(not_built)?;
        Ok(TransactWriteItem::builder().update(write).build())
    }

    /// A deletion under a condition, for a transaction.
    pub(crate) fn delete_action(&self, key: Item, condition: Update) -> Result<TransactWriteItem, Error> {
        let write = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(key))
            .condition_expression(condition.condition)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(not_built)?;
        Ok(TransactWriteItem::builder().delete(write).build())
    }

    /// The write that makes an item which does not exist yet, for a transaction of the caller's.
    pub(crate) fn put_action(&self, item: Item) -> Result<TransactWriteItem, Error> {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", &self.key.partition)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(not_built)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
}

/// The limits of DynamoDB that are better told before it is asked.
fn check(action: &str, writes: &[TransactWriteItem]) -> Result<(), Error> {
    let bytes: usize = writes.iter().map(size).sum();
    let message = match (writes.len(), bytes) {
        (count, _) if count >= MAX_ACTIONS => format!(
            "can't {action}: {count} writes are over DynamoDB's {MAX_ACTIONS} for a transaction, of which one is the \
             tracker's; write some of them before, in a way that may be repeated"
        ),
        (_, bytes) if bytes > MAX_BYTES => format!(
            "can't {action}: {bytes} bytes of writes are over DynamoDB's 4 MB for a transaction; keep large data \
             elsewhere, such as in S3"
        ),
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::InvalidArgument, message))
}

/// It can't happen, since nothing that is required is left out.
fn not_built(error: BuildError) -> Error {
    Error::new(ErrorKind::Service, "the SDK takes no such write").with_source(error)
}

/// What the reasons of a cancelled transaction, one for each action and ours first, amount to.
fn canceled_for(action: &str, reasons: Vec<CancellationReason>) -> Result<Written, Error> {
    let code = |reason: &CancellationReason| reason.code.clone().unwrap_or_default();
    let with = |wanted: &[&str]| reasons.iter().any(|reason| wanted.contains(&code(reason).as_str()));
    if reasons.first().is_some_and(|ours| code(ours) == "ConditionalCheckFailed") {
        let item = reasons.into_iter().next().and_then(|ours| ours.item);
        return Ok(Written::Refused { item, repeated: false });
    }
    if let Some(number) = reasons.iter().skip(1).position(|reason| code(reason) == "ConditionalCheckFailed") {
        let message = format!(
            "can't {action}: nothing was written, since the condition of your own write number {number} (from 0) does not \
             hold; look at its item, then decide"
        );
        return Err(Error::new(ErrorKind::ActionRefused, message).with_action(number));
    }
    if with(&["TransactionConflict"]) {
        let message = format!("can't {action}: another transaction is changing one of the items; try again");
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    if with(&["ThrottlingError", "ProvisionedThroughputExceeded"]) {
        return Err(Error::new(
            ErrorKind::Throttled,
            format!("can't {action}: DynamoDB took no more requests; try again"),
        ));
    }
    let other = reasons.iter().position(|reason| !matches!(code(reason).as_str(), "" | "None"));
    let number = other.unwrap_or_default();
    let message = reasons.get(number).and_then(|reason| reason.message.clone()).unwrap_or_default();
    let code = reasons.get(number).map(code).unwrap_or_default();
    match number.checked_sub(1) {
        Some(own) => {
            let text =
                format!("can't {action}: nothing was written; your own write number {own} (from 0): {code}: {message}");
            Err(Error::new(ErrorKind::ActionRefused, text).with_action(own))
        }
        None if failure::is_size(&message) => {
            let text = format!("can't {action}: the item would be {}", crate::schema::ITEM_TOO_LARGE);
            Err(Error::new(ErrorKind::ItemTooLarge, text))
        }
        None => {
            Err(Error::new(ErrorKind::Service, format!("can't {action}: DynamoDB refused it, with {code}: {message}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(codes: &[&str]) -> Result<Written, Error> {
        let reason = |code: &&str| CancellationReason::builder().code(*code).message("why").build();
        canceled_for("record its outcome", codes.iter().map(reason).collect())
    }

    #[test]
    fn each_reason_has_its_meaning() {
        assert!(matches!(judge(&["ConditionalCheckFailed", "None"]), Ok(Written::Refused { .. })));
        let kinds = [
            (vec!["None", "None", "ConditionalCheckFailed"], ErrorKind::ActionRefused, Some(1)),
            (vec!["None", "TransactionConflict"], ErrorKind::Conflict, None),
            (vec!["TransactionConflict", "None"], ErrorKind::Conflict, None),
            (vec!["None", "ThrottlingError"], ErrorKind::Throttled, None),
            (vec!["None", "ValidationError"], ErrorKind::ActionRefused, Some(0)),
            (vec!["ItemCollectionSizeLimitExceeded"], ErrorKind::Service, None),
        ];
        for (codes, kind, action) in kinds {
            let error = judge(&codes).unwrap_err();
            assert_eq!((error.kind(), error.action()), (kind, action), "{codes:?}");
        }
    }
}
