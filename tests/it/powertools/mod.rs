//! The records of Powertools: shared with Powertools for Python itself, and what our own side adds.

mod alone;
mod keys;
mod peer;
mod shared;

use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use chrono::{TimeDelta, Utc};
use dynamo_tracker::ManualClock;
use dynamo_tracker::lambda::powertools::{Outcome, Powertools, PowertoolsBuilder, PowertoolsError};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::bed::{Backend, Bed};

/// How long the work may take here.
const TIME: Duration = Duration::from_secs(60);
/// The name that the peer's function gives to its records.
const NAME: &str = "orders-fn.app.handler";

pub(crate) fn tests(backend: Backend) -> Vec<Trial> {
    [shared::tests, alone::tests, keys::tests].into_iter().flat_map(|tests| tests(backend)).collect()
}

type Ran = Result<Outcome<Value>, PowertoolsError<Value>>;

/// The same on a table with this key: strings, of which the second, if there is one, is the sort key.
async fn on_a_table(mut bed: Bed, keys: &[&str]) -> Bed {
    bed.table.push_str("-powertools");
    let mut create = bed.sdk().create_table().table_name(&bed.table).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*name).attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(*name).key_type(kind);
        create = create.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
    }
    create.send().await.unwrap();
    bed.http.forget();
    bed
}

/// Ours, by a clock that differs from the peer's by so many seconds, and stands still.
fn ours(bed: &Bed, ahead: i64) -> PowertoolsBuilder {
    let clock = ManualClock::new(Utc::now() + TimeDelta::seconds(ahead));
    Powertools::builder(bed.sdk()).table(&bed.table).name(NAME).clock(clock)
}

fn event() -> Value {
    json!({"order_id": "o-42", "total": 19.99, "note": "grüße \u{1F600}"})
}

/// The work of a test that must not run it.
async fn untouched(powertools: &Powertools, event: &Value) -> Ran {
    powertools.run(event, TIME, || async { panic!("the work is run though it must not be") }).await
}

/// Runs work that returns this.
async fn run(powertools: &Powertools, event: &Value, response: Value) -> Ran {
    powertools.run(event, TIME, || async { Ok(response) }).await
}

/// The only item of the table.
async fn item(bed: &Bed) -> std::collections::BTreeMap<String, AttributeValue> {
    let scan = bed.sdk().scan().table_name(&bed.table).consistent_read(true).send().await.unwrap();
    let mut items = scan.items.unwrap_or_default();
    assert_eq!(items.len(), 1, "{items:?}");
    items.remove(0).into_iter().collect()
}
