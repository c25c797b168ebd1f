//! Walking a mission directory and hashing what lies in it.

use super::manifest::{ArtifactClass, Manifest};
use crate::error::{MissionError, Result};
use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most artifacts of a mission. More is a build directory, not a mission.
pub(crate) const MAX_ARTIFACTS: usize = 4096;
/// Most levels of directories below the mission's.
const MAX_DEPTH: usize = 32;

/// Content that files of the directory will have after this command, by absolute path: a command indexes the dossier
/// before it writes.
pub type Overlay = BTreeMap<PathBuf, Vec<u8>>;

/// One file of a mission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Artifact {
    /// Path relative to the mission directory, with `/`.
    pub path: String,
    /// Purpose of the artifact.
    pub class: ArtifactClass,
    /// Its key in events.
    pub key: String,
    /// Whether some step of the mission cannot do without it.
    pub required: bool,
    /// Length in bytes.
    pub size: u64,
    /// Lower-case hex SHA-256 of its bytes.
    pub sha256: String,
    /// Whether the bytes are UTF-8; an artifact that is not counts as absent.
    pub is_text: bool,
}

/// The artifacts of a mission, in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dossier {
    /// Everything found.
    pub artifacts: Vec<Artifact>,
}

impl Dossier {
    /// The artifacts that count: those that are text.
    pub fn present(&self) -> impl Iterator<Item = &Artifact> {
        self.artifacts.iter().filter(|artifact| artifact.is_text)
    }

    /// Required artifacts that exist and cannot be read as text.
    pub(crate) fn anomalies(&self) -> usize {
        self.artifacts.iter().filter(|artifact| artifact.required && !artifact.is_text).count()
    }

    /// Lower-case hex SHA-256 over the sorted hashes of the present artifacts: equal for equal content
    /// on every machine.
    pub fn parity_hash(&self) -> String {
        let mut hashes: Vec<&str> = self.present().map(|artifact| artifact.sha256.as_str()).collect();
        hashes.sort_unstable();
        HEXLOWER.encode(&Sha256::digest(hashes.concat()))
    }
}

/// Bytes that this command will append to a file: a log is too large for an [`Overlay`].
#[derive(Clone, Copy, Debug)]
pub struct Appended<'a> {
    /// The file.
    pub path: &'a Path,
    /// The bytes behind those on disk.
    pub bytes: &'a [u8],
}

/// Indexes the mission directory as it will be under `overlay` and with what is `appended`.
pub fn read_dossier(
    mission_dir: &Path,
    mission_type: &str,
    overlay: &Overlay,
    appended: Option<Appended<'_>>,
) -> Result<Dossier> {
    let manifest = Manifest::of(mission_type);
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let planned = overlay.keys().map(PathBuf::as_path).chain(appended.iter().map(|appended| appended.path));
    let planned = planned.filter_map(|path| Some((relative(mission_dir, path)?, path.to_owned())));
    files.extend(planned.filter(|(relative, _)| !is_hidden(relative)));
    files.extend(list_files(mission_dir)?);
    let mut artifacts = Vec::with_capacity(files.len());
    // One for all files: they are small, and filling it with zeros costs more than reading one.
    let mut chunk = vec![0; 64 * 1024];
    for (relative, path) in files {
        let more = appended.filter(|appended| appended.path == path);
        let facts = match (overlay.get(&path), more) {
            (_, Some(more)) => match system::regular::open(&path) {
                Ok(file) => measure(file.chain(more.bytes), &mut chunk),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => measure(more.bytes, &mut chunk),
                Err(error) => Err(error),
            },
            (Some(bytes), None) => measure(bytes.as_slice(), &mut chunk),
            (None, None) => system::regular::open(&path).and_then(|file| measure(file, &mut chunk)),
        };
        let (size, sha256, is_text) = facts.map_err(crate::document::unopened("read", &path))?;
        let (key, required) = manifest.key(&relative);
        let class = manifest.class(&relative);
        artifacts.push(Artifact { path: relative, class, key, required, size, sha256, is_text });
    }
    Ok(Dossier { artifacts })
}

