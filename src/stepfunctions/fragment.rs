//! States that take a task and record its outcome with no code: the crate's own writes, in the Amazon States Language.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::jsonata::{self, expression, literal};
use crate::client::{LONGEST, check, check_lease, check_max_attempts};
use crate::error::{Error, ErrorKind};
use crate::expression::{self as write, Update};
use crate::protocol::{Acquire, End, StartOptions, Terms};
use crate::record::{LockToken, MAX_MESSAGE_BYTES, MAX_TYPE_BYTES, TaskId};
use crate::schema::{Codec, Index, KeySchema, MAX_SHARDS, attr};
use crate::status::{Status, StatusSet};

/// The variable of the state machine that holds what the outcome needs of the start.
const VARIABLE: &str = "tracker";

/// How many errors a record keeps, as a client does by default.
const HISTORY: usize = 10;

/// DynamoDB's name, in a state machine, for a write whose condition is not met.
const REFUSED: &str = "DynamoDB.ConditionalCheckFailedException";

/// States of a state machine that take a task and record its outcome with no code at all: DynamoDB's `updateItem`, called by Step
/// Functions itself, with the conditions and updates that a [`TrackerClient`](crate::TrackerClient) sends.
///
/// Each is one *Task* state in JSONata, to be put under a name of its own into the `States` of a machine. [`start`](Self::start)
/// takes the task, and keeps its lock in the variable `$tracker` of the state machine; its output is its input.
/// [`succeed`](Self::succeed) and [`fail`](Self::fail) record the outcome. The item is one that any client reads, lists, redrives
/// and works on, and one that a client has made can be taken.
///
/// ```
/// use dynamo_tracker::stepfunctions::Fragment;
///
/// let fragment = Fragment::new("tasks", "orders").id("$states.input.order_id").next("Charge").otherwise("Taken");
/// let state = fragment.start()?;
/// assert_eq!(state["Resource"], "arn:aws:states:::dynamodb:updateItem");
/// assert_eq!(state["Arguments"]["ExpressionAttributeValues"][":token"]["S"], "{% $uuid() %}");
/// assert_eq!(state["Catch"][0]["ErrorEquals"][0], "DynamoDB.ConditionalCheckFailedException");
/// # Ok::<(), dynamo_tracker::Error>(())
/// ```
///
/// The lock is taken in the name of execution, state and Map item. So a retry of the state, by its own `Retry` or a redrive, has the
/// task again at once, although its answer was lost, as long as it has attempts left; any other execution is refused until the lease
/// ends. Two that bear one name would both have the task: items of the same index in Maps within Maps, unless
/// [`within`](Self::within) tells them apart, and runs of an asynchronous Express workflow, which Step Functions may start twice.
///
/// # What one request can't do
///
/// A client looks at the record that comes with a refusal, and sometimes writes once more. A state machine gets the error alone,
/// whatever the reason is: locked, done, not due, exhausted, ignored. A `dynamodb:getItem` after it tells them apart. And so a
/// fragment does not
///
/// * begin a record anew whose [retention](crate::TrackerClientBuilder::retention) is over: it is refused until DynamoDB has deleted
///   it, which takes up to some days;
/// * mark a task exhausted whose last attempt was abandoned: it is refused, and the next client that looks does that;
/// * take its last attempt again, when the answer was lost and the write was in: the retry counts as one more, of which none is left, so it
///   is refused, and the lease ends with nothing done. With [one attempt](Self::max_attempts), any lost answer comes to that;
/// * know its own outcome again when the answer was lost and the write was in: the retry is refused, though `last_lock` of the item is
///   the lock that was held;
/// * take a task that counts in a [`Batch`](crate::Batch), since its end is counted in a transaction: it is refused;
/// * tell a state that [waits for the task](super::Callbacks): the next look of a client does, so give no retention where one may wait.
///
/// The history of an execution shows what a start changes and what an outcome says, so the owner and the messages of the task's errors,
/// but neither its data nor a state's token.
///
/// Nor is there a heartbeat: let the lease be longer than the work may take, with the `TimeoutSeconds` of its states below it.
///
/// # The index
///
/// A task's place in the index is a hash that a state machine can't compute. Here it is in any shard: whoever reads the index reads
/// all shards, and the next write of a client moves the task to its own. Let [`index`](Self::index) be the clients' number of shards,
/// or none where they keep no index.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fragment {
    table: String,
    namespace: String,
    id: String,
    error: String,
    cause: String,
    lease: Duration,
    skew: Duration,
    max_attempts: u32,
    retention: Option<Duration>,
    index: Option<Index>,
    fatal: bool,
    within: Option<String>,
    next: Option<String>,
    otherwise: Option<String>,
}

