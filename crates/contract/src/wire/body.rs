//! Artifact bodies: `POST /api/dossier/push-content/`, one file per request.
//!
//! Nine fields, and the two of [`ArtifactPush`]; `feature_slug` and `mission_key` are refused by name. The event
//! `MissionDossierArtifactIndexed` of the path must have arrived before.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The largest content, in bytes of UTF-8, inclusive.
pub const MAX_CONTENT_BYTES: usize = 524_288;

/// The only hash algorithm.
pub(crate) const ALGORITHM: &str = "sha256";

/// The files at the top of a mission that are uploaded.
const SURFACE_FILES: [&str; 6] =
    ["spec.md", "plan.md", "tasks.md", "research.md", "quickstart.md", "data-model.md"];

/// The directories of a mission that are uploaded.
const SURFACE_DIRECTORIES: [&str; 3] = ["research/", "contracts/", "checklists/"];

/// The extensions of uploaded files, compared without case.
const EXTENSIONS: [&str; 5] = ["md", "json", "yaml", "yml", "csv"];

/// The names of the seven columns that identify a body, in the order of a [`BodyKey`](super::receipts::BodyKey).
pub const BODY_KEY_COLUMNS: [&str; 7] = [
    "project_uuid",
    "mission_slug",
    "target_branch",
    "mission_type",
    "manifest_version",
    "artifact_path",
    "content_hash",
];

/// One body as it is captured, stored and sent: exactly these nine keys. The first seven identify it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactBody {
    /// The project.
    pub project_uuid: String,
    /// The mission.
    pub mission_slug: String,
    /// The branch the mission aims at.
    pub target_branch: String,
    /// The mission's type.
    pub mission_type: String,
    /// The manifest's version, `1` without one.
    pub manifest_version: String,
    /// Relative to the mission's directory, with `/`.
    pub artifact_path: String,
    /// SHA-256 of `content_body` in UTF-8: 64 lower-case hex digits, no prefix.
    pub content_hash: String,
    /// `ALGORITHM`.
    pub hash_algorithm: String,
    /// The file, byte for byte.
    pub content_body: String,
}

/// A push as a server reads it: the nine fields, and two that releases up to 3.2.7 add. The two mean nothing
/// to a server, and any other key is refused by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactPush {
    project_uuid: String,
    mission_slug: String,
    target_branch: String,
    mission_type: String,
    manifest_version: String,
    artifact_path: String,
    content_hash: String,
    hash_algorithm: String,
    content_body: String,
    #[serde(default, rename = "admission_generation")]
    _admission_generation: IgnoredAny,
    #[serde(default, rename = "binding_audience")]
    _binding_audience: IgnoredAny,
}

impl From<ArtifactPush> for ArtifactBody {
    fn from(push: ArtifactPush) -> Self {
        Self {
            project_uuid: push.project_uuid,
            mission_slug: push.mission_slug,
            target_branch: push.target_branch,
            mission_type: push.mission_type,
            manifest_version: push.manifest_version,
            artifact_path: push.artifact_path,
            content_hash: push.content_hash,
            hash_algorithm: push.hash_algorithm,
            content_body: push.content_body,
        }
    }
}

/// The five fields that identify the mission of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Namespace<'a> {
    /// The project.
    pub project_uuid: &'a str,
    /// The mission.
    pub mission_slug: &'a str,
    /// The branch the mission aims at.
    pub target_branch: &'a str,
    /// The mission's type.
    pub mission_type: &'a str,
    /// The manifest's version.
    pub manifest_version: &'a str,
}

impl ArtifactBody {
    /// Its namespace.
    pub fn namespace(&self) -> Namespace<'_> {
        Namespace {
            project_uuid: &self.project_uuid,
            mission_slug: &self.mission_slug,
            target_branch: &self.target_branch,
            mission_type: &self.mission_type,
            manifest_version: &self.manifest_version,
        }
    }

    /// A body from its nine columns.
    pub fn from_columns(columns: [String; 9]) -> Self {
        let [
            project_uuid,
            mission_slug,
            target_branch,
            mission_type,
            manifest_version,
            artifact_path,
            content_hash,
            hash_algorithm,
            content_body,
        ] = columns;
        Self {
            project_uuid,
            mission_slug,
            target_branch,
            mission_type,
            manifest_version,
            artifact_path,
            content_hash,
            hash_algorithm,
            content_body,
        }
    }

    /// The values of [`BODY_KEY_COLUMNS`].
    pub fn key_columns(&self) -> [&str; 7] {
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
        serde_json::Value::from(self.key_columns().to_vec()).to_string()
    }

    /// Reason for a server to refuse it, in one sentence; none when it may be sent.
    pub fn fault(&self) -> Option<String> {
        if let Some(blank) = self.blank_column() {
            return Some(blank);
        }
        if !crate::event::id::is_uuid(&self.project_uuid) {
            return Some("field project_uuid must be a UUID".to_owned());
        }
        if !is_surface(&self.artifact_path) {
            return Some("field artifact_path names a file that is not uploaded".to_owned());
        }
        if self.content_body.is_empty() {
            return Some("field content_body must not be empty".to_owned());
        }
        if self.content_body.len() > MAX_CONTENT_BYTES {
            return Some(format!("field content_body is larger than {MAX_CONTENT_BYTES} bytes"));
        }
        self.hash_fault()
    }

    /// Reason for a queue to refuse it: a blank key column, or the hash of another content.
    pub fn stored_fault(&self) -> Option<String> {
        self.blank_column().or_else(|| self.hash_fault())
    }

    fn blank_column(&self) -> Option<String> {
        let mut columns = BODY_KEY_COLUMNS.into_iter().zip(self.key_columns());
        let (name, _) = columns.find(|(_, value)| crate::scope::trim(value).is_empty())?;
        Some(format!("field {name} must not be empty"))
    }

    fn hash_fault(&self) -> Option<String> {
        if self.hash_algorithm != ALGORITHM {
            return Some(format!("field hash_algorithm must be {ALGORITHM}"));
        }
        (hash(self.content_body.as_bytes()) != self.content_hash)
            .then(|| "field content_hash is not the SHA-256 of content_body".to_owned())
    }
}

