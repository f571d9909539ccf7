//! A worker's events as a counter of the crate `metrics`, for whatever exporter the program has installed.

use metrics::counter;

use super::WorkerEvent;
use crate::record::TaskId;

/// The counter's name. Its labels are `namespace` and `event`.
const EVENTS: &str = "dynamo_tracker_worker_events_total";

/// Ids are no labels: there would be a time series for each task.
pub(super) fn count(event: &WorkerEvent<'_>) {
    let (id, name) = described(event);
    counter!(EVENTS, "namespace" => id.namespace().to_owned(), "event" => name).increment(1);
}

fn described<'a>(event: &WorkerEvent<'a>) -> (&'a TaskId, &'static str) {
    match event {
        WorkerEvent::Started { id, .. } => (id, "started"),
        WorkerEvent::Succeeded { id } => (id, "succeeded"),
        WorkerEvent::Failed { id, .. } => (id, "failed"),
        WorkerEvent::Refused { id, .. } => (id, "refused"),
        WorkerEvent::LeaseLost { id, .. } => (id, "lease_lost"),
        WorkerEvent::NotRecorded { id, .. } => (id, "not_recorded"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
    };

    use super::*;

    /// Keeps what was counted, by name and labels.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<BTreeMap<String, u64>>>);

    struct Cell(Kept, String);

    impl CounterFn for Cell {
        fn increment(&self, value: u64) {
            *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
        }

        fn absolute(&self, _: u64) {
            unreachable!("only increments are told");
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            Counter::from_arc(Arc::new(Cell(self.clone(), format!("{} {}", key.name(), labels.join(" ")))))
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn each_event_is_counted_under_its_name() {
        let (kept, id) = (Kept::default(), TaskId::new("orders", "secret-42").unwrap());
        with_local_recorder(&kept, || {
            super::super::event::tell(None, &WorkerEvent::Started { id: &id, attempt: 1 });
            super::super::event::tell(None, &WorkerEvent::Succeeded { id: &id });
            super::super::event::tell(None, &WorkerEvent::Succeeded { id: &id });
        });
        let counted: Vec<_> = kept.0.lock().unwrap().clone().into_iter().collect();
        let name = |event| format!("{EVENTS} namespace=orders event={event}");
        assert_eq!(counted, [(name("started"), 1), (name("succeeded"), 2)]);
    }
}
