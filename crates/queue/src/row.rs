//! Rows: kinds, keys, digests and witnesses.

use crate::legacy::{LegacyTable, text_of};
use contract::event::ValidatedEvent;
use contract::wire::ArtifactBody;
use rusqlite::Row;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;

/// The two kinds of rows that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A row of `queue`.
    Event,
    /// A row of `body_upload_queue`.
    Body,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Event, Self::Body];

    /// The number under which bindings, prepared rows, parked rows and receipts keep it.
    pub(crate) const fn stored(self) -> i64 {
        match self {
            Self::Event => 0,
            Self::Body => 1,
        }
    }

    /// From storage; the failure log has a number, but its rows are not sent.
    pub(crate) fn from_stored(value: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.stored() == value)
    }

    /// Its table.
    pub(crate) const fn legacy_table(self) -> LegacyTable {
        match self {
            Self::Event => LegacyTable::Events,
            Self::Body => LegacyTable::Bodies,
        }
    }

    /// The name of its table.
    pub(crate) const fn table(self) -> &'static str {
        self.legacy_table().name()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event => "event",
            Self::Body => "body",
        })
    }
}

/// SHA-256 over a row's content, without bookkeeping such as retry counts. Equal key and equal digest
/// mean the same fact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowDigest(pub(crate) [u8; 32]);

impl RowDigest {
    /// Of an event.
    pub(crate) fn of_event(event_type: &[u8], data: &[u8]) -> Self {
        Self::of([event_type, data])
    }

    /// Of a body, beside its key.
    pub(crate) fn of_body(body: &ArtifactBody) -> Self {
        Self::of([body.hash_algorithm.as_bytes(), body.content_body.as_bytes()])
    }

    /// Of parts: each is preceded by its length, so that no two lists of parts look alike.
    pub(crate) fn of<const N: usize>(parts: [&[u8]; N]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// From storage.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// 64 lower-case hex digits.
    pub(crate) fn to_hex(self) -> String {
        data_encoding::HEXLOWER.encode(&self.0)
    }
}

impl fmt::Debug for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowDigest({})", self.to_hex())
    }
}

impl Serialize for RowDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

/// Evidence of the local write of a prepared row (contract section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A row of a canonical JSON-lines log with this `event_id`.
    LogRow {
        /// The log.
        log: PathBuf,
        /// The id looked for.
        event_id: String,
    },
    /// A file with this content.
    File {
        /// The file.
        path: PathBuf,
        /// Lower-case hex SHA-256 of its bytes.
        sha256: String,
    },
    /// Another row of the same capture: proven exactly when that row is.
    Row {
        /// Kind of the other row.
        kind: Kind,
        /// Its key, the event id, or the key columns of a body as a JSON array.
        key: String,
    },
}

/// One row of a capture, with its witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    pub(crate) content: Content,
    pub(crate) witness: Witness,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Event(ValidatedEvent),
    Body(ArtifactBody),
}

impl NewRow {
    /// An event with its witness.
    pub fn event(event: ValidatedEvent, witness: Witness) -> Self {
        Self { content: Content::Event(event), witness }
    }

    /// A body with its witness.
    pub fn body(body: ArtifactBody, witness: Witness) -> Self {
        Self { content: Content::Body(body), witness }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.content {
            Content::Event(_) => Kind::Event,
            Content::Body(_) => Kind::Body,
        }
    }

    /// The event id, or the seven key columns of a body as a JSON array.
    pub(crate) fn key(&self) -> String {
        match &self.content {
            Content::Event(event) => event.id().to_owned(),
            Content::Body(body) => body.key(),
        }
    }

    pub(crate) fn digest(&self) -> RowDigest {
        match &self.content {
            Content::Event(event) => {
                RowDigest::of_event(event.event_type().as_bytes(), event.text().as_bytes())
            }
            Content::Body(body) => RowDigest::of_body(body),
        }
    }
}

/// The body in nine columns of a row, from `first` on; nothing when one of them is not text.
pub(crate) fn body_of_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<ArtifactBody>> {
    let mut columns = Vec::with_capacity(9);
    for offset in 0..9 {
        columns.extend(text_of(row.get_ref(first + offset)?).map(str::to_owned));
    }
    Ok(columns.try_into().ok().map(ArtifactBody::from_columns))
}

/// Several key columns as one text.
pub(crate) fn joined_key(columns: &[&str]) -> String {
    Value::from(columns.to_vec()).to_string()
}
