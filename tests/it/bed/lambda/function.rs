//! What a function is: a program, its environment and its limits.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::{ACCOUNT, Deployed, REGION};

#[derive(Clone)]
pub(crate) struct Function {
    program: PathBuf,
    pub(super) name: String,
    env: Vec<(String, String)>,
    pub(super) init_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) concurrency: usize,
    pub(super) per_sandbox: usize,
}

impl Function {
    /// A function of this program, with a timeout of 30 seconds, and one sandbox for one invocation at a time.
    pub(crate) fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            name: "function".to_owned(),
            env: Vec::new(),
            init_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            concurrency: 1,
            per_sandbox: 1,
        }
    }

    pub(crate) fn name(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// A variable of the process's environment.
    pub(crate) fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// How long an invocation may take. Then its process is killed.
    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// How long an initialisation may take; else it is Lambda's ten seconds. Lambda would try once more within the invocation;
    /// here the invocation times out.
    pub(crate) fn init_timeout(self, init_timeout: Duration) -> Self {
        Self { init_timeout, ..self }
    }

    /// How many sandboxes there may be at a time. An invocation that finds all of them busy waits for one, which Lambda
    /// leaves to the caller.
    pub(crate) fn concurrency(self, concurrency: usize) -> Self {
        Self { concurrency, ..self }
    }

    /// How many invocations a sandbox takes at a time, as on Lambda Managed Instances. The program must be one that runs
    /// by `lambda_runtime::run_concurrent`.
    pub(crate) fn per_sandbox(self, per_sandbox: usize) -> Self {
        Self { per_sandbox, ..self }
    }

    /// Makes it ready for invocations. Nothing is started before there is one.
    pub(crate) fn deploy(self) -> Deployed {
        Deployed::new(self)
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", self.name)
    }

    /// The process of a sandbox whose Runtime API is at `api`, with the environment that Lambda gives it. Nothing of AWS is
    /// left of the tests' own environment.
    pub(super) fn command(&self, api: &str, log: File) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables(api)).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        command
    }

    fn variables(&self, api: &str) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_LAMBDA_RUNTIME_API", api.to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", self.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2100/01/01/[$LATEST]sandbox".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ];
        if self.per_sandbox > 1 {
            variables.push(("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances".to_owned()));
            variables.push(("AWS_LAMBDA_MAX_CONCURRENCY", self.per_sandbox.to_string()));
        }
        variables
    }
}
