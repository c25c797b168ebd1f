//! Write evidence: looks for the local write behind a prepared row. Only reads.

use crate::row::{Kind, Witness};
use crate::stored_event;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::io::{self, BufRead as _, Read as _};
use std::path::{Path, PathBuf};

/// A witness as stored: kind, path, value.
pub(crate) type StoredWitness = (String, Vec<u8>, String);

impl Witness {
    pub(crate) fn to_stored(&self) -> StoredWitness {
        match self {
            Self::LogRow { log, event_id } => {
                ("log".to_owned(), system::file::path_bytes(log), event_id.clone())
            }
            Self::File { path, sha256 } => {
                ("file".to_owned(), system::file::path_bytes(path), sha256.clone())
            }
            Self::Row { kind: Kind::Event, key } => ("event".to_owned(), Vec::new(), key.clone()),
            Self::Row { kind: Kind::Body, key } => ("body".to_owned(), Vec::new(), key.clone()),
        }
    }

    /// None for a stored form that this program does not know.
    pub(crate) fn from_stored((form, path, value): StoredWitness) -> Option<Self> {
        match form.as_str() {
            "log" => Some(Self::LogRow { log: system::file::path_from_bytes(path), event_id: value }),
            "file" => Some(Self::File { path: system::file::path_from_bytes(path), sha256: value }),
            "event" => Some(Self::Row { kind: Kind::Event, key: value }),
            "body" => Some(Self::Row { kind: Kind::Body, key: value }),
            _ => None,
        }
    }
}

/// Longer lines of a log are not rows of this program; they are skipped without being read into memory.
const LONGEST_LINE: u64 = 4 * 1024 * 1024;

/// Reads versions of a checkout file that are stored elsewhere, for example on a branch: other rows of a log, or the
/// content of another file. A witness always names the checkout path.
pub type FilesElsewhere = fn(&Path) -> Vec<Vec<u8>>;

/// Looks witnesses up, reading each log once.
pub(crate) struct WriteEvidence {
    logs: Vec<(PathBuf, HashSet<String>)>,
    elsewhere: FilesElsewhere,
}

impl WriteEvidence {
    pub(crate) fn new(elsewhere: FilesElsewhere) -> Self {
        Self { logs: Vec::new(), elsewhere }
    }

    /// Whether a log row or a file is there. A row witness is the caller's to follow.
    pub(crate) fn found(&mut self, witness: &Witness) -> bool {
        match witness {
            Witness::LogRow { log, event_id } => self.ids_in(log).contains(event_id),
            Witness::File { path, sha256 } => {
                read_hash(path).is_ok_and(|hash| hash == *sha256)
                    || (self.elsewhere)(path)
                        .iter()
                        .any(|bytes| HEXLOWER.encode(&Sha256::digest(bytes)) == *sha256)
            }
            Witness::Row { .. } => false,
        }
    }

    fn ids_in(&mut self, log: &Path) -> &HashSet<String> {
        let known = self.logs.iter().position(|(path, _)| path == log);
        let position = known.unwrap_or_else(|| {
            // An unreadable log proves nothing: its rows are parked and can be retried.
            let mut ids = read_ids(log).unwrap_or_default();
            for bytes in (self.elsewhere)(log) {
                ids.extend(read_ids_from(bytes.as_slice()).unwrap_or_default());
            }
            self.logs.push((log.to_owned(), ids));
            self.logs.len() - 1
        });
        &self.logs[position].1
    }
}

/// Byte order mark that some editors put in front of a text.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Every `event_id` of a JSON-lines log. A line that is not a row is skipped.
fn read_ids(log: &Path) -> io::Result<HashSet<String>> {
    match system::regular::open(log) {
        // Something that is not a regular file holds no row.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(HashSet::new()),
        file => read_ids_from(io::BufReader::new(file?)),
    }
}

fn read_ids_from(mut reader: impl io::BufRead) -> io::Result<HashSet<String>> {
    let mut ids = HashSet::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(ids);
        }
        if line.last() != Some(&b'\n') && read as u64 == LONGEST_LINE {
            reader.skip_until(b'\n')?;
        } else if let Some(id) = stored_event::read_event_id(line.strip_prefix(BOM).unwrap_or(&line)) {
            ids.insert(id);
        }
    }
}

/// Lower-case hex SHA-256 of a file.
fn read_hash(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = system::regular::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(&hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_among_lines_that_are_no_rows() {
        let dir = tempfile::tempdir().expect("dir");
        let log = dir.path().join("status.events.jsonl");
        let long = "x".repeat(LONGEST_LINE as usize + 10);
        let text = format!(
            "\u{feff}{{\"event_id\": \"A\"}}\nnot json\n\n{long}\n{{\"event_id\":\"B\",\"x\":\"\\ud800\"}}\n{{\"event_id\":\"C\""
        );
        fs_err::write(&log, text).expect("write");
        let ids = read_ids(&log).expect("read");
        assert_eq!(ids, HashSet::from(["A".to_owned(), "B".to_owned()]));
    }

    #[test]
    fn row_that_is_kept_elsewhere_is_found() {
        let mut evidence = WriteEvidence::new(|log| {
            assert!(log.ends_with("gone/status.events.jsonl"));
            vec![b"{\"event_id\":\"A\"}\n".to_vec(), b"{\"event_id\":\"B\"}".to_vec()]
        });
        let row = |id: &str| Witness::LogRow { log: "/gone/status.events.jsonl".into(), event_id: id.into() };
        assert!(evidence.found(&row("A")) && evidence.found(&row("B")) && !evidence.found(&row("C")));
    }

    #[test]
    fn file_that_is_kept_elsewhere_is_found_by_its_content() {
        let mut evidence = WriteEvidence::new(|_| vec![b"text".to_vec()]);
        let file = |sha256: &str| Witness::File { path: "/gone/review.md".into(), sha256: sha256.into() };
        assert!(evidence.found(&file("982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1")));
        assert!(!evidence.found(&file(&"0".repeat(64))));
    }

    #[test]
    fn file_witness_requires_its_content() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("spec.md");
        fs_err::write(&path, "text").expect("write");
        let sha256 = read_hash(&path).expect("hash");
        let mut evidence = WriteEvidence::new(|_| Vec::new());
        assert!(evidence.found(&Witness::File { path: path.clone(), sha256: sha256.clone() }));
        assert!(!evidence.found(&Witness::File { path: path.clone(), sha256: "0".repeat(64) }));
        assert!(!evidence.found(&Witness::File { path: dir.path().join("gone"), sha256 }));
    }
}
