//! Data that is packed: how it is told from other data, and when a client packs and unpacks.

use aws_sdk_dynamodb::types::AttributeValue;

use super::raw::{check_size, size_of};
use crate::error::{Error, ErrorKind};
use crate::record::RawData;

/// What packed data begins with, and what no data of anybody else's does. The byte of its form follows, so that this and the form
/// are 28 characters of base64: what a console shows after them is base64 of its own.
pub(crate) const MAGIC: &[u8] = b"dynamo-tracker:zstd:";

const NOT_UNPACKED: &str = "is packed by zstd, and this client does not unpack; build it with pack_data_over(…), of the crate's feature \
                            `zstd`";
const LOOKS_PACKED: &str =
    "the data is bytes that begin as packed data does; write it by a client that was built with pack_data_over(…)";

/// What a client that packs does.
///
/// Pointers, so that a program in which no client asks for it has none of zstd's code.
#[cfg_attr(not(feature = "zstd"), allow(dead_code))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    /// Data of more bytes than this is packed.
    pub(crate) over: usize,
    /// The packed data with all that tells what it is. `None` where it can't be packed.
    pub(crate) pack: fn(&AttributeValue) -> Option<Vec<u8>>,
    /// The data again, or what is wrong with it.
    pub(crate) unpack: fn(&[u8]) -> Result<AttributeValue, &'static str>,
}

/// The data as the item is to have it: packed where that is asked for and makes it smaller. Bytes that begin as packed data does are
/// packed whatever their size, or they would be taken for packed when they are read.
pub(super) fn store(data: AttributeValue, packing: Option<Packing>) -> Result<AttributeValue, Error> {
    let (size, looks_packed) = (size_of(&data), packed_bytes(&data).is_some());
    let packing = packing.filter(|packing| looks_packed || size > packing.over);
    let stored = match packing.and_then(|packing| (packing.pack)(&data)) {
        Some(packed) if looks_packed || packed.len() < size => AttributeValue::B(packed.into()),
        _ if looks_packed => return Err(Error::new(ErrorKind::Unwritable, LOOKS_PACKED)),
        _ => data,
    };
    check_size(&stored)?;
    Ok(stored)
}

/// The data that an item has. What can't be unpacked stays as it is, and only who asks for the data is told why: what is decided by
/// the record alone goes on, and the attempt that could not read it is recorded.
pub(super) fn load(stored: AttributeValue, packing: Option<Packing>) -> RawData {
    let Some(bytes) = packed_bytes(&stored) else { return RawData::new(Some(stored)) };
    match packing.ok_or(NOT_UNPACKED).and_then(|packing| (packing.unpack)(bytes)) {
        Ok(data) => RawData::new(Some(data)),
        Err(why) => RawData::still_packed(Some(stored), why),
    }
}

/// What is behind the magic of packed data.
fn packed_bytes(data: &AttributeValue) -> Option<&[u8]> {
    data.as_b().ok()?.as_ref().strip_prefix(MAGIC)
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use super::*;
    use crate::schema::{pack, unpack};

    const PACKING: Packing = Packing { over: 100, pack, unpack };

    fn text(bytes: usize) -> AttributeValue {
        AttributeValue::S("x".repeat(bytes))
    }

    fn bytes(bytes: &[u8]) -> AttributeValue {
        AttributeValue::B(bytes.into())
    }

    fn read(stored: AttributeValue, packing: Option<Packing>) -> Result<AttributeValue, Error> {
        load(stored, packing).into_unpacked().map(|data| data.expect("there is data"))
    }

    #[test]
    fn data_over_the_threshold_is_packed_where_that_helps() {
        assert_eq!(store(text(100), Some(PACKING)).unwrap(), text(100));
        let packed = store(text(101), Some(PACKING)).unwrap();
        assert!(packed_bytes(&packed).is_some() && size_of(&packed) < 101);
        assert_eq!(read(packed, Some(PACKING)).unwrap(), text(101));
        // A packed value that is no smaller.
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(5000).collect();
        assert_eq!(store(bytes(&random), Some(PACKING)).unwrap(), bytes(&random));
        assert_eq!(store(text(5000), None).unwrap(), text(5000));
    }

    #[test]
    fn bytes_that_look_packed_are_no_exception() {
        for look_alike in [bytes(MAGIC), bytes(&[MAGIC, b"1"].concat()), bytes(&pack(&text(1000)).unwrap())] {
            let packed = store(look_alike.clone(), Some(PACKING)).unwrap();
            assert_ne!(packed, look_alike);
            assert_eq!(read(packed, Some(PACKING)).unwrap(), look_alike);
            assert_eq!(store(look_alike, None).unwrap_err().kind(), ErrorKind::Unwritable);
        }
        let nearly = bytes(&MAGIC[..MAGIC.len() - 1]);
        assert_eq!(store(nearly.clone(), None).unwrap(), nearly);
        assert_eq!(read(nearly.clone(), None).unwrap(), nearly);
    }

    #[test]
    fn what_is_not_unpacked_says_so_and_shows_nothing() {
        let packed = store(text(1000), Some(PACKING)).unwrap();
        let raw = load(packed.clone(), None);
        assert_eq!(raw.as_attribute_value(), Some(&packed));
        let error = raw.unpacked().unwrap_err();
        assert!(error.kind() == ErrorKind::Unreadable && error.to_string().contains("pack_data_over"), "{error}");
        assert!(!format!("{raw:?} {error} {error:?}").contains("xxx"));
    }

    #[test]
    fn only_what_is_stored_counts_for_the_limit() {
        let large = text(500_000);
        assert_eq!(store(large.clone(), None).unwrap_err().kind(), ErrorKind::ItemTooLarge);
        assert!(size_of(&store(large, Some(PACKING)).unwrap()) < 1000);
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(500_000).collect();
        assert_eq!(store(bytes(&random), Some(PACKING)).unwrap_err().kind(), ErrorKind::ItemTooLarge);
    }
}
