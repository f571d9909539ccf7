//! AWS Step Functions (feature `stepfunctions`): what makes the effect of a step happen once, however often Step Functions
//! retries, redrives or replays it.
//!
//! * [`Step`] is the step as Step Functions' context object says it, and [`Step::owner`] a name for it that each retry has again:
//!   the step goes on at once after a crash, and whoever else wants the task is refused.
#![cfg_attr(
    feature = "lambda",
    doc = "* [`StepLayer`] makes a Lambda function's handler such a step (with the feature `lambda` as well)."
)]
//! * [`Fragment`] makes states that take a task and record its outcome with no code at all.

mod fragment;
mod jsonata;
mod step;
#[cfg(feature = "lambda")]
mod step_layer;

pub use fragment::Fragment;
pub use step::{MapItem, Step};
#[cfg(feature = "lambda")]
pub use step_layer::{Refused, StepError, StepEvent, StepHandler, StepLayer, StepOutput};
