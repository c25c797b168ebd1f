//! `status.events.jsonl`: the canonical, append-only log of a mission.
//!
//! One JSON object a line, keys sorted. Owns reading (bounded, strict on lane rows, silent on rows
//! of other producers) and appending (written, flushed, read back). Never rewrites or removes a row.

mod fact;
mod lane_row;

pub use fact::{FACT_SCHEMA_VERSION, FactKind, FactRow};
pub use lane_row::{ExecutionMode, LaneRow};

use crate::document::{Writing, read_bytes};
use crate::error::{MissionError, Result};
use crate::json;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The file's name in a mission directory.
pub const FILE: &str = "status.events.jsonl";
/// The largest log that is read: some half a million rows.
pub const MAX_BYTES: u64 = 256 << 20;
/// The longest row that is read.
pub const MAX_ROW: usize = 1 << 20;

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
        /// Its `event_type` or `event_name`.
        name: String,
    },
}

/// A log that was read.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    rows: Vec<Row>,
    lines: usize,
    ends_open: bool,
}

/// Reads the log of a mission directory; an absent file is an empty log.
pub fn read_log(mission_dir: &Path) -> Result<Log> {
    let path = mission_dir.join(FILE);
    let bytes = read_bytes(&path, MAX_BYTES)?.unwrap_or_default();
    Log::parse(&path, &bytes)
}

impl Log {
    /// Parses the bytes of the log at `path`.
    ///
    /// Blank lines are skipped. A line that is not JSON, or a lane row that lacks a required key or
    /// names an unknown lane, is an error naming the 1-based line.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let mut rows = Vec::new();
        let mut lines = 0;
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let wrong = |problem: String| MissionError::malformed_row(path, index + 1, problem);
            if line.len() > MAX_ROW {
                return Err(wrong(format!("is longer than the {MAX_ROW} bytes a row may have")));
            }
            let text = std::str::from_utf8(line)
                .map_err(|error| wrong(format!("is not UTF-8 at byte {}", error.valid_up_to())))?;
            if text.trim().is_empty() {
                continue;
            }
            lines += 1;
            rows.push(parse_row(text).map_err(wrong)?);
        }
        let ends_open = bytes.last().is_some_and(|byte| *byte != b'\n');
        Ok(Self { path: path.to_owned(), rows, lines, ends_open })
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

fn parse_row(text: &str) -> Result<Row, String> {
    if let Some(row) = LaneRow::read_quickly(text) {
        return Ok(Row::Lane(row));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(map) = value else { return Err("is not a JSON object".into()) };
    if map.contains_key("event_type") {
        return Ok(FactRow::from_map(&map).map_or_else(|| other(&map, "event_type"), Row::Fact));
    }
    if map.get("event_name").and_then(Value::as_str).is_some_and(|name| name.starts_with("retrospective.")) {
        return Ok(other(&map, "event_name"));
    }
    LaneRow::from_map(&map).map(Row::Lane)
}

fn other(map: &Map<String, Value>, key: &str) -> Row {
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    Row::Other { event_id: text("event_id"), name: text(key).unwrap_or_default() }
}

#[cfg(test)]
mod tests;
