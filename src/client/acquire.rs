//! The start, request by request.

use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::expression;
use crate::lease::Held;
use crate::protocol::{Acquire, End, Exhaust, Path, Refusal, StartOptions, Terms, Verdict};
use crate::record::{LockToken, TaskId, Tracker};
use crate::schema::RawData;
use crate::table::{Want, Written};
use crate::work_error::WorkError;

/// How often a start that was refused may go on in another way. Each time, somebody else has changed the item in
/// between; this often in a row, something is wrong.
const MAX_ROUNDS: u32 = 8;

/// Takes the task, or says why not.
///
/// Nearly always one request: the item in a refusal decides, with no read. Only an expired record, the next stage and an
/// abandoned last attempt need a second write.
pub(super) async fn acquire(
    context: &Arc<Context>,
    id: TaskId,
    options: StartOptions,
) -> Result<(Held, RawData), Error> {
    let mut write = request(context, &options).map_err(|error| error.about(&id))?;
    let deadline = context.clock.monotonic() + write.lease;
    for _ in 0..MAX_ROUNDS {
        let update = expression::acquire(&write, &context.codec);
        let want = Want { item: true, within: Some(write.lease) };
        let (verdict, record) = match context.table.update("start it", &id, update, want).await? {
            Written::Done(item) => (Verdict::Ours, Some(context.decode_written(&id, item)?)),
            Written::Refused { item, .. } => {
                write.path = Path::Ordinary;
                let record = context.decode(&id, item)?;
                (write.judge(record.as_ref()), record)
            }
        };
        match (verdict, record) {
            (Verdict::Ours, Some(record)) => return hold(context, &write, record, deadline).await,
            (Verdict::Refuse(refusal), record) => return Err(refuse(refusal, record, &id)),
            (Verdict::Exhaust(exhaust), Some(record)) => {
                if let Some(record) = mark_exhausted(context, &exhaust, record).await? {
                    return Err(refuse(Refusal::Exhausted, Some(record), &id));
                }
            }
            (Verdict::Take(path), _) => write.path = path,
            (Verdict::Spent, _) => write.token = LockToken::random(),
            (Verdict::Permitted | Verdict::Ours | Verdict::Exhaust(_), _) => {}
        }
    }
    let message = format!("can't start it: the item changed at each of {MAX_ROUNDS} tries; try again later");
    Err(Error::new(ErrorKind::Changed, message).about(&id))
}

fn request(context: &Context, options: &StartOptions) -> Result<Acquire, Error> {
    let terms = Terms {
        now: context.now(),
        lease: context.lease,
        skew: context.skew,
        max_attempts: context.max_attempts,
        previous_succeeded: context.codec.statuses.previous_succeeded(),
    };
    let request = Acquire::new(options, LockToken::random(), terms);
    super::builder::check_lease(request.lease, request.skew)?;
    super::builder::check_max_attempts(request.max_attempts)?;
    Ok(request)
}

/// A lock that is ours. An answer that came after the lease's own end is worth nothing until the lease is extended.
async fn hold(
    context: &Arc<Context>,
    write: &Acquire,
    record: Tracker<RawData>,
    deadline: Duration,
) -> Result<(Held, RawData), Error> {
    let (record, data) = record.swap_data(());
    let held = Held::new(Arc::clone(context), record, write.token, write.lease, deadline);
    if held.time_left().is_zero() {
        held.extend().await?;
    }
    tracing::debug!(attempt = held.attempt, generation = held.generation, "took the task");
    Ok((held, data))
}

fn refuse(refusal: Refusal, record: Option<Tracker<RawData>>, id: &TaskId) -> Error {
    tracing::debug!("refused: {refusal}");
    Error::refused(refusal, record).about(id)
}

/// Returns the exhausted record; `None` where somebody changed it in between.
async fn mark_exhausted(
    context: &Context,
    write: &Exhaust,
    record: Tracker<RawData>,
) -> Result<Option<Tracker<RawData>>, Error> {
    let errors = End::history(record.errors.clone(), &write.error, context.error_history);
    let update = expression::exhaust(write, &errors, &context.codec).map_err(|error| error.about(&record.id))?;
    match context.table.update("mark it exhausted", &record.id, update, Want::default()).await? {
        Written::Done(_) => {
            tracing::info!(attempts = record.attempts, "the last attempt was abandoned: exhausted");
            Ok(Some(write.apply(record, context.error_history)))
        }
        Written::Refused { .. } => Ok(None),
    }
}

/// Ends a lease whose data this program can't read, as a failed attempt, so that it is not tried for ever.
pub(super) async fn give_up(held: &Held, error: Error) -> Error {
    let recorded = WorkError::from(error.to_string());
    if let Err(lost) = held.fail(&recorded).await {
        tracing::warn!(task = ?held.id, "its data can't be read, and that could not be recorded: {lost}");
    }
    error
}
