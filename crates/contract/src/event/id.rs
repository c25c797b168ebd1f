//! Event ids: 26 Crockford characters, or 32 hex digits with or without hyphens.
//!
//! UUID versions and ULID overflow are not checked, as published. Idempotency compares the canonical
//! form; answers echo the id as it was sent.

/// The canonical form of `id`: a ULID in upper case, a UUID hyphenated in lower case; none for any
/// other text.
pub fn canonical(id: &str) -> Option<String> {
    let bytes = id.as_bytes();
    match bytes.len() {
        26 if bytes.iter().all(|b| is_crockford(*b)) => Some(id.to_ascii_uppercase()),
        32 if bytes.iter().all(u8::is_ascii_hexdigit) => {
            let hex = id.to_ascii_lowercase();
            Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
        }
        36 if is_hyphenated_hex(bytes) => Some(id.to_ascii_lowercase()),
        _ => None,
    }
}

/// Whether `id` is spelled in one of the three accepted ways.
pub fn is_valid(id: &str) -> bool {
    let bytes = id.as_bytes();
    match bytes.len() {
        26 => bytes.iter().all(|b| is_crockford(*b)),
        32 => bytes.iter().all(u8::is_ascii_hexdigit),
        36 => is_hyphenated_hex(bytes),
        _ => false,
    }
}

/// Whether `text` is a UUID, hyphenated or bare. Its version does not matter.
pub fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes.len() {
        32 => bytes.iter().all(u8::is_ascii_hexdigit),
        36 => is_hyphenated_hex(bytes),
        _ => false,
    }
}

fn is_crockford(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U')
}

fn is_hyphenated_hex(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_spellings_have_one_canonical_form_each() {
        assert_eq!(canonical("01m817zh2ndwk1q9frvb7p5tq3").as_deref(), Some("01M817ZH2NDWK1Q9FRVB7P5TQ3"));
        let uuid = "892d6066-b402-45e3-9521-a4ac582672a6";
        assert_eq!(canonical("892D6066B40245E39521A4AC582672A6").as_deref(), Some(uuid));
        assert_eq!(canonical(&uuid.to_uppercase()).as_deref(), Some(uuid));
    }

    #[test]
    fn letters_outside_crockford_and_other_lengths_are_refused() {
        for bad in ["", "01M817ZH2NDWK1Q9FRVB7P5TQI", "01M817ZH2NDWK1Q9FRVB7P5TQ", "ünïcödé-ünïcödé-ünïc"]
        {
            assert!(canonical(bad).is_none(), "{bad:?}");
            assert!(!is_valid(bad), "{bad:?}");
        }
        assert!(!is_valid("892d6066-b402-45e3-9521_a4ac582672a6"));
    }
}
