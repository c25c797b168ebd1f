//! `status.events.jsonl`: the canonical, append-only log of a mission.
//!
//! One JSON object a line, keys sorted. Owns reading (bounded; what cannot be read is named by its line and
//! never hides the rest), appending (written, flushed, read back) and the time of new rows. Only [`repair`]
//! rewrites the file; it keeps every readable row.

mod damage;
mod fact;
mod lane_row;
pub mod repair;
mod row_time;

pub use damage::Damage;
pub(crate) use damage::{more_lines, remedy};
pub(crate) use row_time::place_after;

pub use fact::{FACT_SCHEMA_VERSION, FactKind, FactRow};
pub use lane_row::{ExecutionMode, LaneRow};

use crate::document::{Writing, read_bytes};
use crate::error::{MissionError, Result};
use contract::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The file's name in a mission directory.
pub const FILE: &str = "status.events.jsonl";
/// The largest log that is read: some half a million rows.
pub const MAX_BYTES: u64 = 256 << 20;
/// The longest row that is read.
pub const MAX_ROW: usize = 1 << 20;
/// What some editors put in front of a text.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A row as it will stand in the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A lane change.
    Lane(LaneRow),
    /// A fact of the mission's life: it has an `event_type`.
    Fact(FactRow),
    /// A row of another producer; only its id is known.
    Other {
        /// Its `event_id`, when it has one.
        event_id: Option<String>,
        /// Its `event_type`, `event_name`, `kind` or `type`.
        name: String,
        /// The work package it is about, when it names one.
        wp_id: Option<String>,
        /// Its time; empty without one.
        at: String,
    },
}

/// A log that was read.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    rows: Vec<Row>,
    lines: usize,
    ends_open: bool,
    damage: Vec<Damage>,
}

/// Reads the log of a mission directory for a command that writes on top of it; an absent file is an empty log.
/// A line that cannot be read is an error that names it.
pub fn read_log(mission_dir: &Path) -> Result<Log> {
    let log = view_log(mission_dir)?;
    match log.damage.first() {
        None => Ok(log),
        Some(damage) => Err(MissionError::DamagedLog {
            path: log.path,
            line: damage.line,
            problem: damage.problem.clone(),
            count: log.damage.len(),
            mission_slug: mission_dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            repairable: log.damage.iter().any(|damage| damage.repairable),
            newer: log.damage.iter().any(|damage| !damage.repairable),
        }),
    }
}

/// Reads what can be read of the log of a mission directory. [`Log::damage`] names the rest.
pub fn view_log(mission_dir: &Path) -> Result<Log> {
    let path = mission_dir.join(FILE);
    let bytes = read_bytes(&path, MAX_BYTES)?.unwrap_or_default();
    Ok(Log::parse(&path, &bytes))
}

impl Log {
    /// Parses the bytes of the log at `path`. Blank lines and a byte order mark are skipped. Of a damaged line
    /// the rows that can be read in it are taken.
    pub fn parse(path: &Path, bytes: &[u8]) -> Self {
        let mut log =
            Self { path: path.to_owned(), rows: Vec::new(), lines: 0, ends_open: false, damage: Vec::new() };
        for (number, line) in lines(bytes) {
            log.lines += 1;
            match damage::read_line(line) {
                Ok(row) => log.rows.push(row),
                Err(unread) => {
                    log.rows.extend(unread.rows.into_iter().map(|(row, _)| row));
                    log.damage.push(Damage {
                        line: number,
                        problem: unread.problem,
                        repairable: unread.repairable,
                    });
                }
            }
        }
        log.ends_open = bytes.last().is_some_and(|byte| *byte != b'\n');
        log
    }

