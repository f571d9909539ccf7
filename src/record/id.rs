//! The name of a task.

use std::fmt;

use thiserror::Error;

/// The most bytes that DynamoDB takes for a partition key (*Service, account, and table quotas*, Amazon DynamoDB
/// Developer Guide). The namespace, the `#` between and the id share them.
pub const MAX_KEY_BYTES: usize = 2048;

/// The name of a task: an id within a namespace.
///
/// Its form in the table is `namespace#id`, split at the first `#`: a namespace has none, an id may.
///
/// ```
/// use dynamo_tracker::TaskId;
///
/// let id = TaskId::new("orders", "2026#42")?;
/// assert_eq!((id.namespace(), id.as_str(), id.key()), ("orders", "2026#42", "orders#2026#42"));
/// # Ok::<(), dynamo_tracker::InvalidTaskId>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    key: String,
    namespace_len: usize,
}

/// Why a namespace and an id do not make a [`TaskId`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTaskId {
    /// The id is empty.
    #[error("the task id is empty; name the task by what it works on, such as an order number or a message id")]
    EmptyId,
    /// The namespace is empty.
    #[error("the namespace is empty; name the use case, such as \"orders\"")]
    EmptyNamespace,
    /// The namespace contains `#`, which separates it from the id.
    #[error("the namespace {0:?} contains '#', which separates namespace and id; leave it out")]
    NamespaceWithHash(String),
    /// Namespace, `#` and id are longer than a partition key may be.
    #[error(
        "namespace and task id are {0} bytes together, over DynamoDB's {MAX_KEY_BYTES} for a key; use a hash of the id"
    )]
    TooLong(usize),
    /// The key has no `#`, so it was not written by this crate.
    #[error("the key {0:?} has no '#' between namespace and id; this item is no tracker")]
    NoNamespace(String),
}

impl TaskId {
    /// The task `id` of `namespace`.
    ///
    /// # Errors
    ///
    /// One of them is empty, the namespace contains `#`, or both are over [`MAX_KEY_BYTES`] together.
    pub fn new(namespace: &str, id: &str) -> Result<Self, InvalidTaskId> {
        check_namespace(namespace)?;
        let len = namespace.len() + 1 + id.len();
        if id.is_empty() {
            return Err(InvalidTaskId::EmptyId);
        }
        if len > MAX_KEY_BYTES {
            return Err(InvalidTaskId::TooLong(len));
        }
        Ok(Self { key: [namespace, "#", id].concat(), namespace_len: namespace.len() })
    }

    /// The task whose key in the table is `key`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); or the key has no `#`.
    pub fn from_key(key: &str) -> Result<Self, InvalidTaskId> {
        match key.split_once('#') {
            Some((namespace, id)) => Self::new(namespace, id),
            None => Err(InvalidTaskId::NoNamespace(key.to_owned())),
        }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.key[..self.namespace_len]
    }

    /// The id within the namespace.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key[self.namespace_len + 1..]
    }

    /// The partition key in the table: `namespace#id`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// A namespace that can begin a key.
pub(crate) fn check_namespace(namespace: &str) -> Result<(), InvalidTaskId> {
    if namespace.is_empty() {
        return Err(InvalidTaskId::EmptyNamespace);
    }
    if namespace.contains('#') {
        return Err(InvalidTaskId::NamespaceWithHash(namespace.to_owned()));
    }
    if namespace.len() + 2 > MAX_KEY_BYTES {
        return Err(InvalidTaskId::TooLong(namespace.len() + 2));
    }
    Ok(())
}

/// The id alone, as it was given.
impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The whole key in quotes, with control characters escaped: safe to print to a terminal.
impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.key, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bad_names_are_refused_with_their_reason() {
        assert_eq!(TaskId::new("ns", ""), Err(InvalidTaskId::EmptyId));
        assert_eq!(TaskId::new("", "id"), Err(InvalidTaskId::EmptyNamespace));
        assert_eq!(TaskId::new("a#b", "id"), Err(InvalidTaskId::NamespaceWithHash("a#b".into())));
        assert_eq!(TaskId::from_key("alone"), Err(InvalidTaskId::NoNamespace("alone".into())));
        assert_eq!(TaskId::from_key("#id"), Err(InvalidTaskId::EmptyNamespace));
    }

    #[test]
    fn the_limit_counts_bytes_of_the_whole_key() {
        assert!(TaskId::new("ns", &"x".repeat(MAX_KEY_BYTES - 3)).is_ok());
        assert_eq!(TaskId::new("ns", &"x".repeat(MAX_KEY_BYTES - 2)), Err(InvalidTaskId::TooLong(MAX_KEY_BYTES + 1)));
        assert_eq!(TaskId::new("ns", &"é".repeat(1024)), Err(InvalidTaskId::TooLong(2051)));
    }

    #[test]
    fn debug_is_safe_for_a_terminal() {
        assert_eq!(format!("{:?}", TaskId::new("ns", "a\u{1b}[31m").unwrap()), r#""ns#a\u{1b}[31m""#);
    }

    proptest! {
        #[test]
        fn any_id_reads_back_from_its_key(namespace in "[^#]{1,20}", id in any::<String>()) {
            prop_assume!(!id.is_empty());
            let task = TaskId::new(&namespace, &id).unwrap();
            prop_assert_eq!(task.namespace(), &namespace);
            prop_assert_eq!(task.as_str(), &id);
            prop_assert_eq!(TaskId::from_key(task.key()).unwrap(), task);
        }
    }
}
