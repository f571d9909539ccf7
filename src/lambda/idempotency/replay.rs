//! The response as it is kept in the record.

use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// DynamoDB's limit for an item, in bytes.
const MAX_ITEM_BYTES: usize = 400 * 1024;
/// What of an item is not for the response: the key, the tracker's own attributes, and the names in [`Replay`].
const OWN_BYTES: usize = 8 * 1024;
/// A Lambda response has at most 6 MB. What unpacks to more was not packed by this crate.
const MAX_UNPACKED: u64 = 64 * 1024 * 1024;

/// What is kept of work that succeeded: its response as JSON, plain or packed by zlib, and the hash of the part of the event
/// that must be the same when it comes again. It is the data of the tasks that [`Idempotency`](super::Idempotency) works with.
///
/// JSON text keeps all that serde writes: numbers with all their digits, and `null` apart from nothing at all. `Debug` shows
/// nothing of it.
///
/// ```
/// use dynamo_tracker::lambda::Replay;
///
/// let nothing = Replay::default();
/// assert_eq!(nothing.json()?, None);
/// assert_eq!(format!("{nothing:?}"), "Replay { kept: false, .. }");
/// # Ok::<(), dynamo_tracker::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "serde_bytes")]
    zlib: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation: Option<String>,
}

impl Replay {
    /// Keeps a response.
    pub(in crate::lambda) fn plain(json: String, validation: Option<String>) -> Self {
        Self { response: Some(json), zlib: None, validation }
    }

    /// The same, packed; `None` where there is nothing to pack.
    pub(super) fn pack(&self) -> Option<Self> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(self.response.as_ref()?.as_bytes()).ok()?;
        Some(Self { response: None, zlib: Some(encoder.finish().ok()?), validation: self.validation.clone() })
    }

    /// The same without the response.
    pub(super) fn emptied(self) -> Self {
        Self::not_kept(self.validation)
    }

    /// Keeps that there was a response, and no more.
    pub(super) fn not_kept(validation: Option<String>) -> Self {
        Self { response: None, zlib: None, validation }
    }

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let texts = self.response.iter().chain(&self.validation).map(String::len).sum::<usize>();
        texts + self.zlib.as_ref().map_or(0, Vec::len)
    }

    /// The response as JSON; `None` where it was not kept.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable): it is packed, and can't be unpacked.
    pub fn json(&self) -> Result<Option<String>, crate::Error> {
        match (&self.response, &self.zlib) {
            (Some(json), _) => Ok(Some(json.clone())),
            (None, Some(packed)) => unpack(packed).map(Some).map_err(|source| {
                let message =
                    "the response that is kept is no zlib stream; delete the record to have the event handled again";
                crate::Error::new(crate::ErrorKind::Unreadable, message).with_source(source)
            }),
            (None, None) => Ok(None),
        }
    }

    /// The response as an `R`; `None` where it was not kept.
    pub(super) fn response<R: DeserializeOwned>(&self) -> Result<Option<R>, crate::Error> {
        // What serde says quotes the response, so it is not passed on.
        let read = |json: String| serde_json::from_str(&json).map_err(|_| unreadable::<R>());
        self.json()?.map(read).transpose()
    }

    /// Whether it was made of an event that is the same in what must be the same. Where one of the two does not say, as
    /// before the function began to compare, there is nothing to compare.
    pub(super) fn matches(&self, validation: Option<&str>) -> bool {
        match (self.validation.as_deref(), validation) {
            (Some(kept), Some(new)) => kept == new,
            _ => true,
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.response.is_some() || self.zlib.is_some();
        f.debug_struct("Replay").field("kept", &kept).finish_non_exhaustive()
    }
}

/// How many bytes there are for a [`Replay`] in an item beside the errors that it has.
pub(super) fn room<D>(record: &crate::Tracker<D>) -> usize {
    let of_error = |error: &crate::AttemptError| {
        100 + error.error_type.len() + error.message.len() + error.trace.as_ref().map_or(0, String::len)
    };
    MAX_ITEM_BYTES.saturating_sub(OWN_BYTES + record.errors.iter().map(of_error).sum::<usize>())
}

pub(super) fn unreadable<R>() -> crate::Error {
    let message = format!(
        "it is done, but the response that is kept is no `{}`; read it as another type, or delete the record to have the \
         event handled again",
        std::any::type_name::<R>()
    );
    crate::Error::new(crate::ErrorKind::Unreadable, message)
}

fn unpack(packed: &[u8]) -> io::Result<String> {
    let mut json = String::new();
    ZlibDecoder::new(packed).take(MAX_UNPACKED).read_to_string(&mut json)?;
    Ok(json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::to_value;

    /// Through DynamoDB's form and back.
    fn stored(replay: &Replay) -> Replay {
        serde_dynamo::from_attribute_value(to_value(replay).unwrap()).unwrap()
    }

    #[test]
    fn every_json_value_comes_back() {
        for value in
            [json!(0), json!(false), json!(null), json!(""), json!([]), json!({}), json!(u64::MAX), json!(-0.5)]
        {
            let json = value.to_string();
            let plain = Replay::plain(json.clone(), Some("h".to_owned()));
            for replay in [plain.pack().unwrap(), plain] {
                let replay = stored(&replay);
                assert_eq!(replay.response::<Value>().unwrap(), Some(value.clone()));
                assert_eq!(replay.json().unwrap(), Some(json.clone()));
            }
        }
        assert_eq!(stored(&Replay::default()).response::<Value>().unwrap(), None);
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        let replay = Replay::plain("\"secret\"".to_owned(), Some("secret".to_owned()));
        assert_eq!(format!("{replay:?}"), "Replay { kept: true, .. }");
    }

    #[test]
    fn what_is_no_zlib_is_said() {
        let broken = Replay { zlib: Some(b"secret".to_vec()), ..Replay::default() };
        let error = broken.json().unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Unreadable);
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        let another = Replay::plain("\"secret\"".to_owned(), None).response::<u8>().unwrap_err();
        assert!(another.to_string().contains("no `u8`") && !format!("{another:?}").contains("secret"), "{another}");
    }

    #[test]
    fn hashes_are_compared_where_both_are_there() {
        let kept = Replay::not_kept(Some("a".to_owned()));
        assert_eq!([Some("a"), Some("b"), None].map(|new| kept.matches(new)), [true, false, true]);
        assert!(Replay::default().matches(Some("a")));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text: String) {
            let json = json!(text).to_string();
            let plain = Replay::plain(json, None);
            prop_assert_eq!(stored(&plain.pack().unwrap()).response::<String>().unwrap(), Some(text.clone()));
            prop_assert_eq!(stored(&plain).response::<String>().unwrap(), Some(text));
        }
    }
}
