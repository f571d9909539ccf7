//! The start, request by request.

use std::sync::Arc;
use std::time::Duration;

use crate::context::Context;
use crate::countdown::{COUNTING, Counting, MAX_TRIES, counting_of};
use crate::error::{Error, ErrorKind};
use crate::expression::{self, Update};
use crate::lease::{Held, not_held};
use crate::protocol::{Acquire, End, Exhaust, Path, Refusal, StartOptions, Terms, Verdict};
use crate::record::{LockToken, RawData, TaskId, Tracker};
use crate::schema::Item;
use crate::status::Status;
use crate::table::{Want, Writes, Written};
use crate::work_error::WorkError;

/// How often a start that was refused may go on in another way. Each time, somebody else has changed the item in
/// between; this often in a row, something is wrong.
const MAX_ROUNDS: u32 = 8;

/// Takes the task, or says why not.
///
/// Nearly always one request: the item in a refusal decides, with no read. Only an expired record, the next stage and an
/// abandoned last attempt need a second write. What is rarely done is on the heap, so that no start carries the room for it.
pub(super) async fn acquire(
    context: &Arc<Context>,
    id: TaskId,
    options: StartOptions,
    counting: Option<Counting>,
) -> Result<(Arc<Held>, RawData), Error> {
    let mut write = request(context, &options).map_err(|error| error.about(&id))?;
    let deadline = deadline(context, &write);
    for _ in 0..MAX_ROUNDS {
        let update = context.usual_start.update(&write, &id, &context.codec);
        let within = Some(deadline.saturating_sub(context.clock.monotonic()));
        let want = Want { item: true, within, known_by_token: true };
        let ours = match context.table.update("start it", &id, update, want).await? {
            Written::Done(item) => match context.decode_written(&id, item) {
                Ok(record) => Some(record),
                Err(error) => return Err(Box::pin(let_go(context, &write, &id, error)).await),
            },
            Written::Refused { item, .. } => Box::pin(look(context, &mut write, &id, item, counting)).await?,
        };
        if let Some(record) = ours {
            let (held, data, uncounted) = hold(context, &write, record, deadline, counting);
            if uncounted.is_some() || held.time_left().is_zero() {
                Box::pin(make_good(&held, uncounted)).await?;
            }
            tracing::debug!(attempt = held.attempt, generation = held.generation, "took the task");
            return Ok((held, data));
        }
    }
    let message = format!("can't start it: the item changed at each of {MAX_ROUNDS} tries; try again later");
    Err(Error::new(ErrorKind::Changed, message).about(&id))
}

/// What the item in a refusal says. The record, where the task is ours all the same; `None` where `write` may be tried again, as it
/// is then.
async fn look(
    context: &Context,
    write: &mut Acquire,
    id: &TaskId,
    item: Option<Item>,
    counting: Option<Counting>,
) -> Result<Option<Tracker<RawData>>, Error> {
    write.path = Path::Ordinary;
    let mut record = context.decode(id, item)?;
    match (write.judge(record.as_ref()), &mut record) {
        (Verdict::Ours, _) => return Ok(record),
        (Verdict::Refuse(refusal), _) => refuse(context, write, refusal, record, id).await?,
        (Verdict::Exhaust(mut exhaust), Some(record)) => {
            exhaust.expire_at = context.expire_after(record, exhaust.now);
            exhaust.due_time = context.due_time(Status::Exhausted, None, exhaust.now);
            if let Some(exhausted) = Box::pin(mark_exhausted(context, &exhaust, record, counting)).await? {
                refuse(context, write, Refusal::Exhausted, Some(exhausted), id).await?;
            }
        }
        (Verdict::Take(path), record) => {
            // Where it is to be replaced, what it owes could not be paid any more. It does not expire before that either.
            if let Some(record) = record {
                context.settle(record).await;
            }
            write.path = path;
        }
        (Verdict::Spent, _) => write.token = LockToken::random(),
        (Verdict::Permitted | Verdict::Exhaust(_), _) => {}
    }
    Ok(None)
}

fn request(context: &Context, options: &StartOptions) -> Result<Acquire, Error> {
    let terms = Terms {
        now: context.now(),
        lease: context.lease,
        skew: context.skew,
        max_attempts: context.max_attempts,
        previous_succeeded: context.codec.statuses.previous_succeeded(),
        indexed: context.codec.index.is_some(),
    };
    let request = Acquire::new(options, LockToken::random(), terms);
    super::builder::check_lease(request.lease, request.skew)?;
    super::builder::check_max_attempts(request.max_attempts)?;
    let heartbeat = context.heartbeat.filter(|_| !options.no_heartbeat);
    super::builder::check_heartbeat(heartbeat, request.lease)?;
    Ok(request)
}

/// When the lease that is asked for ends, on the monotonic clock: counted from before the request is sent, and from the
/// time that the caller goes by, if that is earlier.
fn deadline(context: &Context, write: &Acquire) -> Duration {
    let left = (write.expires() - context.now()).to_std().unwrap_or_default();
    context.clock.monotonic() + left.min(write.lease)
}

/// A lock that is ours, the task's data, and why this program can't count the task, if it can't.
fn hold(
    context: &Arc<Context>,
    write: &Acquire,
    record: Tracker<RawData>,
    deadline: Duration,
    counting: Option<Counting>,
) -> (Arc<Held>, RawData, Option<Error>) {
    let (record, data) = record.swap_data(());
    let uncounted = record.batch.as_ref().and_then(|batch| counting_of(batch, counting).err());
    let held = Held::new(Arc::clone(context), record, write.token, write.lease, deadline, counting);
    (Arc::new(held), data, uncounted)
}

