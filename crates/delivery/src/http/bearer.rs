//! An access token on its way into a header.
//!
//! Owns the token's memory and wipes it. Its `Debug` is empty, it has no `Display`, and the header
//! it makes is marked sensitive.

use ureq::http::HeaderValue;
use zeroize::Zeroizing;

/// An access token that fits into an `Authorization` header.
#[derive(Clone)]
pub struct Bearer(Zeroizing<String>);

/// A token with characters no header can carry; the text does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored access token holds characters that no header can carry; log in again")]
pub struct BadToken;

impl Bearer {
    /// Takes a token: visible ASCII, at least one character.
    ///
    /// # Errors
    /// [`BadToken`] otherwise.
    pub fn new(token: &str) -> Result<Self, BadToken> {
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Zeroizing::new(token.to_owned())))
        } else {
            Err(BadToken)
        }
    }

    /// Overwrites every occurrence of the token in `body`: a server that repeats what it was sent must
    /// not put the token into our messages.
    pub(super) fn mask(&self, body: Vec<u8>) -> Vec<u8> {
        let token = self.0.as_bytes();
        if !body.windows(token.len()).any(|window| window == token) {
            return body;
        }
        let body = Zeroizing::new(body);
        let mut out = Vec::with_capacity(body.len());
        let mut rest = body.as_slice();
        while let Some(byte) = rest.first() {
            if rest.starts_with(token) {
                out.extend_from_slice(b"<redacted>");
                rest = &rest[token.len()..];
            } else {
                out.push(*byte);
                rest = &rest[1..];
            }
        }
        out
    }

    pub(crate) fn header(&self) -> HeaderValue {
        let text = Zeroizing::new(format!("Bearer {}", self.0.as_str()));
        // Visible ASCII by construction; an empty header would only be refused by the server.
        let mut value = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_debug_output_is_redacted() {
        let bearer = Bearer::new("acc-secret").unwrap();
        assert_eq!(format!("{bearer:?} {:?}", bearer.header()), "Bearer(<redacted>) Sensitive");
    }

    #[test]
    fn token_that_could_start_another_header_is_refused() {
        for bad in ["", "a b", "a\r\nX-Evil: 1", "caf\u{e9}", "\u{0}"] {
            let error = Bearer::new(bad).unwrap_err();
            assert!(bad.is_empty() || !error.to_string().contains(bad));
        }
    }
}
