//! Our keys are Python's, whatever the event.

use std::fmt::Write;
use std::io::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dynamo_tracker::lambda::JmesPath;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::peer::Peer;
use super::{ours, run, untouched};
use crate::bed::Bed;

crate::tests![any_value_has_the_same_key, what_is_selected_has_the_same_key, what_is_selected_is_replayed];

/// How many values are compared. `TRACKER_TEST_CASES` asks for more.
fn cases() -> usize {
    std::env::var("TRACKER_TEST_CASES").ok().map_or(1000, |cases| cases.parse().expect("a number of cases"))
}

/// Texts of JSON, rather than values, so that reading them is compared as well.
struct Texts(fastrand::Rng);

impl Texts {
    fn value(&mut self, depth: u8) -> String {
        match self.0.u8(0..if depth > 0 { 10 } else { 7 }) {
            0 => ["null", "true", "false", "\"\"", "[]", "{}"][self.0.usize(0..6)].to_owned(),
            1..=3 => self.number(),
            4..=6 => self.text(),
            7..=8 => format!("[{}]", self.many(|texts| texts.value(depth - 1))),
            _ => format!("{{{}}}", self.many(|texts| format!("{}:{}", texts.text(), texts.value(depth - 1)))),
        }
    }

    fn many(&mut self, part: impl Fn(&mut Self) -> String) -> String {
        (0..self.0.usize(0..5)).map(|_| part(self)).collect::<Vec<_>>().join(", ")
    }

    fn number(&mut self) -> String {
        match self.0.u8(0..7) {
            0 => self.0.u64(..).to_string(),
            1 => self.0.i64(..).to_string(),
            2 => self.0.i8(..).to_string(),
            // Any float at all; what is none becomes null.
            3 => Value::from(f64::from_bits(self.0.u64(..))).to_string(),
            // More digits than a float has.
            4 => format!("{}.{:020}e{}", self.0.i16(..), self.0.u64(..), self.0.i16(-300..290)),
            5 => format!("{}.{}", self.0.i8(..), self.0.u16(..)),
            // About where an exponent begins to be written.
            _ => format!("{}{}e{}", if self.0.bool() { "-" } else { "" }, self.0.u32(1..9999), self.0.i8(-12..24)),
        }
    }

    fn text(&mut self) -> String {
        let text: String = (0..self.0.usize(0..6)).map(|_| self.character()).collect();
        let plain = Value::from(text.clone()).to_string();
        if self.0.bool() { plain } else { escaped(&text) }
    }

    fn character(&mut self) -> char {
        match self.0.u8(0..5) {
            0 => self.0.char('\0'..='\u{7f}'),
            1 => self.0.char('\u{80}'..='\u{ff}'),
            2 => self.0.char('\u{d000}'..='\u{e0ff}'),
            3 => self.0.char('\u{10000}'..='\u{10ffff}'),
            _ => self.0.char('a'..='e'),
        }
    }
}

/// Each character by its number, which is the same text.
fn escaped(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for unit in text.encode_utf16() {
        write!(quoted, "\\u{unit:04X}").unwrap();
    }
    quoted + "\""
}

fn values() -> (u64, Vec<String>) {
    let seed =
        std::env::var("TRACKER_TEST_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a seed"));
    let mut texts = Texts(fastrand::Rng::with_seed(seed));
    (seed, (0..cases()).map(|_| texts.value(4)).collect())
}

async fn any_value_has_the_same_key(bed: Bed) {
    let powertools = ours(&bed, 0).allow_missing_key().build().unwrap();
    let (seed, texts) = values();
    let theirs = Peer::new(&bed).keys(&texts, json!({}));
    assert!(theirs.iter().flatten().count() > texts.len() / 2, "most have a key");
    assert!(theirs.iter().any(Option::is_none), "some have none");
    for (text, theirs) in texts.iter().zip(theirs) {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(powertools.key(&value).unwrap(), theirs, "TRACKER_TEST_SEED={seed}: {text}");
    }
}

fn packed(text: &str) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    BASE64_STANDARD.encode(encoder.finish().unwrap())
}

/// An event with a value in all the ways that the functions of Powertools know.
fn event_with(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).unwrap();
    json!({
        "value": value,
        "body": text,
        "Records": [{"body": format!("[{text}]")}, {"body": "{\"id\": 7}"}],
        "data": BASE64_STANDARD.encode(text),
        "logs": packed(&format!("{{\"events\": [{text}]}}")),
    })
}

const EXPRESSIONS: [&str; 9] = [
    "value",
    "powertools_json(body)",
    "Records[*].powertools_json(body)",
    "Records[*].powertools_json(body).[id, value]",
    "powertools_json(powertools_base64(data))",
    "powertools_json(powertools_base64_gzip(logs)).events[0]",
    "[value, missing, `1.0`, 'é']",
    "{a: value, b: length(Records), c: body}",
    "nothing.at.all",
];

async fn what_is_selected_has_the_same_key(bed: Bed) {
    let mut peer = Peer::new(&bed);
    let (seed, texts) = values();
    let events: Vec<_> = texts.iter().take(100).map(|text| event_with(text)).collect();
    let sent: Vec<_> = events.iter().map(Value::to_string).collect();
    for expression in EXPRESSIONS {
        let path = JmesPath::new(expression).unwrap();
        let powertools = ours(&bed, 0).key(path).allow_missing_key().build().unwrap();
        let theirs = peer.keys(&sent, json!({"event_key_jmespath": expression}));
        for (event, theirs) in events.iter().zip(theirs) {
            let ours = powertools.key(event).unwrap();
            assert_eq!(ours, theirs, "TRACKER_TEST_SEED={seed}: {expression} of {event}");
        }
    }
}

async fn what_is_selected_is_replayed(bed: Bed) {
    let bed = super::on_a_table(bed, &["id"]).await;
    let mut peer = Peer::new(&bed);
    let config = json!({"event_key_jmespath": "powertools_json(body).order"});
    let path = JmesPath::new("powertools_json(body).order").unwrap();
    let powertools = ours(&bed, 0).key(path).build().unwrap();
    let event = |order: u8, time: &str| json!({"body": format!("{{\"order\": {order}}}"), "time": time});
    assert_eq!(peer.handle(&event(1, "12:00"), json!({"response": "python", "config": config}))["ran"], true);
    assert_eq!(untouched(&powertools, &event(1, "12:01")).await.unwrap().into_response(), json!("python"));
    run(&powertools, &event(2, "12:00"), json!("rust")).await.unwrap();
    let replayed = peer.handle(&event(2, "12:01"), json!({"config": config}));
    assert_eq!(replayed, json!({"ran": false, "response": "rust"}));
}
