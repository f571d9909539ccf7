//! What tells events apart.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::error::Error;
use crate::lambda::{JmesPath, is_missing, sha256_hex};

type Select = dyn Fn(&Value) -> Result<Option<String>, Error> + Send + Sync;

/// How the key of an event is made: events with one key are one event.
///
/// A key is made of the whole event as it came, before any handler has it. A clone costs a reference count.
///
/// ```
/// use dynamo_tracker::lambda::{JmesPath, Key};
/// use serde_json::json;
///
/// let key = Key::new(|event| Some(event["order"]["id"].as_str()?.to_owned()));
/// assert_eq!(key.of(&json!({"order": {"id": "A1"}}))?.as_deref(), Some("A1"));
/// assert_eq!(key.of(&json!({}))?, None);
///
/// let key = Key::path(JmesPath::new("[user, order]")?);
/// let hash = key.of(&json!({"user": "ada", "order": 42}))?;
/// assert_eq!(hash, key.of(&json!({"order": 42.0, "user": "ada", "sent": "again"}))?);
/// # Ok::<(), dynamo_tracker::Error>(())
/// ```
#[derive(Clone)]
pub struct Key {
    name: Arc<str>,
    // A function, so that a program that has no JMESPath has none of its code either.
    select: Arc<Select>,
}

impl Key {
    /// By a function. `None`, or an empty text, says that the event has no key.
    pub fn new(select: impl Fn(&Value) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::named("a function", move |event| Ok(select(event)))
    }

    /// The SHA-256 of the [canonical JSON](crate::lambda::canonical_json) of what an expression selects. The event has no key
    /// where that is [missing](is_missing).
    #[must_use]
    pub fn path(path: JmesPath) -> Self {
        let name = format!("{:?}", path.as_str());
        Self::named(&name, move |event| Ok(hash(&path.search(event)?)))
    }

    /// The SHA-256 of the canonical JSON of the whole event.
    #[must_use]
    pub fn whole() -> Self {
        Self::named("the whole event", |event| Ok(hash(event)))
    }

    pub(super) fn named(
        name: &str,
        select: impl Fn(&Value) -> Result<Option<String>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), select: Arc::new(select) }
    }

    /// The key of an event; `None` where it has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument): an expression does not fit the event.
    pub fn of(&self, event: &Value) -> Result<Option<String>, Error> {
        Ok((self.select)(event)?.filter(|key| !key.is_empty()))
    }

    /// What the key is made of, for people.
    pub(in crate::lambda) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

fn hash(selected: &Value) -> Option<String> {
    (!is_missing(selected)).then(|| sha256_hex(selected))
}
