//! What operators do to tasks.

use std::io::{BufRead, IsTerminal, Write};

use dynamo_tracker::{Query, Status, Tracker, TrackerClient, protocol};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use crate::args::Ids;
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};
use crate::record;
use crate::render::printable;

/// How many tasks are operated on at a time, where all are.
const IN_FLIGHT: usize = 32;

/// What is done to each task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Redrive,
    Ignore,
    Unlock,
    Delete,
}

impl Operation {
    fn verb(self) -> &'static str {
        match self {
            Operation::Redrive => "redrive",
            Operation::Ignore => "ignore",
            Operation::Unlock => "unlock",
            Operation::Delete => "delete",
        }
    }

    /// Whether it could be done to this record.
    fn check(self, seen: Tracker<Data>) -> Result<Tracker<Data>, Failure> {
        let legal = match self {
            Operation::Redrive => protocol::Operation::Redrive.is_legal(&seen),
            Operation::Ignore => protocol::Operation::Ignore.is_legal(&seen),
            Operation::Unlock => protocol::Operation::Unlock.is_legal(&seen),
            Operation::Delete => true,
        };
        match legal {
            true => Ok(seen),
            false => {
                Err(Failure::illegal(&format!("would not {} {:?}, which is {}", self.verb(), seen.id, seen.status)))
            }
        }
    }

    fn done(self) -> &'static str {
        match self {
            Operation::Redrive => "redriven",
            Operation::Ignore => "ignored",
            Operation::Unlock => "unlocked",
            Operation::Delete => "deleted",
        }
    }
}

/// What became of one task.
struct Done {
    id: String,
    result: Result<Tracker<Data>, Failure>,
}

pub(crate) async fn operate(
    connection: &Connection,
    operation: Operation,
    ids: Ids,
    output: &Output,
) -> Result<Exit, Failure> {
    let client = connection.client()?;
    if ids.all {
        return operate_on_all(&client, operation, &ids, output).await;
    }
    let one = ids.ids.len() == 1 && ids.ids[0] != "-";
    let wanted = read_ids(&ids.ids)?;
    if operation == Operation::Delete && !ids.dry_run && !ids.yes {
        confirm(&match wanted.as_slice() {
            [id] => format!("the task {id:?}"),
            ids => format!("{} tasks", ids.len()),
        })?;
    }
    let mut all = Vec::with_capacity(wanted.len());
    for id in wanted {
        let result = operate_on(&client, operation, &id, ids.dry_run).await;
        let done = Done { id, result };
        tell(&done, operation, ids.dry_run, one, output);
        all.push(done);
    }
    Ok(summary(all, operation, ids.dry_run, one, output))
}

/// All tasks in the states that were named.
async fn operate_on_all(
    client: &TrackerClient<Data>,
    operation: Operation,
    ids: &Ids,
    output: &Output,
) -> Result<Exit, Failure> {
    if ids.status.contains(&Status::Succeeded) {
        let message = "succeeded tasks are not in the index; list them, and pass their ids on standard input";
        return Err(Failure::usage(message));
    }
    let query = ids.status.iter().fold(Query::new(), |query, status| query.status(*status));
    let names = ids.status.iter().map(|status| status.name()).collect::<Vec<_>>().join(" or ");
    if ids.dry_run {
        let found = client.query_stream(query).try_fold(0_u64, async |count, _| Ok(count + 1)).await?;
        output.result(
            &json!({"done": found, "skipped": 0, "failed": 0, "dry_run": true}),
            &format!("would {} {found} tasks that are {names}", operation.verb()),
        );
        return Ok(Exit::Done);
    }
    if operation == Operation::Delete && !ids.yes {
        confirm(&format!("all tasks that are {names}"))?;
    }
    let report = match operation {
        Operation::Redrive => client.redrive_many(query, IN_FLIGHT).await?,
        Operation::Ignore => client.ignore_many(query, IN_FLIGHT).await?,
        Operation::Unlock => client.unlock_many(query, IN_FLIGHT).await?,
        Operation::Delete => client.delete_many(query, IN_FLIGHT).await?,
    };
    report.errors.iter().for_each(|error| output.warn(&error.to_string()));
    let (done, skipped, failed) = (report.done, report.skipped, report.failed);
    output.result(
        &json!({"done": done, "skipped": skipped, "failed": failed}),
        &format!("{done} {}, {skipped} left as they are, {failed} failed", operation.done()),
    );
    Ok(if failed > 0 { Exit::Partly } else { Exit::Done })
}

