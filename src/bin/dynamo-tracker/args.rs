//! What can be said on the command line. Help, completions and the man page come from here too.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Parser, Subcommand};
use clap_complete::Shell;
use dynamo_tracker::{LockToken, Status, TaskToken};
use serde_json::Value;

/// Work that happens once: one DynamoDB item tracks one task.
#[derive(Parser)]
#[command(
    name = "dynamo-tracker",
    version,
    max_term_width = 100,
    after_help = HELP
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const HELP: &str = "\
Example:
  export DYNAMO_TRACKER_TABLE=tasks DYNAMO_TRACKER_NAMESPACE=nightly
  dynamo-tracker --embedded tasks.db init
  dynamo-tracker --embedded tasks.db run backup -- ./backup.sh

Exit codes:
  0   done                               70  lease lost
  1   of several tasks, some failed      75  refused for now: locked, not due
  64  bad usage or a bad value           77  refused for good: exhausted,
  65  an item that can't be read             ignored, done, not ready
  66  no such task or table              run: the command's own; 128 and more
  69  DynamoDB, or Step Functions for a      for a signal
      callback, can't be reached or refuses
  74  the result can't be printed";

/// Where the tasks are, and how to say things.
#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Where, and how")]
pub(crate) struct Global {
    /// The table's name or ARN
    #[arg(long, global = true, env = "DYNAMO_TRACKER_TABLE", value_name = "TABLE")]
    pub(crate) table: Option<String>,
    /// The use case that the ids belong to
    #[arg(long, global = true, env = "DYNAMO_TRACKER_NAMESPACE", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// DynamoDB's address, if not AWS's own
    #[arg(long, global = true, value_name = "URL", conflicts_with = "embedded")]
    pub(crate) endpoint_url: Option<String>,
    /// Keep the table in this file, with no AWS at all. Processes may share it
    #[arg(long, global = true, env = "DYNAMO_TRACKER_EMBEDDED", value_name = "FILE")]
    pub(crate) embedded: Option<PathBuf>,
    /// How many shards each state of the index is spread over; 0 for a table without an index
    #[arg(long, global = true, env = "DYNAMO_TRACKER_SHARDS", value_name = "N", default_value = "8",
          value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub(crate) shards: u16,
    /// Pack data of more bytes than this by zstd, for fewer write units. Packed data is read in any case
    #[arg(long, global = true, env = "DYNAMO_TRACKER_PACK_OVER", value_name = "BYTES")]
    pub(crate) pack_over: Option<usize>,
    /// Print JSON for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// With an error, say its causes and AWS's request id; twice: say what is done
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the table, and wait until it can be used
    #[command(after_help = "Example: dynamo-tracker --table tasks --namespace orders init")]
    Init,
    /// Create pending tasks; one that exists is left as it is
    #[command(
        after_help = "Examples:\n  dynamo-tracker create order-42 --data '{\"cents\": 1999}' --due 2026-12-01T06:00:00Z\n  \
                            echo '{\"id\": \"order-43\", \"data\": 7}' | dynamo-tracker create --from -"
    )]
    Create(Create),
    /// Take a task, and print its record with the lock
    #[command(
        after_help = "Example: LOCK=$(dynamo-tracker --json start order-42 --lease 5m | jq -r .lock)\n\nNobody extends the \
                      lease: use heartbeat, or run."
    )]
    Start {
        /// The task
        id: String,
        #[command(flatten)]
        options: Start,
        /// How long others are kept away
        #[arg(long, default_value = "15m", value_parser = duration)]
        lease: Duration,
    },
    /// Extend a lease
    #[command(after_help = "Example: dynamo-tracker heartbeat order-42 --lock \"$LOCK\" --lease 5m")]
    Heartbeat {
        /// The task
        id: String,
        /// The lock that start printed
        #[arg(long, value_name = "TOKEN")]
        lock: LockToken,
        /// How long from now
        #[arg(long, default_value = "30s", value_parser = duration)]
        lease: Duration,
    },
    /// Record that a task is done
    #[command(after_help = "Example: dynamo-tracker succeed order-42 --lock \"$LOCK\" --data '{\"receipt\": 7}'")]
    Succeed {
        /// The task
        id: String,
        /// The lock that start printed
        #[arg(long, value_name = "TOKEN")]
        lock: LockToken,
        /// What is kept with the task; left as it is by default
        #[arg(long, value_name = "JSON", value_parser = json)]
        data: Option<Value>,
    },
    /// Record that a task failed: it may be tried again while attempts are left
    #[command(after_help = "Example: dynamo-tracker fail order-42 --lock \"$LOCK\" --error 'printer on fire'")]
    Fail {
        /// The task
        id: String,
        /// The lock that start printed
        #[arg(long, value_name = "TOKEN")]
        lock: LockToken,
        /// What went wrong
        #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
        error: String,
        /// No other attempt would help
        #[arg(long)]
        fatal: bool,
    },
    /// Run a command as a task: once, with a heartbeat, its outcome recorded
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Show a task
    #[command(after_help = "Example: dynamo-tracker show order-42")]
    Show {
        /// The task
        id: String,
    },
    /// List tasks: those of the named states, or all that are due, in the order of their due times; else all, in no order
    #[command(after_help = LIST_HELP)]
    List(List),
    /// Count the tasks in each state
    #[command(after_help = STATS_HELP)]
    Stats {
        /// Count by the index alone, and leave out those that have succeeded
        #[arg(long)]
        index_only: bool,
    },
    /// Work off what is due: a command for each task
    #[command(after_help = WORK_HELP)]
    Work(Work),
    /// Show live counts, pace and time left
    #[command(
        after_help = "Example: dynamo-tracker watch --until-empty\n\nOn a terminal it draws; else it prints a line \
                            each time. It counts by the index, so those that have succeeded are not among them."
    )]
    Watch {
        /// How often it looks
        #[arg(long, default_value = "1s", value_parser = duration)]
        interval: Duration,
        /// End when nothing is pending, in progress or failed
        #[arg(long)]
        until_empty: bool,
    },
    /// Put exhausted or ignored tasks back to pending
    #[command(after_help = "Example: dynamo-tracker redrive order-42 order-43")]
    Redrive(Ids),
    /// Decide that tasks are not to be done; whoever works on one loses the lease
    #[command(after_help = "Example: dynamo-tracker ignore order-42 --dry-run")]
    Ignore(Ids),
    /// Take the lock away from whoever has it
    #[command(after_help = "Example: dynamo-tracker unlock order-42")]
    Unlock(Ids),
    /// Delete tasks, which can't be undone
    #[command(after_help = "Example: cat ids.txt | dynamo-tracker delete --yes -")]
    Delete(Ids),
    /// Print a state for AWS Step Functions that takes a task, or records its outcome, with no code
    #[command(subcommand, after_help = crate::asl::HELP)]
    Asl(crate::asl::Asl),
    /// Print the completions for a shell
    #[command(after_help = "Example: dynamo-tracker completions bash > /etc/bash_completion.d/dynamo-tracker")]
    Completions {
        /// bash, zsh, fish …
        shell: Shell,
    },
    /// Print the manual page, or that of a command
    #[command(after_help = "Example: dynamo-tracker man run | man -l -")]
    Man {
        /// Which command's
        command: Option<String>,
    },
}

