//! The gates of `benches/gates`: each lets through what it must, and says what to do about the rest.

#[path = "../benches/backend/mod.rs"]
mod backend;
#[allow(dead_code, reason = "nothing is measured here")]
#[path = "../benches/compare/mod.rs"]
mod compare;
#[path = "../benches/hello/crates.rs"]
mod crates;
#[path = "../benches/gates/dependencies.rs"]
mod dependencies;
#[path = "../benches/gates/gate.rs"]
mod gate;
#[allow(dead_code, reason = "nothing is measured here")]
#[path = "../benches/instructions/mod.rs"]
mod instructions;
#[path = "../benches/programs/mod.rs"]
mod programs;
#[path = "../benches/hello/project.rs"]
mod project;
#[allow(dead_code, reason = "nothing is measured here")]
#[path = "../benches/units/measure.rs"]
mod rows;
#[path = "../benches/gates/size.rs"]
mod size;
#[path = "../benches/gates/units.rs"]
mod units;
#[path = "../benches/gates/work.rs"]
mod work;

use gate::Gate;
use serde_json::{Map, Value, json};

const RECORD_IT: &str = "look at what has grown, or record it with `cargo bench --bench gates -- --record`";

/// What a gate says, where so much is recorded for it.
fn hold(gate: &Gate, recorded: &Value, measured: &Value) -> Result<(), String> {
    gate.hold(&Map::from_iter([(gate.name.to_owned(), recorded.clone())]), measured)
}

fn size(ratio: f64) -> Value {
    json!({"profile": "release", "bare_size": 1_000_000, "size": 1_000_000.0 * ratio, "ratio": ratio})
}

#[test]
fn what_is_not_recorded_does_not_hold() {
    for gate in [dependencies::GATE, size::GATE, units::GATE, work::GATE] {
        let why = gate.hold(&Map::new(), &json!([])).unwrap_err();
        assert!(why.starts_with("nothing is recorded") && why.ends_with(RECORD_IT), "{why}");
    }
}

#[test]
fn a_crate_that_goes_is_fine() {
    assert_eq!(hold(&dependencies::GATE, &json!(["chrono", "serde"]), &json!(["serde"])), Ok(()));
    assert_eq!(hold(&dependencies::GATE, &json!(["serde"]), &json!(["serde"])), Ok(()));
}

#[test]
fn a_crate_that_comes_is_named() {
    let why = hold(&dependencies::GATE, &json!(["chrono", "serde"]), &json!(["serde", "time"])).unwrap_err();
    assert_eq!(why, format!("crates beyond the SDK's own: time came, and chrono went; {RECORD_IT}"));
    let why = hold(&dependencies::GATE, &json!(["base64"]), &json!(["base64", "base64"])).unwrap_err();
    assert_eq!(why, format!("crates beyond the SDK's own: base64 came; {RECORD_IT}"));
}

#[test]
fn thirteen_crates_are_too_many_even_if_they_were_recorded() {
    let names: Value = (0..13).map(|number| format!("crate{number:02}")).collect();
    let why = hold(&dependencies::GATE, &names, &names).unwrap_err();
    assert!(why.contains("13, and the limit is 12"), "{why}");
}

#[test]
fn a_size_may_grow_by_one_in_a_hundred() {
    assert_eq!(hold(&size::GATE, &size(1.03), &size(1.0)), Ok(()));
    assert_eq!(hold(&size::GATE, &size(1.03), &size(1.04)), Ok(()));
    let why = hold(&size::GATE, &size(1.03), &size(1.041)).unwrap_err();
    assert!(why.contains("recorded is 1.03") && why.ends_with(RECORD_IT), "{why}");
}

#[test]
fn a_size_over_the_limit_is_refused_even_if_it_was_recorded() {
    assert_eq!(hold(&size::GATE, &size(1.051), &size(1.051)), Ok(()), "the limit is for another profile");
    let mut promised = size(1.051);
    promised["profile"] = json!("lambda");
    let why = hold(&size::GATE, &promised, &promised).unwrap_err();
    assert!(why.contains("1.051, and the limit is 1.05"), "{why}");
}

fn work(run: f64) -> Value {
    json!({"run_ratio": run, "lease_ratio": 1.0})
}

#[test]
fn instructions_may_change_by_three_in_a_hundred() {
    for measured in [0.971, 1.0, 1.029] {
        assert_eq!(hold(&work::GATE, &work(1.0), &work(measured)), Ok(()));
    }
    let why = hold(&work::GATE, &work(1.0), &work(1.031)).unwrap_err();
    assert!(why.contains("instructions of run") && why.ends_with(RECORD_IT), "{why}");
    let why = hold(&work::GATE, &work(1.0), &work(0.96)).unwrap_err();
    assert!(why.contains("well done, record it"), "{why}");
    let why = hold(&work::GATE, &work(1.06), &work(1.06)).unwrap_err();
    assert!(why.contains("1.06, and the limit is 1.05"), "{why}");
}

#[test]
fn units_are_the_same_or_are_not() {
    let recorded = json!({"start": "write units 1", "fail": "write units 1"});
    assert_eq!(hold(&units::GATE, &recorded, &recorded), Ok(()));
    let why = hold(&units::GATE, &recorded, &json!({"start": "write units 2", "fail": "write units 1"})).unwrap_err();
    assert!(why.starts_with(r#"start: "write units 2", and recorded is "write units 1";"#), "{why}");
    let why = hold(&units::GATE, &recorded, &json!({"start": "write units 1", "load": "x"})).unwrap_err();
    assert!(why.contains(r#"fail: nothing"#) && why.contains("recorded is nothing"), "{why}");
}

#[test]
fn sizes_of_different_profiles_are_not_compared() {
    let mut other = size(1.0);
    other["profile"] = json!("dev");
    let why = hold(&size::GATE, &size(1.03), &other).unwrap_err();
    assert!(why.contains(r#"recorded with the profile "release", and measured with "dev""#), "{why}");
}

#[test]
fn the_crates_that_are_found_are_the_manifests() {
    let options = gate::Options { profile: "dev".to_owned() };
    let found = (dependencies::GATE.measure)(&options).unwrap();
    let found: Vec<_> = found.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(found.contains(&"serde_dynamo") && found.contains(&"thiserror-impl"), "{found:?}");
    for not in ["aws-sdk-dynamodb", "dynamo-tracker", "hello", "tokio", "lambda_runtime"] {
        assert!(!found.contains(&not), "{not} is in {found:?}");
    }
}
