//! Telling states that wait for a task (`waitForTaskToken`).

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use aws_sdk_sfn::Client;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::json::to_json;
use super::reply::{Reply, Taken, heartbeat};
use crate::callback::CallBack;
use crate::client::{NewTask, TrackerClient};
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::expression;
use crate::record::{RawData, TaskId, TaskToken, Tracker};
use crate::schema::Data;
use crate::table::{Want, Written};

/// A state can be put on a record that others change all the time this often, before something is wrong.
const MAX_ROUNDS: u32 = 8;

type Connect = dyn Fn() -> BoxFuture<'static, Client> + Send + Sync;
type Output = dyn Fn(&Tracker<RawData>) -> Value + Send + Sync;
type OnError = dyn Fn(&TaskId, &Error) + Send + Sync;

/// Tells states of AWS Step Functions that wait for a task (`.waitForTaskToken`) when it is over.
///
/// A state that waits has a *task token*. It is kept on the task's record, put there by
/// [`call_back`](TrackerClient::call_back), [`NewTask::callback`](crate::NewTask::callback) or
/// [`StartOptions::callback`](crate::StartOptions::callback). A client that is [built with this](crate::TrackerClientBuilder::callbacks)
/// tells the state when it records the end of the task, however that comes about: by a lease, a worker, an operator, or a start
/// which finds that the attempts are used up.
///
/// | the task is | the state |
/// | --- | --- |
/// | succeeded | goes on, with the task's data as its output |
/// | exhausted | fails with `TaskExhausted` and the last error as its cause |
/// | ignored | fails with `TaskIgnored` |
/// | deleted before it was over | fails with `TaskDeleted` |
/// | succeeded, with data over the 256 KiB of an output | fails with `ResponseTooLarge` |
/// | succeeded, and its data was [not kept](crate::Tracker::data_not_kept), since the item would have been over 400 KB with it | fails with `ResponseNotKept` |
/// | waited for by another token from now on | fails with `CallbackReplaced` (by [`call_back`](TrackerClient::call_back); a start tells nobody) |
///
/// A task that has failed and may be tried again is not over, and its state waits on. A record has room for one token: that of a
/// state that was retried takes the place of the one before, which is of no use any more. Once the task is over, it does so only after
/// the one before was told.
///
/// # When Step Functions can't be told
///
/// The outcome stands, and the token stays on the record: [`Tracker::owes_callback`](crate::Tracker::owes_callback). The next look
/// tells it then, by any client that has this: a [`load`](TrackerClient::load), a start that is refused. It is taken off only when
/// Step Functions took it, or said that the state waits no more (`TaskTimedOut`, `TaskDoesNotExist`). `InvalidToken` is what it says
/// to a client of another region or account as well, so the token stays for one of the right place. It may be
/// told twice, of which the second is refused there and does no harm. A client that can't unpack a task's data does not tell its
/// success, and leaves that to one that can. A record that is still to be told of does not expire: no
/// outcome with an expiry is written to a task that somebody waits for, and the
/// [retention](crate::TrackerClientBuilder::retention) counts from when they were told. A client without this neither knows nor tells
/// them: where it makes a task anew in the place of an expired one, they are forgotten.
///
/// Give the state a `TimeoutSeconds` all the same. Where nobody ever looks, nobody is told.
///
/// # What it costs
///
/// To know whether somebody waits, the answer to an outcome has the whole item. An outcome that is a transaction, by
/// [`succeed_with`](crate::Lease::succeed_with) and the like or of a task of a [batch](crate::Batch), shows nothing, and takes one
/// `GetItem` more.
///
/// # Permissions
///
/// `states:SendTaskSuccess` and `states:SendTaskFailure` on `*`: IAM knows no resource for a token. Whoever has states wait, by
/// [`call_back`](TrackerClient::call_back), needs `states:SendTaskHeartbeat` too, to ask whether a token that would displace another
/// still has somebody who waits.
///
/// ```no_run
/// # async fn example(sdk_client: aws_sdk_dynamodb::Client, config: aws_config::SdkConfig) -> Result<(), Box<dyn std::error::Error>> {
/// use dynamo_tracker::stepfunctions::Callbacks;
/// use dynamo_tracker::{NewTask, TaskToken, TrackerClient};
///
/// let callbacks = Callbacks::new(aws_sdk_sfn::Client::new(&config));
/// let client = TrackerClient::<u32>::builder(sdk_client).table("tasks").namespace("orders").callbacks(callbacks).build()?;
///
/// // What the state invoked, with its token:
/// let token: TaskToken = "AAAAKgAAAAIAAAAAAAAAAc".parse()?;
/// client.call_back(NewTask::new("order-42"), token).await?;
///
/// // Any process, at any time later:
/// let mut lease = client.start("order-42").await?;
/// lease.set_data(1999)?;
/// lease.succeed().await?; // and the state goes on with the output 1999
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Callbacks {
    connect: Arc<Connect>,
    client: Arc<OnceCell<Client>>,
    output: Arc<Output>,
    on_error: Option<Arc<OnError>>,
}

