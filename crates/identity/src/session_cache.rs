//! The identity card: who is logged in, in clear, beside the encrypted session.
//!
//! It spares the gate the key derivation. It holds no secret, and it is believed only while the SHA-256
//! it names is that of `session.json`, which is checked on every read (contract section 1), and only
//! where that session can be decrypted: a home copied to another machine has no login there, whatever
//! the copied cache names. Anything wrong with it means that there is none: it is a cache, so it is
//! never a fault.
//!
//! Reading never writes it. Commands that may write call [`refresh_card`] after they have decrypted.

use crate::home::Home;
use crate::login::Login;
use crate::session::{Session, SessionStore};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use system::bounded_read::read_small_file;
use system::private_file::{self, Durability, WriteError};

/// The largest card that is read; a real one has half a kilobyte.
const MAX_BYTES: u64 = 64 * 1024;

const VERSION: u32 = 1;

/// Whether a card spared the key derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardUse {
    /// There was no session to read.
    NotNeeded,
    /// A card that matches the session was there.
    Used,
    /// There was none, or none that matches: the session was decrypted. A command that may write calls
    /// [`refresh_card`].
    Derived,
}

/// What a card is bound to: one session file, and the key that opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seals {
    /// SHA-256 of the session file.
    pub(crate) session_sha256: String,
    /// SHA-256 of what its key is derived from.
    pub(crate) key_sha256: String,
}

/// What a login needs to know about a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdentityCard {
    version: u32,
    /// SHA-256 of the session file that this describes.
    session_sha256: String,
    /// SHA-256 of what the session key is derived from: host name, user id and salt.
    key_sha256: String,
    /// The server that was configured when the card was written. A note for people: the scope follows
    /// the configuration of the day.
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
    /// The id of the session; absent in cards of earlier releases.
    #[serde(default)]
    session_id: Option<String>,
}

impl IdentityCard {
    /// The card of `session`, stored in a file with that digest.
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

    /// This card, with the issuer that the stored card names for the same session. Another program that
    /// refreshes the session writes no issuer into it. Nothing else of a stale card is used.
    pub(crate) fn keeping_issuer(self, home: &Home) -> Self {
        let issuer = self.issuer.clone().or_else(|| {
            let stored = Self::read_any(home)?;
            (stored.session_id.is_some() && stored.session_id == self.session_id).then_some(stored.issuer)?
        });
        Self { issuer, ..self }
    }

    /// The stored card, if it describes the session that these seals belong to.
    pub(crate) fn read(home: &Home, seals: &Seals) -> Option<Self> {
        let card = Self::read_any(home)?;
        let matches = card.session_sha256 == seals.session_sha256 && card.key_sha256 == seals.key_sha256;
        matches.then_some(card)
    }

    /// The stored card, whichever session it describes.
    fn read_any(home: &Home) -> Option<Self> {
        let file = read_small_file(&home.identity_card(), MAX_BYTES).ok()??;
        let card: Self = serde_json::from_slice(&file.bytes).ok()?;
        (!file.shared && card.version == VERSION).then_some(card)
    }

    /// Stores the card. Not synced: a card that a power failure tears is ignored.
    pub(crate) fn write(&self, home: &Home) -> Result<(), WriteError> {
        // A structure of text, numbers and times always serialises.
        let text = serde_json::to_string(self).unwrap_or_default();
        private_file::write_atomic(&home.identity_card(), text.as_bytes(), Durability::Eventual)
    }
}

/// Stores the cache of the session that `login` decrypted; returns whether there was anything to store.
/// Only for commands that may write, after their gate.
///
/// A session that changed meanwhile makes the stored card useless but not wrong: it names the digest of
/// the file it describes.
///
/// # Errors
/// [`WriteError`]. Without a card everything works, only slower.
pub fn refresh_card(home: &Home, login: &Login) -> Result<bool, WriteError> {
    match login.derived_card() {
        Some(card) => card.write(home).map(|()| true),
        None => Ok(false),
    }
}

/// The stored session's content, from its cache or by decryption.
pub(crate) struct SessionFacts {
    pub(crate) card: IdentityCard,
    pub(crate) card_use: CardUse,
}

impl SessionFacts {
    /// Reads the session of `home`; `server` is what a new card would note.
    pub(crate) fn read(
        home: &Home,
        store: &SessionStore,
        server: Option<&str>,
    ) -> Result<Option<Self>, crate::session::SessionError> {
        store.read_as(|file| {
            // Without a usable salt there is no session cache; decryption reports the fault.
            let known = store.seals(file).ok().and_then(|seals| IdentityCard::read(home, &seals));
            if let Some(card) = known {
                return Ok(Self { card, card_use: CardUse::Used });
            }
            let session = store.decrypt(file)?;
            let seals = store.seals(file)?;
            let card = IdentityCard::of(&session, seals, server.map(str::to_owned)).keeping_issuer(home);
            Ok(Self { card, card_use: CardUse::Derived })
        })
    }
}