impl Fragment {
    /// For the tasks of a namespace in a table. The table's name is not looked at, and may be one that CloudFormation puts in.
    pub fn new(table: impl Into<String>, namespace: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            namespace: namespace.into(),
            id: "$states.input.id".to_owned(),
            error: "$states.input.error.Error".to_owned(),
            cause: "$states.input.error.Cause".to_owned(),
            lease: Duration::from_secs(900),
            skew: Duration::from_secs(1),
            max_attempts: 3,
            retention: None,
            index: None,
            fatal: false,
            within: None,
            next: None,
            otherwise: None,
        }
    }

    /// The task's id, in JSONata. `$states.input.id` by default.
    pub fn id(self, expression: impl Into<String>) -> Self {
        Self { id: expression.into(), ..self }
    }

    /// The name and the cause of the error that [`fail`](Self::fail) records, in JSONata: what `$states.errorOutput` had in the `Catch`
    /// that led there. `$states.input.error.Error` and `$states.input.error.Cause` by default.
    pub fn error(self, error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { error: error.into(), cause: cause.into(), ..self }
    }

    /// Where the state is, in JSONata, beside execution, state and Map item: in a Map within a Map, what tells the items of the outer one
    /// apart, such as a variable assigned there. Nothing by default.
    ///
    /// ```
    /// use dynamo_tracker::stepfunctions::Fragment;
    ///
    /// let state = Fragment::new("tasks", "orders").within("$outer_index").start()?;
    /// let owner = state["Arguments"]["ExpressionAttributeValues"][":owner"]["S"].as_str();
    /// assert!(owner.unwrap().ends_with("& '#' & $states.context.State.Name & '#' & $string($outer_index) %}"));
    /// # Ok::<(), dynamo_tracker::Error>(())
    /// ```
    pub fn within(self, expression: impl Into<String>) -> Self {
        Self { within: Some(expression.into()), ..self }
    }

    /// How long others are kept away. 900 seconds by default.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// How often the task is tried before it is exhausted. 3 by default.
    pub fn max_attempts(self, limit: u32) -> Self {
        Self { max_attempts: limit, ..self }
    }

    /// The clock error that is tolerated. 1 second by default, as a client's.
    pub fn skew(self, skew: Duration) -> Self {
        Self { skew, ..self }
    }

    /// How long a task is kept once it has succeeded. For ever by default, as one is that has failed.
    pub fn retention(self, retention: Duration) -> Self {
        Self { retention: Some(retention), ..self }
    }

    /// Keeps the index, of so many shards. None is kept by default.
    pub fn index(self, shards: u16) -> Self {
        Self { index: Some(Index { shards }), ..self }
    }

    /// Has [`fail`](Self::fail) record that no other attempt would help.
    pub fn fatal(self) -> Self {
        Self { fatal: true, ..self }
    }

    /// The state that follows. Without one, the state machine ends.
    pub fn next(self, state: impl Into<String>) -> Self {
        Self { next: Some(state.into()), ..self }
    }

    /// The state that follows where DynamoDB refuses the write: the task can't be taken, or the lock was lost. It has the input, and
    /// `error` besides. Without one, the state machine fails.
    pub fn otherwise(self, state: impl Into<String>) -> Self {
        Self { otherwise: Some(state.into()), ..self }
    }

    /// The state that takes the task.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): a value that no client would take.
    pub fn start(&self) -> Result<Value, Error> {
        self.check()?;
        let mut arguments = self.arguments(&self.acquire(&Sample::default()))?;
        // Not all of the item: the history of an execution would have the task's data, and the token of a state that waits for it.
        arguments["ReturnValues"] = json!("UPDATED_NEW");
        let attribute = |name: &str, kind: &str| format!("$states.result.Attributes.{name}.{kind}");
        let number = |name: &str| expression(&format!("$number({})", attribute(name, "N")));
        let variable = json!({
            "lock": expression(&attribute(attr::LOCK, "S")),
            "attempts": number(attr::ATTEMPTS),
            "max_attempts": number(attr::MAX_ATTEMPTS),
            "generation": number(attr::GENERATION),
            "errors": expression(&format!("[{}]", attribute(attr::ERRORS, "L"))),
        });
        let mut state = self.state(arguments);
        state["Assign"] = json!({ VARIABLE: variable });
        // A copy of this very write that came a second time is refused as if somebody else had the task. A new one is not.
        let once_more = json!({ "ErrorEquals": [REFUSED], "IntervalSeconds": 1, "MaxAttempts": 1 });
        state["Retry"] = json!([once_more, retry()]);
        Ok(state)
    }

    /// The state that records the success.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn succeed(&self) -> Result<Value, Error> {
        self.check()?;
        Ok(self.state(self.arguments(&self.end(Status::Succeeded, &Sample::default())?)?))
    }

    /// The state that records a failure: the task is exhausted where its attempts are used up, else it may be tried again at once.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn fail(&self) -> Result<Value, Error> {
        self.check()?;
        let of = |status| self.arguments(&self.end(status, &Sample::default())?);
        let exhausted = of(Status::Exhausted)?;
        if self.fatal {
            return Ok(self.state(exhausted));
        }
        let more = format!("${VARIABLE}.attempts < ${VARIABLE}.max_attempts");
        Ok(self.state(jsonata::either(&more, &of(Status::Failed)?, &exhausted)))
    }

    fn check(&self) -> Result<(), Error> {
        let invalid = |error: crate::InvalidTaskId| Error::new(ErrorKind::InvalidArgument, error.to_string());
        crate::record::check_namespace(&self.namespace).map_err(invalid)?;
        check(!self.table.is_empty(), "the table's name is missing")?;
        check_lease(self.lease, self.skew)?;
        check_max_attempts(self.max_attempts)?;
        let kept = self.retention.is_none_or(|kept| (Duration::from_secs(1)..=LONGEST).contains(&kept));
        check(kept, "the retention must be from one second to ten years")?;
        let shards = self.index.is_none_or(|index| (1..=MAX_SHARDS).contains(&index.shards));
        check(shards, &format!("the index has from 1 to {MAX_SHARDS} shards"))
    }

    fn state(&self, arguments: Value) -> Value {
        let mut state = json!({
            "Type": "Task",
            "QueryLanguage": "JSONata",
            "Resource": "arn:aws:states:::dynamodb:updateItem",
            "Arguments": arguments,
            "Output": expression("$states.input"),
            "Retry": [retry()],
        });
        if let Some(otherwise) = &self.otherwise {
            let output = expression("$merge([$states.input, {'error': $states.errorOutput}])");
            state["Catch"] = json!([{ "ErrorEquals": [REFUSED], "Output": output, "Next": otherwise }]);
        }
        match &self.next {
            Some(next) => state["Next"] = json!(next),
            None => state["End"] = json!(true),
        }
        state
    }

    /// The request, with an expression in the place of each value that is known only when it is sent.
    fn arguments(&self, update: &Update) -> Result<Value, Error> {
        let mut values = Map::new();
        for (placeholder, value) in sorted(&update.values) {
            values.insert(placeholder.clone(), self.value(placeholder, value)?);
        }
        let names: Map<_, _> = sorted(&update.names).into_iter().map(|(name, of)| (name.clone(), json!(of))).collect();
        Ok(json!({
            "TableName": self.table,
            "Key": { KEY: { "S": expression(&self.key()) } },
            "ConditionExpression": update.condition,
            "UpdateExpression": update.update(),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }))
    }

    fn key(&self) -> String {
        let (namespace, id) = (literal(&format!("{}#", self.namespace)), &self.id);
        format!("($id := $string({id}); $id ? {namespace} & $id : $error('the task has no id'))")
    }

    fn value(&self, placeholder: &str, sample: &AttributeValue) -> Result<Value, Error> {
        let number = |text: String| json!({ "N": expression(&format!("$string({text})")) });
        let (lease, skew) = (self.lease.as_millis(), self.skew.as_millis());
        Ok(match placeholder {
            ":token" => json!({ "S": expression("$uuid()") }),
            ":lock" => json!({ "S": expression(&format!("${VARIABLE}.lock")) }),
            ":owner" => json!({ "S": expression(&self.owner()) }),
            ":now" => number("$millis()".to_owned()),
            ":expires" => number(format!("$millis() + {lease}")),
            // What is due at once stands the skew before now, so that it is due by every clock.
            ":ran_out" | ":due_time" => number(format!("$millis() - {skew}")),
            ":expire_at" => {
                let kept = self.retention.unwrap_or_default().as_millis();
                number(format!("$ceil(($millis() + {kept}) / 1000)"))
            }
            ":none" => json!({ "L": [] }),
            ":errors" => json!({ "L": expression(&self.errors()) }),
            ":shard" => json!({ "S": expression(&self.shard(sample)?) }),
            _ => constant(sample)?,
        })
    }

    fn owner(&self) -> String {
        match &self.within {
            Some(within) => format!("{OWNER} & '#' & $string({within})"),
            None => OWNER.to_owned(),
        }
    }

    /// Any shard of the partition that the sample is in.
    fn shard(&self, sample: &AttributeValue) -> Result<String, Error> {
        let partition = sample.as_s().ok().and_then(|partition| partition.rsplit_once('#'));
        let (partition, _) = partition.ok_or_else(|| unknown(sample))?;
        let shards = self.index.map_or(1, |index| index.shards);
        Ok(format!("{} & $formatInteger($floor($random() * {shards}), '00')", literal(&format!("{partition}#"))))
    }

    /// The history with the new error, as [`AttemptError`](crate::AttemptError) is stored. What is too long loses its end.
    fn errors(&self) -> String {
        let text = |of: &str, most: usize| format!("{{'S': $substring('' & {of}, 0, {most})}}");
        let number = |of: &str| format!("{{'N': $string({of})}}");
        let error = format!(
            "{{'M': {{'attempt': {}, 'time': {}, 'type': {}, 'message': {}}}}}",
            number(&format!("${VARIABLE}.attempts")),
            number("$millis()"),
            text(&self.error, MAX_TYPE_BYTES),
            text(&self.cause, MAX_MESSAGE_BYTES),
        );
        // In brackets, since JSONata makes of a list of one its only member.
        format!("[$append(${VARIABLE}.errors, [{error}])[[-{HISTORY}..-1]]]")
    }

    /// The client's own first request of a start.
    fn acquire(&self, sample: &Sample) -> Update {
        let options = StartOptions::new().reentrant_owner("");
        let terms = Terms {
            now: sample.now,
            lease: self.lease,
            skew: self.skew,
            max_attempts: self.max_attempts,
            previous_succeeded: None,
            indexed: self.index.is_some(),
        };
        let update = write::acquire(&Acquire::new(&options, sample.token, terms), &sample.id(self), &self.codec());
        let mut update = write::uncounted(update);
        // As they are, so that they are among what is returned.
        update.value(":none", AttributeValue::L(Vec::new())).set("errors = if_not_exists(errors, :none)");
        update
    }

    /// The client's own request of an outcome.
    fn end(&self, status: Status, sample: &Sample) -> Result<Update, Error> {
        let succeeded = status == Status::Succeeded;
        let indexed = self.index.is_some() && StatusSet::default().is_indexed(status);
        let end = End {
            token: sample.token,
            now: sample.now,
            status,
            attempts: None,
            errors: (!succeeded).then(Vec::new),
            due_time: indexed.then_some(sample.now),
            expire_at: self.retention.filter(|_| succeeded).map(|_| sample.now),
        };
        write::end(&end, &sample.id(self), None, &self.codec())
    }

    fn codec(&self) -> Codec {
        let key = KeySchema { partition: KEY.to_owned(), sort: None };
        Codec { key, statuses: StatusSet::default(), index: self.index, packing: None }
    }
}

