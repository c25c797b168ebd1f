//! Secrets: random tokens and codes, and the hashes that the store keeps.
//!
//! Tokens are 256 random bits, stored as SHA-256: a space of that size cannot be searched, so a slow hash
//! would only slow every request. Approval secrets are typed by people, so they are shorter (125 bits)
//! and stored under scrypt. Neither is ever logged or stored in clear.

use data_encoding::{BASE64URL_NOPAD, Encoding, HEXLOWER, Specification};
use scrypt::{Params, scrypt};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::LazyLock;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A secret in clear, wiped from memory when it is dropped. `Debug` hides it.
#[derive(Clone)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text in clear: to send it to its owner, or to hash it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(<redacted>)")
    }
}

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct NoRandomness(String);

/// SHA-256 of a token, as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash(pub [u8; 32]);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// Draws a token: `prefix` and 43 URL-safe characters.
pub(crate) fn draw_token(prefix: &str) -> Result<SecretText, NoRandomness> {
    let bytes = draw::<32>()?;
    Ok(SecretText::new(format!("{prefix}{}", BASE64URL_NOPAD.encode(&*bytes))))
}

/// Digits and letters that people do not confuse. Case is ignored.
const SECRET_ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";
/// Consonants only, so that a code never spells a word.
const CODE_ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

static SECRET_ENCODING: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str(SECRET_ALPHABET);
    specification.encoding().ok()
});

/// Draws an approval secret: five groups of five characters, 125 bits.
pub(crate) fn draw_approval_secret() -> Result<SecretText, NoRandomness> {
    let bytes = draw::<16>()?;
    let encoding = SECRET_ENCODING.as_ref().ok_or_else(|| NoRandomness("no alphabet".into()))?;
    let text = Zeroizing::new(encoding.encode(&*bytes));
    let mut grouped = String::with_capacity(29);
    for (at, letter) in text.chars().take(25).enumerate() {
        if at > 0 && at % 5 == 0 {
            grouped.push('-');
        }
        grouped.push(letter);
    }
    Ok(SecretText::new(grouped))
}

/// Draws the code a person compares on the approval page: eight consonants, 34 bits, valid for
/// minutes.
pub(crate) fn draw_user_code() -> Result<String, NoRandomness> {
    let mut code = String::with_capacity(8);
    while code.len() < 8 {
        for byte in *draw::<16>()? {
            // 240 is the largest multiple of 20 in a byte: above it the letters would be uneven.
            if byte < 240 && code.len() < 8 {
                code.push(char::from(CODE_ALPHABET[usize::from(byte % 20)]));
            }
        }
    }
    Ok(code)
}

/// Normalizes a typed user code for the store: letters and digits only, upper case.
pub(crate) fn tidy_user_code(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).take(16).collect()
}

/// log2 of the scrypt cost: 16 MiB and a few dozen milliseconds. 125 bits cannot be searched; the cost
/// protects a shortened or reused secret.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 1;

/// The stored form of an approval secret: `scrypt$<log2 n>$<r>$<p>$<salt>$<hash>`.
pub(crate) fn hash_approval_secret(secret: &SecretText) -> Result<String, NoRandomness> {
    let salt = draw::<16>()?;
    let hash =
        derive(secret.expose(), &*salt, LOG_N, R, P).ok_or_else(|| NoRandomness("scrypt refused".into()))?;
    Ok(format!("scrypt${LOG_N}${R}${P}${}${}", HEXLOWER.encode(&*salt), HEXLOWER.encode(&*hash)))
}

/// Whether `typed` is the secret behind `stored`. A damaged or absent hash takes as long as a valid one.
pub(crate) fn verify_approval_secret(typed: &str, stored: Option<&str>) -> bool {
    let parsed = stored.and_then(StoredSecretHash::parse);
    let known = parsed.is_some();
    let stored = parsed.unwrap_or_else(StoredSecretHash::unmatchable);
    let derived = derive(typed, &stored.salt, stored.log_n, stored.r, stored.p);
    known && derived.is_some_and(|derived| bool::from(derived.ct_eq(&stored.hash)))
}

struct StoredSecretHash {
    log_n: u8,
    r: u32,
    p: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl StoredSecretHash {
    fn parse(stored: &str) -> Option<Self> {
        let mut parts = stored.strip_prefix("scrypt$")?.split('$');
        Some(Self {
            log_n: parts.next()?.parse().ok().filter(|log_n| (1..=20).contains(log_n))?,
            r: parts.next()?.parse().ok().filter(|r| (1..=32).contains(r))?,
            p: parts.next()?.parse().ok().filter(|p| (1..=16).contains(p))?,
            salt: HEXLOWER.decode(parts.next()?.as_bytes()).ok()?,
            hash: HEXLOWER.decode(parts.next()?.as_bytes()).ok()?,
        })
    }

    /// Takes as long to check as a real one, and matches nothing.
    fn unmatchable() -> Self {
        Self { log_n: LOG_N, r: R, p: P, salt: vec![0; 16], hash: Vec::new() }
    }
}

fn derive(secret: &str, salt: &[u8], log_n: u8, r: u32, p: u32) -> Option<Zeroizing<[u8; 32]>> {
    let tidy: Zeroizing<String> = Zeroizing::new(
        secret
            .chars()
            .filter(|c| !c.is_whitespace() && *c != '-')
            .flat_map(char::to_lowercase)
            .take(256)
            .collect(),
    );
    let params = Params::new(log_n, r, p).ok()?;
    let mut out = Zeroizing::new([0; 32]);
    scrypt(tidy.as_bytes(), salt, &params, &mut *out).ok()?;
    Some(out)
}

fn draw<const N: usize>() -> Result<Zeroizing<[u8; N]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| NoRandomness(error.to_string()))?;
    Ok(bytes)
}

/// Compares two texts in time that depends on their length only.
pub(crate) fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_typed_in_any_form_is_accepted() {
        let secret = draw_approval_secret().unwrap();
        assert_eq!(secret.expose().len(), 29);
        let stored = hash_approval_secret(&secret).unwrap();
        assert!(verify_approval_secret(secret.expose(), Some(&stored)));
        assert!(verify_approval_secret(&secret.expose().replace('-', " ").to_uppercase(), Some(&stored)));
        assert!(!verify_approval_secret("wrong", Some(&stored)));
        assert!(!verify_approval_secret("", Some(&stored)));
    }

    #[test]
    fn missing_user_and_damaged_hash_verify_nothing() {
        for stored in
            [None, Some(""), Some("scrypt$99$8$1$00$00"), Some("scrypt$14$8$1$zz$00"), Some("plain")]
        {
            assert!(!verify_approval_secret("x", stored), "{stored:?}");
        }
    }

    #[test]
    fn drawn_tokens_differ_and_debug_hides_them() {
        let (one, two) = (draw_token("sk_").unwrap(), draw_token("sk_").unwrap());
        assert_ne!(one.expose(), two.expose());
        assert!(!format!("{one:?}").contains(one.expose()));
        let code = draw_user_code().unwrap();
        assert!(code.len() == 8 && code.bytes().all(|b| CODE_ALPHABET.contains(&b)), "{code}");
        assert_eq!(tidy_user_code(" bcdf-ghjk\n"), "BCDFGHJK");
    }
}
