//! What a definition may not say, by the rules of the Amazon States Language.

use std::process::Command;

use serde_json::Value;

use super::super::moto;

/// What statelint does not know of, or knows wrongly: a reader's `InputType`, expressions where it wants a number, and a percentage with
/// a fraction, without which moto reads none. Each by its beginning and its end.
const UNKNOWN: [(&str, &str); 3] = [
    ("Field \"InputType\" not allowed in ", ".ItemReader.ReaderConfig"),
    (".ToleratedFailurePercentage is ", " but should be an Integer"),
    (".Seconds is \"{% ", " but should be an Integer"),
];

/// What statelint complains of. It comes with moto.
pub(crate) fn statelint(definition: &Value) -> Vec<String> {
    let file = tempfile::NamedTempFile::with_suffix(".json").expect("a file");
    std::fs::write(file.path(), definition.to_string()).expect("it is written");
    let mut command = Command::new(moto::python().unwrap_or_else(|error| panic!("{error}")));
    let done = command.args(["-B", "-m", "statelint"]).arg(file.path()).output().expect("it runs");
    assert!(done.stderr.is_empty(), "statelint failed: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).expect("it is text");
    // The first line says how many there are.
    let complaints = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty());
    let known = |line: &&str| !UNKNOWN.iter().any(|(begin, end)| line.contains(begin) && line.ends_with(end));
    complaints.filter(known).map(str::to_owned).collect()
}
