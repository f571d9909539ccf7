//! The lock token.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// The secret of one acquisition: whoever has it may record the task's outcome.
///
/// A random (version 4) UUID, made before the request that takes the task, so that an answer that was lost can be
/// recognised later. `Display` gives the whole token, for a program that has to pass it on; `Debug` gives only its
/// beginning, since logs are no place for it.
///
/// ```
/// use dynamo_tracker::LockToken;
///
/// let token = LockToken::random();
/// assert_eq!(token.to_string().parse(), Ok(token));
/// assert_eq!(format!("{token:?}").len(), "LockToken(01234567…)".chars().count() + 2);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LockToken(Uuid);

/// A text that is no lock token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a lock token is a UUID, such as 67e55044-10b1-426f-9247-bb680e5fe0c8")]
pub struct InvalidLockToken;

impl LockToken {
    /// A token that nobody has had before.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The token with this number, for tests and for callers that derive their tokens.
    #[must_use]
    pub const fn from_u128(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    /// The token as a number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }
}

impl FromStr for LockToken {
    type Err = InvalidLockToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidLockToken)
    }
}

impl fmt::Display for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for LockToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockToken({:08x}…)", self.0.as_fields().0)
    }
}
