//! The error of one attempt, as it is kept in the item.

use std::error::Error;
use std::fmt::{self, Write as _};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::time::to_millis;

/// The most bytes of [`AttemptError::message`] that are kept; the middle of a longer one is left out.
pub const MAX_MESSAGE_BYTES: usize = 1024;
/// The most bytes of [`AttemptError::trace`] that are kept; the middle of a longer one is left out.
pub const MAX_TRACE_BYTES: usize = 2048;
/// The most bytes of [`AttemptError::error_type`] that are kept; the middle of a longer one is left out.
pub const MAX_TYPE_BYTES: usize = 256;

/// A chain of sources longer than this is a cycle.
const MAX_SOURCES: usize = 32;
/// What stands where something was left out.
const CUT: &str = " … ";
/// How anyhow and eyre head the backtrace in an error's `Debug`.
const BACKTRACE_HEADING: &str = "Stack backtrace:\n";

/// What went wrong in one attempt.
///
/// Plain data of bounded size, since an item has 400 KB for everything and every write pays for all of it. `Debug`
/// leaves the texts out: they may hold parts of the task's data.
///
/// ```
/// use chrono::Utc;
/// use dynamo_tracker::AttemptError;
///
/// let error = std::io::Error::other("disk full");
/// let kept = AttemptError::new(2, Utc::now(), &error);
/// assert_eq!((kept.attempt, kept.error_type.as_str(), kept.message.as_str()), (2, "std::io::error::Error", "disk full"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AttemptError {
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// When it was recorded, to the millisecond.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub time: DateTime<Utc>,
    /// The type of the error, as Rust names it; at most [`MAX_TYPE_BYTES`].
    #[serde(rename = "type")]
    pub error_type: String,
    /// The error and all its sources, outermost first, joined by `: `; at most [`MAX_MESSAGE_BYTES`].
    pub message: String,
    /// The backtrace, where the error has one; at most [`MAX_TRACE_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
}

impl AttemptError {
    /// The record of `error`, with its whole chain of sources, and its backtrace where it shows one.
    ///
    /// Stable Rust has no way to ask any error for its backtrace. Those that anyhow and eyre print in `Debug` are found.
    #[must_use]
    pub fn new<E: Error + ?Sized>(attempt: u32, time: DateTime<Utc>, error: &E) -> Self {
        Self::from_parts(attempt, time, std::any::type_name::<E>(), &chain(error), backtrace(error).as_deref())
    }

    /// The same without its backtrace, for an item that has no room.
    pub(crate) fn without_trace(self) -> Self {
        Self { trace: None, ..self }
    }

    /// The record of a failure that was no Rust error, such as a command's exit code. Each text is cut to its size.
    #[must_use]
    pub fn from_parts(attempt: u32, time: DateTime<Utc>, error_type: &str, message: &str, trace: Option<&str>) -> Self {
        Self {
            attempt,
            time: to_millis(time),
            error_type: shorten(error_type, MAX_TYPE_BYTES),
            message: shorten(message, MAX_MESSAGE_BYTES),
            trace: trace.map(|trace| shorten(trace, MAX_TRACE_BYTES)),
        }
    }
}

/// `attempt 2 at 2026-11-24T10:00:00.000Z: TYPE: MESSAGE`
impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        write!(f, "attempt {} at {time}: {}: {}", self.attempt, self.error_type, self.message)
    }
}

impl fmt::Debug for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptError")
            .field("attempt", &self.attempt)
            .field("time", &self.time)
            .field("error_type", &self.error_type)
            .finish_non_exhaustive()
    }
}

/// The error and its sources in one line. A source that its parent has already quoted is not said twice.
pub(crate) fn chain<E: Error + ?Sized>(error: &E) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    for _ in 0..MAX_SOURCES {
        let Some(error) = source else { break };
        let message = error.to_string();
        if !text.ends_with(&message) {
            // Writing to a String can't fail.
            let _ = write!(text, ": {message}");
        }
        source = error.source();
    }
    text
}

/// The backtrace that an error's `Debug` ends with, if it does.
pub(crate) fn backtrace<E: Error + ?Sized>(error: &E) -> Option<String> {
    let debug = format!("{error:?}");
    debug.split_once(BACKTRACE_HEADING).map(|(_, frames)| frames.trim_end().to_owned())
}

/// At most `max` bytes of `text`: two thirds from its beginning, the rest from its end, where the root cause stands.
fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let room = max - CUT.len();
    let head = text.floor_char_boundary(room * 2 / 3);
    let tail = text.ceil_char_boundary(text.len() - (room - room * 2 / 3));
    [&text[..head], CUT, &text[tail..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug)]
    struct Layer(String, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as &(dyn Error + 'static))
        }
    }

    fn layers(texts: &[String]) -> Layer {
        let (first, rest) = texts.split_first().expect("at least one layer");
        Layer(first.clone(), (!rest.is_empty()).then(|| Box::new(layers(rest))))
    }

    fn record(error: &dyn Error) -> AttemptError {
        AttemptError::new(1, DateTime::UNIX_EPOCH, error)
    }

    #[test]
    fn the_message_has_every_source_once() {
        let texts = ["saving", "can't connect: refused", "refused"].map(str::to_owned);
        assert_eq!(record(&layers(&texts)).message, "saving: can't connect: refused");
    }

    #[test]
    fn an_endless_chain_ends() {
        #[derive(Debug)]
        struct Ouroboros;
        impl fmt::Display for Ouroboros {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("again ")
            }
        }
        impl Error for Ouroboros {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&Ouroboros)
            }
        }
        assert_eq!(record(&Ouroboros).message, "again ");
    }

    #[test]
    fn a_backtrace_in_debug_is_kept() {
        struct Traced;
        impl fmt::Display for Traced {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("traced")
            }
        }
        impl fmt::Debug for Traced {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("traced\n\nStack backtrace:\n   0: main\n")
            }
        }
        impl Error for Traced {}
        assert_eq!(record(&Traced).trace.as_deref(), Some("   0: main"));
        assert_eq!(record(&fmt::Error).trace, None);
    }

    #[test]
    fn debug_has_no_text_of_the_error() {
        let debug = format!("{:?}", record(&Layer("card 4111".into(), None)));
        assert!(!debug.contains("4111"), "{debug}");
    }

    proptest! {
        #[test]
        fn any_chain_is_bounded_and_keeps_both_ends(texts in prop::collection::vec(any::<String>(), 1..9), size in 0_usize..3000) {
            let mut texts = texts;
            texts[0].insert_str(0, &"é".repeat(size));
            let whole = chain(&layers(&texts));
            let kept = record(&layers(&texts));
            prop_assert!(kept.message.len() <= MAX_MESSAGE_BYTES);
            if whole.len() <= MAX_MESSAGE_BYTES {
                prop_assert_eq!(kept.message, whole);
            } else {
                let (head, tail) = kept.message.split_once(CUT).unwrap();
                prop_assert!(whole.starts_with(head) && whole.ends_with(tail));
                prop_assert!(kept.message.len() > MAX_MESSAGE_BYTES - 8);
            }
        }
    }
}