impl Callbacks {
    /// By this client of Step Functions.
    pub fn new(client: Client) -> Self {
        let connected = client.clone();
        let callbacks = Self::lazily(move || std::future::ready(client.clone()));
        Self { client: Arc::new(OnceCell::new_with(Some(connected))), ..callbacks }
    }

    /// By a client of Step Functions that is made when somebody is to be told, and not before.
    pub fn lazily<F, Fut>(connect: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Client> + Send + 'static,
    {
        let output = |record: &Tracker<RawData>| record.data.as_attribute_value().map(to_json).unwrap_or_default();
        Self {
            connect: Arc::new(move || connect().boxed()),
            client: Arc::default(),
            output: Arc::new(output),
            on_error: None,
        }
    }

    /// What the output of a state is, whose task has succeeded. By default it is the task's data as JSON, in which bytes are base64
    /// and sets are lists; `null` without data. Not asked where the data was [not kept](crate::Tracker::data_not_kept).
    pub fn output(mut self, output: impl Fn(&Tracker<RawData>) -> Value + Send + Sync + 'static) -> Self {
        self.output = Arc::new(output);
        self
    }

    /// Calls this where somebody could not be told, and is owed it. It is logged as well.
    pub fn on_error(mut self, hook: impl Fn(&TaskId, &Error) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(hook));
        self
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| (self.connect)()).await
    }

    /// Tells whoever waits for a record that is over, and takes their token off it.
    async fn pay(&self, context: &Context, record: &mut Tracker<RawData>) -> Result<(), Error> {
        let Some(token) = record.callback.clone() else { return Ok(()) };
        if self.tell(record, &token).await? {
            take_off(context, record, &token).await?;
        }
        Ok(())
    }

    /// Returns whether there was something to tell.
    async fn tell(&self, record: &Tracker<RawData>, token: &TaskToken) -> Result<bool, Error> {
        let Some(reply) = Reply::of(record, &*self.output)? else { return Ok(false) };
        match self.send(&record.id, token, &reply).await? {
            Taken::Now | Taken::Stale => Ok(true),
            Taken::Unknown => Err(unknown(&record.id)),
        }
    }

    async fn send(&self, id: &TaskId, token: &TaskToken, reply: &Reply) -> Result<Taken, Error> {
        let taken = reply.send(self.client().await, token).await.map_err(|error| error.about(id))?;
        match taken {
            Taken::Now => tracing::info!(task = ?id, "told the state that waits for it"),
            Taken::Stale => tracing::info!(task = ?id, "the state that waited for it waits no more"),
            Taken::Unknown => tracing::warn!(task = ?id, "no such task token is known here, so no state was told"),
        }
        Ok(taken)
    }

    fn failed(&self, id: &TaskId, error: &Error) {
        tracing::warn!("the state that waits for it was not told, and is told by the next look: {error}");
        if let Some(hook) = &self.on_error {
            hook(id, error);
        }
    }
}

