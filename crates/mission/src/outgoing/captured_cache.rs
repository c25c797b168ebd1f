//! Cache of the documents that this checkout captured last, per mission and scope.
//!
//! A small file beside the mission's lock in the git directory, one per mission and scope. It spares a mission of a
//! hundred documents a hundred events per lane change. It only saves work: lost, unreadable or of another queue, it
//! counts as empty, and every document is captured once more. Queue and server discard the duplicates.
//!
//! A cache with another key means that the queue DB was replaced or lost rows. [`read_incomplete_captures`] names its
//! mission.

use crate::document::{MAX_JSON, read_text};
use crate::error::Result;
use crate::project::Project;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    /// Whether the queue lacks what was captured into another one, or before it lost rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
    /// Whether this command captures what the queue lacked.
    #[serde(skip)]
    became_complete: bool,
    #[serde(skip)]
    path: PathBuf,
}

/// Missions in this checkout whose cache for `scope` has another key than the queue DB, and whose history was not
/// captured again. A cache with another key means that the queue DB was replaced or lost rows.
///
/// # Errors
/// When the missions cannot be listed.
pub fn read_incomplete_captures(
    project: &Project,
    scope: &contract::Scope,
    queue_id: Option<&str>,
) -> Result<Vec<String>> {
    let lacks = |slug: &String| {
        read_cache(&cache_path(project, slug, scope)).is_some_and(|cache| cache.lacks_rows_of(queue_id))
    };
    Ok(project.mission_names()?.into_iter().filter(lacks).collect())
}

fn cache_path(project: &Project, mission_slug: &str, scope: &contract::Scope) -> PathBuf {
    let hash = scope.hash();
    let name = format!("{mission_slug}.{}.captured.json", hash.get(..16).unwrap_or(&hash));
    project.lock_path(mission_slug).with_file_name(name)
}

fn read_cache(path: &Path) -> Option<CapturedCache> {
    let text = read_text(path, MAX_JSON).ok().flatten()?;
    serde_json::from_str(&text).ok()
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
        let path = cache_path(project, mission_slug, scope);
        let known = read_cache(&path);
        let incomplete = known.as_ref().is_some_and(|cache| cache.lacks_rows_of(Some(queue_id)));
        match known.filter(|cache| cache.queue_id == queue_id && cache.namespace == namespace) {
            Some(cache) => Self { path, ..cache },
            None => {
                let (queue_id, namespace) = (queue_id.to_owned(), namespace.to_owned());
                Self { queue_id, namespace, incomplete, path, ..Self::default() }
            }
        }
    }

    /// Whether rows that were captured are not in the queue DB with this key.
    fn lacks_rows_of(&self, queue_id: Option<&str>) -> bool {
        self.incomplete || queue_id != Some(&self.queue_id)
    }

    /// Records that the whole mission is captured.
    pub(crate) fn complete(&mut self) {
        self.became_complete = std::mem::take(&mut self.incomplete);
    }

    /// Whether the mission was incomplete: then the cache is written even if no row is captured.
    pub(crate) const fn became_complete(&self) -> bool {
        self.became_complete
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
