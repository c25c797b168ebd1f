//! The secret of one daemon run, and the mutual proof of it.
//!
//! The token is 32 random bytes. It is in the daemon's memory and in the 0600 control file, never in
//! argv, a log, an error or a `Debug` output.
//!
//! * The daemon proves itself first: the client sends a fresh nonce, the daemon answers
//!   `HMAC-SHA256(token, domain | port | nonce)`. A process that took the port after the daemon died cannot
//!   answer, and a process on another port that passes the nonce on gets a proof for the wrong port.
//! * Only then does the client send the token as its bearer, on the very connection that was proven.
//! * Tokens and proofs are compared in constant time.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const TOKEN_BYTES: usize = 32;
const NONCE_BYTES: usize = 16;
const DOMAIN: &[u8] = b"spec-kitty daemon proof v1\0";

/// The secret of one daemon run. `Debug` shows nothing of it; memory is wiped on drop.
#[derive(Clone)]
pub struct ControlToken(Zeroizing<[u8; TOKEN_BYTES]>);

impl ControlToken {
    /// A fresh token.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Reads the 64 hex digits of a control file.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(HEXLOWER.decode(text.as_bytes()).ok()?);
        let bytes = <[u8; TOKEN_BYTES]>::try_from(bytes.as_slice()).ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    /// The 64 hex digits, for the control file and the bearer header.
    pub fn hex(&self) -> Zeroizing<String> {
        Zeroizing::new(HEXLOWER.encode(self.0.as_slice()))
    }

    /// Whether `bearer` is this token, in constant time for every bearer of the right length.
    pub fn matches(&self, bearer: &str) -> bool {
        self.hex().as_bytes().ct_eq(bearer.as_bytes()).into()
    }

    /// The daemon's answer to `nonce` on `port`: 64 hex digits.
    pub fn prove(&self, port: u16, nonce: &Nonce) -> String {
        HEXLOWER.encode(&self.mac(port, nonce).finalize().into_bytes())
    }

    /// Whether `proof` is the answer of a process that has this token and listens on `port`.
    pub(crate) fn is_proof(&self, port: u16, nonce: &Nonce, proof: &str) -> bool {
        HEXLOWER
            .decode(proof.as_bytes())
            .is_ok_and(|proof| self.mac(port, nonce).verify_slice(&proof).is_ok())
    }

    fn mac(&self, port: u16, nonce: &Nonce) -> Hmac<Sha256> {
        // HMAC takes a key of any length.
        #[allow(clippy::expect_used)]
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("a key of any length");
        mac.chain_update(DOMAIN).chain_update(port.to_be_bytes()).chain_update(nonce.0)
    }
}

impl fmt::Debug for ControlToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControlToken(..)")
    }
}

/// A client's challenge; used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    /// A fresh nonce.
    ///
    /// # Errors
    /// The system's random source failed.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; NONCE_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads 32 hex digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The 32 hex digits.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> ControlToken {
        ControlToken(Zeroizing::new([byte; TOKEN_BYTES]))
    }

    #[test]
    fn proof_holds_for_its_token_port_and_nonce_only() {
        let nonce = Nonce([7; NONCE_BYTES]);
        let proof = token(1).prove(50_000, &nonce);
        assert!(token(1).is_proof(50_000, &nonce, &proof));
        assert!(!token(2).is_proof(50_000, &nonce, &proof), "another token");
        assert!(!token(1).is_proof(50_001, &nonce, &proof), "another port");
        assert!(!token(1).is_proof(50_000, &Nonce([8; NONCE_BYTES]), &proof), "another nonce");
        for junk in ["", "zz", &proof[..62], "00"] {
            assert!(!token(1).is_proof(50_000, &nonce, junk), "{junk:?}");
        }
    }

    #[test]
    fn bearer_is_the_token_to_the_last_digit() {
        let hex = token(0xab).hex();
        assert!(token(0xab).matches(&hex));
        assert!(!token(0xac).matches(&hex));
        assert!(!token(0xab).matches(&hex[..63]));
        assert!(!token(0xab).matches(""));
        assert_eq!(ControlToken::from_hex(&hex).map(|token| token.hex()), Some(hex));
        assert!(ControlToken::from_hex("abc").is_none());
        assert!(ControlToken::from_hex(&"AB".repeat(32)).is_none(), "upper case is not what we write");
    }

    #[test]
    fn two_tokens_differ_and_debug_shows_neither() {
        let (one, two) =
            (ControlToken::generate().expect("random"), ControlToken::generate().expect("random"));
        assert_ne!(one.hex(), two.hex());
        assert!(!format!("{one:?}").contains(one.hex().as_str()));
    }
}