impl CallBack for Callbacks {
    fn settle<'a>(&'a self, context: &'a Context, record: &'a mut Tracker<RawData>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Err(error) = self.pay(context, record).await else { return };
            self.failed(&record.id, &error);
            // Whoever ended the task with no code of this crate did not know that it must not expire yet.
            if let (Some(token), Some(_)) = (record.callback.clone(), record.expire_at)
                && let Err(error) = context.put_callback(record, &token).await
            {
                tracing::warn!("its record may expire before the state that waits for it is told: {error}");
            }
        })
    }

    fn settle_stored<'a>(&'a self, context: &'a Context, id: &'a TaskId) -> BoxFuture<'a, Option<Tracker<RawData>>> {
        Box::pin(async move {
            let stored = context.table.get(id, None).await.and_then(|item| context.decode(id, item));
            let mut record = stored.inspect_err(|error| self.failed(id, error)).ok().flatten()?;
            if record.owes_callback() {
                self.settle(context, &mut record).await;
            }
            Some(record)
        })
    }

    fn tell_last<'a>(&'a self, record: &'a Tracker<RawData>, token: &'a TaskToken) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if let Some(reply) = Reply::of(record, &*self.output)? {
                // One that is not known here would keep the record for ever where there is no such state.
                self.send(&record.id, token, &reply).await?;
            }
            Ok(())
        })
    }

    fn answer<'a>(
        &'a self,
        context: &'a Context,
        record: &'a mut Tracker<RawData>,
        token: TaskToken,
    ) -> BoxFuture<'a, Result<Option<Tracker<RawData>>, Error>> {
        Box::pin(async move {
            if record.owes_callback() && record.callback.as_ref() != Some(&token) {
                self.settle(context, record).await;
            }
            let Err(untold) = self.tell(record, &token).await else { return Ok(None) };
            // It is owed from now on.
            match context.owe(record, &token).await {
                Ok(None) => {
                    self.failed(&record.id, &untold);
                    Ok(None)
                }
                Ok(changed) => Ok(changed),
                Err(error) => Err(lost(&untold, error).about(&record.id)),
            }
        })
    }

    fn waits<'a>(&'a self, id: &'a TaskId, token: &'a TaskToken) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let taken = heartbeat(self.client().await, token).await.map_err(|error| error.about(id))?;
            Ok(taken != Taken::Stale)
        })
    }

    fn deleted<'a>(&'a self, id: &'a TaskId, token: TaskToken) -> BoxFuture<'a, ()> {
        self.refuse(id, token, "TaskDeleted", "the task that it waits for was deleted")
    }

    fn replaced<'a>(&'a self, id: &'a TaskId, token: TaskToken) -> BoxFuture<'a, ()> {
        self.refuse(id, token, "CallbackReplaced", "another state waits for the task now, in the place of this one")
    }
}

impl Callbacks {
    /// Tells a state that there is nothing to wait for any more.
    fn refuse<'a>(
        &'a self,
        id: &'a TaskId,
        token: TaskToken,
        name: &'static str,
        cause: &'static str,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.send(id, &token, &Reply::failure(name, cause)).await {
                tracing::warn!("the state that waited for it was not told, and waits until it times out: {error}");
            }
        })
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("connected", &self.client.initialized()).finish_non_exhaustive()
    }
}

/// The error for a token that Step Functions does not know. Whoever looks from the right place can tell its state yet.
fn unknown(id: &TaskId) -> Error {
    let message = "Step Functions knows no such task token here (InvalidToken); go by the region and the account of the state machine \
                   that waits for it, or delete the task if there is none";
    Error::new(ErrorKind::InvalidArgument, message).about(id)
}

