//! AWS Step Functions, on the interpreter in `bed/stepfunctions`.

pub(crate) mod asl;
mod definition;
pub(crate) mod fanout;
pub(crate) mod function;
pub(crate) mod machines;
pub(crate) mod no_code;
pub(crate) mod waiting;

use crate::bed::Backend;

/// The state machines run on moto, a server to install, as DynamoDB Local is: where that is not wanted, these are not run.
pub(crate) fn on_moto(trials: Vec<libtest_mimic::Trial>, backend: Backend) -> Vec<libtest_mimic::Trial> {
    let wanted = backend.is_wanted() && Backend::DynamodbLocal.is_wanted();
    trials.into_iter().map(|trial| trial.with_ignored_flag(!wanted)).collect()
}
