//! Lines of a log that cannot be read, and the rows that can be saved from them.

use super::{Annotation, FactRow, LaneRow, MAX_ROW, OtherRow, Row};
use crate::conflict;
use contract::text::printable;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Most unreadable lines that a warning names.
pub(super) const SHOWN: usize = 5;

/// A line that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Its 1-based number.
    pub line: usize,
    /// Description of the damage.
    pub problem: String,
    /// Whether it is broken, so that `doctor repair` moves it aside. A JSON object in a form that this release
    /// does not know is kept where it is.
    #[serde(skip)]
    pub repairable: bool,
}

/// Content of a line that cannot be read as one row.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) problem: String,
    pub(super) repairable: bool,
    /// Whole rows in it, with their bytes.
    pub(super) rows: Vec<(Row, String)>,
}

/// Reads a line as one row.
pub(super) fn read_line(line: &[u8]) -> Result<Row, Unread> {
    let broken = |problem: String| Unread { problem, repairable: true, rows: rows_within(line) };
    if line.len() > MAX_ROW {
        return Err(too_long());
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
    let value = serde_json::from_str(text).or_else(|error| match without_odd_numbers(text) {
        Some(text) => serde_json::from_str(&text).map_err(|_| error),
        None => Err(error),
    });
    let Value::Object(map) = value.map_err(|error| broken(no_json(&error)))? else {
        return Ok(other(&Map::new(), "", Some("is not a JSON object".to_owned())));
    };
    read_object(&map).map_err(|problem| Unread { problem, repairable: false, rows: Vec::new() })
}

/// A line of which only the beginning was read.
pub(super) fn too_long() -> Unread {
    let problem = format!("is longer than the {MAX_ROW} bytes a row may have");
    Unread { problem, repairable: true, rows: Vec::new() }
}

/// The line with `1` in the place of the numbers that the reference writes and JSON has not: only whether they
/// count as true matters to a row. Nothing for a line without one.
fn without_odd_numbers(line: &str) -> Option<String> {
    let (mut out, mut rest, mut in_text) = (String::new(), line, false);
    let mut found = false;
    while let Some(first) = rest.chars().next() {
        let odd = ["NaN", "Infinity", "-Infinity"].into_iter().find(|odd| !in_text && rest.starts_with(odd));
        let taken = match (odd, first) {
            (Some(odd), _) => odd.len(),
            // An escape is two characters.
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, first) => first.len_utf8(),
        };
        in_text ^= first == '"';
        found |= odd.is_some();
        out.push_str(odd.map_or(&rest[..taken], |_| "1"));
        rest = &rest[taken..];
    }
    found.then_some(out)
}

/// The parser's error, with the place in the line and without the number of its only line.
fn no_json(error: &serde_json::Error) -> String {
    let (text, column) = (error.to_string(), error.column());
    let bare = text.strip_suffix(&format!(" at line {} column {column}", error.line())).unwrap_or(&text);
    format!("is not JSON at byte {column}: {bare}")
}

/// Rows of a retrospective; earlier releases named them by `event_name`.
const RETROSPECTIVE: [&str; 3] =
    ["RetrospectiveCaptured", "RetrospectiveCaptureFailed", "RetrospectiveSkipped"];

/// Reads a JSON object as a row. The order of the questions is that of the releases up to 3.2.7. A row that
/// moves nothing and is of no kind of this release is a row of a newer one.
fn read_object(map: &Map<String, Value>) -> Result<Row, String> {
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    match map.get("kind").filter(|kind| !kind.is_null()) {
        Some(kind) if kind == "annotation" => {
            let wrong = |problem| other(map, "annotation", Some(format!("is an annotation: {problem}")));
            return Ok(Annotation::from_map(map).map_or_else(wrong, Row::Annotation));
        }
        Some(kind) => {
            let name = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
            return Ok(other(map, &name, Some(format!("has the kind `{}`", printable(&name)))));
        }
        None => {}
    }
    if let Some(name) = text("event_name").filter(|name| name.starts_with("retrospective.")) {
        return Ok(other(map, name, None));
    }
    if let Some(name) = text("type").filter(|name| RETROSPECTIVE.contains(name)) {
        return Ok(other(map, name, None));
    }
    if map.contains_key("event_type") {
        let name = text("event_type").unwrap_or_default();
        return Ok(FactRow::from_map(map).map_or_else(|| other(map, name, None), Row::Fact));
    }
    if map.contains_key("from_lane") || map.contains_key("to_lane") {
        return LaneRow::from_map(map).map(Row::Lane);
    }
    let name = ["type", "event_name"].into_iter().find_map(|key| Some((key, text(key)?)));
    Ok(match name {
        Some((key, name)) => {
            other(map, name, Some(format!("has the {} `{}`", key.replace('_', " "), printable(name))))
        }
        None => other(map, "", Some("moves no work package and names no kind".to_owned())),
    })
}

fn other(map: &Map<String, Value>, name: &str, newer: Option<String>) -> Row {
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    Row::Other(OtherRow {
        event_id: text("event_id"),
        name: name.to_owned(),
        wp_id: text("wp_id"),
        at: text("at").or_else(|| text("timestamp")).unwrap_or_default(),
        payload: map.get("payload").and_then(Value::as_object).cloned().unwrap_or_default(),
        newer,
    })
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

/// Remedy for unreadable lines.
pub(crate) fn remedy(mission_slug: &str, repairable: bool) -> String {
    if repairable {
        let repair = contract::Remedy::RepairMission { mission: mission_slug.to_owned() };
        format!("`{repair}` keeps every readable row and moves the damaged lines aside")
    } else {
        "a newer release may have written it: use that release, or correct the line by hand".to_owned()
    }
}
