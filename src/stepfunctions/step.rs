//! A step of a state machine, as its context object says it.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::canonical::sha256_hex;
use crate::error::{Error, ErrorKind};
use crate::record::TaskToken;

/// Of a hash, what is enough for two values never to have the same: 128 bits.
const HASH_DIGITS: usize = 32;

/// A step of one execution of a state machine: what the *context object* says, which a definition passes on as `$$`,
/// or in `JSONata` as `$states.context`.
///
/// Only the execution and the state must be there, so a definition may pass on as much of it as it likes. `Debug` shows neither
/// the task token nor a Map's value.
///
/// ```
/// use dynamo_tracker::stepfunctions::Step;
/// use serde_json::json;
///
/// let arn = "arn:aws:states:eu-central-1:123456789012:execution:orders:run-7";
/// let context = json!({"Execution": {"Id": arn}, "State": {"Name": "Charge", "RetryCount": 2}});
/// let step = Step::from_context(&context)?;
/// assert_eq!((step.execution(), step.state(), step.retry_count()), (arn, "Charge", 2));
/// assert_eq!(step.owner(), format!("{arn}##Charge"));
/// # Ok::<(), dynamo_tracker::Error>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Step {
    context: Context,
    within: Option<Value>,
}

/// What of the context object is of use. What else is in it is left alone.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Context {
    execution: Execution,
    state: State,
    #[serde(default)]
    state_machine: Option<Named>,
    #[serde(default)]
    map: Option<Map>,
    #[serde(default)]
    task: Option<Task>,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    id: String,
    #[serde(default)]
    redrive_count: u32,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct State {
    name: String,
    #[serde(default)]
    entered_time: Option<String>,
    #[serde(default)]
    retry_count: u32,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Named {
    #[serde(default)]
    id: Option<String>,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Map {
    #[serde(default)]
    item: Option<MapItem>,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
struct Task {
    #[serde(default)]
    token: Option<String>,
}

/// The item of a Map that a step works on.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct MapItem {
    /// Its place, counted from 0.
    #[serde(default)]
    pub index: Option<u64>,
    /// Its key, where the Map goes through an object.
    #[serde(default)]
    pub key: Option<String>,
    /// The item itself.
    #[serde(default)]
    pub value: Option<Value>,
}

impl fmt::Debug for MapItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapItem").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Step {
    /// The step that a context object is of.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: the execution's ARN or the state's name is not there, or something is not what Step
    /// Functions would send.
    pub fn from_context(context: &Value) -> Result<Self, Error> {
        // What serde says may quote the value.
        let context = Context::deserialize(context).map_err(|_| not_a_context())?;
        let (execution, state) = (&context.execution.id, &context.state.name);
        // `#` ends the execution in an owner. No name of an execution has one.
        if execution.is_empty() || execution.contains('#') || state.is_empty() {
            return Err(not_a_context());
        }
        Ok(Self { context, within: None })
    }

    /// The same, within something that the context object does not show: for the step of a Map inside of another Map, where it
    /// has the inner item only. Any value that tells the outer items apart, such as the outer index. It is part of the
    /// [owner](Self::owner).
    ///
    /// ```
    /// # use dynamo_tracker::stepfunctions::Step;
    /// # use serde_json::json;
    /// let context = json!({"Execution": {"Id": "run-7"}, "State": {"Name": "Ship"}, "Map": {"Item": {"Index": 0, "Value": "box"}}});
    /// let step = Step::from_context(&context)?;
    /// assert_ne!(step.clone().within(json!(0)).owner(), step.within(json!(1)).owner());
    /// # Ok::<(), dynamo_tracker::Error>(())
    /// ```
    #[must_use]
    pub fn within(self, outer: Value) -> Self {
        Self { within: Some(outer), ..self }
    }

    /// The ARN of the execution. A redrive has the same, and each child of a Distributed Map one of its own. A redrive of the Map
    /// redrives children that are Standard workflows; those that are Express it starts anew, by another ARN.
    #[must_use]
    pub fn execution(&self) -> &str {
        &self.context.execution.id
    }

    /// How often the execution was redriven.
    #[must_use]
    pub fn redrive_count(&self) -> u32 {
        self.context.execution.redrive_count
    }

    /// The name of the state.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.context.state.name
    }

    /// When the state was entered, as Step Functions wrote it.
    #[must_use]
    pub fn entered_time(&self) -> Option<&str> {
        self.context.state.entered_time.as_deref()
    }

    /// How often the state was retried since it was entered.
    #[must_use]
    pub fn retry_count(&self) -> u32 {
        self.context.state.retry_count
    }

    /// The ARN of the state machine.
    #[must_use]
    pub fn state_machine(&self) -> Option<&str> {
        self.context.state_machine.as_ref()?.id.as_deref()
    }

    /// The item, in a Map.
    #[must_use]
    pub fn map_item(&self) -> Option<&MapItem> {
        self.context.map.as_ref()?.item.as_ref()
    }

    /// The token, where the state waits for somebody who sends it back.
    #[must_use]
    pub fn task_token(&self) -> Option<TaskToken> {
        TaskToken::new(self.context.task.as_ref()?.token.clone()?).ok()
    }

    /// The name of this step for [`StartOptions::reentrant_owner`](crate::StartOptions::reentrant_owner): a retry, a redrive
    /// and a replay of the step have it again, and no other step has it, within [limits](#what-it-cant-tell-apart). So a step whose worker died goes on at once, without
    /// waiting for the lease to end, and whoever else wants the task is refused until then.
    ///
    /// It is `EXECUTION#ITEM#STATE`. ITEM is empty outside of a Map; within one, it is the item's index and a hash of its key
    /// and value and of what the step is [within](Self::within). How often the state was retried and when it was entered are
    /// no part of it, since they change with each retry. It has about 620 bytes at most: Step Functions has names of up to
    /// 80 characters.
    ///
    /// # When the attempt before is still running
    ///
    /// The name says that there is one at a time. Step Functions begins a retry when the attempt before has failed *for it*,
    /// which may be while that still works: `TimeoutSeconds` was over, or the answer was lost. Then the retry takes the lock
    /// away from the one that works, and both work at the same time; the earlier one records nothing more and ends with
    /// [`LeaseLost`](crate::ErrorKind::LeaseLost), since the retry has a lock and a [generation](crate::Lease::generation) of
    /// its own. What the earlier one does elsewhere meanwhile no lock can stop. So:
    ///
    /// * have `TimeoutSeconds` of the state longer than the function's timeout, so that the function is gone by then;
    /// * where an effect must not happen twice all the same, pass the generation on with it, and let whoever carries it out
    ///   refuse a smaller one.
    ///
    /// # What it can't tell apart
    ///
    /// An asynchronous Express workflow runs *at least* once: Step Functions may run one execution twice at the same time, and the
    /// same step of both has one name. Neither waits for the other, and the later one takes the lock away, as above. Where that
    /// matters, use a Standard workflow, or [`StartOptions::owner`](crate::StartOptions::owner), by which the second is refused.
    ///
    /// What was started anew by another ARN, such as an Express child of a Distributed Map that is redriven, has another name, and
    /// waits for the lease of the one before to end.
    ///
    /// The context object shows the innermost Map alone. Two items of an outer Map whose inner items are equal in place and
    /// value have one name for the step; that matters only where their task has one id as well, since an owner is compared
    /// within one task. Say what they are [within](Self::within), or make it part of the id.
    #[must_use]
    pub fn owner(&self) -> String {
        format!("{}#{}#{}", self.execution(), self.item(), self.state())
    }

    fn item(&self) -> String {
        let item = self.map_item();
        if item.is_none() && self.within.is_none() {
            return String::new();
        }
        let index = item.and_then(|item| item.index).map(|index| index.to_string()).unwrap_or_default();
        // In a list, so that being within `null` is not being within nothing.
        let within = self.within.as_ref().map(|outer| [outer]);
        let parts = json!([item.map(|item| (&item.key, &item.value)), within]);
        format!("{index}.{}", &sha256_hex(&parts)[..HASH_DIGITS])
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("execution", &self.execution())
            .field("state", &self.state())
            .field("map_item", &self.map_item())
            .field("retry_count", &self.retry_count())
            .finish_non_exhaustive()
    }
}

