//! Repair of a damaged log: every readable row stays, the damaged lines move into a file beside it.
//!
//! Nothing is deleted: the lines that move keep their bytes. The caller holds the mission's lock.

use super::damage::{Damage, Unread};
use super::{BUFFER, FILE, each_line, unread};
use crate::clock::Moment;
use crate::document::open_file;
use crate::error::{MissionError, Result};
use std::io::{BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use system::file::file_identity;
use system::shared_file::replace_with;

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
    /// Lines that this release cannot read and that are not damage: they stay.
    pub left: Vec<Damage>,
}

/// The log without its damage, and the lines that move.
pub(crate) struct RepairedFiles {
    pub(crate) kept: Vec<u8>,
    pub(crate) aside: Vec<u8>,
}

/// Lines of a log, one behind the other, that stay or move.
struct Part {
    length: u64,
    /// Whether nothing has to close its last line: it has its newline, or the part is a byte order mark.
    ends: bool,
    /// Rows that take the place of a line that moves.
    saved: Option<Vec<String>>,
}

/// Repairs the log of a mission directory. No more than one row of it is in memory.
pub(crate) fn repair(mission_dir: &Path, now: Moment) -> Result<Repaired> {
    let path = mission_dir.join(FILE);
    let mut repaired = Repaired::of(&path);
    let identity = || std::fs::symlink_metadata(&path).map(|facts| file_identity(&facts)).ok();
    let before = identity();
    let Some(mut file) = open_file(&path)? else { return Ok(repaired) };
    let parts = repaired.split(BufReader::with_capacity(BUFFER, &file)).map_err(unread(&path))?;
    if repaired.moved.is_empty() {
        return Ok(repaired);
    }
    let aside = free_name(mission_dir, now)?;
    // First the copy, so that no instant exists at which the lines are nowhere.
    replace_with(&aside, |out| copy(&mut file, &parts, Copied::Moving, out))
        .map_err(MissionError::io("write", &aside))?;
    let mut unchanged = true;
    let replaced = replace_with(&path, |out| {
        copy(&mut file, &parts, Copied::Staying, out)?;
        unchanged = identity() == before;
        if unchanged { Ok(()) } else { Err(ErrorKind::ResourceBusy.into()) }
    });
    if let Err(error) = replaced {
        // The log still holds these lines.
        let _ = std::fs::remove_file(&aside);
        let what = "the log";
        return Err(match unchanged {
            true => MissionError::io("write", &path)(error),
            false => MissionError::Busy { what, path, holder: Some("a program that appends to it".into()) },
        });
    }
    repaired.moved_to = Some(aside);
    Ok(repaired)
}

/// Result of repairing these bytes of the log at `path`; and the files to write, when lines are damaged.
///
/// # Errors
/// When there are too many rows.
pub(crate) fn plan(path: &Path, bytes: &[u8]) -> Result<(Repaired, Option<RepairedFiles>)> {
    let mut repaired = Repaired::of(path);
    let parts = repaired.split(bytes).map_err(unread(path))?;
    if repaired.moved.is_empty() {
        return Ok((repaired, None));
    }
    let (mut kept, mut aside) = (Vec::new(), Vec::new());
    copy(&mut Cursor::new(bytes), &parts, Copied::Moving, &mut aside)
        .and_then(|()| copy(&mut Cursor::new(bytes), &parts, Copied::Staying, &mut kept))
        .map_err(unread(path))?;
    Ok((repaired, Some(RepairedFiles { kept, aside })))
}

impl Repaired {
    fn of(log: &Path) -> Self {
        Self { log: log.to_owned(), kept: 0, saved: 0, moved: Vec::new(), moved_to: None, left: Vec::new() }
    }

    /// Finds the lines that move.
    fn split(&mut self, source: impl BufRead) -> std::io::Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        each_line(source, |line| {
            let (mut length, ends) = (line.length, line.ends);
            let is_blank = line.is_whole && line.is_blank();
            let damage = |problem, repairable| Damage { line: line.number, problem, repairable };
            match if is_blank { None } else { line.read().err() } {
                Some(Unread { problem, repairable: true, rows }) => {
                    self.moved.push(damage(problem, true));
                    self.kept += rows.len();
                    self.saved += rows.len();
                    let saved = Some(rows.into_iter().map(|(_, row)| row).collect());
                    if line.mark > 0 {
                        // The byte order mark stays in front of the log.
                        parts.push(Part { length: line.mark, ends: true, saved: None });
                        length -= line.mark;
                    }
                    return parts.push(Part { length, ends, saved });
                }
                Some(Unread { problem, .. }) => self.left.push(damage(problem, false)),
                None => {}
            }
            self.kept += usize::from(!is_blank);
            match parts.last_mut().filter(|part| part.saved.is_none()) {
                Some(before) => (before.length, before.ends) = (before.length + length, ends),
                None => parts.push(Part { length, ends, saved: None }),
            }
        })?;
        Ok(parts)
    }
}

/// What is copied: the lines that move; or those that stay, with the rows that are saved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    Moving,
    Staying,
}

fn copy(
    source: &mut (impl Read + Seek),
    parts: &[Part],
    copied: Copied,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let mut start = 0;
    for Part { length, ends, saved } in parts {
        if saved.is_some() == (copied == Copied::Moving) {
            source.seek(SeekFrom::Start(start))?;
            if std::io::copy(&mut source.take(*length), out)? != *length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if !ends {
                out.write_all(b"\n")?;
            }
        } else {
            saved.iter().flatten().try_for_each(|row| writeln!(out, "{row}"))?;
        }
        start += length;
    }
    Ok(())
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
        let long = vec![b'x'; 3 * super::super::MAX_ROW];
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
            (
                [ROW.as_bytes(), b"\n", &long[..], b"\n", other.as_bytes()].concat(),
                [&long[..], b"\n"].concat(),
            ),
        ] {
            let (log, moved, done) = repaired(&damaged);
            assert_eq!((String::from_utf8(log).unwrap(), moved), (rows.clone(), aside));
            assert_eq!(done.kept, 2);
        }
    }

    #[test]
    fn byte_order_mark_stays_when_the_first_line_moves() {
        let torn = &ROW[..30];
        for (damaged, log, aside) in [
            (format!("\u{feff}{torn}\n{ROW}\n"), format!("\u{feff}{ROW}\n"), format!("{torn}\n")),
            (format!("\u{feff}{torn}{ROW}\n"), format!("\u{feff}{ROW}\n"), format!("{torn}{ROW}\n")),
            (format!("\u{feff}{torn}"), "\u{feff}".to_owned(), format!("{torn}\n")),
        ] {
            let (kept, moved, done) = repaired(damaged.as_bytes());
            assert_eq!((kept, moved), (log.clone().into_bytes(), aside.into_bytes()));
            assert_eq!((done.moved.len(), done.moved[0].line), (1, 1));
            assert_eq!(repaired(log.as_bytes()).2.moved_to, None);
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
