//! Which crates a program is made of, and which of them come with dynamo-tracker.

use std::collections::BTreeSet;

use crate::project::Project;

/// Names with versions, such as `serde v1.0.229`, of all that cargo compiles for this machine: procedural macros and what builds
/// need count like any other. One that is there in two versions counts twice, and a package counts once, however often it is
/// built.
pub(crate) fn all(project: &Project) -> BTreeSet<String> {
    let tree = project.cargo(&["tree", "--locked", "--edges=normal,build", "--prefix=none", "--format={p}"]);
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    tree.lines().filter(|line| !line.is_empty()).map(name).collect()
}

/// The dependencies that dynamo-tracker adds to those which a program of the SDK has anyway. Itself is none of them.
pub(crate) fn added(bare: &BTreeSet<String>, tracked: &BTreeSet<String>) -> Vec<String> {
    tracked.difference(bare).filter(|name| !name.starts_with("dynamo-tracker ")).cloned().collect()
}
