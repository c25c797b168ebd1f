//! Reader of JSON documents of the protocol.

use serde::Deserialize;
use serde::de::Error as _;

/// Reads `text` as a document of the protocol: one JSON object, with nothing behind it.
///
/// `serde` would also read a struct from a JSON array, whose entries become its fields in order. No document
/// of the protocol is an array.
///
/// # Errors
/// When it is not JSON, not an object, or lacks a field that has no default.
pub fn read_object<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    if is_object(text) {
        serde_json::from_slice(text)
    } else {
        Err(serde_json::Error::custom("not a JSON object"))
    }
}

/// Whether `text` begins as a JSON object.
fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Revocation, SyncHealth};

    #[test]
    fn array_is_no_document_although_serde_would_read_it() {
        assert!(serde_json::from_slice::<Revocation>(b"[true]").unwrap().revoked);
        for bad in ["[true]", "", " ", "null", "true", "\"{}\"", "{}{}", "{\"revoked\": tr", "<html>"] {
            assert!(read_object::<Revocation>(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read_object::<Revocation>(b" \n{\"revoked\": true}\n").unwrap().revoked);
        assert!(read_object::<SyncHealth>(b"[]").is_err());
    }
}