fn not_a_context() -> Error {
    let message = "this is no context object of Step Functions: Execution.Id and State.Name must be there; pass it on as \
                   \"context.$\": \"$$\", or \"{% $states.context %}\" in JSONata";
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const ARN: &str = "arn:aws:states:us-east-1:123456789012:execution:orders:run-7";

    fn whole() -> Value {
        json!({
            "Execution": {
                "Id": ARN, "Input": {"secret": 1}, "Name": "run-7", "RoleArn": "arn:aws:iam::123456789012:role/r",
                "StartTime": "2026-11-24T12:00:00.000Z", "RedriveCount": 1, "RedriveTime": "2026-11-24T13:00:00.000Z",
            },
            "State": {"EnteredTime": "2026-11-24T12:00:01.000Z", "Name": "Charge", "RetryCount": 3},
            "StateMachine": {"Id": "arn:aws:states:us-east-1:123456789012:stateMachine:orders", "Name": "orders"},
            "Task": {"Token": "secret"},
            "Map": {"Item": {"Index": 4, "Key": "k", "Value": {"secret": 2}}},
        })
    }

    fn owner(context: &Value) -> String {
        Step::from_context(context).unwrap().owner()
    }

    #[test]
    fn all_of_it_is_read_and_no_secret_is_shown() {
        let step = Step::from_context(&whole()).unwrap();
        assert_eq!((step.execution(), step.state(), step.retry_count(), step.redrive_count()), (ARN, "Charge", 3, 1));
        assert_eq!(step.task_token().unwrap().as_str(), "secret");
        assert_eq!(step.entered_time(), Some("2026-11-24T12:00:01.000Z"));
        assert!(step.state_machine().unwrap().ends_with(":stateMachine:orders"));
        let item = step.map_item().unwrap();
        assert_eq!((item.index, item.key.as_deref()), (Some(4), Some("k")));
        assert!(!format!("{step:?}").contains("secret"), "{step:?}");
    }

    #[test]
    fn a_retry_and_a_redrive_have_the_same_owner() {
        let first = owner(&whole());
        for (path, value) in [
            ("/State/RetryCount", json!(4)),
            ("/State/EnteredTime", json!("2026-11-24T15:00:00.000Z")),
            ("/Execution/RedriveCount", json!(2)),
            ("/Task/Token", json!("another")),
            ("/Execution/Input", json!(null)),
        ] {
            let mut retried = whole();
            *retried.pointer_mut(path).unwrap() = value;
            assert_eq!(owner(&retried), first, "{path}");
        }
        assert!(first.starts_with(&format!("{ARN}#4.")) && first.ends_with("#Charge"), "{first}");
        assert!(!first.contains("secret"));
    }

    /// Names that are made to be taken for others, in each place.
    #[test]
    fn no_two_steps_have_one_owner() {
        let plain = |state: &str| json!({"Execution": {"Id": ARN}, "State": {"Name": state}});
        let item = |state: &str, item: Value| {
            let mut context = plain(state);
            context["Map"] = json!({ "Item": item });
            context
        };
        let zero = owner(&item("Charge", json!({"Index": 0, "Value": 1})));
        let hash = zero.split('#').nth(1).unwrap();
        let mut all = vec![
            owner(&plain("Charge")),
            owner(&plain("#Charge")),
            owner(&plain(&format!("{hash}#Charge"))),
            owner(&plain("charge")),
            owner(&item("Charge", json!({"Index": 1, "Value": 1}))),
            owner(&item("Charge", json!({"Index": 0, "Value": "1"}))),
            owner(&item("Charge", json!({"Index": 0, "Key": "a", "Value": 1}))),
            owner(&item("Charge", json!({"Value": 1}))),
            owner(&item("Charge", json!({}))),
            owner(&item("Ship", json!({"Index": 0, "Value": 1}))),
            zero,
        ];
        for outer in [json!(0), json!(1), json!("0"), json!(null)] {
            let inner = item("Charge", json!({"Index": 0, "Value": 1}));
            all.push(Step::from_context(&inner).unwrap().within(outer).owner());
        }
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "{all:#?}");
    }

    #[test]
    fn what_is_no_context_is_said() {
        for bad in [
            json!(null),
            json!({}),
            json!({"Execution": {"Id": "secret"}}),
            json!({"Execution": {"Id": ""}, "State": {"Name": "s"}}),
            json!({"Execution": {"Id": "secret#"}, "State": {"Name": "s"}}),
            json!({"Execution": {"Id": "secret"}, "State": {"Name": ""}}),
            json!({"Execution": {"Id": ["secret"]}, "State": {"Name": "s"}}),
        ] {
            let error = Step::from_context(&bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
        // What is null is as if it were not there, as in a state that does not wait.
        let plain =
            json!({"Execution": {"Id": ARN}, "State": {"Name": "s"}, "Task": null, "Map": null, "StateMachine": null});
        let step = Step::from_context(&plain).unwrap();
        assert!(step.task_token().is_none() && step.map_item().is_none() && step.state_machine().is_none());
    }
}
