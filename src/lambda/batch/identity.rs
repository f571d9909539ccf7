//! Which task a record is.

use serde_json::Value;

use super::malformed::Malformed;
use super::{Batch, Source};
use crate::lambda::idempotency::MissingKey;
use crate::work_error::WorkError;

/// The task of a record.
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) validation: Option<String>,
    /// Why it can't be told what the record is, so that its attempt fails. Its task is then that of its own id, for even
    /// such a record must be exhausted some time.
    unfit: Option<Unfit>,
}

enum Unfit {
    Malformed(Malformed),
    /// Shows none of the body.
    NoKey(String),
}

impl Identity {
    pub(super) fn of<S: Source>(batch: &Batch<S>, record: &S::Record) -> Self {
        match Self::from_body(batch, record) {
            Ok(identity) => identity,
            Err(unfit) => Self { unfit: Some(unfit), ..Self::plain(S::id(record)) },
        }
    }

    fn plain(id: &str) -> Self {
        Self { id: id.to_owned(), validation: None, unfit: None }
    }

    fn from_body<S: Source>(batch: &Batch<S>, record: &S::Record) -> Result<Self, Unfit> {
        let mut identity = Self::plain(S::id(record));
        if batch.key.is_none() && !batch.idempotency.validates() {
            return Ok(identity);
        }
        let body: Value = S::body(record).map_err(Unfit::Malformed)?;
        if let Some(key) = &batch.key {
            let found = key.of(&body).map_err(|error| Unfit::NoKey(error.to_string()))?;
            match (found, batch.idempotency.missing_key()) {
                (Some(id), _) => identity.id = id,
                (None, MissingKey::Skip) => {}
                (None, MissingKey::Refuse) => return Err(Unfit::NoKey(no_key(key.name()))),
            }
        }
        let validation = batch.idempotency.validation(&body);
        identity.validation = validation.map_err(|error| Unfit::NoKey(error.to_string()))?;
        Ok(identity)
    }

    /// # Errors
    ///
    /// What its attempt fails with.
    pub(super) fn check(&self) -> Result<(), WorkError> {
        match &self.unfit {
            None => Ok(()),
            Some(Unfit::Malformed(malformed)) => Err(malformed.clone().into()),
            Some(Unfit::NoKey(why)) => Err(WorkError::from_parts("MissingKey", why.clone(), None)),
        }
    }
}

fn no_key(name: &str) -> String {
    format!(
        "{name} is not in the body, so the record has no key; look at who sent it, or make the key of something else"
    )
}
