//! Repair of a damaged log: every readable row stays, the damaged lines move into a file beside it.
//!
//! Nothing is deleted: the lines that move keep their bytes. The caller holds the mission's lock.

use super::damage::{Damage, Unread, read_line};
use super::{BOM, FILE, MAX_BYTES, lines};
use crate::clock::Moment;
use crate::document::read_bytes;
use crate::error::{MissionError, Result};
use std::path::{Path, PathBuf};

/// Prefix of the names of files with moved lines.
pub(crate) const ASIDE_PREFIX: &str = "status.events.jsonl.aside-";
/// More files of one second get no name.
const MOST: u32 = 1000;

/// Result of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The log.
    pub log: PathBuf,
    /// Lines that stay as they are, and rows saved from damaged lines.
    pub kept: usize,
    /// Rows that were saved from damaged lines.
    pub saved: usize,
    /// The lines that moved.
    pub moved: Vec<Damage>,
    /// File that they were moved to; nothing when none moved.
    pub moved_to: Option<PathBuf>,
    /// Lines that this release cannot read and that are no damage: they stay.
    pub left: Vec<Damage>,
}

/// The log without its damage, and the lines that move.
pub(crate) struct RepairedFiles {
    pub(crate) kept: Vec<u8>,
    pub(crate) aside: Vec<u8>,
}

/// A log without its damage.
#[derive(Default)]
struct Split {
    kept: Vec<u8>,
    aside: Vec<u8>,
    rows: usize,
    saved: usize,
    moved: Vec<Damage>,
    left: Vec<Damage>,
}

/// Repairs the log of a mission directory.
pub(crate) fn repair(mission_dir: &Path, now: Moment) -> Result<Repaired> {
    let path = mission_dir.join(FILE);
    let before = read_bytes(&path, MAX_BYTES)?.unwrap_or_default();
    let (mut repaired, split) = plan(&path, &before);
    let Some(split) = split else { return Ok(repaired) };
    let aside = free_name(mission_dir, now)?;
    // First the copy, so that no instant exists at which the lines are nowhere.
    system::shared_file::replace(&aside, &split.aside).map_err(MissionError::io("write", &aside))?;
    let unchanged = read_bytes(&path, MAX_BYTES)?.unwrap_or_default() == before;
    let replaced = if unchanged {
        system::shared_file::replace(&path, &split.kept).map_err(MissionError::io("write", &path))
    } else {
        let what = "the log";
        Err(MissionError::Busy { what, path, holder: Some("a program that appends to it".into()) })
    };
    if let Err(error) = replaced {
        // The log still holds these lines.
        let _ = std::fs::remove_file(&aside);
        return Err(error);
    }
    repaired.moved_to = Some(aside);
    Ok(repaired)
}

/// Result of repairing these bytes of the log at `path`; and the files to write, when lines are damaged.
pub(crate) fn plan(path: &Path, bytes: &[u8]) -> (Repaired, Option<RepairedFiles>) {
    let Split { kept, aside, rows, saved, moved, left } = split(bytes);
    let files = (!moved.is_empty()).then_some(RepairedFiles { kept, aside });
    (Repaired { log: path.to_owned(), kept: rows, saved, moved, moved_to: None, left }, files)
}

fn split(bytes: &[u8]) -> Split {
    let mut split = Split::default();
    if bytes.starts_with(BOM) {
        split.kept.extend_from_slice(BOM);
    }
    for (line, text) in lines(bytes) {
        match read_line(text) {
            Err(Unread { problem, repairable: true, rows }) => {
                for (_, row) in &rows {
                    push_line(&mut split.kept, row.as_bytes());
                }
                split.rows += rows.len();
                split.saved += rows.len();
                push_line(&mut split.aside, text);
                split.moved.push(Damage { line, problem, repairable: true });
                continue;
            }
            Err(Unread { problem, .. }) => split.left.push(Damage { line, problem, repairable: false }),
            Ok(_) => {}
        }
        split.rows += 1;
        push_line(&mut split.kept, text);
    }
    split
}

fn push_line(out: &mut Vec<u8>, line: &[u8]) {
    out.extend_from_slice(line);
    out.push(b'\n');
}

/// Names for the moved lines of a repair at `now`.
pub(crate) fn aside_names(now: Moment) -> impl Iterator<Item = String> {
    let stamp = now.seconds_z().replace(['-', ':'], "");
    (0..MOST).map(move |number| match number {
        0 => format!("{ASIDE_PREFIX}{stamp}"),
        number => format!("{ASIDE_PREFIX}{stamp}-{number}"),
    })
}

/// A name beside the log that is not taken.
fn free_name(mission_dir: &Path, now: Moment) -> Result<PathBuf> {
    let mut paths = aside_names(now).map(|name| mission_dir.join(name));
    paths.find(|path| path.symlink_metadata().is_err()).ok_or_else(|| {
        MissionError::malformed(
            mission_dir,
            format!("holds {MOST} files {ASIDE_PREFIX}* of this second already"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const ROW: &str = r#"{"event_type": "MissionCreated", "event_id": "A", "payload": {}}"#;

    /// The log and the moved lines after a repair of `bytes`.
    fn repaired(bytes: &[u8]) -> (Vec<u8>, Vec<u8>, Repaired) {
        let world = tempfile::tempdir().unwrap();
        std::fs::write(world.path().join(FILE), bytes).unwrap();
        let done = repair(world.path(), Clock::system().now()).unwrap();
        let aside = done.moved_to.as_ref().map(|path| std::fs::read(path).unwrap()).unwrap_or_default();
        (std::fs::read(world.path().join(FILE)).unwrap(), aside, done)
    }

    #[test]
    fn every_kind_of_damage_moves_and_every_row_stays() {
        let other = ROW.replace('A', "B");
        let rows = format!("{ROW}\n{other}\n");
        let torn = &ROW[..30];
        for (damaged, aside) in [
            (format!("{ROW}\n{other}\n{torn}").into_bytes(), format!("{torn}\n").into_bytes()),
            (
                format!("{ROW}\n<<<<<<< HEAD\n=======\n{other}\n>>>>>>> side\n").into_bytes(),
                b"<<<<<<< HEAD\n=======\n>>>>>>> side\n".to_vec(),
            ),
            (format!("{ROW}\n{other}\n\0\0\0\n").into_bytes(), b"\0\0\0\n".to_vec()),
            (format!("{ROW}\n\0\0{other}\n").into_bytes(), format!("\0\0{other}\n").into_bytes()),
            (format!("{ROW}\n{torn}{other}\n").into_bytes(), format!("{torn}{other}\n").into_bytes()),
            (
                [ROW.as_bytes(), b"\n{\"a\": \"\xff\"}\n", other.as_bytes(), b"\n"].concat(),
                b"{\"a\": \"\xff\"}\n".to_vec(),
            ),
        ] {
            let (log, moved, done) = repaired(&damaged);
            assert_eq!((String::from_utf8(log).unwrap(), moved), (rows.clone(), aside));
            assert_eq!(done.kept, 2);
        }
    }

    #[test]
    fn whole_log_and_rows_of_a_newer_release_are_left_alone() {
        let newer = r#"{"from_lane": "genesis", "to_lane": "planned", "event_id": "B"}"#;
        let text = format!("\u{feff}{ROW}\n{newer}");
        let (log, _, done) = repaired(text.as_bytes());
        assert_eq!(log, text.as_bytes());
        assert!(done.moved_to.is_none() && done.left.len() == 1 && done.left[0].line == 2);
    }
}