const LIST_HELP: &str = "\
Examples:
  dynamo-tracker list --status exhausted --limit 20
  dynamo-tracker --json list --due | jq -r .id

By the index, a list costs what it shows. Without --status and --due, and for
succeeded tasks, which are not in the index, it reads the whole table.";

const STATS_HELP: &str = "\
Example: dynamo-tracker --json stats

Those that have succeeded are not in the index: they are counted by reading the
whole table, unless --index-only leaves them out.";

const WORK_HELP: &str = "\
Examples:
  dynamo-tracker work --until-empty --concurrency 16 -- ./convert.sh
  dynamo-tracker work -- sh -c 'echo \"$DYNAMO_TRACKER_ID: $DYNAMO_TRACKER_DATA\"'

The command finds in its environment what run gives it, and its outcome is
recorded likewise. One that failed is tried again after a while. With SIGTERM or
SIGINT, nothing more is taken, and what runs has --grace to end; a second signal
kills it. What has not ended is given back, and its attempt not counted.";

const RUN_HELP: &str = "\
Examples:
  dynamo-tracker run nightly-2026-11-24 -- ./backup.sh --full
  dynamo-tracker run order-42 --wait 5m --retries 2 -- ./charge.sh 42

The command has the streams of this program, and in its environment:
  DYNAMO_TRACKER_ID          the task
  DYNAMO_TRACKER_LOCK        its lock, for heartbeat and the like
  DYNAMO_TRACKER_ATTEMPT     which attempt it is
  DYNAMO_TRACKER_GENERATION  the fencing token
  DYNAMO_TRACKER_DATA        its data as JSON; where that is over 100 KB,
                             DYNAMO_TRACKER_DATA_FILE names a file with it
  DYNAMO_TRACKER_OUTPUT      a file: what it holds at the end, or its last
                             line, is JSON and becomes the data

Exit 0 is success, also where the task had succeeded before and the command
was not run. SIGTERM, SIGINT and SIGHUP are passed on; a second one kills.
When the lease is lost, the command gets SIGTERM, then SIGKILL after --grace,
and this exits with 70. With --json, the command's standard output goes to
standard error.";

/// Better than the command line for a token, which is a secret: others see the arguments of a process.
pub(crate) const CALLBACK: &str = "DYNAMO_TRACKER_CALLBACK";

