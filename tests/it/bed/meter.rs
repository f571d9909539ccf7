//! Counts requests and the capacity that they take, by asking DynamoDB for it in each.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::client::orchestrator::Metadata;

/// Every request that was answered since it last forgot, each try of its own, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Mutex<Vec<Metered>>>);

/// A request that was answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metered {
    /// The operation's name in DynamoDB's API.
    pub(crate) operation: String,
    /// `None` where it was refused, of which DynamoDB does not say it, and for an operation that is not measured.
    pub(crate) units: Option<f64>,
}

impl Metered {
    /// Whether its units are write units.
    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.operation.as_str(), "GetItem" | "BatchGetItem" | "Query" | "Scan")
    }
}

impl Meter {
    /// The units of each that succeeded.
    pub(crate) fn units(&self) -> Vec<f64> {
        self.requests().iter().filter_map(|request| request.units).collect()
    }

    pub(crate) fn requests(&self) -> Vec<Metered> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().clear();
    }
}

/// Asks for the capacity, whichever of these the input is.
macro_rules! ask {
    ($input:expr, $($kind:ty),*) => {
        $(if let Some(input) = $input.downcast_mut::<$kind>() {
            input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
        })*
    };
}

/// The capacity that the output says, whichever of these it is. That of several items is in several parts.
macro_rules! units {
    ($output:expr, $($kind:ty),*) => {
        None$(.or_else(|| {
            let parts = $output.downcast_ref::<$kind>()?.consumed_capacity().into_iter();
            parts.filter_map(ConsumedCapacity::capacity_units).reduce(|sum, units| sum + units)
        }))*
    };
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input_mut();
        ask!(input, UpdateItemInput, PutItemInput, DeleteItemInput, TransactWriteItemsInput);
        ask!(input, QueryInput, GetItemInput, BatchGetItemInput);
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let units = context.output_or_error().ok().and_then(|output| {
            let written = units!(output, UpdateItemOutput, PutItemOutput, DeleteItemOutput, TransactWriteItemsOutput);
            written.or_else(|| units!(output, QueryOutput, GetItemOutput, BatchGetItemOutput))
        });
        let operation = bag.load::<Metadata>().map(|request| request.name().to_owned()).unwrap_or_default();
        self.0.lock().unwrap().push(Metered { operation, units });
        Ok(())
    }
}
