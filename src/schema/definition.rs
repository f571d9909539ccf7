//! The table.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType, ScalarAttributeType,
};

use super::{INDEX, KeySchema, attr};

/// The request that makes the table: the key, the index where it is wanted, and payment per request.
pub(crate) fn create_table_request(
    client: &Client,
    table: &str,
    key: &KeySchema,
    indexed: bool,
) -> Result<CreateTableFluentBuilder, BuildError> {
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    let sort = key.sort.as_ref().map(|(name, _)| (name.as_str(), KeyType::Range));
    for (name, key_type) in std::iter::once((key.partition.as_str(), KeyType::Hash)).chain(sort) {
        request = request.attribute_definitions(definition(name, ScalarAttributeType::S)?);
        request = request.key_schema(element(name, key_type)?);
    }
    if indexed {
        for definition in index_attributes()? {
            request = request.attribute_definitions(definition);
        }
        let index = GlobalSecondaryIndex::builder().index_name(INDEX).projection(keys_only());
        let index = index.set_key_schema(Some(index_key()?)).build()?;
        request = request.global_secondary_indexes(index);
    }
    Ok(request)
}

/// What adds the index to a table that has none, and the definitions of its attributes.
pub(crate) fn add_index() -> Result<(GlobalSecondaryIndexUpdate, [AttributeDefinition; 2]), BuildError> {
    let create = CreateGlobalSecondaryIndexAction::builder().index_name(INDEX).projection(keys_only());
    let create = create.set_key_schema(Some(index_key()?)).build()?;
    Ok((GlobalSecondaryIndexUpdate::builder().create(create).build(), index_attributes()?))
}

/// Only keys, since whatever else the index held would cost a write there whenever it changes.
fn keys_only() -> Projection {
    Projection::builder().projection_type(ProjectionType::KeysOnly).build()
}

fn index_key() -> Result<Vec<KeySchemaElement>, BuildError> {
    Ok(vec![element(attr::SHARD, KeyType::Hash)?, element(attr::DUE_TIME, KeyType::Range)?])
}

fn index_attributes() -> Result<[AttributeDefinition; 2], BuildError> {
    Ok([definition(attr::SHARD, ScalarAttributeType::S)?, definition(attr::DUE_TIME, ScalarAttributeType::N)?])
}

fn definition(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()
}

fn element(name: &str, key_type: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(name).key_type(key_type).build()
}
