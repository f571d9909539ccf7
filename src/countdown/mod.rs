//! Counting the tasks of a batch that have not ended yet, so that exactly one write is the last.
//!
//! A batch has an item of its own, the *root*, and as many *parts*, each of which counts the tasks that a hash of the id
//! gives it. A task counts its part down in the transaction that ends it. The one that ends a part, once that is closed,
//! counts the root down in the same transaction; and the one that ends the last part makes the dependents due. So there is no
//! moment at which a process could die and leave the count wrong, and nothing to sweep up afterwards. That it takes several
//! counters is for throughput: DynamoDB cancels a transaction while another is changing the same item.
//!
//! Nobody reads a counter beforehand. A write goes by the ordinary case, that others of its part are left, and says so in its
//! condition; only where that does not hold are the counters looked at.

mod items;
mod reach;

use std::time::Duration;

use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;

use crate::backoff::Backoff;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::record::{BatchMember, TaskId, Tracker};
use crate::table::{MAX_ACTIONS, Writes};

use items::PartState;
pub(crate) use items::{Counters, MAX_DEPENDENTS, RootState, never};
use reach::{Reach, reach};

/// How often the counters are looked at anew, since others have changed them in between.
const MAX_ROUNDS: u32 = 50;

/// A transaction that another was in the way of is sent again after so long, and so often.
pub(crate) const AGAIN: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
pub(crate) const MAX_TRIES: u32 = 25;

/// How many writes of the caller's own fit into the transaction that ends the last task, besides that task, part and root.
pub(crate) const MAX_OWN: usize = MAX_ACTIONS - 3 - MAX_DEPENDENTS;

/// Counts a task of a batch, in the transaction that ends it.
pub(crate) trait Count: Send {
    /// The caller's writes, and behind them those that count.
    fn with(&self, own: &Writes) -> Writes;

    /// What to do after an error: `Ok` is to send again, since the counters have changed.
    fn recover(&mut self, error: Error) -> BoxFuture<'_, Result<(), Error>>;
}

/// What begins that. The numbers are how many writes are the caller's, and how often to try again where another transaction was
/// in the way.
///
/// A pointer, so that a program whose tasks are of no batch has none of the SDK's code for transactions: a Lambda function asks for
/// it by `IdempotencyBuilder::counts_batches`.
pub(crate) type Counting = for<'a> fn(&'a Context, &'a BatchMember, usize, u32) -> Result<Box<dyn Count + 'a>, Error>;

pub(crate) const COUNTING: Counting =
    |context, member, own, tries| Ok(Box::new(CountDown::begin(context, member, own, tries)?));

/// The counting of a task of a batch, which has to be there.
pub(crate) fn counting_of(batch: &BatchMember, counting: Option<Counting>) -> Result<Counting, Error> {
    counting.ok_or_else(|| {
        let message = format!(
            "it is a task of the batch {}, which this program does not count; let it, by IdempotencyBuilder::counts_batches",
            batch.batch()
        );
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

/// The writes that count one task. A write goes by the ordinary case first; then by what the counters say.
struct CountDown<'a> {
    counters: Counters<'a>,
    part: u16,
    own: usize,
    writes: Vec<TransactWriteItem>,
    round: u32,
    tries: u32,
}

impl<'a> CountDown<'a> {
    fn begin(context: &'a Context, member: &'a BatchMember, own: usize, tries: u32) -> Result<Self, Error> {
        let (counters, part) = (Counters::of_member(context, member), member.part());
        let writes = vec![counters.count_task(part)?];
        Ok(Self { counters, part, own, writes, round: 0, tries })
    }

    async fn look_again(&mut self, error: Error) -> Result<(), Error> {
        let clock = &self.counters.context.clock;
        match error {
            error if is_counter_refusal(&error, self.own) => {}
            error if error.is_temporary() && self.tries > 0 => {
                clock.sleep(AGAIN.delay(MAX_TRIES - self.tries + 1)).await;
                self.tries -= 1;
                return Ok(());
            }
            error => return Err(error),
        }
        if self.round == MAX_ROUNDS {
            let message = format!("the counters of its batch changed at each of {MAX_ROUNDS} tries; try again");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        self.writes = look(&self.counters, self.part, self.counters.context.now()).await?;
        self.round += 1;
        Ok(())
    }
}

impl Count for CountDown<'_> {
    fn with(&self, own: &Writes) -> Writes {
        own.and(self.writes.clone())
    }

    fn recover(&mut self, error: Error) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.look_again(error))
    }
}

