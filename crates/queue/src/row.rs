//! Rows: what is captured, what identifies it, what it hashes to.

use serde::Serialize;
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
        todo!()
    }
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
    pub fn from_envelope(envelope: &serde_json::Map<String, serde_json::Value>) -> Result<Self, BadEvent> {
        let _ = envelope;
        todo!()
    }

    /// An event from its finished text, kept byte for byte.
    pub fn from_text(data: String) -> Result<Self, BadEvent> {
        let _ = data;
        todo!()
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