/// The error for a token that has come to nothing.
fn lost(untold: &Error, unkept: Error) -> Error {
    let message = format!(
        "the state that is to wait for it was not told that it is over ({untold}), nor could its token be kept for a later \
         try ({unkept}); say it again"
    );
    // Where the record has no room for it, the way out is that it is told.
    let kind = if unkept.kind() == ErrorKind::Changed { untold.kind() } else { unkept.kind() };
    Error::new(kind, message).with_source(unkept)
}

/// Takes a token off the record, since whoever has it was told. Its retention counts from now on, unless it has changed since.
async fn take_off(context: &Context, record: &mut Tracker<RawData>, token: &TaskToken) -> Result<(), Error> {
    let action = "take the callback off it";
    let mut expire_at = context.expire_at(context.now());
    loop {
        let update = expression::told(token, record.version(), expire_at, &context.codec);
        match context.table.update(action, &record.id, update, Want::default()).await? {
            Written::Refused { .. } if expire_at.is_some() => expire_at = None,
            Written::Done(_) | Written::Refused { .. } => break,
        }
    }
    record.callback = None;
    record.expire_at = expire_at.or(record.expire_at);
    Ok(())
}

impl<D: Data> TrackerClient<D> {
    /// Has a state of a state machine wait for a task, with the token that Step Functions gave it: makes the task if there is none,
    /// and else puts the token on the one that there is. A state whose task is over is told at once, by a client that is
    /// [built with callbacks](crate::TrackerClientBuilder::callbacks). To say the same again does no harm.
    ///
    /// A record has room for one token. A state that waited before fails with `CallbackReplaced`, unless it waits no more: that is
    /// what becomes of the token that a retried state had before. Messages come late and in any order, so a client with callbacks asks
    /// first whether the new one still waits, by a heartbeat, and leaves the record as it is where it does not
    /// ([`Tracker::callback`] has the other token then).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`] for a bad id; [`ErrorKind::NotFound`] where the task was deleted in between;
    /// [`ErrorKind::Changed`] where it changes all the time; else what DynamoDB refuses. Where the task is over and Step Functions
    /// can't be told, it is no error as long as the token is on the record, for the next look to tell. It can't be put there while
    /// another state is still to be told that the task is over, nor in the place of another where Step Functions can't be asked.
    pub async fn call_back(&self, task: impl Into<NewTask<D>>, token: TaskToken) -> Result<Tracker<D>, Error> {
        let mut stored = match self.create(task.into().callback(token.clone())).await {
            Err(error) if error.is_already_exists() => error.tracker().cloned().ok_or(error)?,
            created => return created,
        };
        for _ in 0..MAX_ROUNDS {
            match self.call_back_by(&mut stored, &token).await? {
                None => return stored.typed(),
                Some(changed) => stored = changed,
            }
        }
        let message =
            format!("can't have anybody called back by it: it changed at each of {MAX_ROUNDS} tries; try again");
        Err(Error::new(ErrorKind::Changed, message).about(&stored.id))
    }

    /// Returns the record as it is where it is not as seen any more.
    async fn call_back_by(
        &self,
        stored: &mut Tracker<RawData>,
        token: &TaskToken,
    ) -> Result<Option<Tracker<RawData>>, Error> {
        let context = &self.context;
        if stored.callback.as_ref() == Some(token) {
            context.settle(stored).await;
            return Ok(None);
        }
        if stored.status.is_final() {
            return context.settle_refused(stored, Some(token.clone())).await;
        }
        let before = stored.callback.clone();
        if let (Some(_), Some(callbacks)) = (&before, &context.callbacks)
            && !callbacks.waits(&stored.id, token).await?
        {
            tracing::info!(task = ?stored.id, "whoever was to wait for it waits no more, and displaces nobody");
            return Ok(None);
        }
        let changed = context.put_callback(stored, token).await?;
        if let (None, Some(before), Some(callbacks)) = (&changed, before, &context.callbacks) {
            callbacks.replaced(&stored.id, before).await;
        }
        Ok(changed)
    }
}
