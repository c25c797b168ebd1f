//! `status.events.jsonl`: the canonical, append-only log of a mission.
//!
//! One JSON object a line, keys sorted. Owns reading, appending and the time of new rows. Reading is bounded, one
//! line at a time; an unreadable line is named and never hides the rest. Appended rows are written, flushed and read
//! back. Only [`repair`] rewrites the file; it keeps every readable row. A row of a kind that this release does not
//! know keeps its bytes and stops no command.

mod actor;
mod annotation;
mod damage;
mod fact;
mod lane_move;
mod lane_row;
pub mod repair;
mod row_time;
mod unite;

pub use annotation::Annotation;
pub use damage::Damage;
pub(crate) use damage::{more_lines, remedy};
pub(crate) use lane_move::LaneMove;
pub(crate) use row_time::place_after;

pub use fact::{FactKind, FactRow};
pub use lane_row::{ExecutionMode, LaneRow};

use self::damage::Unread;
use self::lane_move::Names;
use self::lane_row::LaneView;
use crate::document::{Writing, open_file};
use crate::error::{MissionError, Result};
use crate::lane::Lane;
use contract::json;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use system::file::{FileIdentity, file_identity};

/// The file's name in a mission directory.
pub const FILE: &str = "status.events.jsonl";
/// The most rows that are read of a log, in bytes: some half a million. Lines that are too long for a row do not count.
pub const MAX_BYTES: u64 = 256 << 20;
/// The longest row that is read.
pub(crate) const MAX_ROW: usize = 1 << 20;
/// Bytes of a usual row.
const USUAL_ROW: u64 = 512;
/// Bytes of a log that are in memory at a time.
const BUFFER: usize = 128 << 10;
/// Age from which two changes have different times: times of file systems have steps.
const SETTLED: Duration = Duration::from_millis(50);
/// Byte order mark that some editors put in front of a text.
pub(crate) const BOM: &[u8] = "\u{feff}".as_bytes();

/// A row as it will be in the log.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a command holds few rows; most are lane changes")]
pub enum Row {
    /// A lane change.
    Lane(LaneRow),
    /// A change of a work package's state without a move: it has the `kind` annotation.
    Annotation(Annotation),
    /// A fact of the mission's life: it has an `event_type`.
    Fact(FactRow),
    /// A row of another producer.
    Other(OtherRow),
}

/// A row of another producer: little of it is known, and its bytes stay.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherRow {
    /// Its `event_id`, when it has one.
    pub event_id: Option<String>,
    /// Its `event_type`, `event_name`, `kind` or `type`.
    pub name: String,
    /// The work package it is about, when it names one.
    pub wp_id: Option<String>,
    /// Its time; empty without one.
    pub at: String,
    /// Its `payload`.
    pub payload: Map<String, Value>,
    /// Parts of the row that this release does not know.
    pub newer: Option<String>,
}

/// A log that was read. Of lane rows it holds what the board needs, not their bytes.
#[derive(Debug, Default)]
pub struct Log {
    path: PathBuf,
    moves: Vec<LaneMove>,
    annotations: Vec<Annotation>,
    facts: Vec<FactRow>,
    others: Vec<OtherRow>,
    /// Every id, and of which kinds of rows it is.
    ids: HashMap<Arc<str>, u8>,
    names: Names,
    lines: usize,
    /// Number of bytes read.
    length: u64,
    /// The file, as it was before it was read.
    file: Option<(FileIdentity, SystemTime)>,
    ends_open: bool,
    damage: Vec<Damage>,
    /// Rows that this release does not know, and annotations that are there twice.
    unknown_rows: Vec<Damage>,
}

/// Kinds of rows whose ids are distinguished.
const MOVE: u8 = 1;
const ANNOTATION: u8 = 2;
const REST: u8 = 4;

/// Reads the log of a mission directory for a command that writes on top of it; an absent file is an empty log.
/// A damaged line is an error that names it; a row of an unknown kind is not an error.
pub fn read_log(mission_dir: &Path) -> Result<Log> {
    let log = view_log(mission_dir)?;
    log.check_undamaged(&mission_dir.file_name().unwrap_or_default().to_string_lossy())?;
    Ok(log)
}