/// Options of `create`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Create {
    /// The task
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    pub(crate) id: Option<String>,
    /// What is kept with the task
    #[arg(long, value_name = "JSON", value_parser = json, conflicts_with = "from")]
    pub(crate) data: Option<Value>,
    /// Not to be taken before: 2026-12-01T06:00:00Z, or a duration from now, such as 15m
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "from")]
    pub(crate) due: Option<DateTime<Utc>>,
    /// The task token of a state of a state machine that waits for the task. One that exists is waited for as well, and keeps its own
    /// data and due time. Not with --from, not even by the environment
    #[arg(long, env = CALLBACK, hide_env_values = true, value_name = "TOKEN", conflicts_with = "from")]
    pub(crate) callback: Option<TaskToken>,
    /// Many tasks: a JSON object a line, with id, and perhaps data and due; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
}

/// What `start` and `run` have in common.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Start {
    /// A lock that you have already: the task may be taken again with it
    #[arg(long, value_name = "TOKEN")]
    pub(crate) lock: Option<LockToken>,
    /// Take it although somebody else works on it, who loses the lease
    #[arg(long)]
    pub(crate) ignore_lock: bool,
    /// Take it although it is done, exhausted, ignored or not due
    #[arg(long)]
    pub(crate) force: bool,
    /// The task token of a state of a state machine that waits for the task's end
    #[arg(long, env = CALLBACK, hide_env_values = true, value_name = "TOKEN")]
    pub(crate) callback: Option<TaskToken>,
    #[command(flatten)]
    pub(crate) taker: Taker,
}

/// Options of `run`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Run {
    /// The task
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) options: Start,
    #[command(flatten)]
    pub(crate) task: Task,
    /// Wait so long for a task that is locked, instead of refusing
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) wait: Option<Duration>,
    /// Try a command that failed again so often, while attempts are left
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) retries: u32,
    /// How long a command whose lease is lost may tidy up
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) grace: Duration,
}

/// Who takes a task, and how often it may be tried.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Taker {
    /// How often it is tried before it is exhausted
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_attempts: u32,
    /// Who takes it, for people; HOST:PID by default
    #[arg(long, value_name = "NAME")]
    pub(crate) owner: Option<String>,
}

/// A command as a task: what `run` and `work` have in common.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Task {
    /// How long others are kept away if this program dies; a heartbeat extends it
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) lease: Duration,
    /// The longest wait before the first retry; it doubles each time, up to a minute
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) backoff: Duration,
    /// Leave the command's standard error alone, and keep no lines of it
    #[arg(long)]
    pub(crate) no_capture: bool,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<OsString>,
}

/// Options of `list`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct List {
    /// Only tasks in this state; more than once for several
    #[arg(long, value_name = "STATUS", value_parser = status)]
    pub(crate) status: Vec<Status>,
    /// Only what may be taken now
    #[arg(long)]
    pub(crate) due: bool,
    /// The latest due time first
    #[arg(long)]
    pub(crate) newest: bool,
    /// No more than so many
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Where the list before has ended
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

/// Options of `work`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Work {
    /// How many tasks at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) concurrency: u16,
    #[command(flatten)]
    pub(crate) task: Task,
    /// End when nothing is due, in progress or waiting to be tried again
    #[arg(long)]
    pub(crate) until_empty: bool,
    #[command(flatten)]
    pub(crate) taker: Taker,
    /// Start no more than so many tasks in a second
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) per_second: Option<f64>,
    /// How long what runs may go on once this program is told to stop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) grace: Duration,
}

/// Which tasks to operate on.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Ids {
    /// The tasks; - for one a line from standard input
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// All tasks in the states that --status names
    #[arg(long, requires = "status")]
    pub(crate) all: bool,
    /// With --all: which tasks; more than once for several states
    #[arg(long, value_name = "STATUS", value_parser = status, requires = "all")]
    pub(crate) status: Vec<Status>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before what can't be undone
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Longer durations are mistakes in the unit.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it is zero; write one such as 500ms, 30s, 15m or 2h".to_owned()),
        Ok(duration) if duration > LONGEST => Err("it is longer than ten years".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write one such as 500ms, 30s, 15m or 2h")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().map_err(|error| format!("{error}"))?;
    if (0.001..1e6).contains(&rate) { Ok(rate) } else { Err("it is from 0.001 to a million".to_owned()) }
}

fn status(text: &str) -> Result<Status, String> {
    let names = || Status::ALL.map(Status::name).join(", ");
    Status::ALL.into_iter().find(|status| status.name() == text).ok_or_else(|| format!("it is one of {}", names()))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error}; a text is written '\"text\"'"))
}

/// A point in time, or a duration from now.
pub(crate) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if humantime::parse_duration(text).is_ok() {
        let after = chrono::TimeDelta::from_std(duration(text)?).map_err(|error| error.to_string())?;
        return Ok(Utc::now() + after);
    }
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|error| format!("{error}; write one such as 2026-12-01T06:00:00Z, or a duration from now"))?;
    Ok(time.to_utc())
}
