//! The state machines of `infra/`.

use serde_json::Value;

use crate::infra::template::Template as Infra;

pub(super) struct Template(Infra);

impl Template {
    pub(super) fn step_functions() -> Self {
        Self(Infra::step_functions())
    }

    pub(super) fn fan_out() -> Self {
        Self(Infra::fan_out())
    }

    /// The definition of a state machine, with these in the places that CloudFormation would fill, and waits cut short.
    pub(super) fn definition(&self, machine: &str, values: &[(&str, &str)]) -> Value {
        let mut definition = self.as_it_is(machine, values);
        hurry(&mut definition);
        definition
    }

    /// The same with its own waits.
    pub(super) fn as_it_is(&self, machine: &str, values: &[(&str, &str)]) -> Value {
        let properties = self.0.properties(machine);
        let mut text = properties["DefinitionString"].as_str().expect("a definition").to_owned();
        let mut names: Vec<_> = properties["DefinitionSubstitutions"].as_object().expect("they are").keys().collect();
        for (name, value) in values {
            names.retain(|other| other != name);
            text = text.replace(&format!("${{{name}}}"), value);
        }
        assert!(names.is_empty(), "{names:?} are not filled in");
        serde_json::from_str(&text).expect("a definition is JSON")
    }
}

/// Retries come after a second each, the least that there is.
pub(super) fn hurry(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                match name.as_str() {
                    "IntervalSeconds" => *value = 1.into(),
                    "BackoffRate" => *value = 1.0.into(),
                    _ => hurry(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hurry),
        _ => {}
    }
}
