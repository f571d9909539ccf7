//! Telling whoever waits for a task's end: what the rest of the crate knows of it.
//!
//! A record holds the token of whoever waits. It is removed by a write of its own once they were told, so that a process which
//! dies between the outcome and the telling leaves a record that still owes it, and the next look at the record pays.

use std::fmt;

use futures_util::future::BoxFuture;

use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::expression;
use crate::record::{RawData, TaskId, TaskToken, Tracker};
use crate::table::{Want, Written};

/// What tells them. A trait object, so that a program in which nobody waits for anything has none of its code.
///
/// What could not be told is owed, and that is logged. It is no failure, but where it could not be written down either.
pub(crate) trait CallBack: fmt::Debug + Send + Sync {
    /// Tells whoever waits for a task that is over, if somebody does, and takes their token off the record.
    fn settle<'a>(&'a self, context: &'a Context, record: &'a mut Tracker<RawData>) -> BoxFuture<'a, ()>;

    /// The same for the record as it is stored now, and that record, where there is one.
    fn settle_stored<'a>(&'a self, context: &'a Context, id: &'a TaskId) -> BoxFuture<'a, Option<Tracker<RawData>>>;

    /// Tells whoever waits for a task that is over and about to be deleted: nobody can do so afterwards. It is an error where they could
    /// not be told, but for a token that is not known here.
    fn tell_last<'a>(&'a self, record: &'a Tracker<RawData>, token: &'a TaskToken) -> BoxFuture<'a, Result<(), Error>>;

    /// Somebody new waits for a task that is over. Returns the record as it is where it has changed before their token was kept:
    /// then it may be over no more.
    fn answer<'a>(
        &'a self,
        context: &'a Context,
        record: &'a mut Tracker<RawData>,
        token: TaskToken,
    ) -> BoxFuture<'a, Result<Option<Tracker<RawData>>, Error>>;

    /// Whether somebody still waits by this token, as far as can be known here.
    #[cfg_attr(not(feature = "stepfunctions"), allow(dead_code))]
    fn waits<'a>(&'a self, id: &'a TaskId, token: &'a TaskToken) -> BoxFuture<'a, Result<bool, Error>>;

    /// The task that they wait for is deleted, and there will be no outcome.
    fn deleted<'a>(&'a self, id: &'a TaskId, token: TaskToken) -> BoxFuture<'a, ()>;

    /// Somebody else waits for the task in their place.
    #[cfg_attr(not(feature = "stepfunctions"), allow(dead_code))]
    fn replaced<'a>(&'a self, id: &'a TaskId, token: TaskToken) -> BoxFuture<'a, ()>;
}

impl Context {
    /// Pays what a record owes.
    pub(crate) async fn settle(&self, record: &mut Tracker<RawData>) {
        if let (Some(callbacks), true) = (&self.callbacks, record.owes_callback()) {
            callbacks.settle(self, record).await;
        }
    }

    /// The same for a record whose start was refused, and for whoever was to wait for the task from then on. Returns the record as
    /// it is where it has changed before that was done. A client that tells nobody keeps the token, for one that does.
    pub(crate) async fn settle_refused(
        &self,
        record: &mut Tracker<RawData>,
        token: Option<TaskToken>,
    ) -> Result<Option<Tracker<RawData>>, Error> {
        match (&self.callbacks, token.filter(|_| record.status.is_final())) {
            (Some(callbacks), Some(token)) => callbacks.answer(self, record, token).await,
            (None, Some(token)) => Box::pin(self.owe(record, &token)).await,
            (_, None) => {
                self.settle(record).await;
                Ok(None)
            }
        }
    }

    /// The same for a record that may owe something, of which only this much is at hand.
    pub(crate) async fn settle_stored<D>(&self, record: &mut Tracker<D>) {
        let Some(callbacks) = self.callbacks.as_ref().filter(|_| record.status.is_final()) else { return };
        if let Some(stored) = callbacks.settle_stored(self, &record.id).await
            && stored.version() == record.version()
        {
            (record.callback, record.expire_at) = (stored.callback, stored.expire_at);
        }
    }

    /// Has a record that is over owe somebody new. Who is still to be told does not make room: they were promised that the next look
    /// tells them, and whoever comes can say it again. Returns the record as it is where it is not as seen any more.
    pub(crate) async fn owe(
        &self,
        record: &mut Tracker<RawData>,
        token: &TaskToken,
    ) -> Result<Option<Tracker<RawData>>, Error> {
        if record.callback.as_ref().is_none_or(|before| before == token) {
            return self.put_callback(record, token).await;
        }
        let message = "another state is still to be told that it is over, and there is room for one; have a client with callbacks look at \
                       it, and say it again";
        Err(Error::new(ErrorKind::Changed, message).about(&record.id))
    }

    /// Puts a token on the record in the place of the one that it has. Returns the record as it is where it is not as seen any more.
    pub(crate) async fn put_callback(
        &self,
        record: &mut Tracker<RawData>,
        token: &TaskToken,
    ) -> Result<Option<Tracker<RawData>>, Error> {
        let (id, seen) = (&record.id, record.version());
        let update = expression::call_back(token, seen, record.callback.as_ref(), &self.codec);
        match self.table.update("have somebody called back by it", id, update, Want::default()).await? {
            Written::Done(_) => {
                record.wait_for(token);
                Ok(None)
            }
            Written::Refused { item, .. } => match self.decode(id, item)? {
                // Our own write, whose answer was lost.
                Some(stored) if stored.callback.as_ref() == Some(token) => {
                    *record = stored;
                    Ok(None)
                }
                Some(stored) => Ok(Some(stored)),
                None => Err(Error::changed(None, id)),
            },
        }
    }
}
