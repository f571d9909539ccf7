//! AWS Lambda for tests: the Runtime API that a function's program polls, one process per sandbox, real deadlines, and
//! the Invoke API that SDKs call.
//!
//! ```text
//! let function = Function::new(example("lambda_http")).env("TABLE", &bed.table).concurrency(4).deploy();
//! let answer = function.invoke(&json!({ "order": 42 })).await;
//! ```

mod answer;
mod deployed;
mod function;
mod invoke_api;
mod log;
mod process;
mod runtime_api;
mod sandbox;
pub(crate) mod server;

pub(crate) use answer::Answer;
pub(crate) use deployed::Deployed;
pub(crate) use function::Function;
pub(crate) use invoke_api::InvokeApi;

/// Where the functions are.
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCOUNT: &str = "123456789012";
