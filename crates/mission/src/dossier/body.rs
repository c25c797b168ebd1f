//! Selection of the artifacts that are sent as bodies, with the reason for each of the others.
//!
//! The rules are the wire contract's: the documents people read, as text, up to half a mebibyte.

use super::index::{Artifact, Overlay, sha256_hex};
use contract::wire::body::{is_format, is_place};
use std::fmt;
use std::io::Read;
use std::path::Path;

/// The largest body, in bytes.
pub(crate) const MAX_BODY: u64 = 512 * 1024;

/// Whether the text of an artifact is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyVerdict {
    /// It is sent, with this text.
    Sent(String),
    /// It is not sent, for this reason.
    Skipped(SkipReason),
}

/// Reason for not sending an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// It counts as absent.
    NotPresent,
    /// It is not one of the documents that are sent.
    UnsupportedSurface,
    /// Its extension, with the dot.
    UnsupportedFormat(String),
    /// Its size in bytes.
    Oversized(u64),
    /// It was deleted between scanning and reading.
    DeletedAfterScan,
    /// It changed between scanning and reading.
    ContentHashMismatch,
    /// It could not be read.
    ReadError(String),
    /// It is empty.
    EmptyContent,
}

impl SkipReason {
    /// Whether the next command may find otherwise, without an edit of the document.
    pub(crate) const fn is_momentary(&self) -> bool {
        matches!(self, Self::DeletedAfterScan | Self::ContentHashMismatch | Self::ReadError(_))
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPresent => f.write_str("not_present: invalid_utf8"),
            Self::UnsupportedSurface => f.write_str("unsupported_surface"),
            Self::UnsupportedFormat(extension) => write!(f, "unsupported_format: {extension}"),
            Self::Oversized(size) => write!(f, "oversized: {size} of at most {MAX_BODY} bytes"),
            Self::DeletedAfterScan => f.write_str("deleted_after_scan"),
            Self::ContentHashMismatch => f.write_str("content_hash_mismatch"),
            Self::ReadError(problem) => write!(f, "read_error: {problem}"),
            Self::EmptyContent => f.write_str("empty_content"),
        }
    }
}

/// Reads the text of one artifact, if it is sent; the text must still have the hash that was indexed.
pub fn read_body_verdict(mission_dir: &Path, artifact: &Artifact, overlay: &Overlay) -> BodyVerdict {
    match judge_artifact(artifact) {
        Some(reason) => BodyVerdict::Skipped(reason),
        None => {
            read_body(mission_dir, artifact, overlay).map_or_else(BodyVerdict::Skipped, BodyVerdict::Sent)
        }
    }
}

/// Reason for not sending an artifact, as far as its index entry shows one.
fn judge_artifact(artifact: &Artifact) -> Option<SkipReason> {
    if !artifact.is_text {
        return Some(SkipReason::NotPresent);
    }
    if !is_place(&artifact.path) {
        return Some(SkipReason::UnsupportedSurface);
    }
    if !is_format(&artifact.path) {
        return Some(SkipReason::UnsupportedFormat(extension(&artifact.path)));
    }
    (artifact.size > MAX_BODY).then_some(SkipReason::Oversized(artifact.size))
}

/// The extension of the file name with its dot, lower-case; empty without one.
fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rfind('.') {
        Some(dot) if dot > 0 => name[dot..].to_lowercase(),
        _ => String::new(),
    }
}

fn read_body(mission_dir: &Path, artifact: &Artifact, overlay: &Overlay) -> Result<String, SkipReason> {
    let path = artifact.path.split('/').fold(mission_dir.to_owned(), |path, part| path.join(part));
    let bytes = match overlay.get(&path) {
        Some(bytes) => bytes.clone(),
        None => {
            let file = system::regular::open(&path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => SkipReason::DeletedAfterScan,
                kind => SkipReason::ReadError(kind.to_string()),
            })?;
            let mut bytes = Vec::new();
            let read = file.take(MAX_BODY + 1).read_to_end(&mut bytes);
            read.map_err(|error| SkipReason::ReadError(error.kind().to_string()))?;
            bytes
        }
    };
    if sha256_hex(&bytes) != artifact.sha256 {
        return Err(SkipReason::ContentHashMismatch);
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => Err(SkipReason::EmptyContent),
        Ok(text) => Ok(text),
        Err(_) => Err(SkipReason::ContentHashMismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dossier::read_dossier;

    #[test]
    fn what_travels_is_what_the_docs_say() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events.md"));
        let size = format!("up to {} KiB; UTF-8; not empty.", MAX_BODY / 1024);
        assert!(docs.unwrap().contains(&size), "docs/events.md lacks: {size}");
        assert_eq!(MAX_BODY, u64::try_from(contract::wire::body::MAX_CONTENT_BYTES).unwrap());
        let longest = usize::try_from(MAX_BODY).unwrap();
        let format = |extension: &str| Some(SkipReason::UnsupportedFormat(extension.into()));
        let text = |length: usize| "é".repeat(length / 2).into_bytes();
        for (path, bytes, reason) in [
            ("spec.md", text(longest), None),
            ("plan.md", text(2), None),
            ("tasks.md", text(2), None),
            ("research.md", text(2), None),
            ("quickstart.md", text(2), None),
            ("data-model.md", text(2), None),
            ("research/deep/a.md", text(2), None),
            ("contracts/a.json", text(2), None),
            ("contracts/a.yaml", text(2), None),
            ("checklists/a.yml", text(2), None),
            ("checklists/a.csv", text(2), None),
            ("tasks/WP01-a.md", text(2), None),
            ("tasks/WP01-a/review-cycle-1.md", text(2), None),
            ("spec.md", text(longest + 2), Some(SkipReason::Oversized(MAX_BODY + 2))),
            ("spec.md", Vec::new(), Some(SkipReason::EmptyContent)),
            ("spec.md", b"\xff".to_vec(), Some(SkipReason::NotPresent)),
            ("research/a.txt", text(2), format(".txt")),
            ("contracts/a", text(2), format("")),
            ("meta.json", text(2), Some(SkipReason::UnsupportedSurface)),
            ("tasks/README.md", text(2), Some(SkipReason::UnsupportedSurface)),
            ("evidence/a.md", text(2), Some(SkipReason::UnsupportedSurface)),
        ] {
            let mission = tempfile::tempdir().unwrap();
            let file = mission.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &bytes).unwrap();
            let overlay = Overlay::new();
            let dossier = read_dossier(mission.path(), "software-dev", &overlay, None).unwrap();
            let verdict = read_body_verdict(mission.path(), &dossier.artifacts[0], &overlay);
            let expected = reason.map_or_else(
                || BodyVerdict::Sent(String::from_utf8(bytes.clone()).unwrap()),
                BodyVerdict::Skipped,
            );
            assert!(verdict == expected, "{path}, {} bytes", bytes.len());
        }
    }

    #[test]
    fn extension_is_that_of_the_name_in_lower_case() {
        assert_eq!(extension("research/A.MD"), ".md");
        assert_eq!(extension("research/Makefile"), "");
    }
}
