//! AWS Step Functions: handlers as steps on the emulator in `bed/lambda`, and callbacks and activities on the states in
//! `bed/states`.

pub(crate) mod activity;
pub(crate) mod callback;
pub(crate) mod callback_cli;
pub(crate) mod step;
