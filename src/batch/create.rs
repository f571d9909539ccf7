//! The tasks of a batch, made together with the counters that count them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};

use super::Batch;
use crate::backoff::Backoff;
use crate::bulk::BulkReport;
use crate::client::{NewTask, already_exists};
use crate::error::{Error, ErrorKind};
use crate::record::{TaskId, Tracker};
use crate::schema::{Data, ITEM_TOO_LARGE, Item, MAX_ITEM_BYTES, item_size};
use crate::table::{Created, MAX_ACTIONS, MAX_BYTES};

/// So many tasks are sorted by their parts at a time, and so many bytes at most.
const BLOCK: usize = 1000;
const BLOCK_BYTES: usize = 2 * MAX_BYTES;
/// Of a transaction's limit, what is left for the counter.
const MOST_BYTES: usize = MAX_BYTES - 100_000;
/// A transaction that DynamoDB does not take is sent again after so long, and so often.
const AGAIN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
const MAX_TRIES: u32 = 20;

/// A task to be made.
struct New {
    record: Tracker<()>,
    item: Item,
}

/// Tasks of one part.
type Part = (u16, Vec<New>);

impl<D: Data> Batch<D> {
    /// Creates the tasks that the stream gives, as part of this batch. One that exists is never overwritten and not added to
    /// the batch, so a program that was interrupted simply begins again.
    ///
    /// Up to a thousand tasks, and 8 MB of them, are in memory at a time, and those of each part are created by one transaction, or
    /// several of 99; so many parts make small transactions. `concurrency` of them are under way at a time. A record whose retention
    /// is over is deleted first, as DynamoDB is about to, and its generation begins again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Changed`] where the batch is closed; [`ErrorKind::NotFound`] where it was deleted; what would keep every
    /// task from being created, such as [`ErrorKind::TableNotFound`]. What befalls a single task is in the report.
    pub async fn create_many<S>(&self, tasks: S, concurrency: usize) -> Result<BulkReport, Error>
    where
        S: Stream<Item = NewTask<D>>,
    {
        self.root().await?;
        let mut tasks = std::pin::pin!(tasks);
        let mut report = BulkReport::default();
        let mut block = Block::default();
        while let Some(task) = tasks.next().await {
            match self.new_member(&task) {
                Ok(new) => block.push(new),
                Err(error) => report.add::<()>(Err(error))?,
            }
            if block.is_full() {
                self.create_block(std::mem::take(&mut block), concurrency, &mut report).await?;
            }
        }
        self.create_block(block, concurrency, &mut report).await?;
        Ok(report)
    }

    fn new_member(&self, task: &NewTask<D>) -> Result<New, Error> {
        let (record, item) = self.client.new_item_in(task, |id| Some(self.counters().member(id, self.parts)))?;
        match item_size(&item) {
            ..=MAX_ITEM_BYTES => Ok(New { record, item }),
            bytes => {
                let message = format!("the item would be {bytes} bytes, {ITEM_TOO_LARGE}");
                Err(Error::new(ErrorKind::ItemTooLarge, message).about(&record.id))
            }
        }
    }

    /// Different parts at the same time; what is of one part, one after the other, or it would be in its own way.
    async fn create_block(&self, block: Block, concurrency: usize, report: &mut BulkReport) -> Result<(), Error> {
        let parts = stream::iter(block.into_parts()).map(|part| self.create_part(part));
        let mut made = std::pin::pin!(parts.buffer_unordered(concurrency.max(1)));
        while let Some(results) = made.next().await {
            for result in results? {
                report.add(result)?;
            }
        }
        Ok(())
    }

    async fn create_part(&self, (part, tasks): Part) -> Result<Vec<Result<(), Error>>, Error> {
        let mut results = Vec::new();
        let mut chunk = Chunk::default();
        for task in tasks {
            if !chunk.has_room_for(&task) {
                self.create_chunk(part, std::mem::take(&mut chunk).tasks, &mut results).await?;
            }
            chunk.push(task);
        }
        self.create_chunk(part, chunk.tasks, &mut results).await?;
        Ok(results)
    }

