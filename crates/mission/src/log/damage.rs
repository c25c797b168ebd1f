//! Lines of a log that cannot be read, and the rows that can be saved from them.

use super::{FactRow, LaneRow, MAX_ROW, Row};
use crate::conflict;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How many unreadable lines a warning names.
pub(super) const SHOWN: usize = 5;

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Its 1-based number.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it is broken, so that `doctor repair` moves it aside. A JSON object in a form that this release
    /// does not know is no damage: it is kept.
    #[serde(skip)]
    pub repairable: bool,
}

/// What a line that cannot be read as one row holds.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) problem: String,
    pub(super) repairable: bool,
    /// Whole rows in it, with their bytes.
    pub(super) rows: Vec<(Row, String)>,
}

/// Reads a line as one row.
pub(super) fn read_line(line: &[u8]) -> Result<Row, Unread> {
    let broken = |problem: String| {
        let rows = if line.len() > MAX_ROW { Vec::new() } else { rows_within(line) };
        Unread { problem, repairable: true, rows }
    };
    if line.len() > MAX_ROW {
        return Err(broken(format!("is longer than the {MAX_ROW} bytes a row may have")));
    }
    let text = std::str::from_utf8(line)
        .map_err(|error| broken(format!("is not UTF-8 at byte {}", error.valid_up_to())))?;
    if let Some(row) = LaneRow::read_quickly(text) {
        return Ok(Row::Lane(row));
    }
    if conflict::is_marker(text) {
        return Err(broken("is a conflict marker of a merge".into()));
    }
    if text.contains('\0') {
        return Err(broken("holds NUL bytes".into()));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| broken(no_json(&error)))?;
    let Value::Object(map) = value else { return Err(broken("is not a JSON object".into())) };
    read_object(&map).map_err(|problem| Unread { problem, repairable: false, rows: Vec::new() })
}

/// What the parser says, with the place in the line and without the number of its only line.
fn no_json(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let bare = text.strip_suffix(&format!(" at line {} column {column}", error.line())).unwrap_or(&text);
    format!("is not JSON at byte {column}: {bare}")
}

/// Reads a JSON object as a row. One without lanes that names its kind is the row of another producer.
fn read_object(map: &Map<String, Value>) -> Result<Row, String> {
    if map.contains_key("event_type") {
        return Ok(FactRow::from_map(map).map_or_else(|| other(map, "event_type"), Row::Fact));
    }
    if map.get("event_name").and_then(Value::as_str).is_some_and(|name| name.starts_with("retrospective.")) {
        return Ok(other(map, "event_name"));
    }
    let has_lanes = map.contains_key("from_lane") || map.contains_key("to_lane");
    let named = ["kind", "type"].into_iter().find(|key| map.get(*key).is_some_and(Value::is_string));
    match named.filter(|_| !has_lanes) {
        Some(key) => Ok(other(map, key)),
        None => LaneRow::from_map(map).map(Row::Lane),
    }
}

fn other(map: &Map<String, Value>, key: &str) -> Row {
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    Row::Other {
        event_id: text("event_id"),
        name: text(key).unwrap_or_default(),
        wp_id: text("wp_id"),
        at: text("at").or_else(|| text("timestamp")).unwrap_or_default(),
    }
}

/// The whole rows within a broken line: behind a torn row, between NUL bytes, or one behind the other.
fn rows_within(line: &[u8]) -> Vec<(Row, String)> {
    let mut rows = Vec::new();
    let mut at = 0;
    while let Some(open) = line[at..].iter().position(|byte| *byte == b'{').map(|open| at + open) {
        let mut values = serde_json::Deserializer::from_slice(&line[open..]).into_iter::<&RawValue>();
        let found = values.next().and_then(Result::ok).and_then(|raw| Some((row_of(raw.get())?, raw.get())));
        at = match found {
            Some((row, text)) => {
                rows.push((row, text.to_owned()));
                open + text.len()
            }
            None => open + 1,
        };
    }
    rows
}

/// A row with an id of its own; an inner object of a torn row has none.
fn row_of(text: &str) -> Option<Row> {
    let map: Map<String, Value> = serde_json::from_str(text).ok()?;
    read_object(&map).ok().filter(|row| row.event_id().is_some())
}

/// `1 more line cannot be read`.
pub(crate) fn more_lines(count: usize) -> String {
    format!("{count} more {} cannot be read", if count == 1 { "line" } else { "lines" })
}

/// What to do about unreadable lines.
pub(crate) fn remedy(mission_slug: &str, repairable: bool) -> String {
    if repairable {
        let repair = contract::Remedy::RepairMission { mission: mission_slug.to_owned() };
        format!("`{repair}` keeps every readable row and moves the damaged lines aside")
    } else {
        "a newer release may have written it: use that release, or correct the line by hand".to_owned()
    }
}