/// Whether one of the writes that count is in the way, and not one of the caller's.
fn is_counter_refusal(error: &Error, own: usize) -> bool {
    error.kind() == ErrorKind::ActionRefused && error.action().is_some_and(|action| action >= own)
}

/// The writes that count a task, by what the counters say now.
async fn look(counters: &Counters<'_>, part: u16, now: DateTime<Utc>) -> Result<Vec<TransactWriteItem>, Error> {
    let (state, root) = (counters.read_part(part).await?, counters.read_root().await?);
    let root = root.filter(|root| counters.is_of(root));
    let reach = reach(state.as_ref(), root.as_ref());
    tracing::debug!(part, ?reach, "counts the batch down");
    match (reach, root) {
        (Reach::Nobody, _) | (_, None) => Ok(Vec::new()),
        (Reach::Part, _) => Ok(vec![counters.count_task(part)?]),
        (Reach::Batch, Some(root)) => {
            let mut writes = vec![counters.end_part(part)?];
            writes.extend(drain(counters, &root, now).await?);
            Ok(writes)
        }
    }
}

/// The writes that go with the end of a part: the root is counted down, and if that was the last, the batch is complete.
async fn drain(counters: &Counters<'_>, root: &RootState, now: DateTime<Utc>) -> Result<Vec<TransactWriteItem>, Error> {
    if root.open_parts > 1 {
        return Ok(vec![counters.count_part()?]);
    }
    let mut writes = vec![counters.complete(root, now)?];
    for key in &root.dependents {
        if let Some(task) = waiting(counters.context, key).await? {
            writes.push(counters.make_due(&task, now)?);
        }
    }
    Ok(writes)
}

/// The task of this key, if it waits for a batch: somebody may have ignored, deleted or forced it meanwhile. One that can't be
/// read must not keep the last task of the batch from ending.
async fn waiting(context: &Context, key: &str) -> Result<Option<TaskId>, Error> {
    let Ok(id) = TaskId::from_key(key) else { return Ok(None) };
    let item = context.table.get(&id, None).await?;
    match context.decode(&id, item) {
        Ok(record) => Ok(record.is_some_and(|record| is_waiting(&record)).then_some(id)),
        Err(error) => {
            tracing::warn!("a task that waits for a batch is passed over: {error}");
            Ok(None)
        }
    }
}

/// Whatever happens to such a task changes its due time, whichever stage its status is of.
fn is_waiting<D>(record: &Tracker<D>) -> bool {
    record.lock.is_none() && record.due_time == Some(never())
}

/// The writes that count a task as open again which had ended, by what the counters say; `None` where it is too late.
pub(crate) async fn reopen(counters: &Counters<'_>, part: u16) -> Result<Option<Vec<TransactWriteItem>>, Error> {
    let (state, root) = (counters.read_part(part).await?, counters.read_root().await?);
    match (state, root.filter(|root| counters.is_of(root) && root.open_parts > 0)) {
        (Some(PartState { closed: true, open_tasks: 0, .. }), Some(_)) => {
            Ok(Some(vec![counters.reopen_part(part)?, counters.reopen_root()?]))
        }
        (Some(_), Some(_)) => Ok(Some(vec![counters.reopen_task(part)?])),
        _ => Ok(None),
    }
}

/// Closes a part: no more tasks come, and if none is open, that is counted.
pub(crate) async fn close(counters: &Counters<'_>, part: u16) -> Result<(), Error> {
    let mut tries = 0;
    for _ in 0..MAX_ROUNDS {
        match close_once(counters, part).await {
            Ok(true) => return Ok(()),
            // It has changed since it was looked at.
            Ok(false) => {}
            Err(error) if error.is_temporary() && tries < MAX_TRIES => {
                tries += 1;
                counters.context.clock.sleep(AGAIN.delay(tries)).await;
            }
            Err(error) if error.kind() == ErrorKind::ActionRefused => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("the batch changed at each of {MAX_ROUNDS} tries; close it again")))
}

/// Returns whether it is closed now.
async fn close_once(counters: &Counters<'_>, part: u16) -> Result<bool, Error> {
    let now = counters.context.now();
    match counters.read_part(part).await? {
        Some(PartState { closed: true, .. }) => return Ok(true),
        Some(PartState { open_tasks: 1.., .. }) => return counters.close_open(part, now).await,
        _ => {}
    }
    match counters.read_root().await? {
        Some(root) if counters.is_of(&root) => {
            let writes = drain(counters, &root, now).await?;
            counters.close_empty(part, now, writes).await
        }
        _ => Err(counters.gone()),
    }
}