/// The table's partition key.
const KEY: &str = "id";

/// Execution, item and state: there is never more than one at a time. What is not there, such as the item outside of a Map, is the
/// empty text.
const OWNER: &str =
    "$states.context.Execution.Id & '#' & $states.context.Map.Item.Index & '#' & $states.context.State.Name";

/// Values for what is known only when a request is sent. What is made of them is replaced.
struct Sample {
    id: &'static str,
    now: DateTime<Utc>,
    token: LockToken,
}

impl Default for Sample {
    fn default() -> Self {
        Self { id: "id", now: DateTime::UNIX_EPOCH, token: LockToken::from_u128(0) }
    }
}

impl Sample {
    fn id(&self, fragment: &Fragment) -> TaskId {
        TaskId::new(&fragment.namespace, self.id).expect("the namespace was checked")
    }
}

/// What goes away with another try. All else is a mistake in the definition or the permissions.
fn retry() -> Value {
    let errors = [
        "DynamoDB.InternalServerErrorException",
        "DynamoDB.InternalServerError",
        "DynamoDB.ProvisionedThroughputExceededException",
        "DynamoDB.RequestLimitExceeded",
        "DynamoDB.RequestLimitExceededException",
        "DynamoDB.ServiceUnavailableException",
        "DynamoDB.ThrottlingException",
        "DynamoDB.SdkClientException",
        "States.Timeout",
    ];
    json!({ "ErrorEquals": errors, "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 5, "JitterStrategy": "FULL" })
}

/// In one order each time, for people and for tests.
fn sorted<V>(map: &std::collections::HashMap<String, V>) -> std::collections::BTreeMap<&String, &V> {
    map.iter().collect()
}

fn constant(value: &AttributeValue) -> Result<Value, Error> {
    match value {
        AttributeValue::S(text) => Ok(json!({ "S": text })),
        AttributeValue::N(digits) => Ok(json!({ "N": digits })),
        other => Err(unknown(other)),
    }
}

fn unknown(value: &AttributeValue) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("a state machine can't be told the value {value:?}; report this"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::TaskId;

    fn all() -> [Fragment; 3] {
        let plain = Fragment::new("tasks", "orders");
        let kept = plain.clone().retention(Duration::from_secs(60)).lease(Duration::from_secs(30)).max_attempts(7);
        [plain, kept.clone(), kept.index(8)]
    }

    fn updates(fragment: &Fragment, sample: &Sample) -> Vec<Update> {
        let ends = [Status::Succeeded, Status::Failed, Status::Exhausted];
        let ends = ends.map(|status| fragment.end(status, sample).unwrap());
        std::iter::once(fragment.acquire(sample)).chain(ends).collect()
    }

    /// What differs from one request to the next must not stand in a definition as it is.
    #[test]
    fn nothing_of_a_sample_is_left() {
        let other = Sample {
            id: "another",
            now: DateTime::from_timestamp_millis(77_777).unwrap(),
            token: LockToken::from_u128(7),
        };
        for fragment in all() {
            for (one, other) in updates(&fragment, &Sample::default()).iter().zip(updates(&fragment, &other)) {
                assert_eq!(fragment.arguments(one).unwrap(), fragment.arguments(&other).unwrap());
            }
        }
    }

    /// The text of the requests is a client's own, but that the start asks for the errors too.
    #[test]
    fn the_requests_are_those_of_a_client() {
        let id = TaskId::new("orders", "A1").unwrap();
        for fragment in all() {
            let codec = fragment.codec();
            let terms = Terms {
                now: DateTime::UNIX_EPOCH,
                lease: fragment.lease,
                skew: fragment.skew,
                max_attempts: fragment.max_attempts,
                previous_succeeded: None,
                indexed: codec.index.is_some(),
            };
            let options = StartOptions::new().reentrant_owner("somebody");
            let mut start = write::acquire(&Acquire::new(&options, LockToken::random(), terms), &id, &codec);
            start.value(":none", AttributeValue::L(Vec::new())).set("errors = if_not_exists(errors, :none)");
            let ours = fragment.start().unwrap()["Arguments"].clone();
            let condition = format!("{} AND attribute_not_exists(#batch)", start.condition);
            assert_eq!(ours["ConditionExpression"], condition);
            assert_eq!(ours["UpdateExpression"], start.update());
            let values: Vec<_> = ours["ExpressionAttributeValues"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(values, sorted(&start.values).into_keys().cloned().collect::<Vec<_>>());
        }
    }

    /// To the letter: an interpreter on the same clock does not see a second too many.
    #[test]
    fn times_and_shards_are_a_clients() {
        let fragment =
            Fragment::new("tasks", "orders").lease(Duration::from_secs(30)).skew(Duration::from_secs(2)).index(8);
        let fragment = fragment.retention(Duration::from_secs(60));
        let value = |state: Value, name: &str, kind: &str| {
            state["Arguments"]["ExpressionAttributeValues"][name][kind].as_str().unwrap().to_owned()
        };
        let start = fragment.start().unwrap();
        assert_eq!(value(start.clone(), ":now", "N"), "{% $string($millis()) %}");
        assert_eq!(value(start.clone(), ":expires", "N"), "{% $string($millis() + 30000) %}");
        assert_eq!(value(start.clone(), ":ran_out", "N"), "{% $string($millis() - 2000) %}");
        let shard = |partition| format!("{{% '{partition}#' & $formatInteger($floor($random() * 8), '00') %}}");
        assert_eq!(value(start, ":shard", "S"), shard("orders#10"));
        let succeed = fragment.succeed().unwrap();
        assert_eq!(value(succeed, ":expire_at", "N"), "{% $string($ceil(($millis() + 60000) / 1000)) %}");
        let fail = fragment.clone().fatal().fail().unwrap();
        assert_eq!(value(fail.clone(), ":due_time", "N"), "{% $string($millis() - 2000) %}");
        assert_eq!(value(fail, ":shard", "S"), shard("orders#30"));
    }

    #[test]
    fn what_no_client_would_take_is_refused() {
        let good = || Fragment::new("tasks", "orders");
        for bad in [
            Fragment::new("", "orders"),
            Fragment::new("tasks", "a#b"),
            good().lease(Duration::from_millis(500)),
            good().max_attempts(0),
            good().retention(Duration::ZERO),
            good().index(0),
            good().index(2000),
        ] {
            let error = bad.start().and(bad.succeed()).and(bad.fail()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
        }
    }

    /// A failure is one state: what differs between a task with attempts left and one without is chosen when it runs.
    #[test]
    fn a_failure_is_one_state_or_the_other() {
        let state = Fragment::new("tasks", "orders").index(8).fail().unwrap();
        let values = &state["Arguments"]["ExpressionAttributeValues"];
        assert_eq!(values[":status"]["N"], "{% $tracker.attempts < $tracker.max_attempts ? '20' : '30' %}");
        assert!(values[":shard"]["S"].as_str().unwrap().contains("'orders#20#'"), "{values}");
        let fatal = Fragment::new("tasks", "orders").fatal().fail().unwrap();
        assert_eq!(fatal["Arguments"]["ExpressionAttributeValues"][":status"]["N"], "30");
    }
}
