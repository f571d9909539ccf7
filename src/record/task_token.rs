//! The task token of Step Functions.

use std::fmt;
use std::str::FromStr;

/// The longest that Step Functions takes (`SendTaskSuccess`, AWS Step Functions API Reference), in characters.
const MAX_CHARS: usize = 2048;

/// The task token of a state of AWS Step Functions that waits: whoever has it may end that state.
///
/// It is a secret. Only [`as_str`](Self::as_str) gives it; `Debug` shows nothing of it, and there is no `Display`.
///
/// ```
/// use dynamo_tracker::TaskToken;
///
/// let token: TaskToken = "AAAAKgAAAAIAAAAAAAAAAc".parse()?;
/// assert_eq!(token.as_str(), "AAAAKgAAAAIAAAAAAAAAAc");
/// assert_eq!(format!("{token:?}"), "TaskToken(…)");
/// # Ok::<(), dynamo_tracker::InvalidTaskToken>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TaskToken(String);

/// A text that is no task token. It says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a task token has from 1 to 2,048 characters, and is passed on as Step Functions gave it")]
pub struct InvalidTaskToken;

impl TaskToken {
    /// A token, as Step Functions gave it.
    ///
    /// # Errors
    ///
    /// [`InvalidTaskToken`]: it is empty, or longer than any.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidTaskToken> {
        let text = text.into();
        if (1..=MAX_CHARS).contains(&text.chars().count()) { Ok(Self(text)) } else { Err(InvalidTaskToken) }
    }

    /// The token itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TaskToken {
    type Err = InvalidTaskToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl fmt::Debug for TaskToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_length_is_that_of_step_functions() {
        for bad in [String::new(), "x".repeat(2049)] {
            assert_eq!(TaskToken::new(bad), Err(InvalidTaskToken));
        }
        for good in ["x".to_owned(), "ü".repeat(2048)] {
            assert_eq!(TaskToken::new(good.clone()).unwrap().as_str(), good);
        }
    }
}