    /// The lines that could not be read, in the order of the file.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// One line for each line that could not be read, with the file and what to do about it.
    pub fn warnings(&self, mission_slug: &str) -> Vec<String> {
        let remedy = remedy(mission_slug, self.damage.iter().any(|damage| damage.repairable));
        let shown = contract::text::path(&self.path);
        let mut lines: Vec<String> = self
            .damage
            .iter()
            .take(damage::SHOWN)
            .map(|damage| format!("{shown} line {}: {}", damage.line, damage.problem))
            .collect();
        if self.damage.len() > damage::SHOWN {
            lines.push(format!("{shown}: {}", more_lines(self.damage.len() - damage::SHOWN)));
        }
        if let Some(last) = lines.last_mut() {
            last.push_str(&format!("; {remedy}"));
        }
        lines
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every row, in the order of the file.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The lane changes, in the order of the file.
    pub fn lane_rows(&self) -> impl Iterator<Item = &LaneRow> {
        self.rows.iter().filter_map(|row| match row {
            Row::Lane(row) => Some(row),
            Row::Fact(_) | Row::Other { .. } => None,
        })
    }

    /// The facts, in the order of the file.
    pub fn facts(&self) -> impl Iterator<Item = &FactRow> {
        self.rows.iter().filter_map(|row| match row {
            Row::Fact(row) => Some(row),
            Row::Lane(_) | Row::Other { .. } => None,
        })
    }

    /// Whether some row has this `event_id`.
    pub fn contains(&self, event_id: &str) -> bool {
        self.rows.iter().any(|row| row.event_id() == Some(event_id))
    }

    /// How many rows there are.
    pub fn line_count(&self) -> usize {
        self.lines
    }

    /// The bytes that appending `rows` will add. A last line without a newline is closed first. An id
    /// that the log already holds is refused.
    pub fn plan_append(&self, rows: &[Row]) -> Result<String> {
        if rows.is_empty() {
            return Ok(String::new());
        }
        let mut known: HashSet<&str> = self.rows.iter().filter_map(Row::event_id).collect();
        let mut text = String::new();
        if self.ends_open {
            text.push('\n');
        }
        for row in rows {
            if row.event_id().is_some_and(|id| !known.insert(id)) {
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

    /// The log with `rows` at its end, not yet on disk.
    pub fn with(&self, rows: &[Row]) -> Self {
        let mut next = self.clone();
        next.lines += rows.len();
        next.rows.extend(rows.iter().cloned());
        next.ends_open &= rows.is_empty();
        next
    }

    /// Appends `rows` as one write and verifies them.
    pub fn append(&self, writing: &mut Writing, rows: &[Row]) -> Result<()> {
        let text = self.plan_append(rows)?;
        if text.is_empty() { Ok(()) } else { writing.append(&self.path, text.as_bytes()) }
    }
}

impl Row {
    /// The row's id.
    pub fn event_id(&self) -> Option<&str> {
        match self {
            Self::Lane(row) => Some(&row.event_id),
            Self::Fact(row) => Some(&row.event_id),
            Self::Other { event_id, .. } => event_id.as_deref(),
        }
    }

    /// What the row is about: a work package or a decision. Rows of one subject have an order.
    fn subject(&self) -> Option<&str> {
        match self {
            Self::Lane(row) => Some(&row.wp_id),
            Self::Fact(row) if row.kind == FactKind::WPCreated => Some(&row.aggregate_id),
            Self::Fact(row) => row.text("decision_point_id"),
            Self::Other { wp_id, .. } => wp_id.as_deref(),
        }
    }

    /// When, as written.
    fn at(&self) -> &str {
        match self {
            Self::Lane(row) => &row.at,
            Self::Fact(row) => &row.timestamp,
            Self::Other { at, .. } => at,
        }
    }

    fn set_at(&mut self, text: String) {
        match self {
            Self::Lane(row) => row.at = text,
            Self::Fact(row) => row.timestamp = text,
            Self::Other { at, .. } => *at = text,
        }
    }

    /// The line, without a newline.
    fn render(&self) -> Result<String> {
        match self {
            Self::Lane(row) => Ok(json::sorted_line(&row.to_value())),
            Self::Fact(row) => Ok(json::sorted_line(&row.to_value())),
            Self::Other { name, .. } => Err(MissionError::Argument {
                name: "row",
                problem: format!("a row `{name}` of another producer is never appended"),
            }),
        }
    }
}

/// The lines that are not blank, with their 1-based numbers.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let numbered = bytes.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| (index + 1, line));
    numbered.filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
}

#[cfg(test)]
mod tests;
