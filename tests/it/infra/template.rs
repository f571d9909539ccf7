//! The templates, with intrinsic functions in their long form, whichever language they are written in.

use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;

pub(crate) struct Template {
    pub(crate) name: &'static str,
    content: Value,
}

impl Template {
    pub(crate) fn all() -> [Self; 5] {
        let yaml = |name, text| Self { name, content: from_yaml(text) };
        [
            Self::table(),
            yaml("lambda.yaml", include_str!("../../../infra/lambda.yaml")),
            yaml("sam.yaml", include_str!("../../../infra/sam.yaml")),
            Self::step_functions(),
            Self::fan_out(),
        ]
    }

    pub(crate) fn step_functions() -> Self {
        let text = include_str!("../../../infra/step_functions.yaml");
        Self { name: "step_functions.yaml", content: from_yaml(text) }
    }

    pub(crate) fn fan_out() -> Self {
        Self { name: "fan_out.yaml", content: from_yaml(include_str!("../../../infra/fan_out.yaml")) }
    }

    pub(crate) fn table() -> Self {
        let content = serde_json::from_str(include_str!("../../../infra/table.json")).unwrap();
        Self { name: "table.json", content }
    }

    pub(crate) fn resource(&self, name: &str) -> &Value {
        &self.content["Resources"][name]
    }

    pub(crate) fn properties(&self, name: &str) -> &Value {
        &self.resource(name)["Properties"]
    }
}

fn from_yaml(text: &str) -> Value {
    value(serde_yaml_ng::from_str(text).unwrap())
}

fn value(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Sequence(items) => items.into_iter().map(value).collect(),
        Yaml::Mapping(entries) => {
            let entry = |(name, of): (Yaml, Yaml)| (name.as_str().expect("a name is text").to_owned(), value(of));
            Value::Object(entries.into_iter().map(entry).collect())
        }
        Yaml::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            intrinsic(name.trim_start_matches('!'), value(tagged.value))
        }
        scalar => serde_json::to_value(scalar).unwrap(),
    }
}

/// `!GetAtt Table.Arn` is `{"Fn::GetAtt": ["Table", "Arn"]}`, and so on (*Intrinsic function reference*, AWS
/// `CloudFormation`).
fn intrinsic(name: &str, argument: Value) -> Value {
    match (name, argument.as_str().and_then(|text| text.split_once('.'))) {
        ("Ref", _) => json!({"Ref": argument}),
        ("GetAtt", Some((resource, attribute))) => json!({"Fn::GetAtt": [resource, attribute]}),
        _ => json!({format!("Fn::{name}"): argument}),
    }
}
