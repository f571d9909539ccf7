//! A group of tasks whose completion is counted exactly.

mod create;

use std::fmt;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

use crate::client::{NewTask, TrackerClient};
use crate::countdown::{Counters, MAX_DEPENDENTS, RootState, close, never};
use crate::error::{Error, ErrorKind};
use crate::expression;
use crate::record::{RawData, Tracker};
use crate::schema::{Data, item_size};
use crate::table::{Actions, Want, Written};

/// The largest task that waits for a batch, in bytes.
const MAX_DEPENDENT_BYTES: usize = 32 * 1024;

/// The most parts of a batch's counter.
const MAX_PARTS: u16 = 256;

/// A group of tasks of which it is known exactly how many have not ended yet, and tasks that become due when the last one
/// ends.
///
/// A task has ended when it has succeeded, is exhausted, ignored or deleted. It is counted in the very transaction that ends
/// it, so that of all the processes that work on the batch exactly one write is the last, whatever dies when; the dependents
/// become due in that transaction too. A task that is redriven is open again, unless the batch is complete by then.
///
/// This costs more than a task by itself: the write that ends it is a transaction of two items, which takes twice the write
/// units and two more for the counter, and so does a creation, whose counter is shared by up to 99 tasks. Starts, heartbeats,
/// failures with attempts left and tasks of no batch cost what they always do. Without a batch, [`stats`] says about how many
/// are left, from the index.
///
/// All who end such tasks must be of a version that knows batches. With stages (see [`StatusSet`](crate::StatusSet)), the end of the
/// first one counts. A dependent that an operator ignores and redrives is due at once.
///
/// The counter has several parts, since DynamoDB cancels a transaction while another changes the same item; such an outcome is
/// sent again. Take about as many as outcomes are recorded at the same time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = dynamo_tracker::embedded::Embedded::in_memory().await?;
/// # let builder = dynamo_tracker::TrackerClient::<()>::builder(store.client()).table("tasks").namespace("demo");
/// # let client = builder.index(4).build()?;
/// # client.create_table().await?;
/// use dynamo_tracker::NewTask;
/// use futures_util::stream;
///
/// let batch = client.open_batch("import-7", 16).await?;
/// batch.create_many(stream::iter((0..100).map(|page| NewTask::new(format!("page-{page}")))), 8).await?;
/// batch.then("report-7").await?; // due when all hundred have ended
/// batch.close().await?; // no more will come
///
/// client.worker().until_empty().run(|_| async { Ok(()) }).await?; // the hundred, then the report
/// let status = batch.status().await?;
/// assert_eq!((status.tasks, status.open_tasks, status.complete_time.is_some()), (100, 0, true));
/// # Ok(()) }
/// ```
///
/// [`stats`]: TrackerClient::stats
#[must_use]
pub struct Batch<D> {
    client: TrackerClient<D>,
    name: String,
    instance: String,
    parts: u16,
}

/// How a batch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchStatus {
    /// How many tasks were ever added.
    pub tasks: u64,
    /// How many of them have not ended.
    pub open_tasks: u64,
    /// Whether it was closed, so that no more are added.
    pub closed: bool,
    /// When the last one ended, once it was closed.
    pub complete_time: Option<DateTime<Utc>>,
}

impl<D: Data> TrackerClient<D> {
    /// Opens a batch, or the one of this name that there is, whatever its number of parts: up to 256, about as many as outcomes
    /// are recorded at the same time. See [`Batch`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for a name or a number of parts that can't be; else what DynamoDB refuses.
    pub async fn open_batch(&self, name: impl Into<String>, parts: u16) -> Result<Batch<D>, Error> {
        let name = name.into();
        if !(1..=MAX_PARTS).contains(&parts) {
            let message = format!("a batch has from 1 to {MAX_PARTS} parts");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let instance = format!("{:08x}", fastrand::u32(..));
        let counters = Counters::of(&self.context, &name, &instance);
        counters.check_name()?;
        // Our own instance is there too where the answer to the first copy of the request was lost.
        let opened = counters.open(parts).await?;
        let (instance, parts) = match opened {
            true => (instance, parts),
            false => {
                counters.read_root().await?.map(|root| (root.instance, root.parts)).ok_or_else(|| counters.gone())?
            }
        };
        Ok(Batch { client: self.clone(), name, instance, parts })
    }
}

impl<D: Data> Batch<D> {
    /// The batch's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn counters(&self) -> Counters<'_> {
        Counters::of(&self.client.context, &self.name, &self.instance)
    }

