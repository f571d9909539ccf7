//! One of the two programs, and how long it takes.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::bed::lambda::{Deployed, Function};

/// The table that both use.
pub(crate) const TABLE: &str = "tasks";

/// What of a process's life is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moment {
    /// From its start until it asks for an event.
    Init,
    /// Its first event.
    First,
    /// Another event.
    Warm,
    /// An event that came before.
    Duplicate,
}

impl Moment {
    pub(crate) const ALL: [Self; 4] = [Self::Init, Self::First, Self::Warm, Self::Duplicate];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::First => "first",
            Self::Warm => "warm",
            Self::Duplicate => "duplicate",
        }
    }
}

pub(crate) struct Side {
    pub(crate) program: PathBuf,
    function: Deployed,
    /// In microseconds.
    pub(crate) taken: HashMap<Moment, Vec<f64>>,
    /// The answers to the events of the process that runs.
    answers: HashMap<u32, Value>,
    starts: usize,
}

impl Side {
    pub(crate) fn new(program: PathBuf, endpoint: &str) -> Self {
        let function = Function::new(&program).env("DYNAMO_TRACKER_TABLE", TABLE);
        let function = function.env("AWS_ENDPOINT_URL_DYNAMODB", endpoint).deploy();
        Self { program, function, taken: HashMap::new(), answers: HashMap::new(), starts: 0 }
    }

    /// Starts a process for its first event.
    pub(crate) async fn start(&mut self) {
        self.starts += 1;
        let both = self.invoke(0).await;
        let inits = self.function.inits();
        assert_eq!(inits.len(), self.starts, "each start is a process of its own");
        let init = inits[self.starts - 1].as_secs_f64() * 1e6;
        self.taken.entry(Moment::Init).or_default().push(init);
        self.taken.entry(Moment::First).or_default().push(both - init);
    }

    /// Has the process that runs take an event.
    pub(crate) async fn take(&mut self, moment: Moment, event: u32) {
        let taken = self.invoke(event).await;
        self.taken.entry(moment).or_default().push(taken);
    }

    pub(crate) async fn stop(&mut self) {
        self.function.stop().await;
        self.answers.clear();
    }

    /// What was taken so far does not count.
    pub(crate) fn forget(&mut self) {
        self.taken.clear();
    }

    /// How long it takes to its answer, in microseconds. An event that came before has the answer that it had.
    async fn invoke(&mut self, event: u32) -> f64 {
        let request = request(&format!("{}-{event}", self.starts));
        let begun = Instant::now();
        let answer = self.function.invoke(&request).await.unwrap();
        let taken = begun.elapsed().as_secs_f64() * 1e6;
        assert_eq!(answer["statusCode"], 200, "{} answers {answer}", self.program.display());
        let first = self.answers.entry(event).or_insert_with(|| answer.clone());
        assert_eq!(answer, *first, "{} answers a duplicate as it did before", self.program.display());
        taken
    }
}

/// What API Gateway's HTTP API sends.
fn request(key: &str) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "POST /payments",
        "rawPath": "/payments",
        "headers": {"content-type": "application/json", "idempotency-key": key},
        "requestContext": {"http": {"method": "POST", "path": "/payments"}},
        "body": json!({"order_id": key, "amount": 1200}).to_string(),
        "isBase64Encoded": false,
    })
}
