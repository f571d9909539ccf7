//! The commands, but for `run`.

mod create;
mod lease;
mod look;
mod operate;
mod watch;

use dynamo_tracker::TrackerClient;

use crate::args::{Args, Command};
use crate::connect::{Connection, connect};
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};
use crate::run;
pub(crate) use lease::{start_options, taker_options};
use operate::Operation;
use serde_json::json;

/// Does what was asked for.
pub(crate) async fn dispatch(args: Args, output: &Output) -> Result<Exit, Failure> {
    let connection = connect(&args.global).await?;
    match args.command {
        Command::Init => init(&connection, output).await,
        Command::Create(create) => create::create(&connection, create, output).await,
        Command::Start { id, options, lease } => lease::start(&connection, &id, &options, lease, output).await,
        Command::Heartbeat { id, lock, lease } => lease::heartbeat(&connection, &id, lock, lease, output).await,
        Command::Succeed { id, lock, data } => lease::succeed(&connection, &id, lock, data, output).await,
        Command::Fail { id, lock, error, fatal } => lease::fail(&connection, &id, lock, &error, fatal, output).await,
        Command::Run(run) => run::run(&connection, run, output).await,
        Command::Show { id } => show(&connection.client()?, &id, output).await,
        Command::List(list) => look::list(&connection, list, output).await,
        Command::Stats { index_only } => look::stats(&connection, index_only, output).await,
        Command::Watch { interval, until_empty } => watch::watch(&connection, interval, until_empty, output).await,
        Command::Work(work) => run::work(&connection, work, output).await,
        Command::Redrive(ids) => operate::operate(&connection, Operation::Redrive, ids, output).await,
        Command::Ignore(ids) => operate::operate(&connection, Operation::Ignore, ids, output).await,
        Command::Unlock(ids) => operate::operate(&connection, Operation::Unlock, ids, output).await,
        Command::Delete(ids) => operate::operate(&connection, Operation::Delete, ids, output).await,
        Command::Asl(_) | Command::Completions { .. } | Command::Man { .. } => unreachable!("they need no connection"),
    }
}

async fn init(connection: &Connection, output: &Output) -> Result<Exit, Failure> {
    let created = connection.client()?.create_table().await?;
    let table = connection.table();
    let line = match created {
        true => format!("created the table {table}"),
        false => format!("the table {table} is there already"),
    };
    output.result(&json!({"table": table, "created": created}), &line);
    Ok(Exit::Done)
}

async fn show(client: &TrackerClient<Data>, id: &str, output: &Output) -> Result<Exit, Failure> {
    let tracker = client.load(id).await?.ok_or_else(|| Failure::no_such_task(client.namespace(), id))?;
    Ok(output.record(&tracker, &tracker.data.0))
}