/// Gives a task back that can't be counted, and extends a lease that had ended before the answer came: it is worth nothing until then.
async fn make_good(held: &Held, uncounted: Option<Error>) -> Result<(), Error> {
    match uncounted {
        None => held.extend().await,
        Some(error) => {
            held.release(None, Writes::default()).await?;
            Err(error.about(&held.id))
        }
    }
}

/// Makes the refusal, an error, once whoever waits for a task that is over was told. There is none where the task has changed before
/// their token could be kept, so that the start may well be taken now.
async fn refuse(
    context: &Context,
    write: &Acquire,
    refusal: Refusal,
    mut record: Option<Tracker<RawData>>,
    id: &TaskId,
) -> Result<(), Error> {
    if let Some(record) = &mut record
        && context.settle_refused(record, write.callback.clone()).await?.is_some()
    {
        return Ok(());
    }
    tracing::debug!("refused: {refusal}");
    Err(Error::refused(refusal, record).about(id))
}

/// Returns the exhausted record; `None` where somebody changed it in between.
async fn mark_exhausted(
    context: &Context,
    write: &Exhaust,
    record: &Tracker<RawData>,
    counting: Option<Counting>,
) -> Result<Option<Tracker<RawData>>, Error> {
    let mut exhausted = write.apply(record.clone(), context.error_history);
    exhausted.count_off();
    let exhausted = exhausted.into_stored();
    let update = |write: &Exhaust| {
        let update = expression::exhaust(write, &record.id, &exhausted.errors, &context.codec);
        let update = update.map(|update| expression::unless_waited_for(update, write.expire_at));
        update.map_err(|error| error.about(&record.id))
    };
    let send = |update| write_counted(context, "mark it exhausted", record, update, Want::default(), counting);
    let written = match send(update(write)?).await {
        // The history has no room in the item, and the task must end all the same.
        Err(error) if error.kind() == ErrorKind::ItemTooLarge => {
            send(update(&Exhaust { error: None, ..write.clone() })?).await?
        }
        written => written?,
    };
    match written {
        Written::Done(_) => {
            tracing::info!(attempts = record.attempts, "no attempts are left: exhausted");
            Ok(Some(exhausted))
        }
        Written::Refused { .. } => Ok(None),
    }
}

/// Writes what ends a task without its lease, and counts it in the task's batch.
pub(super) async fn write_counted<D>(
    context: &Context,
    action: &str,
    seen: &Tracker<D>,
    update: Update,
    want: Want,
    counting: Option<Counting>,
) -> Result<Written, Error> {
    let Some(batch) = &seen.batch else {
        return context.table.update(action, &seen.id, expression::uncounted(update), want).await;
    };
    let about = |error: Error| error.about(&seen.id);
    let update = expression::counted(update, batch);
    let counting = counting_of(batch, counting).map_err(about)?;
    let mut count = counting(context, batch, 0, MAX_TRIES).map_err(about)?;
    loop {
        let writes = count.with(&Writes::default());
        match context.table.update_and(action, &seen.id, update.clone(), &writes, want).await {
            Err(error) => count.recover(error).await.map_err(about)?,
            written => return written,
        }
    }
}

/// Ends a lease whose data this program can't read, as a failed attempt, so that it is not tried for ever.
pub(super) async fn give_up(held: &Held, error: Error) -> Error {
    if let Err(lost) = held.fail(&WorkError::from(error.clone())).await {
        tracing::warn!(task = ?held.id, "its data can't be read, and that could not be recorded: {lost}");
    }
    error
}

/// Ends an acquisition whose record this program can't read, so that it does not stay locked. The attempt stays counted.
async fn let_go(context: &Context, write: &Acquire, id: &TaskId, error: Error) -> Error {
    let end = End {
        token: write.token,
        now: write.now,
        status: Status::Failed,
        attempts: None,
        errors: None,
        due_time: context.due_time(Status::Failed, None, write.now),
        expire_at: None,
    };
    let ended = match expression::end(&end, id, None, &context.codec) {
        Ok(update) => context.table.update("let go of it", id, update, Want::default()).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(lost) = ended {
        tracing::warn!(task = ?id, "its item can't be read, and it stays locked until its lease ends: {lost}");
    }
    error
}

/// The lease on a lock that is held already, from one read.
pub(super) async fn resume(
    context: &Arc<Context>,
    id: TaskId,
    token: LockToken,
) -> Result<(Arc<Held>, RawData), Error> {
    let begun = context.clock.monotonic();
    let item = context.table.get(&id, None).await?;
    match context.decode(&id, item)? {
        Some(record) if record.lock == Some(token) => {
            let left = record.lock_expire_time.and_then(|expiry| (expiry - context.now()).to_std().ok());
            let deadline = begun + left.unwrap_or_default();
            let (record, data) = record.swap_data(());
            let held = Held::new(Arc::clone(context), record, token, context.lease, deadline, Some(COUNTING));
            Ok((Arc::new(held), data))
        }
        None => Err(Error::new(ErrorKind::NotFound, "there is no such task; check its id").about(&id)),
        Some(mut stored) => {
            context.settle(&mut stored).await;
            Err(not_held(Some(stored), &id))
        }
    }
}
