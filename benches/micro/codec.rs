//! Items to records, typed data to DynamoDB's form, and both back.

use std::time::Duration;

use chrono::Utc;
use dynamo_tracker::{Data, RawData, TaskId, Tracker, internals};

use crate::measure::Measure;
use crate::{client, orders};

pub(crate) const GROUP: &str = "codec";
/// Typed data, in each of the two sizes.
pub(crate) const WRITTEN: [&str; 2] = ["write-small-data", "write-large-data"];
pub(crate) const READ: [&str; 2] = ["read-small-data", "read-large-data"];

pub(crate) fn measure(measure: &mut Measure) {
    measure_record(measure);
    measure_data(measure, (WRITTEN[0], READ[0]), &orders::small());
    measure_data(measure, (WRITTEN[1], READ[1]), &orders::large());
}

/// That of a task which is being worked on, without data.
fn record() -> Tracker<()> {
    let mut record = Tracker::new(TaskId::new("orders", "order-42").expect("an id"), (), 3, Utc::now());
    record.lock_it(Utc::now(), Duration::from_secs(900));
    record
}

fn measure_record(measure: &mut Measure) {
    let (client, record) = (client(None), record());
    let item = internals::encode(&client, &record, None).expect("an item");
    measure.piece(GROUP, "record-to-item", || internals::encode(&client, &record, None).expect("an item"));
    measure.piece_of(GROUP, "item-to-record", &item, |item| internals::decode(&client, item).expect("a record"));
}

fn measure_data<D: Data>(measure: &mut Measure, (write, read): (&str, &str), data: &D) {
    measure.piece(GROUP, write, || internals::to_value(data).expect("a value"));
    let client = client(None);
    let value = internals::to_value(data).expect("a value");
    let item = internals::encode(&client, &record(), Some(value)).expect("an item");
    let record: Tracker<RawData> = internals::decode(&client, item).expect("a record");
    measure.piece_of(GROUP, read, &record, |record| record.typed::<D>().expect("such data"));
}
