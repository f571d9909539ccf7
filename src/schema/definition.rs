//! The table.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};

use super::KeySchema;

/// The request that makes the table: the key, and payment per request.
pub(crate) fn create_table_request(client: &Client, table: &str, key: &KeySchema) -> CreateTableFluentBuilder {
    let request = add_key(client.create_table().table_name(table), &key.partition, KeyType::Hash)
        .billing_mode(BillingMode::PayPerRequest);
    match &key.sort {
        Some((name, _)) => add_key(request, name, KeyType::Range),
        None => request,
    }
}

fn add_key(request: CreateTableFluentBuilder, name: &str, key_type: KeyType) -> CreateTableFluentBuilder {
    // Both builders fail only where a required member was left out, and none was.
    let (Ok(definition), Ok(element)) = (
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build(),
        KeySchemaElement::builder().attribute_name(name).key_type(key_type).build(),
    ) else {
        return request;
    };
    request.attribute_definitions(definition).key_schema(element)
}
