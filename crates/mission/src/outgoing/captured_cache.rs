//! Cache of the documents that this checkout captured last, per mission and scope.
//!
//! A small file beside the mission's lock in the git directory, one per mission and scope. It spares a mission of a
//! hundred documents a hundred events per lane change. It only saves work: lost, unreadable or of another queue, it
//! counts as empty, and every document is captured once more. Queue and server discard the duplicates.

use crate::document::{MAX_JSON, read_text};
use crate::project::Project;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use system::private_file::Durability;
use system::shared_file;

/// The documents and the snapshot that were captured last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CapturedCache {
    /// Id of the queue DB it was captured into.
    queue_id: String,
    /// The namespace the documents were captured under.
    namespace: String,
    /// Path to hash.
    documents: BTreeMap<String, String>,
    /// The last snapshot's hash.
    snapshot: Option<String>,
    #[serde(skip)]
    path: PathBuf,
}

impl CapturedCache {
    /// Reads what was captured into the queue `queue_id` under `namespace`.
    pub(crate) fn read(
        project: &Project,
        mission_slug: &str,
        scope: &contract::Scope,
        queue_id: &str,
        namespace: &str,
    ) -> Self {
        let hash = scope.hash();
        let name = format!("{mission_slug}.{}.captured.json", hash.get(..16).unwrap_or(&hash));
        let path = project.lock_path(mission_slug).with_file_name(name);
        let read = read_text(&path, MAX_JSON).ok().flatten();
        let known: Option<Self> = read.and_then(|text| serde_json::from_str(&text).ok());
        match known.filter(|cache| cache.queue_id == queue_id && cache.namespace == namespace) {
            Some(cache) => Self { path, ..cache },
            None => Self { queue_id: queue_id.into(), namespace: namespace.into(), path, ..Self::default() },
        }
    }

    /// Whether the document at `path` was captured with this hash last.
    pub(crate) fn holds(&self, path: &str, sha256: &str) -> bool {
        self.documents.get(path).is_some_and(|known| known == sha256)
    }

    /// Whether the document at `path` was captured with another hash last.
    pub(crate) fn holds_other(&self, path: &str, sha256: &str) -> bool {
        self.documents.get(path).is_some_and(|known| known != sha256)
    }

    /// Forgets these documents: they are captured again.
    pub(crate) fn forget(&mut self, paths: &[String]) {
        for path in paths {
            self.documents.remove(path);
        }
    }

    /// Whether another snapshot was the last one.
    pub(crate) fn holds_other_snapshot(&self, hash: &str) -> bool {
        self.snapshot.as_deref().is_some_and(|known| known != hash)
    }

    /// Whether this was the last snapshot.
    pub(crate) fn holds_snapshot(&self, hash: &str) -> bool {
        self.snapshot.as_deref() == Some(hash)
    }

    /// Records what is captured, to be saved once the capture is confirmed.
    pub(crate) fn remember(&mut self, documents: BTreeMap<String, String>, snapshot: String) {
        self.documents = documents;
        self.snapshot = Some(snapshot);
    }

    /// Writes the cache, unflushed. A failure only repeats captures, so it is logged. After a power failure the file
    /// is the new one, the old one or not JSON; the last two cause documents to be captured again.
    pub(crate) fn write(&self) {
        let text = contract::json::ordered_ascii_document(self);
        if let Err(error) = shared_file::place(&self.path, text.as_bytes(), Durability::Eventual) {
            tracing::warn!("cannot write {}: {error}", contract::text::path(&self.path));
        }
    }
}