/// Reads what can be read of the log of a mission directory. [`Log::damage`] names the rest.
pub fn view_log(mission_dir: &Path) -> Result<Log> {
    let path = mission_dir.join(FILE);
    let read_at = SystemTime::now();
    let file = std::fs::symlink_metadata(&path).ok().map(|facts| (file_identity(&facts), read_at));
    let mut log = Log { path: path.clone(), file, ..Log::default() };
    log.expect_rows(file.map_or(0, |(file, _)| file.size));
    each_line_of_file(&path, |line| log.take_line(line))?;
    Ok(log)
}

/// Reads every row of the log of a mission directory, in the order of the file; damaged lines are passed over.
pub fn each_row(mission_dir: &Path, mut each: impl FnMut(Row)) -> Result<()> {
    each_line_of_file(&mission_dir.join(FILE), |line| line.each_row(&mut each))
}

/// The same of the bytes of a log.
pub(crate) fn each_row_in(bytes: &[u8], mut each: impl FnMut(Row)) {
    // Reading from memory does not fail.
    let _ = each_line(bytes, |line| line.each_row(&mut each));
}

/// Reads every line that is one whole row, with its number; returns whether every line is.
pub(crate) fn each_whole_line(bytes: &[u8], mut each: impl FnMut(usize, Row)) -> bool {
    let mut is_whole = true;
    // Reading from memory does not fail.
    let read = each_line(bytes, |line| match line.read() {
        _ if line.is_whole && line.is_blank() => {}
        Ok(row) => each(line.number, row),
        Err(_) => is_whole = false,
    });
    is_whole && read.is_ok()
}

fn each_line_of_file(path: &Path, each: impl FnMut(Line<'_>)) -> Result<()> {
    let Some(file) = open_file(path)? else { return Ok(()) };
    let length = file.metadata().map_err(MissionError::io("read", path))?.len();
    let buffer = usize::try_from(length + 1).unwrap_or(BUFFER).min(BUFFER);
    each_line(BufReader::with_capacity(buffer, file), each).map_err(unread(path))
}

/// The error of a log that is not read to its end.
fn unread(path: &Path) -> impl FnOnce(std::io::Error) -> MissionError {
    move |error| match error.kind() {
        ErrorKind::FileTooLarge => MissionError::malformed(path, error.to_string()),
        _ => MissionError::io("read", path)(error),
    }
}

/// One line of a log, without its newline. A line longer than [`MAX_ROW`] is cut: `bytes` has its beginning.
struct Line<'a> {
    number: usize,
    /// Length of the byte order mark in front of `bytes`.
    mark: u64,
    bytes: &'a [u8],
    /// Length of the line in the file, in bytes, with mark and newline.
    length: u64,
    is_whole: bool,
    ends: bool,
}

impl Line<'_> {
    fn read(&self) -> Result<Row, Unread> {
        if self.is_whole { damage::read_line(self.bytes) } else { Err(damage::too_long()) }
    }

    fn each_row(&self, each: &mut impl FnMut(Row)) {
        match self.read() {
            Ok(row) => each(row),
            Err(unread) => unread.rows.into_iter().for_each(|(row, _)| each(row)),
        }
    }

    fn is_blank(&self) -> bool {
        self.bytes.iter().all(u8::is_ascii_whitespace)
    }
}

