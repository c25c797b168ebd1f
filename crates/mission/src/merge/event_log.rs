//! The union of three versions of an event log.
//!
//! A row is never changed, so one `event_id` identifies one row: equal rows collapse, unequal rows with one id are
//! a conflict. The result is sorted by the text of the time, then by id, with sorted keys in each row: what earlier
//! releases write, byte for byte.

use super::Conflict;
use crate::log;
use contract::json;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// Most ids in conflict that the message names.
const SHOWN: usize = 5;

/// Every version of one row.
struct MergedRow<'a> {
    /// `at`, else `timestamp`, else empty.
    at: String,
    event_id: String,
    /// Unequal lines, each with the side that holds it. One is the rule.
    versions: Vec<(&'static str, Cow<'a, str>)>,
}

pub(super) fn merge(sides: [(&'static str, &[u8]); 3]) -> Result<String, Conflict> {
    let mut entries: Vec<MergedRow<'_>> = Vec::new();
    let mut by_id: HashMap<String, usize> = HashMap::new();
    // Most lines are in all three versions: those are parsed once.
    let mut seen: HashSet<&[u8]> = HashSet::new();
    for (side, bytes) in sides {
        for (number, line) in log::lines(bytes) {
            if !seen.insert(line) {
                continue;
            }
            let (at, event_id, text) =
                read(line).map_err(|problem| Conflict::unread(format!("{side} line {number}: {problem}")))?;
            match by_id.get(&event_id) {
                None => {
                    by_id.insert(event_id.clone(), entries.len());
                    entries.push(MergedRow { at, event_id, versions: vec![(side, text)] });
                }
                Some(index) => {
                    let versions = &mut entries[*index].versions;
                    if versions.iter().all(|(_, known)| *known != text) {
                        versions.push((side, text));
                    }
                }
            }
        }
    }
    entries.sort_unstable_by(|one, other| (&one.at, &one.event_id).cmp(&(&other.at, &other.event_id)));
    let merged = render(&entries);
    let unequal = entries.iter().filter(|entry| entry.versions.len() > 1);
    let names: Vec<String> = unequal.map(|entry| entry.event_id.clone()).collect();
    if names.is_empty() {
        return Ok(merged);
    }
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let problem = format!("unequal rows with one event_id: {}{more}", names[..names.len() - rest].join(", "));
    Err(Conflict { problem, names, marked: Some(merged) })
}

/// The time, the id and the text of a row.
fn read(line: &[u8]) -> Result<(String, String, Cow<'_, str>), String> {
    if line.len() > log::MAX_ROW {
        return Err(format!("longer than the {} bytes a row may have", log::MAX_ROW));
    }
    let raw = std::str::from_utf8(line)
        .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?
        .trim();
    let row: Map<String, Value> =
        serde_json::from_str(raw).map_err(|error| format!("not a JSON object: {error}"))?;
    let text =
        |key: &str| row.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let event_id = text("event_id").filter(|id| !id.trim().is_empty()).ok_or("no event_id")?;
    let at = text("at").or_else(|| text("timestamp")).unwrap_or_default();
    let row = Value::Object(row);
    if has_float(&row) {
        // A number beyond 64 bits would lose digits.
        return Ok((at, event_id, Cow::Borrowed(raw)));
    }
    let sorted = json::sorted_line(&row);
    Ok((at, event_id, if sorted == raw { Cow::Borrowed(raw) } else { Cow::Owned(sorted) }))
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(map) => map.values().any(has_float),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// The log; unequal rows are between conflict markers.
fn render(entries: &[MergedRow<'_>]) -> String {
    let mut out = String::new();
    for entry in entries {
        for (index, (side, text)) in entry.versions.iter().enumerate() {
            let _ = match (index, entry.versions.len()) {
                (_, 1) => writeln!(out, "{text}"),
                (0, _) => writeln!(out, "<<<<<<< {side}\n{text}"),
                (index, count) if index + 1 == count => writeln!(out, "=======\n{text}\n>>>>>>> {side}"),
                _ => writeln!(out, "=======\n{text}"),
            };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> Result<String, Conflict> {
        merge([("base", base.as_bytes()), ("ours", ours.as_bytes()), ("theirs", theirs.as_bytes())])
    }

    #[test]
    fn rows_of_both_sides_are_united_and_sorted() {
        let [early, late, untimed] = [
            r#"{"at": "2026-01-01", "event_id": "C"}"#,
            r#"{"event_id": "B", "timestamp": "2026-01-02"}"#,
            r#"{"event_id": "A", "z": 1}"#,
        ];
        let ours = format!("\u{feff}{late}\n\n{early}\n");
        let theirs = format!("{}\r\n{early}", r#"{"z":1,"event_id":"A"}"#);
        let expected = format!("{untimed}\n{early}\n{late}\n");
        assert_eq!(merged("", &ours, &theirs).unwrap(), expected);
        // A row that one side has removed is a row.
        assert_eq!(merged(&ours, "", &theirs).unwrap(), expected);
    }

    #[test]
    fn unequal_rows_with_one_id_are_kept_between_markers() {
        let [one, other] = [r#"{"event_id": "A", "n": 1}"#, r#"{"event_id": "A", "n": 2}"#];
        let conflict = merged("", one, other).unwrap_err();
        assert_eq!(conflict.names, ["A"]);
        let marked = format!("<<<<<<< ours\n{one}\n=======\n{other}\n>>>>>>> theirs\n");
        assert_eq!(conflict.marked, Some(marked));
        assert!(merged("", &format!("{one}\n{other}\n"), "").is_err());
    }

    #[test]
    fn numbers_keep_every_digit() {
        let row = r#"{"n": 123456789012345678901234567890, "event_id": "A", "x": 1e400}"#;
        let row = row.replace("1e400", "1.10");
        assert_eq!(merged("", &row, "").unwrap(), format!("{row}\n"));
    }

    #[test]
    fn line_without_a_row_is_named() {
        for (line, problem) in [
            ("{\"event_id\": \" \"}", "no event_id"),
            ("{\"event_id\": 1}", "no event_id"),
            ("[]", "not a JSON object"),
            ("<<<<<<< HEAD", "not a JSON object"),
        ] {
            let conflict = merged("", &format!("{{\"event_id\": \"A\"}}\n{line}\n"), "").unwrap_err();
            assert!(conflict.problem.starts_with("ours line 2: "), "{conflict:?}");
            assert!(conflict.problem.contains(problem), "{conflict:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_merged_or_a_conflict(sides in proptest::collection::vec(proptest::collection::vec(0_u8..255, 0..80), 3)) {
            let _ = merge([("base", &sides[0]), ("ours", &sides[1]), ("theirs", &sides[2])]);
        }

        /// The result does not depend on which side is ours, and merging again changes nothing.
        #[test]
        fn merge_is_symmetric_and_idempotent(
            base in proptest::collection::vec(0..30_u8, 0..8),
            ours in proptest::collection::vec(0..30_u8, 0..8),
            theirs in proptest::collection::vec(0..30_u8, 0..8),
        ) {
            let log = |ids: &[u8]| ids.iter().map(|id| format!("{{\"at\": \"{}\", \"event_id\": \"{id}\"}}\n", id % 3)).collect::<String>();
            let (base, ours, theirs) = (log(&base), log(&ours), log(&theirs));
            let once = merged(&base, &ours, &theirs).unwrap();
            proptest::prop_assert_eq!(&once, &merged(&base, &theirs, &ours).unwrap());
            proptest::prop_assert_eq!(&once, &merged(&ours, &once, &theirs).unwrap());
        }
    }
}
