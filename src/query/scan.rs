//! Reading a whole namespace, whether or not it has an index.

use std::sync::Arc;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

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
}
