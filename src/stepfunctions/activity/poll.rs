//! Asking Step Functions for a task.

use std::time::Duration;

use aws_sdk_sfn::config::StalledStreamProtectionConfig;
use aws_sdk_sfn::config::timeout::TimeoutConfig;

use super::Shift;
use crate::error::Error;
use crate::record::TaskToken;
use crate::schema::Data;
use crate::stepfunctions::failure::failure;

/// Step Functions answers after 60 seconds where there is no task, and wants clients to wait 65 at least (`GetActivityTask`, AWS Step
/// Functions API Reference).
const TIMEOUT: Duration = Duration::from_secs(75);

/// A task of an activity.
pub(super) struct Polled {
    pub(super) token: TaskToken,
    pub(super) input: String,
}

impl<D: Data, F> Shift<D, F> {
    /// A task; `None` where there is none yet, or this is to give up.
    pub(super) async fn poll(&self) -> Result<Option<Polled>, Error> {
        let worker = &self.worker;
        let timeouts = TimeoutConfig::builder().read_timeout(TIMEOUT).operation_attempt_timeout(TIMEOUT);
        let settings = aws_sdk_sfn::Config::builder()
            .timeout_config(timeouts.operation_timeout(TIMEOUT).build())
            // Nothing at all comes while there is no task.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let request = worker.step_functions.get_activity_task().activity_arn(&worker.arn).worker_name(&worker.name);
        let answer = tokio::select! {
            // A task that has come is told of the stop, and not left to time out.
            biased;
            answer = request.customize().config_override(settings).send() => answer,
            () = self.abandon.cancelled() => return Ok(None),
        };
        let answer = answer.map_err(|error| failure("give a task", error))?;
        // Without a task, both are null, or the token is empty.
        let token = answer.task_token.and_then(|token| TaskToken::new(token).ok());
        Ok(token.map(|token| Polled { token, input: answer.input.unwrap_or_default() }))
    }
}
