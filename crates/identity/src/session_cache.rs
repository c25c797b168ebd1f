//! The session cache: account and expiry of the encrypted session, in clear, beside it.
//!
//! It replaces the key derivation of the gate and contains no secret. It is valid only while its SHA-256 is that of
//! `session.json`, checked on every read (contract section 1). It is valid only on the machine that can decrypt the
//! session: a home copied to another machine has no login there. It is a cache: an invalid one counts as absent and
//! is never a fault.
//!
//! Reading never writes it. Commands that may write call [`refresh_session_cache`] after a decryption.

use crate::home::Home;
use crate::login::Login;
use crate::session::{Session, SessionStore};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use system::bounded_read::read_bounded;
use system::private_file::{self, Durability, WriteError};

/// The largest cache that is read; usual size: half a kilobyte.
const MAX_BYTES: u64 = 64 * 1024;

const VERSION: u32 = 1;

/// Whether a cache replaced the key derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCacheUse {
    /// There was no session to read.
    NotNeeded,
    /// A cache matched the session.
    Used,
    /// No cache matched: the session was decrypted. A command that may write calls [`refresh_session_cache`].
    Derived,
}

/// The binding of a cache: one session file, and the key that opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seals {
    /// SHA-256 of the session file.
    pub(crate) session_sha256: String,
    /// SHA-256 of the inputs of its key.
    pub(crate) key_sha256: String,
}

/// The facts of a session that a login needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionCache {
    version: u32,
    /// SHA-256 of the session file that this describes.
    session_sha256: String,
    /// SHA-256 of the inputs of the session key: host name, user id and salt.
    key_sha256: String,
    /// The server that was configured when the cache was written. For people: the scope follows the present
    /// configuration.
    server: Option<String>,
    /// The user's e-mail address.
    pub(crate) principal: String,
    /// The id of the first private teamspace.
    pub(crate) team: Option<String>,
    /// The ids of all private teamspaces, in order.
    pub(crate) private_teams: Vec<String>,
    pub(crate) access_token_expires_at: Timestamp,
    pub(crate) refresh_token_expires_at: Option<Timestamp>,
    /// The server that issued the tokens, if the session or an earlier cache of it names one.
    pub(crate) issuer: Option<String>,
    /// The id of the session; absent in caches of earlier releases.
    #[serde(default)]
    session_id: Option<String>,
}

impl SessionCache {
    /// The cache of `session`, stored in a file with that digest.
    pub(crate) fn of(session: &Session, seals: Seals, server: Option<String>) -> Self {
        let Seals { session_sha256, key_sha256 } = seals;
        Self {
            version: VERSION,
            session_sha256,
            key_sha256,
            server,
            principal: session.email.clone(),
            team: session.private_team().map(|team| team.id.clone()),
            private_teams: session
                .teams
                .iter()
                .filter(|team| team.private)
                .map(|team| team.id.clone())
                .collect(),
            access_token_expires_at: session.access_token_expires_at,
            refresh_token_expires_at: session.refresh_token_expires_at,
            issuer: session.issuer.clone(),
            session_id: Some(session.session_id.clone()),
        }
    }

    /// This cache, with the issuer of the stored cache of the same session: another program that refreshes the
    /// session does not write one. Nothing else of a stale cache is used.
    pub(crate) fn keeping_issuer(self, home: &Home) -> Self {
        let issuer = self.issuer.clone().or_else(|| {
            let stored = Self::read_any(home)?;
            (stored.session_id.is_some() && stored.session_id == self.session_id).then_some(stored.issuer)?
        });
        Self { issuer, ..self }
    }

    /// The stored cache, if it is bound to these digests.
    pub(crate) fn read(home: &Home, seals: &Seals) -> Option<Self> {
        let cache = Self::read_any(home)?;
        let matches = cache.session_sha256 == seals.session_sha256 && cache.key_sha256 == seals.key_sha256;
        matches.then_some(cache)
    }

    /// The stored cache, of any session.
    fn read_any(home: &Home) -> Option<Self> {
        let file = read_bounded(&home.session_cache_file(), MAX_BYTES).ok()??;
        let cache: Self = serde_json::from_slice(&file.bytes).ok()?;
        (!file.shared && cache.version == VERSION).then_some(cache)
    }

    /// Stores the cache. Not synced: a cache that a power failure tears is ignored.
    pub(crate) fn write(&self, home: &Home) -> Result<(), WriteError> {
        // A structure of text, numbers and times always serialises.
        let text = serde_json::to_string(self).unwrap_or_default();
        private_file::write_atomic(&home.session_cache_file(), text.as_bytes(), Durability::Eventual)
    }
}

/// Stores the cache of the session that `login` decrypted; returns whether there was one. Only for commands that
/// may write, after their gate.
///
/// If the session changed meanwhile, the digest in the stored cache does not match, so the cache is ignored.
///
/// # Errors
/// [`WriteError`]. Without a cache everything works, only slower.
pub fn refresh_session_cache(home: &Home, login: &Login) -> Result<bool, WriteError> {
    match login.derived_cache() {
        Some(cache) => cache.write(home).map(|()| true),
        None => Ok(false),
    }
}

/// Facts of the stored session, from its cache or by decryption.
pub(crate) struct SessionFacts {
    pub(crate) cache: SessionCache,
    pub(crate) cache_use: SessionCacheUse,
}

impl SessionFacts {
    /// Reads the session of `home`; `server` is written into a new cache.
    pub(crate) fn read(
        home: &Home,
        store: &SessionStore,
        server: Option<&str>,
    ) -> Result<Option<Self>, crate::session::SessionError> {
        store.read_as(|file| {
            // Without a usable salt there is no cache; decryption reports the fault.
            let known = store.seals(file).ok().and_then(|seals| SessionCache::read(home, &seals));
            if let Some(cache) = known {
                return Ok(Self { cache, cache_use: SessionCacheUse::Used });
            }
            let session = store.decrypt(file)?;
            let seals = store.seals(file)?;
            let cache = SessionCache::of(&session, seals, server.map(str::to_owned)).keeping_issuer(home);
            Ok(Self { cache, cache_use: SessionCacheUse::Derived })
        })
    }
}