/// Hands out every line of a log. No more than one row of it is in memory.
///
/// # Errors
/// As reading; and [`ErrorKind::FileTooLarge`] behind [`MAX_BYTES`] of rows.
fn each_line(mut source: impl BufRead, mut each: impl FnMut(Line<'_>)) -> std::io::Result<()> {
    const ROOM: u64 = (MAX_ROW + BOM.len() + 1) as u64;
    let (mut line, mut rest) = (Vec::new(), Vec::new());
    let mut rows = 0;
    for number in 1.. {
        line.clear();
        let mut length = (&mut source).take(ROOM).read_until(b'\n', &mut line)? as u64;
        if length == 0 {
            break;
        }
        let mut ends = line.pop_if(|last| *last == b'\n').is_some();
        let mut is_whole = true;
        // Of a line that is longer than a row may be only the beginning is kept.
        while !ends && length >= ROOM {
            rest.clear();
            let more = (&mut source).take(ROOM).read_until(b'\n', &mut rest)? as u64;
            if more == 0 {
                break;
            }
            (length, is_whole, ends) = (length + more, false, rest.ends_with(b"\n"));
        }
        rows += if is_whole { length } else { 0 };
        if rows > MAX_BYTES {
            let problem = format!("holds more than the {MAX_BYTES} bytes of rows that are read");
            return Err(std::io::Error::new(ErrorKind::FileTooLarge, problem));
        }
        let bytes = if number == 1 { line.strip_prefix(BOM).unwrap_or(&line) } else { &line };
        let mark = (line.len() - bytes.len()) as u64;
        each(Line { number, mark, bytes, length, is_whole: is_whole && bytes.len() <= MAX_ROW, ends });
    }
    Ok(())
}

impl Log {
    /// Parses the bytes of the log at `path`. Blank lines and a byte order mark are skipped. Of a damaged line
    /// the rows that can be read in it are taken.
    pub fn parse(path: &Path, bytes: &[u8]) -> Self {
        let mut log = Self { path: path.to_owned(), ..Self::default() };
        log.expect_rows(bytes.len() as u64);
        // Reading from memory does not fail.
        let _ = each_line(bytes, |line| log.take_line(line));
        log
    }

    /// A log of these rows.
    pub fn of(path: &Path, rows: &[Row]) -> Self {
        let mut log = Self { path: path.to_owned(), ..Self::default() };
        log.extend(rows);
        log
    }

    /// Adds rows at the end, not on disk.
    pub fn extend(&mut self, rows: &[Row]) {
        self.lines += rows.len();
        self.ends_open &= rows.is_empty();
        for row in rows {
            match row {
                Row::Lane(row) => self.take_move(row.view()),
                row => self.take(row.clone(), self.lines),
            }
        }
    }

    /// Makes room for the ids of so many bytes of rows: to grow a table is to hash every id in it again.
    fn expect_rows(&mut self, bytes: u64) {
        let rows = bytes.min(MAX_BYTES) / USUAL_ROW;
        self.ids.reserve(usize::try_from(rows).unwrap_or_default());
    }

    fn take_line(&mut self, line: Line<'_>) {
        self.length += line.length;
        self.ends_open = !line.ends;
        if line.is_blank() && line.is_whole {
            return;
        }
        self.lines += 1;
        let text = std::str::from_utf8(line.bytes).ok().filter(|_| line.is_whole);
        if let Some(view) = text.and_then(LaneView::read) {
            self.take_move(view);
            return;
        }
        match line.read() {
            Ok(row) => self.take(row, line.number),
            Err(Unread { problem, repairable, rows }) => {
                rows.into_iter().for_each(|(row, _)| self.take(row, line.number));
                self.damage.push(Damage { line: line.number, problem, repairable });
            }
        }
    }

    fn take(&mut self, row: Row, line: usize) {
        match row {
            Row::Lane(row) => self.take_move(row.view()),
            Row::Annotation(row) => match self.is_new(&row.event_id, ANNOTATION) {
                Some(_) => self.annotations.push(row),
                None => {
                    let problem = format!("repeats annotation {}; it counts once", row.event_id);
                    self.unknown_rows.push(Damage { line, problem, repairable: false });
                }
            },
            Row::Fact(row) => {
                self.is_new(&row.event_id, REST);
                self.facts.push(row);
            }
            Row::Other(row) => {
                if let Some(id) = &row.event_id {
                    self.is_new(id, REST);
                }
                if let Some(problem) = &row.newer {
                    let problem = format!("{problem}: {NEWER}");
                    self.unknown_rows.push(Damage { line, problem, repairable: false });
                }
                self.others.push(row);
            }
        }
    }

    /// Of rows with one id the first counts.
    fn take_move(&mut self, row: LaneView<'_>) {
        if let Some(event_id) = self.is_new(&row.event_id, MOVE) {
            self.moves.push(LaneMove::of(event_id, row, &mut self.names));
        }
    }

    /// The id, when no row of this kind had it before.
    fn is_new(&mut self, event_id: &str, kind: u8) -> Option<Arc<str>> {
        // Nearly every id is new.
        match self.ids.entry(event_id.into()) {
            Entry::Vacant(free) => {
                let id = Arc::clone(free.key());
                free.insert(kind);
                Some(id)
            }
            Entry::Occupied(mut known) => {
                let is_new = *known.get() & kind == 0;
                *known.get_mut() |= kind;
                is_new.then(|| Arc::clone(known.key()))
            }
        }
    }

    /// Whether the file is certain to hold what was read. One that was written just before it was read may be written
    /// once more at what the file system calls the same time.
    pub(crate) fn is_up_to_date(&self) -> bool {
        let Some((known, read_at)) = self.file else { return false };
        let settled = known.modified.and_then(|modified| read_at.duration_since(modified).ok());
        let now = std::fs::symlink_metadata(&self.path).map(|facts| file_identity(&facts));
        settled.is_some_and(|age| age >= SETTLED) && now.is_ok_and(|now| now == known)
    }

    /// The lines that could not be read, in the order of the file.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Refuses a log with a line that cannot be read.
    pub(crate) fn check_undamaged(&self, mission_slug: &str) -> Result<()> {
        let Some(damage) = self.damage.first() else { return Ok(()) };
        Err(MissionError::DamagedLog {
            path: self.path.clone(),
            line: damage.line,
            problem: damage.problem.clone(),
            count: self.damage.len(),
            mission_slug: mission_slug.to_owned(),
            repairable: self.damage.iter().any(|damage| damage.repairable),
            newer: self.damage.iter().any(|damage| !damage.repairable),
        })
    }

    /// Warnings about the log, its damaged lines among them.
    pub fn warnings(&self, mission_slug: &str) -> Vec<String> {
        self.damage_lines(mission_slug).into_iter().chain(self.unknown_row_line()).collect()
    }

    /// One line for each line that could not be read, each with the file and what to do about it.
    pub(crate) fn damage_lines(&self, mission_slug: &str) -> Vec<String> {
        let remedy = |repairable| remedy(mission_slug, repairable);
        let shown = contract::text::path(&self.path);
        let mut lines: Vec<String> = self
            .damage
            .iter()
            .take(damage::SHOWN)
            .map(|Damage { line, problem, repairable }| {
                format!("{shown} line {line}: {problem}; {}", remedy(*repairable))
            })
            .collect();
        let rest = self.damage.get(damage::SHOWN..).unwrap_or_default();
        if !rest.is_empty() {
            let remedy = remedy(rest.iter().any(|damage| damage.repairable));
            lines.push(format!("{shown}: {}; {remedy}", more_lines(rest.len())));
        }
        lines
    }

    /// One line for all rows that this release does not know or that are there twice.
    pub(crate) fn unknown_row_line(&self) -> Option<String> {
        let first = self.unknown_rows.first()?;
        let more = match self.unknown_rows.len() - 1 {
            0 => String::new(),
            1 => " (1 more such row)".to_owned(),
            more => format!(" ({more} more such rows)"),
        };
        Some(format!("{} line {} {}{more}", contract::text::path(&self.path), first.line, first.problem))
    }

    /// Path of the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lane changes, in the order of the file; of those with one id the first.
    pub(crate) fn moves(&self) -> &[LaneMove] {
        &self.moves
    }

    /// The annotations, in the order of the file; of those with one id the first.
    pub(crate) fn annotations(&self) -> &[Annotation] {
        &self.annotations
    }

    /// Whether it holds a lane change.
    pub(crate) fn has_moves(&self) -> bool {
        !self.moves.is_empty()
    }

    /// The work packages that were moved, seeds included.
    pub(crate) fn moved_packages(&self) -> HashSet<&str> {
        self.moves.iter().map(|row| &*row.wp_id).collect()
    }

    /// The facts, in the order of the file.
    pub fn facts(&self) -> impl Iterator<Item = &FactRow> {
        self.facts.iter()
    }

    /// The rows of other producers, in the order of the file.
    pub fn others(&self) -> &[OtherRow] {
        &self.others
    }

    /// Whether some row has this `event_id`.
    pub fn contains(&self, event_id: &str) -> bool {
        self.ids.contains_key(event_id)
    }

    /// Whether a lane change has this `event_id`.
    pub(crate) fn has_move(&self, event_id: &str) -> bool {
        self.ids.get(event_id).is_some_and(|kinds| kinds & MOVE != 0)
    }

    /// Whether it holds rows that only releases since 3.2.0 write.
    pub fn is_current(&self) -> bool {
        let annotated = self.others.iter().any(|row| row.name == "annotation");
        annotated || !self.annotations.is_empty() || self.moves.iter().any(|row| row.from == Lane::Genesis)
    }

    /// Number of rows.
    pub fn line_count(&self) -> usize {
        self.lines
    }

    /// The bytes that appending `rows` will add. A last line without a newline is closed first. An id
    /// that the log already holds is refused.
    pub fn plan_append(&self, rows: &[Row]) -> Result<String> {
        if rows.is_empty() {
            return Ok(String::new());
        }
        let mut added: HashSet<&str> = HashSet::new();
        let mut text = String::new();
        if self.ends_open {
            text.push('\n');
        }
        for row in rows {
            if row.event_id().is_some_and(|id| self.contains(id) || !added.insert(id)) {
                return Err(MissionError::malformed(
                    &self.path,
                    "already holds a row with the id that was to be appended",
                ));
            }
            text.push_str(&row.render()?);
            text.push('\n');
        }
        Ok(text)
    }

    /// Whether the file is what was read and then `rows`, which were appended to it.
    pub(crate) fn is_all_before(&self, rows: &[Row]) -> bool {
        let length = std::fs::symlink_metadata(&self.path).map(|facts| facts.len());
        let added = self.plan_append(rows).map(|text| text.len() as u64);
        matches!((length, added), (Ok(length), Ok(added)) if length == self.length + added)
    }

    /// Appends `rows` as one write and verifies them.
    pub fn append(&self, writing: &mut Writing, rows: &[Row]) -> Result<()> {
        let text = self.plan_append(rows)?;
        if text.is_empty() { Ok(()) } else { writing.append(&self.path, text.as_bytes()) }
    }

    /// Of every row about `subject`: its id and its time.
    fn times_of<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        // Of rows whose times are written alike the latest is the last by time and by text.
        let alike = |row: &&LaneMove| row.is_written_alike();
        let moves = move || self.moves.iter().filter(move |row| &*row.wp_id == subject);
        let latest = moves().filter(alike).reduce(|a, b| if a.instant < b.instant { b } else { a });
        let moves = latest.into_iter().chain(moves().filter(move |row| !alike(row)));
        let annotations = self.annotations.iter().filter(move |row| row.wp_id == subject);
        let facts = self.facts.iter().filter(move |row| row.subject() == Some(subject));
        let others = self.others.iter().filter(move |row| row.wp_id.as_deref() == Some(subject));
        let others = others.map(|row| (row.event_id.as_deref().unwrap_or_default(), row.at.as_str()));
        let written = annotations
            .map(|row| (row.event_id.as_str(), row.at.as_str()))
            .chain(facts.map(|row| (row.event_id.as_str(), row.timestamp.as_str())))
            .chain(others);
        let moves = moves.map(|row| (&*row.event_id, row.at()));
        moves.chain(written.map(|(event_id, at)| (event_id, Cow::Borrowed(at))))
    }
}

