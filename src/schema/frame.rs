//! Packed data: DynamoDB's JSON of it in a zstd frame.
//!
//! That form has all of DynamoDB's types with all their digits, and other languages read it with a zstd library and what they read
//! DynamoDB's JSON with.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::base64;
use serde::ser::{Error, Serialize, SerializeMap, Serializer};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::packing::MAGIC;

/// The form of what is packed now. Another one gets another byte.
const FORM: u8 = b'1';

/// zstd's own default. Level 9 makes orders a sixth smaller and takes seven times as long, with the caller's thread.
const LEVEL: i32 = 3;

/// What unpacks to more was not packed by this crate.
const MAX_UNPACKED: usize = 64 * 1024 * 1024;

/// Packs data. `None` for what would not be unpacked again.
pub(crate) fn pack(data: &AttributeValue) -> Option<Vec<u8>> {
    let json = serde_json::to_vec(&Json(data)).ok()?;
    if json.len() > MAX_UNPACKED {
        return None;
    }
    let mut compressor = Compressor::new(LEVEL).ok()?;
    compressor.set_parameter(CParameter::ChecksumFlag(true)).ok()?;
    let frame = compressor.compress(&json).ok()?;
    Some([MAGIC, &[FORM], &frame].concat())
}

/// Unpacks what is behind the magic. What serde says quotes the data, so it is not passed on.
pub(crate) fn unpack(bytes: &[u8]) -> Result<AttributeValue, &'static str> {
    let frame = match bytes.split_first() {
        Some((&FORM, frame)) => frame,
        _ => return Err("is packed in a form that this version of the crate does not know; update the program"),
    };
    let json = zstd::bulk::decompress(frame, MAX_UNPACKED)
        .map_err(|_| "is packed, and no good zstd frame of at most 64 MB; write it anew, or delete the record")?;
    let data: serde_dynamo::AttributeValue = serde_json::from_slice(&json)
        .map_err(|_| "is packed, and unpacks to no value of DynamoDB's; write it anew, or delete the record")?;
    Ok(data.into())
}

/// A value as DynamoDB's JSON. `serde_dynamo` writes the same, but of a copy, which takes longer than zstd does, and with the names of
/// each map in an order of its own: with the same names in the same order, a list of records packs a quarter smaller.
struct Json<'a>(&'a AttributeValue);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |blob: &Blob| base64::encode(blob);
        let mut value = serializer.serialize_map(Some(1))?;
        match self.0 {
            AttributeValue::S(text) => value.serialize_entry("S", text)?,
            AttributeValue::N(digits) => value.serialize_entry("N", digits)?,
            AttributeValue::Bool(truth) => value.serialize_entry("BOOL", truth)?,
            AttributeValue::Null(null) => value.serialize_entry("NULL", null)?,
            AttributeValue::B(blob) => value.serialize_entry("B", &text(blob))?,
            AttributeValue::L(list) => value.serialize_entry("L", &list.iter().map(Json).collect::<Vec<_>>())?,
            AttributeValue::M(map) => {
                let sorted: BTreeMap<_, _> = map.iter().map(|(name, value)| (name, Json(value))).collect();
                value.serialize_entry("M", &sorted)?;
            }
            AttributeValue::Ss(texts) => value.serialize_entry("SS", texts)?,
            AttributeValue::Ns(numbers) => value.serialize_entry("NS", numbers)?,
            AttributeValue::Bs(blobs) => value.serialize_entry("BS", &blobs.iter().map(text).collect::<Vec<_>>())?,
            _ => return Err(S::Error::custom("DynamoDB has a new type")),
        }
        value.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::codec::tests::value;

    /// What is behind the magic.
    fn packed(data: &AttributeValue) -> Vec<u8> {
        pack(data).expect("it is small").split_off(MAGIC.len())
    }

    /// A frame of this, as ours are.
    fn framed(content: &[u8]) -> Vec<u8> {
        [&[FORM], &*zstd::bulk::compress(content, LEVEL).unwrap()].concat()
    }

    #[test]
    fn what_is_packed_is_dynamodb_s_json() {
        let data = AttributeValue::M([("a".to_owned(), AttributeValue::N("1.50".to_owned()))].into());
        let json = zstd::bulk::decompress(&packed(&data)[1..], 100).unwrap();
        assert_eq!(json, br#"{"M":{"a":{"N":"1.50"}}}"#);
    }

    #[test]
    fn what_is_broken_is_said_and_not_shown() {
        let deep = [r#"{"L":["#.repeat(1000), "]}".repeat(1000)].concat();
        for (bytes, why) in [
            (b"".to_vec(), "a form"),
            (b"2secret".to_vec(), "a form"),
            (b"1secret".to_vec(), "no good zstd frame"),
            (b"1".to_vec(), "no value of DynamoDB's"),
            (framed(b"secret"), "no value of DynamoDB's"),
            (framed(br#"{"S":"secret","N":"1"}"#), "no value of DynamoDB's"),
            (framed(br#"{"X":"secret"}"#), "no value of DynamoDB's"),
            (framed(br#"{"B":"secret!"}"#), "no value of DynamoDB's"),
            (framed(deep.as_bytes()), "no value of DynamoDB's"),
        ] {
            let said = unpack(&bytes).unwrap_err();
            assert!(said.contains(why) && !said.contains("secret"), "{said:?}, but expected {why:?}");
        }
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let bomb = framed(&vec![b' '; MAX_UNPACKED + 1]);
        assert!(bomb.len() < 10_000 && unpack(&bomb).unwrap_err().contains("at most 64 MB"));
        // A frame that does not say how large it is, as streams are.
        let stream = zstd::stream::encode_all(&*vec![b' '; MAX_UNPACKED + 1], LEVEL).unwrap();
        assert!(unpack(&[&[FORM], &*stream].concat()).unwrap_err().contains("at most 64 MB"));
        let large = AttributeValue::S("x".repeat(MAX_UNPACKED - 8));
        assert!(unpack(&packed(&large)) == Ok(large));
        assert!(pack(&AttributeValue::S("x".repeat(MAX_UNPACKED - 7))).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn any_value_comes_back_as_it_was(data in value()) {
            prop_assert_eq!(unpack(&packed(&data)), Ok(data));
        }

        #[test]
        fn what_was_damaged_is_no_other_value(data in value(), at: prop::sample::Index, bit in 0_u8..8, cut: bool) {
            let mut bytes = packed(&data);
            let at = at.index(bytes.len());
            match cut {
                true => bytes.truncate(at),
                false => bytes[at] ^= 1 << bit,
            }
            // A bit of the frame's header means nothing.
            prop_assert!(unpack(&bytes).is_err_and(|why| why.starts_with("is packed")) || unpack(&bytes) == Ok(data));
        }
    }
}