/// The ids that were given, with those from standard input in the place of `-`.
fn read_ids(given: &[String]) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for id in given {
        if id != "-" {
            ids.push(id.clone());
            continue;
        }
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::usage(&format!("can't read ids: {error}")))?;
            ids.extend(Some(line.trim().to_owned()).filter(|line| !line.is_empty()));
        }
    }
    Ok(ids)
}

/// Asks whoever is at the terminal.
fn confirm(what: &str) -> Result<(), Failure> {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() {
        return Err(Failure::usage("deleting can't be undone, and there is nobody to ask; pass --yes if you mean it"));
    }
    let _ = write!(stderr, "Delete {what}? This can't be undone. [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    let _ = stdin.lock().read_line(&mut answer);
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was deleted")),
    }
}

/// Operates on the task as it is now; returns the record as it is then, or as it was deleted.
async fn operate_on(
    client: &TrackerClient<Data>,
    operation: Operation,
    id: &str,
    dry_run: bool,
) -> Result<Tracker<Data>, Failure> {
    let seen = client.load(id).await?.ok_or_else(|| Failure::no_such_task(client.namespace(), id))?;
    match operation {
        _ if dry_run => operation.check(seen),
        Operation::Redrive => Ok(client.redrive(&seen).await?),
        Operation::Ignore => Ok(client.ignore(&seen).await?),
        Operation::Unlock => Ok(client.unlock(&seen).await?),
        Operation::Delete => client.delete(&seen).await.map(|()| seen).map_err(Failure::from),
    }
}

/// A line for each task, for people. Programs get all at once.
fn tell(done: &Done, operation: Operation, dry_run: bool, one: bool, output: &Output) {
    let id = printable(&done.id);
    match &done.result {
        Ok(tracker) if dry_run => {
            output.line(&format!("would {} {id}, which is {}", operation.verb(), tracker.status));
        }
        Ok(_) => output.line(&format!("{} {id}", operation.done())),
        // A single failure is told by the program's end.
        Err(_) if one || output.json => {}
        Err(failure) => output.warn(failure.message()),
    }
}

fn summary(all: Vec<Done>, operation: Operation, dry_run: bool, one: bool, output: &Output) -> Exit {
    if one {
        return single(all, dry_run, output);
    }
    let failed = all.iter().filter(|done| done.result.is_err()).count();
    let done = all.len() - failed;
    let results: Vec<_> = all.iter().map(|done| as_json(done, dry_run)).collect();
    let which = if dry_run { "would be done" } else { operation.done() };
    output.result(
        &json!({"done": done, "failed": failed, "results": results}),
        &format!("{done} {which}, {failed} failed"),
    );
    let mut exits = all.iter().filter_map(|done| done.result.as_ref().err()).map(Failure::exit);
    match exits.next() {
        None => Exit::Done,
        // Where nothing worked, and for one reason, the exit code says which.
        Some(first) if done == 0 && exits.all(|exit| exit == first) => first,
        Some(_) => Exit::Partly,
    }
}

fn single(all: Vec<Done>, dry_run: bool, output: &Output) -> Exit {
    for done in all {
        match done.result {
            Ok(tracker) if output.json => output.value(&record_of(&tracker, dry_run)),
            Ok(_) => {}
            Err(failure) => return output.failed(&failure),
        }
    }
    Exit::Done
}

fn as_json(done: &Done, dry_run: bool) -> Value {
    match &done.result {
        Ok(tracker) => json!({"id": done.id, "tracker": record_of(tracker, dry_run)}),
        Err(failure) => {
            let mut value = failure.to_json();
            value["id"] = done.id.clone().into();
            value
        }
    }
}

fn record_of(tracker: &Tracker<Data>, dry_run: bool) -> Value {
    let mut value = record::to_json(tracker, &tracker.data.0, chrono::Utc::now());
    if dry_run {
        value["dry_run"] = true.into();
    }
    value
}
