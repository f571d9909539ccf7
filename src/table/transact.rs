//! One of our writes and the caller's own, together or not at all.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update as UpdateItem,
};
use futures_util::future::BoxFuture;

use super::{Table, Want, Written, failure, send};
use crate::error::{Error, ErrorKind};
use crate::expression::Update;
use crate::record::TaskId;
use crate::schema::{Item, size_of};

/// DynamoDB's limit for the actions of a transaction (`TransactWriteItems`, Amazon DynamoDB API Reference). One is ours.
const MAX_ACTIONS: usize = 100;

/// DynamoDB's limit for the items of a transaction, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// About how much of that limit a write takes.
fn size(write: &TransactWriteItem) -> usize {
    let of =
        |item: Option<&Item>| item.map_or(0, |item| item.iter().map(|(name, value)| name.len() + size_of(value)).sum());
    of(write.put().map(|put| &put.item))
        + of(write.update().and_then(|update| update.expression_attribute_values.as_ref()))
        + of(write.delete().map(|delete| &delete.key))
}

/// What sends an update and the caller's writes.
type Send = for<'a> fn(&'a Table, &'a str, &'a TaskId, Update, Actions, Want) -> BoxFuture<'a, Result<Written, Error>>;

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
        let send: Send =
            |table, action, id, update, actions, want| Box::pin(table.update_with(action, id, update, actions, want));
        Self { send: (!items.is_empty()).then_some(send), items }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What a transaction needs; `None` where there are no writes, and no transaction is needed.
    pub(crate) fn with_token(&self, token: &str) -> Option<Actions> {
        let send = self.send?;
        Some(Actions { writes: self.items.clone(), token: token.to_owned(), send })
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

impl Table {
    async fn update_with(
        &self,
        action: &str,
        id: &TaskId,
        update: Update,
        actions: Actions,
        want: Want,
    ) -> Result<Written, Error> {
        if actions.writes.len() >= MAX_ACTIONS {
            let message = format!(
                "can't {action}: {} writes are over DynamoDB's {MAX_ACTIONS} for a transaction, of which one is the \
                 tracker's; write some of them before, in a way that may be repeated",
                actions.writes.len()
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message).about(id));
        }
        let bytes: usize = actions.writes.iter().map(size).sum();
        if bytes > MAX_BYTES {
            let message = format!(
                "can't {action}: {bytes} bytes of writes are over DynamoDB's 4 MB for a transaction; keep large data \
                 elsewhere, such as in S3"
            );
            return Err(Error::new(ErrorKind::InvalidArgument, message).about(id));
        }
        let ours = UpdateItem::builder()
            .table_name(&self.name)
            .set_key(Some(self.key.key(id)))
            .update_expression(update.update())
            .condition_expression(update.condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Service, "the SDK takes no such update").with_source(error).about(id)
            })?;
        let request = self
            .client
            .transact_write_items()
            .client_request_token(actions.token)
            .transact_items(TransactWriteItem::builder().update(ours).build());
        let request = actions.writes.into_iter().fold(request, |request, write| request.transact_items(write));
        match send!(self, request.customize(), want.within) {
            Ok(_) => Ok(Written::Done(None)),
            Err(SdkError::ServiceError(answer)) if answer.err().is_transaction_canceled_exception() => {
                let TransactWriteItemsError::TransactionCanceledException(canceled) = answer.into_err() else {
                    unreachable!()
                };
                canceled_for(action, canceled.cancellation_reasons.unwrap_or_default()).map_err(|error| error.about(id))
            }
            Err(error) => Err(failure::failure(action, &self.name, error).about(id)),
        }
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
            .map_err(|error| Error::new(ErrorKind::Service, "the SDK takes no such put").with_source(error))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }
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