    /// One transaction, and again without those that exist.
    async fn create_chunk(
        &self,
        part: u16,
        mut tasks: Vec<New>,
        results: &mut Vec<Result<(), Error>>,
    ) -> Result<(), Error> {
        let mut tries = 0;
        while !tasks.is_empty() {
            let counter = self.counters().add_tasks(part, tasks.len())?;
            let items = tasks.iter().map(|task| task.item.clone()).collect();
            match self.client.context.table.create_all("create the tasks", counter, items).await {
                Ok(Created::All) => {
                    results.extend(tasks.drain(..).map(|_| Ok(())));
                }
                Ok(Created::Refused) => return Err(self.is_closed()),
                Ok(Created::Exist(existing)) => self.leave_out(&mut tasks, existing, results).await?,
                Err(error) if error.is_temporary() && tries < MAX_TRIES => {
                    tries += 1;
                    self.client.context.clock.sleep(AGAIN.delay(tries)).await;
                }
                // DynamoDB takes the others without this one.
                Err(error) if error.action().is_some_and(|number| number < tasks.len()) => {
                    let task = tasks.remove(error.action().unwrap_or_default());
                    results.push(Err(error.about(&task.record.id)));
                }
                Err(error) => {
                    results.extend(tasks.drain(..).map(|task| Err(error.clone().about(&task.record.id))));
                }
            }
        }
        Ok(())
    }

    /// Takes those that exist out of the chunk. One that has expired is deleted, as DynamoDB is about to, and made again.
    async fn leave_out(
        &self,
        tasks: &mut Vec<New>,
        existing: Vec<(usize, Option<Item>)>,
        results: &mut Vec<Result<(), Error>>,
    ) -> Result<(), Error> {
        let context = &self.client.context;
        // From the end, so that the numbers before it stay right.
        for (number, item) in existing.into_iter().rev() {
            let id: TaskId = tasks[number].record.id.clone();
            let stored = context.decode(&id, item);
            if let Ok(Some(stored)) = &stored
                && self.clear_expired(stored).await?
            {
                continue;
            }
            tasks.remove(number);
            results.push(stored.and_then(|stored| Err(already_exists(stored, &id))));
        }
        Ok(())
    }

    fn is_closed(&self) -> Error {
        let message = format!("the batch {:?} is closed and takes no more tasks; open another", self.name);
        Error::new(ErrorKind::Changed, message)
    }
}

/// What one transaction can make.
#[derive(Default)]
struct Chunk {
    tasks: Vec<New>,
    ids: HashSet<TaskId>,
    bytes: usize,
}

impl Chunk {
    /// DynamoDB takes no two writes of one item, so a task that came twice waits for the next.
    fn has_room_for(&self, task: &New) -> bool {
        self.tasks.len() < MAX_ACTIONS - 1
            && self.bytes + item_size(&task.item) <= MOST_BYTES
            && !self.ids.contains(&task.record.id)
    }

    fn push(&mut self, task: New) {
        self.bytes += item_size(&task.item);
        self.ids.insert(task.record.id.clone());
        self.tasks.push(task);
    }
}

/// Tasks in memory, by their parts.
#[derive(Default)]
struct Block {
    parts: BTreeMap<u16, Vec<New>>,
    tasks: usize,
    bytes: usize,
}

impl Block {
    fn push(&mut self, new: New) {
        self.tasks += 1;
        self.bytes += item_size(&new.item);
        let part = new.record.batch.as_ref().map_or(0, |batch| batch.part());
        self.parts.entry(part).or_default().push(new);
    }

    fn is_full(&self) -> bool {
        self.tasks >= BLOCK || self.bytes >= BLOCK_BYTES
    }

    fn into_parts(self) -> impl Iterator<Item = Part> {
        self.parts.into_iter()
    }
}