/// The SHA-256 of `content` in the form of `content_hash`.
pub fn hash(content: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(content))
}

/// Whether the file at `path` (relative to its mission, with `/`) is uploaded: a file of the surface, with
/// one of the extensions, and a path that stays inside the mission. Client and server share this rule.
fn is_surface(path: &str) -> bool {
    is_place(path) && is_format(path)
}

/// Whether `path` is in a location of documents.
pub fn is_place(path: &str) -> bool {
    let contained = !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let known = SURFACE_FILES.contains(&path)
        || SURFACE_DIRECTORIES.iter().any(|directory| path.starts_with(directory))
        || path.strip_prefix("tasks/WP").is_some_and(is_work_package);
    contained && known
}

/// Whether `path` has the extension of a document.
pub fn is_format(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Digits, then anything, ending in `.md`: the file of a work package, or a review of it in the directory
/// of its name.
fn is_work_package(rest: &str) -> bool {
    rest.ends_with(".md") && rest.starts_with(|c: char| c.is_ascii_digit())
}

/// Answer of status 200 or 201 to a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyAnswer {
    /// [`STORED`] with 201, [`ALREADY_EXISTS`] with 200.
    pub status: String,
    /// As sent.
    #[serde(default)]
    pub artifact_path: String,
    /// As sent.
    #[serde(default)]
    pub content_hash: String,
}

/// The body is new.
pub const STORED: &str = "stored";
/// The same body was stored before.
pub const ALREADY_EXISTS: &str = "already_exists";
/// `error` of a 404: the index event of the path has not arrived. Send again later.
pub const INDEX_ENTRY_NOT_FOUND: &str = "index_entry_not_found";
/// `error` of a 404: the namespace cannot exist. Do not send again.
pub const NAMESPACE_NOT_FOUND: &str = "namespace_not_found";

#[cfg(test)]
mod tests {
    use super::*;

    fn push(path: &str, content: &str) -> ArtifactBody {
        ArtifactBody {
            project_uuid: "892d6066-b402-45e3-9521-a4ac582672a6".into(),
            mission_slug: "demo-01M81786".into(),
            target_branch: "main".into(),
            mission_type: "software-dev".into(),
            manifest_version: "1".into(),
            artifact_path: path.into(),
            content_hash: hash(content.as_bytes()),
            hash_algorithm: "sha256".into(),
            content_body: content.into(),
        }
    }

    #[test]
    fn surface_is_a_closed_list_inside_the_mission() {
        for yes in [
            "spec.md",
            "research/a/b.csv",
            "contracts/api.YAML",
            "tasks/WP01-x.md",
            "tasks/WP01-x/review-cycle-1.md",
            "checklists/r.json",
        ] {
            assert!(is_surface(yes), "{yes}");
        }
        for no in [
            "meta.json",
            "research/a.png",
            "tasks/WP.md",
            "tasks/x/WP01.md",
            "tasks/WP01/../../x.md",
            "tasks/WP-x.md",
            "tasks/WP01.txt",
            "evidence/x.md",
            "sub/spec.md",
            "tasks/README.md",
            "../spec.md",
            "research/../../x.md",
            "/spec.md",
            "research//x.md",
            "research\\x.md",
            "",
            "research/",
        ] {
            assert!(!is_surface(no), "{no}");
        }
    }

    #[test]
    fn wrong_hash_an_empty_and_an_oversized_body_are_named() {
        assert_eq!(push("spec.md", "x").fault(), None);
        let wrong = ArtifactBody { content_hash: hash(b"y"), ..push("spec.md", "x") };
        assert!(wrong.fault().unwrap().contains("content_hash"));
        assert!(push("spec.md", "").fault().unwrap().contains("content_body"));
        assert_eq!(push("spec.md", &"x".repeat(MAX_CONTENT_BYTES)).fault(), None);
        assert!(push("spec.md", &"x".repeat(MAX_CONTENT_BYTES + 1)).fault().unwrap().contains("larger"));
    }

    #[test]
    fn tenth_field_is_refused_by_name() {
        let mut value = serde_json::to_value(push("spec.md", "x")).unwrap();
        value["mission_key"] = "k".into();
        let error = serde_json::from_value::<ArtifactBody>(value).unwrap_err().to_string();
        assert!(error.contains("mission_key"), "{error}");
    }
}
