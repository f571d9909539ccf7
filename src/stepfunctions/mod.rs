//! AWS Step Functions (feature `stepfunctions`): what makes the effect of a step happen once, however often Step Functions
//! retries, redrives or replays it.
//!
//! * [`Step`] is the step as Step Functions' context object says it, and [`Step::owner`] a name for it that each retry has again:
//!   the step goes on at once after a crash, and whoever else wants the task is refused.
//! * [`ActivityWorker`] does the tasks of an activity, each once.
//! * [`Callbacks`] tells states that wait for a task when it is over, whichever process ends it.
#![cfg_attr(
    feature = "lambda",
    doc = "* [`StepLayer`] makes a Lambda function's handler such a step (with the feature `lambda` as well)."
)]
//! * [`Fragment`] makes states that take a task and record its outcome with no code at all.

mod activity;
mod callbacks;
mod failure;
mod fragment;
mod json;
mod jsonata;
mod reply;
mod step;
#[cfg(feature = "lambda")]
mod step_layer;
mod wait;

pub use activity::{Activity, ActivityEvent, ActivityReport, ActivityWorker};
pub use callbacks::Callbacks;
pub use fragment::Fragment;
pub use step::{MapItem, Step};
#[cfg(feature = "lambda")]
pub use step_layer::{Refused, StepError, StepEvent, StepHandler, StepLayer, StepOutput};
