//! AWS Step Functions: handlers as steps on the emulator in `bed/lambda`, callbacks and activities on the states in `bed/states`, and
//! state machines on the interpreter in `bed/stepfunctions`.

pub(crate) mod activity;
pub(crate) mod activity_troubles;
pub(crate) mod asl;
pub(crate) mod callback;
pub(crate) mod callback_cli;
pub(crate) mod callback_owed;
pub(crate) mod callback_retention;
mod definition;
pub(crate) mod definitions;
pub(crate) mod fanout;
pub(crate) mod function;
pub(crate) mod machines;
pub(crate) mod no_code;
pub(crate) mod step;
pub(crate) mod waiting;

use crate::bed::Backend;

/// State machines run on moto, a server to install, as DynamoDB Local is: where that is not wanted, these are not run.
pub(crate) fn on_moto(trials: Vec<libtest_mimic::Trial>, backend: Backend) -> Vec<libtest_mimic::Trial> {
    let wanted = backend.is_wanted() && Backend::DynamodbLocal.is_wanted();
    trials.into_iter().map(|trial| trial.with_ignored_flag(!wanted)).collect()
}

/// The same for those that are about the machines more than about the table: one backend is enough.
pub(crate) fn on_moto_once(trials: Vec<libtest_mimic::Trial>, backend: Backend) -> Vec<libtest_mimic::Trial> {
    if backend == Backend::DynamodbLocal { on_moto(trials, backend) } else { Vec::new() }
}