/// The files of a mission directory that may be documents, by their path in it, with `/`.
pub(crate) fn list_files(mission_dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut pending = vec![(mission_dir.to_owned(), 0)];
    while let Some((directory, depth)) = pending.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(MissionError::io("list", &directory)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(MissionError::io("list", &directory))?;
            let path = entry.path();
            let kind = entry.file_type().map_err(MissionError::io("look at", &path))?;
            let Some(relative) = relative(mission_dir, &path).filter(|path| !is_hidden(path)) else {
                continue;
            };
            if kind.is_dir() && depth < MAX_DEPTH {
                pending.push((path, depth + 1));
            } else if kind.is_file() {
                files.insert(relative, path);
            }
            if files.len() > MAX_ARTIFACTS {
                let problem = format!("holds more than the {MAX_ARTIFACTS} files a mission may have");
                return Err(MissionError::malformed(mission_dir, problem));
            }
        }
    }
    Ok(files)
}

/// The path below the mission directory, with `/`; nothing for a name that is not UTF-8.
fn relative(mission_dir: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(mission_dir).ok()?;
    let parts: Option<Vec<_>> = below.components().map(|part| part.as_os_str().to_str()).collect();
    parts.map(|parts| parts.join("/")).filter(|path| !path.is_empty())
}

fn is_hidden(relative: &str) -> bool {
    relative.split('/').any(|part| part.starts_with('.'))
        // Damaged lines of the log are not documents.
        || relative.starts_with(crate::log::repair::ASIDE_PREFIX)
}

/// Length, hash, and whether the bytes are UTF-8, in constant memory.
fn measure(mut source: impl Read, chunk: &mut [u8]) -> std::io::Result<(u64, String, bool)> {
    let mut hash = Sha256::new();
    let mut size = 0_u64;
    let mut is_text = true;
    // Up to three bytes of a character that the next chunk continues.
    let mut open: Vec<u8> = Vec::new();
    loop {
        let length = source.read(chunk)?;
        if length == 0 {
            break;
        }
        hash.update(&chunk[..length]);
        size += length as u64;
        if is_text {
            open.extend_from_slice(&chunk[..length]);
            match std::str::from_utf8(&open) {
                Ok(_) => open.clear(),
                Err(error) if error.error_len().is_none() => drop(open.drain(..error.valid_up_to())),
                Err(_) => is_text = false,
            }
        }
    }
    Ok((size, HEXLOWER.encode(&hash.finalize()), is_text && open.is_empty()))
}

/// Lower-case hex SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_that_two_chunks_share_is_still_text() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
                let take = self.0.len().min(1);
                out[..take].copy_from_slice(&self.0[..take]);
                self.0 = &self.0[take..];
                Ok(take)
            }
        }
        let text = "aé😀".as_bytes();
        assert_eq!(measure(Slow(text), &mut [0; 8]).unwrap(), (7, sha256_hex(text), true));
        assert!(!measure(Slow(&text[..6]), &mut [0; 8]).unwrap().2);
        assert!(!measure(Slow(b"\xff"), &mut [0; 8]).unwrap().2);
    }

    #[test]
    fn hidden_files_and_links_are_no_artifacts_and_planned_files_are() {
        let world = tempfile::tempdir().unwrap();
        let dir = world.path().join("m");
        fs::create_dir_all(dir.join(".kittify")).unwrap();
        fs::write(dir.join(".kittify/x"), "x").unwrap();
        fs::write(dir.join("spec.md"), "old").unwrap();
        fs::write(world.path().join("secret"), "secret").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(world.path().join("secret"), dir.join("plan.md")).unwrap();
        let overlay = Overlay::from([
            (dir.join("spec.md"), b"new".to_vec()),
            (dir.join("tasks/WP01-x.md"), b"wp".to_vec()),
            (dir.join("tasks/.gitkeep"), Vec::new()),
        ]);
        let dossier = read_dossier(&dir, "software-dev", &overlay, None).unwrap();
        let found: Vec<_> = dossier.artifacts.iter().map(|a| (a.path.as_str(), a.sha256.clone())).collect();
        assert_eq!(found, [("spec.md", sha256_hex(b"new")), ("tasks/WP01-x.md", sha256_hex(b"wp"))]);
    }

    #[test]
    fn appended_bytes_count_behind_those_on_disk() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("status.events.jsonl");
        let hash = || {
            let appended = Appended { path: &path, bytes: b"two\n" };
            let dossier =
                read_dossier(world.path(), "software-dev", &Overlay::new(), Some(appended)).unwrap();
            (dossier.artifacts[0].sha256.clone(), dossier.artifacts[0].size)
        };
        assert_eq!(hash(), (sha256_hex(b"two\n"), 4));
        fs::write(&path, "one\n").unwrap();
        assert_eq!(hash(), (sha256_hex(b"one\ntwo\n"), 8));
    }
}
