//! What an execution has come to.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;

/// An execution that is over.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) arn: String,
    status: ExecutionStatus,
    output: Option<String>,
    error: Option<String>,
    cause: Option<String>,
}

impl Execution {
    pub(super) fn new(described: DescribeExecutionOutput) -> Self {
        Self {
            arn: described.execution_arn,
            status: described.status,
            output: described.output,
            error: described.error,
            cause: described.cause,
        }
    }

    /// Its output.
    ///
    /// # Panics
    ///
    /// Where it has not succeeded.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> Value {
        assert_eq!(self.status, ExecutionStatus::Succeeded, "{self:?}");
        serde_json::from_str(self.output.as_deref().unwrap_or("null")).expect("an output is JSON")
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.status == ExecutionStatus::Succeeded
    }

    /// Its error and the cause.
    ///
    /// # Panics
    ///
    /// Where it has not failed.
    #[track_caller]
    pub(crate) fn failed(&self) -> (&str, &str) {
        assert_eq!(self.status, ExecutionStatus::Failed, "{self:?}");
        (self.error.as_deref().unwrap_or_default(), self.cause.as_deref().unwrap_or_default())
    }
}
