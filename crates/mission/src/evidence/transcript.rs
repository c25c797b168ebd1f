//! Transcripts: the two outputs of a run verbatim, and a record that names and seals them.
//!
//! `<id>.stdout.txt`, `<id>.stderr.txt`, `<id>.json`. The seal is a hash over the record, so that an edit
//! by hand is seen; it is not a signature, and a forger can compute it, too.

use super::plan::Check;
use super::run::Ending;
use crate::document::{MAX_JSON, Writing, read_bytes, read_text};
use crate::dossier::index::sha256_hex;
use crate::error::{MissionError, Result};
use contract::json;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The record of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The check as it was run.
    pub check: Check,
    /// Its exit status; none when it was ended.
    pub exit_code: Option<i32>,
    /// End of the process, for people.
    pub ending: String,
    /// Whether it ended as expected with every required text.
    pub passed: bool,
    /// Required texts that its output lacks.
    pub missing: Vec<String>,
    /// Start: UTC, whole seconds.
    pub started_at: String,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// The commit that was checked out; recorded, never compared.
    pub commit: Option<String>,
    /// The version of this program.
    pub tool_version: String,
    /// The hash over what the check depends on.
    pub sources_sha256: String,
    /// The hash of stdout.
    pub stdout_sha256: String,
    /// The hash of stderr.
    pub stderr_sha256: String,
    /// The hash over all of the above.
    #[serde(default)]
    pub seal: String,
}

/// The files of one check's transcript.
#[derive(Clone, Debug)]
pub struct Files {
    /// The record.
    pub record: PathBuf,
    /// Its output.
    pub stdout: PathBuf,
    /// Its standard error.
    pub stderr: PathBuf,
}

/// Paths of the transcript of a check in `directory`.
pub fn files(directory: &Path, check_id: &str) -> Files {
    let file = |suffix: &str| directory.join(format!("{check_id}.{suffix}"));
    Files { record: file("json"), stdout: file("stdout.txt"), stderr: file("stderr.txt") }
}

/// Facts about a run that its transcript records.
#[derive(Clone, Debug)]
pub struct RunCircumstances {
    /// Start: UTC, whole seconds.
    pub started_at: String,
    /// Duration in milliseconds.
    pub duration_ms: u64,
    /// The commit.
    pub commit: Option<String>,
    /// The version of this program.
    pub tool_version: String,
    /// The hash over what the check depends on.
    pub sources_sha256: String,
}

impl Transcript {
    /// Judges a run by its outputs, which lie in the two files, and seals the record.
    pub fn judge(
        check: &Check,
        ending: Ending,
        with: RunCircumstances,
        (stdout, stderr): (&Path, &Path),
    ) -> Result<Self> {
        let read = |path: &Path| -> Result<Vec<u8>> {
            Ok(read_bytes(path, super::run::MAX_OUTPUT * 2)?.unwrap_or_default())
        };
        let (stdout, stderr) = (read(stdout)?, read(stderr)?);
        let said = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)];
        let missing: Vec<String> = check
            .contains
            .iter()
            .filter(|wanted| !said.iter().any(|text| text.contains(*wanted)))
            .cloned()
            .collect();
        let mut transcript = Self {
            passed: ending.code() == Some(check.exit) && missing.is_empty(),
            check: check.clone(),
            exit_code: ending.code(),
            ending: match ending {
                Ending::Exited(code) if code != check.exit => {
                    format!("{}, expected {}", ending.describe(), check.exit)
                }
                _ => ending.describe(),
            },
            missing,
            started_at: with.started_at,
            duration_ms: with.duration_ms,
            commit: with.commit,
            tool_version: with.tool_version,
            sources_sha256: with.sources_sha256,
            stdout_sha256: sha256_hex(&stdout),
            stderr_sha256: sha256_hex(&stderr),
            seal: String::new(),
        };
        transcript.seal = transcript.computed_seal();
        Ok(transcript)
    }

    fn computed_seal(&self) -> String {
        let bare = Self { seal: String::new(), ..self.clone() };
        sha256_hex(json::sorted_line(&serde_json::to_value(bare).unwrap_or_default()).as_bytes())
    }

    /// The text of the record.
    fn rendered(&self) -> String {
        json::sorted_document(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Writes the record.
    pub fn write(&self, writing: &mut Writing, files: &Files) -> Result<()> {
        writing.write(&files.record, self.rendered().as_bytes()).map(|_| ())
    }

    /// Reads a record; nothing when there is none.
    pub fn read(files: &Files) -> Result<Option<Self>> {
        let Some(text) = read_text(&files.record, MAX_JSON)? else { return Ok(None) };
        let record = serde_json::from_str(&text).map_err(|error| {
            MissionError::malformed(&files.record, format!("is not a transcript: {error}"))
        })?;
        Ok(Some(record))
    }

    /// Name of the part that was edited since it was written; nothing when none was.
    pub fn touched(&self, files: &Files) -> Result<Option<&'static str>> {
        // Byte for byte: a key that is not ours is not part of the seal.
        let text = read_bytes(&files.record, MAX_JSON)?.unwrap_or_default();
        if self.seal != self.computed_seal() || text != self.rendered().as_bytes() {
            return Ok(Some("the record"));
        }
        for (path, hash, name) in
            [(&files.stdout, &self.stdout_sha256, "stdout"), (&files.stderr, &self.stderr_sha256, "stderr")]
        {
            let bytes = read_bytes(path, super::run::MAX_OUTPUT * 2)?;
            if bytes.is_none_or(|bytes| sha256_hex(&bytes) != *hash) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}
