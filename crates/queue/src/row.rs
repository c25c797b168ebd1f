//! Rows: what is captured, what identifies it, what it hashes to.

use crate::envelope::Envelope;
use crate::legacy::LegacyTable;
use crate::{coalesce, event_json};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;

/// The two kinds of rows that travel.
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

    /// From storage; the failure log has a number, but its rows do not travel.
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

    /// Of a body upload, beside its key.
    pub(crate) fn of_body(hash_algorithm: &[u8], content_body: &[u8]) -> Self {
        Self::of([hash_algorithm, content_body])
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
    pub fn to_hex(self) -> String {
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

/// An event as the `queue` table stores it: a finished, validated envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) data: String,
    pub(crate) coalesce_key: Option<String>,
    pub(crate) project_uuid: Option<String>,
}

/// A body upload as `body_upload_queue` stores it. The first seven fields are its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BodyRow {
    /// The project.
    pub project_uuid: String,
    /// The mission's directory name.
    pub mission_slug: String,
    /// The mission's target branch.
    pub target_branch: String,
    /// The mission's type.
    pub mission_type: String,
    /// The dossier manifest's version, `"1"` without one.
    pub manifest_version: String,
    /// The document's path, relative to the mission directory, with `/`.
    pub artifact_path: String,
    /// Lower-case hex SHA-256 of the document's bytes.
    pub content_hash: String,
    /// `sha256`.
    pub hash_algorithm: String,
    /// The document.
    pub content_body: String,
}

/// What proves that the local write behind a prepared row happened (contract section 7).
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
    /// Another row of the same capture: whatever holds for it holds for this one.
    Row {
        /// Which kind the other row is.
        kind: Kind,
        /// Its key, as [`NewRow::key`] gives it.
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
    Event(EventRow),
    Body(BodyRow),
}

impl NewRow {
    /// An event and what proves it.
    pub fn event(row: EventRow, witness: Witness) -> Self {
        Self { content: Content::Event(row), witness }
    }

    /// A body and what proves it.
    pub fn body(row: BodyRow, witness: Witness) -> Self {
        Self { content: Content::Body(row), witness }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self.content {
            Content::Event(_) => Kind::Event,
            Content::Body(_) => Kind::Body,
        }
    }

    /// Its key: the event id, or the seven key columns of a body as a JSON array.
    pub fn key(&self) -> String {
        match &self.content {
            Content::Event(row) => row.event_id.clone(),
            Content::Body(row) => row.key(),
        }
    }
}

impl BodyRow {
    /// The seven key columns, in the order of the table's unique constraint.
    pub(crate) fn key_columns(&self) -> [&str; 7] {
        [
            &self.project_uuid,
            &self.mission_slug,
            &self.target_branch,
            &self.mission_type,
            &self.manifest_version,
            &self.artifact_path,
            &self.content_hash,
        ]
    }

    /// The key as one text: a JSON array, which no two lists of columns share.
    pub fn key(&self) -> String {
        joined_key(&self.key_columns())
    }

    pub(crate) fn digest(&self) -> RowDigest {
        RowDigest::of_body(self.hash_algorithm.as_bytes(), self.content_body.as_bytes())
    }

    /// What keeps the row out of its table, if anything: the namespace parts must not be blank, and the
    /// hash must be the content's.
    pub(crate) fn check(&self) -> Result<(), String> {
        const NAMES: [&str; 7] = [
            "project_uuid",
            "mission_slug",
            "target_branch",
            "mission_type",
            "manifest_version",
            "artifact_path",
            "content_hash",
        ];
        if let Some((name, _)) =
            NAMES.iter().zip(self.key_columns()).find(|(_, value)| contract::scope::trim(value).is_empty())
        {
            return Err(format!("`{name}` is blank"));
        }
        if self.hash_algorithm != "sha256" {
            return Err(format!("hash algorithm `{}` is not `sha256`", self.hash_algorithm));
        }
        let actual = data_encoding::HEXLOWER.encode(&Sha256::digest(&self.content_body));
        if actual != self.content_hash {
            return Err(format!(
                "`content_hash` is {} and the content hashes to {actual}",
                self.content_hash
            ));
        }
        Ok(())
    }
}

/// Several key columns as one text.
pub(crate) fn joined_key(columns: &[&str]) -> String {
    Value::from(columns.to_vec()).to_string()
}

/// Why something is not an event envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// A key is missing or not a non-empty string.
    #[error("`{0}` is missing or not a non-empty string")]
    Key(&'static str),
}

impl EventRow {
    /// An event from its envelope, rendered the way every reader of the table expects: keys in the
    /// given order, `", "` and `": "`, ASCII with `\uXXXX` escapes.
    pub fn from_envelope(envelope: &Map<String, Value>) -> Result<Self, BadEvent> {
        Self::build(envelope, event_json::render_object(envelope))
    }

    /// An event from its finished text, kept byte for byte.
    pub fn from_text(data: String) -> Result<Self, BadEvent> {
        let envelope: Map<String, Value> =
            serde_json::from_str(&data).map_err(|error| BadEvent::NotAnObject(error.to_string()))?;
        Self::build(&envelope, data)
    }

    fn build(envelope: &Map<String, Value>, data: String) -> Result<Self, BadEvent> {
        let text = |name: &'static str| {
            let value = envelope.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            value.map(str::to_owned).ok_or(BadEvent::Key(name))
        };
        let project_uuid = Envelope::read(data.as_bytes()).map_err(BadEvent::NotAnObject)?.project_uuid();
        Ok(Self {
            event_id: text("event_id")?,
            event_type: text("event_type")?,
            coalesce_key: coalesce::key(envelope),
            project_uuid,
            data,
        })
    }

    /// Its id.
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Its type.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// Its text, as stored and sent.
    pub fn data(&self) -> &str {
        &self.data
    }
}