    /// Deletes a record whose retention is over, as DynamoDB is about to. Returns whether it is one.
    async fn clear_expired(&self, stored: &Tracker<RawData>) -> Result<bool, Error> {
        let context = &self.client.context;
        let expired = stored.has_expired(context.now());
        if expired {
            context.table.delete(&stored.id, expression::unchanged(stored.version(), &context.codec)).await?;
        }
        Ok(expired)
    }

    /// The root, if the batch is there.
    async fn root(&self) -> Result<RootState, Error> {
        let counters = self.counters();
        counters.read_root().await?.filter(|root| counters.is_of(root)).ok_or_else(|| counters.gone())
    }

    /// Makes a task that becomes due when the last task of the batch ends, or at once if it is complete already. A due time of
    /// its own is not kept. It is no part of the batch itself. A batch can have up to 80 of them.
    ///
    /// Until then it is pending with a due time at the end of the year 9999, so that [`load`](TrackerClient::load) and
    /// [`query`](TrackerClient::query) show it, and an operator can ignore or delete it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] where there is such a task; [`ErrorKind::NotFound`] where the batch was deleted;
    /// [`ErrorKind::InvalidArgument`] for a bad id or too many dependents; else what DynamoDB refuses.
    pub async fn then(&self, task: impl Into<NewTask<D>>) -> Result<Tracker<D>, Error> {
        let task = task.into().due(never());
        let (record, item) = self.client.new_item(&task)?;
        let (table, id) = (&self.client.context.table, &record.id);
        // The transaction that ends the last task changes them all, within DynamoDB's 4 MB.
        if item_size(&item) > MAX_DEPENDENT_BYTES {
            let message =
                format!("a task that waits for a batch may have {MAX_DEPENDENT_BYTES} bytes; keep its data elsewhere");
            return Err(Error::new(ErrorKind::ItemTooLarge, message).about(id));
        }
        let actions = Actions::once(vec![self.counters().add_dependent(id)?]);
        match table.transact("create it", table.put_action(item)?, actions, Want::default()).await {
            Ok(Written::Done(_)) => Ok(record.with_data(task.data.unwrap_or_default())),
            Ok(Written::Refused { item, .. }) => match self.client.context.decode(id, item)? {
                Some(stored) if self.clear_expired(&stored).await? => Box::pin(self.then(task)).await,
                existing => Err(crate::client::already_exists(existing, id)),
            },
            Err(error) if error.kind() == ErrorKind::ActionRefused => self.then_at_once(task).await,
            Err(error) => Err(error.about(id)),
        }
    }

    /// The batch takes no dependent: it is complete, it has too many, or it is gone.
    async fn then_at_once(&self, mut task: NewTask<D>) -> Result<Tracker<D>, Error> {
        if self.root().await?.open_parts > 0 {
            let message =
                format!("{MAX_DEPENDENTS} tasks wait for the batch already; let one of them create the others");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        task.due = None;
        self.client.create(task).await
    }

    /// Says that no more tasks are added. From then on the batch can be complete, and may be at once. It may be said again,
    /// as by a program that was interrupted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where the batch was deleted; else what DynamoDB refuses.
    pub async fn close(&self) -> Result<(), Error> {
        for part in 0..self.parts {
            close(&self.counters(), part).await?;
        }
        tracing::info!(batch = self.name, "closed the batch");
        Ok(())
    }

    /// How the batch stands, by consistent reads of its counters: one read unit for each part.
    ///
    /// The parts are read one beside the other. So where tasks end meanwhile, the number of open ones is one that was true
    /// at some time of the reading; `complete_time` is exact.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] where the batch was deleted; else what DynamoDB refuses.
    pub async fn status(&self) -> Result<BatchStatus, Error> {
        let counters = &self.counters();
        let parts = try_join_all((0..self.parts).map(|part| counters.read_part(part))).await?;
        let root = self.root().await?;
        let parts = || parts.iter().flatten();
        Ok(BatchStatus {
            tasks: parts().map(|part| part.tasks).sum(),
            open_tasks: parts().map(|part| part.open_tasks).sum(),
            closed: parts().filter(|part| part.closed).count() == usize::from(self.parts),
            complete_time: root.complete_time,
        })
    }

    /// Deletes the batch's counters, which otherwise stay. Its tasks stay, and are tasks of no batch when they end; dependents wait
    /// for ever. A batch of the same name that is opened later is another one.
    ///
    /// # Errors
    ///
    /// What DynamoDB refuses.
    pub async fn delete(&self) -> Result<(), Error> {
        self.counters().delete(self.parts).await
    }
}

impl<D> fmt::Debug for Batch<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("name", &self.name).field("parts", &self.parts).finish_non_exhaustive()
    }
}
