//! A task step by step, for programs in any language: the lock token is their handle.

use std::time::Duration;

use dynamo_tracker::{Error, LockToken, StartOptions, Status, Tracker, WorkError};
use serde_json::Value;

use crate::args::{Start, Taker};
use crate::connect::Connection;
use crate::data::Data;
use crate::exit::Exit;
use crate::output::{Failure, Output};

/// An ordinary start.
pub(crate) fn taker_options(taker: &Taker) -> StartOptions {
    StartOptions::new().max_attempts(taker.max_attempts).owner(taker.owner.clone().unwrap_or_else(this_process))
}

/// The library's options for a start.
pub(crate) fn start_options(options: &Start) -> StartOptions {
    let mut start = taker_options(&options.taker);
    if let Some(lock) = options.lock {
        start = start.lock(lock);
    }
    if let Some(token) = &options.callback {
        start = start.callback(token.clone());
    }
    if options.ignore_lock {
        start = start.ignore_lock();
    }
    if options.force {
        start = start.force_execution();
    }
    start
}

fn this_process() -> String {
    let host = rustix::system::uname();
    format!("{}:{}", host.nodename().to_string_lossy(), std::process::id())
}

pub(crate) async fn start(
    connection: &Connection,
    id: &str,
    options: &Start,
    lease: Duration,
    output: &Output,
) -> Result<Exit, Failure> {
    let lease = connection.client_with_lease(lease)?.start_with(id, start_options(options)).await?;
    Ok(output.record(&lease.tracker(), &lease.data().0))
}

pub(crate) async fn heartbeat(
    connection: &Connection,
    id: &str,
    lock: LockToken,
    lease: Duration,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut lease = connection.client_with_lease(lease)?.resume(id, lock).await?;
    lease.mark_as_in_progress().await?;
    Ok(output.record(&lease.tracker(), &lease.data().0))
}

pub(crate) async fn succeed(
    connection: &Connection,
    id: &str,
    lock: LockToken,
    data: Option<Value>,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut lease = match connection.client()?.resume(id, lock).await {
        Ok(lease) => lease,
        Err(error) => return recorded_before(error, lock, &[Status::Succeeded], data.as_ref(), output),
    };
    if let Some(data) = data {
        lease.set_data(Data(data))?;
    }
    let tracker = lease.succeed().await?;
    Ok(output.record(&tracker, &tracker.data.0))
}

pub(crate) async fn fail(
    connection: &Connection,
    id: &str,
    lock: LockToken,
    text: &str,
    fatal: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let lease = match connection.client()?.resume(id, lock).await {
        Ok(lease) => lease,
        Err(error) => return recorded_before(error, lock, &[Status::Failed, Status::Exhausted], None, output),
    };
    let data = lease.data().clone();
    let error = WorkError::from_parts("Error", text, None);
    let tracker = lease.fail(if fatal { error.into_fatal() } else { error }).await?;
    Ok(output.record(&tracker, &data.0))
}

/// A caller that was killed before it heard of its outcome says it again. It is in, so that is no error.
fn recorded_before(
    error: Error,
    lock: LockToken,
    wanted: &[Status],
    data: Option<&Value>,
    output: &Output,
) -> Result<Exit, Failure> {
    match error.tracker_as::<Data>().and_then(Result::ok) {
        Some(tracker) if is_outcome_of(&tracker, lock, wanted) && data.is_none_or(|data| *data == tracker.data.0) => {
            Ok(output.record(&tracker, &tracker.data.0))
        }
        _ => Err(error.into()),
    }
}

/// Whether the task has ended in such a state under this very lock.
fn is_outcome_of(tracker: &Tracker<Data>, lock: LockToken, wanted: &[Status]) -> bool {
    tracker.lock.is_none() && tracker.last_lock == Some(lock) && wanted.contains(&tracker.status)
}
