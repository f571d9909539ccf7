//! `asl`: states of a state machine that take a task and record its outcome with no code.

use std::time::Duration;

use clap::Subcommand;
use dynamo_tracker::stepfunctions::Fragment;

use crate::args::{Global, duration};
use crate::connect::required;
use crate::exit::Exit;
use crate::output::{self, Failure, Output};

pub(crate) const HELP: &str = "\
Examples:
  dynamo-tracker --table tasks --namespace orders asl start --id '$states.input.order_id' \\
      --next Charge --otherwise Taken
  dynamo-tracker --table tasks --namespace orders asl succeed

Each prints one Task state in JSONata, for the States of a machine: DynamoDB's updateItem
with the conditions that this program itself sends. The lock is kept in the variable
$tracker of the state machine. --shards says whether the tasks are in the index, as ever.";

/// Which state.
#[derive(Subcommand)]
pub(crate) enum Asl {
    /// The state that takes the task
    Start {
        #[command(flatten)]
        options: Options,
        /// How long others are kept away: longer than the work may take, since nobody extends it
        #[arg(long, default_value = "15m", value_parser = duration)]
        lease: Duration,
        /// How often the task is tried before it is exhausted
        #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
        max_attempts: u32,
        /// In a Map within a Map: what tells the items of the outer one apart, in JSONata
        #[arg(long, value_name = "JSONATA")]
        within: Option<String>,
    },
    /// The state that records that the task is done
    Succeed {
        #[command(flatten)]
        options: Options,
        /// How long the record is kept; for ever by default
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        retention: Option<Duration>,
    },
    /// The state that records that the task failed
    Fail {
        #[command(flatten)]
        options: Options,
        /// The error's name, in JSONata
        #[arg(long, value_name = "JSONATA", default_value = "$states.input.error.Error")]
        error: String,
        /// The error's cause, in JSONata
        #[arg(long, value_name = "JSONATA", default_value = "$states.input.error.Cause")]
        cause: String,
        /// No other attempt would help
        #[arg(long)]
        fatal: bool,
    },
}

/// What all have in common.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// The task's id, in JSONata
    #[arg(long, value_name = "JSONATA", default_value = "$states.input.id")]
    id: String,
    /// The state that follows; without one the machine ends
    #[arg(long, value_name = "STATE")]
    next: Option<String>,
    /// The state that follows where DynamoDB refuses; without one the machine fails
    #[arg(long, value_name = "STATE")]
    otherwise: Option<String>,
}

/// Prints the state.
pub(crate) fn print(global: &Global, asl: &Asl, output: &Output) -> Exit {
    match state(global, asl) {
        Ok(state) => {
            output::raw(format!("{state:#}\n").as_bytes());
            Exit::Done
        }
        Err(failure) => output.failed(&failure),
    }
}

fn state(global: &Global, asl: &Asl) -> Result<serde_json::Value, Failure> {
    let table = required(&global.table, "table", "DYNAMO_TRACKER_TABLE")?;
    let namespace = required(&global.namespace, "namespace", "DYNAMO_TRACKER_NAMESPACE")?;
    let fragment = Fragment::new(table, namespace);
    let fragment = if global.shards > 0 { fragment.index(global.shards) } else { fragment };
    Ok(match asl {
        Asl::Start { options, lease, max_attempts, within } => {
            let fragment = within.iter().fold(fragment, |fragment, within| fragment.within(within));
            options.apply(fragment).lease(*lease).max_attempts(*max_attempts).start()?
        }
        Asl::Succeed { options, retention: None } => options.apply(fragment).succeed()?,
        Asl::Succeed { options, retention: Some(retention) } => {
            options.apply(fragment).retention(*retention).succeed()?
        }
        Asl::Fail { options, error, cause, fatal } => {
            let fragment = options.apply(fragment).error(error, cause);
            if *fatal { fragment.fatal().fail()? } else { fragment.fail()? }
        }
    })
}

impl Options {
    fn apply(&self, fragment: Fragment) -> Fragment {
        let fragment = fragment.id(&self.id);
        let fragment = self.next.iter().fold(fragment, |fragment, next| fragment.next(next));
        self.otherwise.iter().fold(fragment, |fragment, otherwise| fragment.otherwise(otherwise))
    }
}
