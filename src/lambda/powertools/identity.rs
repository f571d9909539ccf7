//! Which record an event has.

use serde_json::Value;

use super::flavor::Flavor;
use crate::error::{Error, ErrorKind};
use crate::lambda::JmesPath;
use crate::record::TaskId;

/// How an event's record is found.
#[derive(Clone, Debug)]
pub(super) struct Identities {
    pub(super) name: String,
    pub(super) flavor: Flavor,
    pub(super) key: Option<JmesPath>,
    pub(super) validation: Option<JmesPath>,
    pub(super) may_lack_key: bool,
}

/// The key of an event's record, and the hash of the part of it that is compared, where one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) key: String,
    pub(super) validation: Option<String>,
}

impl Identities {
    /// `None` for an event that has no record, and needs none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidArgument`]: an expression does not fit the event, or the event has no key and must have one.
    pub(super) fn of(&self, payload: &Value) -> Result<Option<Identity>, Error> {
        let selected = self.key.as_ref().map(|key| key.search(payload)).transpose()?;
        let selected = selected.as_ref().unwrap_or(payload);
        if self.flavor.is_missing(selected) {
            match self.flavor {
                _ if !self.may_lack_key => return Err(self.no_key()),
                Flavor::Python => return Ok(None),
                // It warns, and goes on with the key that `null` or the like has.
                Flavor::TypeScript => {}
            }
        }
        let compared = self.validation.as_ref().map(|path| path.search(payload)).transpose()?;
        Ok(Some(Identity {
            key: format!("{}#{}", self.name, self.flavor.hash(selected)),
            validation: compared.map(|part| self.flavor.hash(&part)),
        }))
    }

    fn no_key(&self) -> Error {
        let place = self.key.as_ref().map_or("the event".to_owned(), |key| format!("{:?}", key.as_str()));
        let message = format!(
            "{:?}: {place} has nothing to make an idempotency key of; look at the event, select another part of it, or \
             allow_missing_key",
            self.name
        );
        Error::new(ErrorKind::InvalidArgument, message)
    }
}

impl Identity {
    /// The key as errors name it.
    pub(super) fn task(&self) -> Option<TaskId> {
        TaskId::from_key(&self.key).ok()
    }

    /// Says in the error which record it is about.
    pub(super) fn name_in(&self, error: Error) -> Error {
        match self.task() {
            Some(task) => error.about(&task),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identities(flavor: Flavor, key: Option<&str>) -> Identities {
        let key = key.map(|key| JmesPath::new(key).unwrap());
        Identities { name: "fn.handler".to_owned(), flavor, key, validation: None, may_lack_key: false }
    }

    #[test]
    fn the_key_is_the_name_and_the_hash_of_what_is_selected() {
        // python3 -c 'import hashlib; print(hashlib.md5(b"\"o-1\"").hexdigest())'
        let key = "fn.handler#cbcbdb948de16bfe7e49a81f91500ab1";
        let found = identities(Flavor::Python, Some("order.id")).of(&json!({"order": {"id": "o-1"}})).unwrap();
        assert_eq!(found, Some(Identity { key: key.to_owned(), validation: None }));
        assert_eq!(identities(Flavor::Python, None).of(&json!("o-1")).unwrap(), found);
    }

    #[test]
    fn what_is_compared_has_a_hash_of_its_own() {
        let validation = Some(JmesPath::new("total").unwrap());
        let identities = Identities { validation, ..identities(Flavor::Python, Some("id")) };
        let of = |total| identities.of(&json!({"id": 1, "total": total})).unwrap().unwrap();
        assert_eq!(of(5).key, of(6).key);
        assert_ne!(of(5).validation, of(6).validation);
    }

    #[test]
    fn an_event_without_a_key_is_an_error_unless_it_may() {
        for flavor in [Flavor::Python, Flavor::TypeScript] {
            let strict = identities(flavor, Some("id"));
            let error = strict.of(&json!({"secret": 1})).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().starts_with(r#""fn.handler": "id" has nothing"#), "{error}");
            let found = Identities { may_lack_key: true, ..strict }.of(&json!({})).unwrap();
            assert_eq!(found.is_some(), flavor == Flavor::TypeScript);
        }
    }

    #[test]
    fn an_error_names_the_record() {
        let identity = Identity { key: "a#v2#hash".to_owned(), validation: None };
        let error = identity.name_in(Error::new(ErrorKind::Service, "no"));
        assert_eq!(error.to_string(), r#"task "a#v2#hash": no"#);
    }
}
