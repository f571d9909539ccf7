//! Reading a whole namespace, whether or not it has an index.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::Page;
use super::cursor::{key_text, parse_key};
use crate::client::TrackerClient;
use crate::error::Error;
use crate::record::Tracker;
use crate::schema::Data;
use crate::status::Status;

impl<D: Data> TrackerClient<D> {
    /// All tasks of the namespace, in no order, read by so many scans side by side, at least one; only those in one of
    /// `statuses`, if any are named.
    ///
    /// DynamoDB reads, and charges, the whole table: every namespace, whatever is asked for. The namespace is exact: `test`
    /// has nothing of `test-prod`.
    pub fn scan(
        &self,
        segments: u16,
        statuses: &[Status],
    ) -> impl Stream<Item = Result<Tracker<D>, Error>> + Send + use<D> {
        let total = i32::from(segments.max(1));
        let codes: Vec<u32> = statuses.iter().map(|status| self.context.codec.statuses.code(*status)).collect();
        let now = self.context.now();
        let segments = (0..total).map(|segment| {
            let (context, codes) = (Arc::clone(&self.context), codes.clone());
            let pages = stream::try_unfold(Some(None), move |next| {
                let (context, codes) = (Arc::clone(&context), codes.clone());
                async move {
                    let Some(after) = next else { return Ok(None) };
                    let (items, after) =
                        context.table.scan(&context.namespace, &codes, (segment, total), after, None).await?;
                    let records: Vec<_> = items.into_iter().map(|item| context.codec.decode(item)).collect();
                    Ok::<_, Error>(Some((stream::iter(records), after.map(Some))))
                }
            });
            Box::pin(pages.try_flatten())
        });
        stream::select_all(segments)
            .try_filter(move |record| std::future::ready(!record.has_expired(now)))
            .and_then(|record| std::future::ready(record.typed()))
            .boxed()
    }

    /// So many tasks of the namespace, in no order, after a cursor; only those in one of `statuses`, if any are named.
    ///
    /// It reads, and is charged for, as much of the table as it takes to find them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a cursor that is none;
    /// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable); else what DynamoDB refuses.
    pub async fn scan_page(
        &self,
        statuses: &[Status],
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Tracker<D>>, Error> {
        let context = &self.context;
        let schema = &context.codec.key;
        let codes: Vec<u32> = statuses.iter().map(|status| context.codec.statuses.code(*status)).collect();
        let mut after = cursor.map(|cursor| parse_key(cursor, schema)).transpose()?;
        if limit == 0 {
            return Ok(Page { items: Vec::new(), cursor: cursor.map(str::to_owned) });
        }
        let mut records = Vec::new();
        loop {
            let (items, next) = context.table.scan(&context.namespace, &codes, (0, 1), after, None).await?;
            for item in items {
                if records.len() == limit {
                    // The page ends between two items that were read at once.
                    let last: &Tracker<D> = &records[limit - 1];
                    return Ok(Page { cursor: Some(key_text(&schema.key(&last.id), schema)), items: records });
                }
                let record = context.codec.decode(item)?;
                if !record.has_expired(context.now()) {
                    records.push(record.typed()?);
                }
            }
            after = next;
            if after.is_none() || records.len() == limit {
                let cursor = after.map(|key| key_text(&key, schema));
                return Ok(Page { items: records, cursor });
            }
        }
    }
}
