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

use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, Utc};

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::record::{BatchMember, TaskId, Tracker};

pub(crate) use items::{Counters, MAX_DEPENDENTS, PartState, RootState, never};
use reach::{Reach, reach};

/// How often the counters are looked at anew, since others have changed them in between.
const MAX_ROUNDS: u32 = 50;

/// The writes that count a task of a batch, to be sent with the one that ends it: until [`settle`](Self::settle) says that it
/// is done.
pub(crate) struct CountDown<'a> {
    counted: Option<(Counters<'a>, u16)>,
    own: usize,
    writes: Vec<TransactWriteItem>,
    round: u32,
}

impl<'a> CountDown<'a> {
    /// Begins with the ordinary case. A task of no batch has nothing to count. `own` is how many writes besides the first are
    /// the caller's: that one of these is refused is the caller's business.
    pub(crate) fn begin(context: &'a Context, member: Option<&'a BatchMember>, own: usize) -> Result<Self, Error> {
        let counted = member.map(|member| (Counters::of(context, member.batch()), member.part()));
        let writes = counted.iter().map(|(counters, part)| counters.count_task(*part)).collect::<Result<_, _>>()?;
        Ok(Self { counted, own, writes, round: 0 })
    }

    /// What to send besides.
    pub(crate) fn writes(&self) -> Vec<TransactWriteItem> {
        self.writes.clone()
    }

    /// How often it was sent before, with other writes.
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    /// What came of it; `None` where it is to be sent again, since the counters have changed.
    pub(crate) async fn settle<T>(&mut self, sent: Result<T, Error>) -> Result<Option<T>, Error> {
        let (counters, part) = match (&self.counted, &sent) {
            (Some((counters, part)), Err(error)) if is_counter_refusal(error, self.own) => (counters, *part),
            _ => return sent.map(Some),
        };
        if self.round == MAX_ROUNDS {
            let message = format!("the counters of its batch changed at each of {MAX_ROUNDS} tries; try again");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        self.writes = look(counters, part, counters.context.now()).await?;
        self.round += 1;
        Ok(None)
    }
}

/// Whether one of the writes that count is in the way, and not one of the caller's.
fn is_counter_refusal(error: &Error, own: usize) -> bool {
    error.kind() == ErrorKind::ActionRefused && error.action().is_some_and(|action| action >= own)
}

/// The writes that count a task, by what the counters say now.
async fn look(counters: &Counters<'_>, part: u16, now: DateTime<Utc>) -> Result<Vec<TransactWriteItem>, Error> {
    let (state, root) = (counters.read_part(part).await?, counters.read_root().await?);
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

/// The task of this key, if it waits for a batch: somebody may have ignored, deleted or forced it meanwhile.
async fn waiting(context: &Context, key: &str) -> Result<Option<TaskId>, Error> {
    let id = TaskId::from_key(key)?;
    let item = context.table.get(&id, None).await?;
    let record = context.decode(&id, item)?;
    Ok(record.is_some_and(|record| is_waiting(&record)).then_some(id))
}

pub(crate) fn is_waiting<D>(record: &Tracker<D>) -> bool {
    record.status == crate::Status::Pending && record.lock.is_none() && record.due_time == Some(never())
}

/// Closes a part: no more tasks come, and if none is open, that is counted.
pub(crate) async fn close(counters: &Counters<'_>, part: u16) -> Result<(), Error> {
    for _ in 0..MAX_ROUNDS {
        let now = counters.context.now();
        let done = match counters.read_part(part).await? {
            Some(PartState { closed: true, .. }) => return Ok(()),
            Some(PartState { open_tasks: 1.., .. }) => counters.close_open(part, now).await?,
            _ => match counters.read_root().await? {
                None => return Err(counters.gone()),
                Some(root) => {
                    let writes = drain(counters, &root, now).await?;
                    counters.close_empty(part, now, writes).await?
                }
            },
        };
        if done {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("the batch changed at each of {MAX_ROUNDS} tries; close it again")))
}
