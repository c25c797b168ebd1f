//! Encryption of the session file, as in the reference: AES-256-GCM without additional data, with a key that
//! scrypt (N = 16384, r = 8, p = 1) derives from `<host name>:<user id>` and a 16-byte salt beside the file.
//!
//! The key protects little and costs tens of milliseconds; it is kept because both programs share the file. A
//! caller that needs only scope and expiry reads the session cache instead.

use super::SessionError;
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use system::machine::Machine;
use zeroize::Zeroizing;

/// Length of the salt, in bytes.
pub(super) const SALT_BYTES: usize = 16;

const VERSION: i64 = 2;
const NONCE_BYTES: usize = 12;
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 1;

type Key = Zeroizing<[u8; 32]>;

/// A derived key.
pub(super) struct Cipher {
    key: Key,
}

/// The last key that this process derived, with its inputs. A daemon opens the session before every drain;
/// another derivation would cost tens of milliseconds and 16 MiB each time. A process that can read this
/// memory can also derive the key from host name, user id and salt.
static LAST: Mutex<Option<CachedKey>> = Mutex::new(None);

struct CachedKey {
    password: Zeroizing<String>,
    salt: [u8; SALT_BYTES],
    key: Key,
}

impl Cipher {
    /// The key of `machine` and `salt`. A derivation takes tens of milliseconds; the last one is cached.
    pub(super) fn derive(machine: &Machine, salt: &[u8; SALT_BYTES]) -> Result<Self, SessionError> {
        let password = Zeroizing::new(format!("{}:{}", machine.hostname, machine.uid));
        // A poisoned lock guards a whole value or none.
        let remembered = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*remembered()
            && last.password == password
            && last.salt == *salt
        {
            return Ok(Self { key: last.key.clone() });
        }
        let key = Self::derive_key(&password, salt)?;
        *remembered() = Some(CachedKey { password, salt: *salt, key: key.clone() });
        Ok(Self { key })
    }

    fn derive_key(password: &str, salt: &[u8; SALT_BYTES]) -> Result<Key, SessionError> {
        let mut key = Zeroizing::new([0; 32]);
        let parameters = scrypt::Params::new(LOG_N, R, P).map_err(|_| SessionError::Cipher)?;
        scrypt::scrypt(password.as_bytes(), salt, &parameters, key.as_mut_slice())
            .map_err(|_| SessionError::Cipher)?;
        Ok(key)
    }

    fn aead(&self) -> Result<Aes256Gcm, SessionError> {
        Aes256Gcm::new_from_slice(self.key.as_slice()).map_err(|_| SessionError::Cipher)
    }

    /// The plaintext of `envelope`; none when this is not its key or it was altered.
    pub(super) fn open(&self, envelope: &SealedSession) -> Result<Option<Zeroizing<Vec<u8>>>, SessionError> {
        let plaintext = self.aead()?.decrypt(&Nonce::from(envelope.nonce), envelope.ciphertext.as_slice());
        Ok(plaintext.ok().map(Zeroizing::new))
    }

    /// Encrypts `plaintext` under a fresh nonce.
    pub(super) fn seal(&self, plaintext: &[u8]) -> Result<SealedSession, SessionError> {
        let nonce = random::<NONCE_BYTES>().map_err(SessionError::Random)?;
        let ciphertext =
            self.aead()?.encrypt(&Nonce::from(nonce), plaintext).map_err(|_| SessionError::Cipher)?;
        Ok(SealedSession { nonce, ciphertext })
    }
}

/// `N` bytes from the system's generator.
pub(super) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// The content of `session.json`.
pub(super) struct SealedSession {
    nonce: [u8; NONCE_BYTES],
    ciphertext: Vec<u8>,
}

impl SealedSession {
    /// Parses the file. Errors never repeat its content: a version 1 file holds the tokens in clear.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SessionError> {
        let map: BTreeMap<String, &RawValue> =
            serde_json::from_slice(bytes).map_err(|error| SessionError::not_json(&error))?;
        let version = map.get("version").and_then(|raw| raw.get().parse::<i64>().ok());
        if version != Some(VERSION) {
            return Err(SessionError::Version(version));
        }
        let hex = |key: &'static str| {
            let text: &str = map.get(key).and_then(|raw| serde_json::from_str(raw.get()).ok())?;
            HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
        };
        let nonce = hex("nonce").and_then(|nonce| nonce.try_into().ok());
        Ok(Self {
            nonce: nonce.ok_or(SessionError::SealedSession("nonce"))?,
            ciphertext: hex("ciphertext").ok_or(SessionError::SealedSession("ciphertext"))?,
        })
    }

    /// The bytes of `session.json`, with the separators of the reference's writer.
    pub(super) fn render(&self) -> String {
        format!(
            "{{\"version\": {VERSION}, \"nonce\": \"{}\", \"ciphertext\": \"{}\"}}",
            HEXLOWER.encode(&self.nonce),
            HEXLOWER.encode(&self.ciphertext)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembered_key_is_the_one_that_would_be_derived_and_no_other() {
        let machine = |hostname: &str| Machine { hostname: hostname.into(), uid: 1000 };
        let key = |hostname: &str, salt: [u8; SALT_BYTES]| {
            Cipher::derive(&machine(hostname), &salt).expect("a key").key
        };
        let first = key("host", [1; SALT_BYTES]);
        assert_eq!(*first, *Cipher::derive_key("host:1000", &[1; SALT_BYTES]).expect("a key"));
        assert_eq!(*key("host", [1; SALT_BYTES]), *first);
        assert_ne!(*key("host", [2; SALT_BYTES]), *first);
        assert_ne!(*key("other", [1; SALT_BYTES]), *first);
        assert_eq!(*key("host", [1; SALT_BYTES]), *first);
    }
}