/// The warning about a row that this release does not know.
const NEWER: &str = "written by a newer version; it stays as it is";

impl Row {
    /// Its kind, as its keys name it.
    pub(crate) fn kind_name(&self) -> &str {
        match self {
            Self::Lane(_) => "lane change",
            Self::Annotation(_) => "annotation",
            Self::Fact(row) => row.kind.into(),
            Self::Other(row) => &row.name,
        }
    }

    /// The row's id.
    pub fn event_id(&self) -> Option<&str> {
        match self {
            Self::Lane(row) => Some(&row.event_id),
            Self::Annotation(row) => Some(&row.event_id),
            Self::Fact(row) => Some(&row.event_id),
            Self::Other(row) => row.event_id.as_deref(),
        }
    }

    /// Subject of the row: a work package or a decision. Rows of one subject have an order.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::Lane(row) => Some(&row.wp_id),
            Self::Annotation(row) => Some(&row.wp_id),
            Self::Fact(row) => row.subject(),
            Self::Other(row) => row.wp_id.as_deref(),
        }
    }

    /// Time, as written.
    pub(crate) fn at(&self) -> &str {
        match self {
            Self::Lane(row) => &row.at,
            Self::Annotation(row) => &row.at,
            Self::Fact(row) => &row.timestamp,
            Self::Other(row) => &row.at,
        }
    }

    fn set_at(&mut self, text: String) {
        match self {
            Self::Lane(row) => row.at = text,
            Self::Annotation(row) => row.at = text,
            Self::Fact(row) => row.timestamp = text,
            Self::Other(row) => row.at = text,
        }
    }

    /// The line, without a newline.
    fn render(&self) -> Result<String> {
        match self {
            Self::Lane(row) => Ok(json::sorted_line(&row.to_value())),
            Self::Annotation(row) => Ok(json::sorted_line(&row.to_value())),
            Self::Fact(row) => Ok(json::sorted_line(&row.to_value())),
            Self::Other(row) => Err(MissionError::Argument {
                name: "row",
                problem: format!("a row `{}` of another producer is never appended", row.name),
            }),
        }
    }
}

/// The lines that are not blank, with their 1-based numbers.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let numbered = bytes.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
}

#[cfg(test)]
mod tests;
