//! Git merge drivers: three versions of one file in, one merged file out, or a conflict.
//!
//! Git runs `spec-kitty merge-driver-<name> %O %A %B` and takes the result from `%A`. A driver that ends with
//! another exit code than 0 leaves the file in conflict, with the content of `%A` in the worktree. So on a
//! conflict `%A` holds both sides: rows or lines between conflict markers, as git itself writes them.
//!
//! | driver | files | merge |
//! |---|---|---|
//! | event log | `status.events.jsonl`, `decisions.events.jsonl` | union by `event_id`, sorted |
//! | meta | `meta.json` | by key |
//! | status | `status.json` | by work package |
//! | others | traces, matrices, review cycles | by line: `git merge-file` |

mod event_log;
mod fields;

use crate::document::{MAX_JSON, read_bytes};
use crate::error::{MissionError, Result};
use crate::remedies::ErrorCode;
use crate::{git, log};
use contract::json;
use serde_json::{Map, Value, json};
use std::path::Path;
use strum::IntoEnumIterator as _;

/// One merge driver of `.gitattributes` and of the git configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Driver {
    /// Logs of events.
    EventLog,
    /// `meta.json`.
    Meta,
    /// Traces: Markdown.
    Traces,
    /// `acceptance-matrix.json`.
    AcceptanceMatrix,
    /// `issue-matrix.json`.
    IssueMatrix,
    /// Review cycles: Markdown.
    ReviewCycle,
    /// `status.json`. Earlier releases have no such driver.
    Status,
}

/// The three versions that git hands to a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides<T> {
    /// The common ancestor; empty when both sides created the file.
    pub base: T,
    /// The version of the branch that is checked out. Its file receives the result.
    pub ours: T,
    /// The version that is merged into it.
    pub theirs: T,
}

impl<T> Sides<T> {
    /// The sides with the names that conflict markers show.
    fn named(self) -> [(&'static str, T); 3] {
        [("base", self.base), ("ours", self.ours), ("theirs", self.theirs)]
    }

    fn as_ref(&self) -> Sides<&T> {
        Sides { base: &self.base, ours: &self.ours, theirs: &self.theirs }
    }

    fn try_map<U, E>(self, mut map: impl FnMut(T) -> Result<U, E>) -> Result<Sides<U>, E> {
        Ok(Sides { base: map(self.base)?, ours: map(self.ours)?, theirs: map(self.theirs)? })
    }
}

/// Conflict between the sides.
#[derive(Debug, PartialEq, Eq)]
struct Conflict {
    /// Description of the conflict, for people.
    problem: String,
    /// Names of what both sides changed.
    names: Vec<String>,
    /// Content to write to the file; nothing when a merge by line is to write it.
    marked: Option<String>,
}

impl Conflict {
    /// A side that cannot be read.
    fn unread(problem: String) -> Self {
        Self { problem, names: Vec::new(), marked: None }
    }
}

impl Driver {
    /// Every driver.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// The name behind `spec-kitty-` in git's configuration and behind `merge-driver-` on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The files of the driver, as patterns of `.gitattributes` in the project root.
    pub(crate) const fn patterns(self) -> &'static [&'static str] {
        match self {
            Self::EventLog => {
                &["kitty-specs/**/status.events.jsonl", "kitty-specs/**/decisions.events.jsonl"]
            }
            Self::Meta => &["kitty-specs/**/meta.json"],
            Self::Traces => &["kitty-specs/**/traces/*.md"],
            Self::AcceptanceMatrix => &["kitty-specs/**/acceptance-matrix.json"],
            Self::IssueMatrix => &["kitty-specs/**/issue-matrix.json"],
            Self::ReviewCycle => &["kitty-specs/**/tasks/*/review-cycle-*.md"],
            Self::Status => &["kitty-specs/**/status.json"],
        }
    }

    const fn limit(self) -> u64 {
        match self {
            Self::EventLog => log::MAX_BYTES,
            _ => MAX_JSON,
        }
    }
}

/// Merges into the file of `ours`.
///
/// # Errors
/// A conflict, whose both sides the file of `ours` then holds; or a side that cannot be read or written.
pub fn merge(driver: Driver, files: Sides<&Path>) -> Result<()> {
    // Git names them relative to the root of the worktree.
    let files = files.try_map(|path| std::path::absolute(path).map_err(MissionError::io("find", path)))?;
    // Git gives three files always, an empty one for a side that has none. A missing one is a misspelt name, and not
    // an empty side whose rows were removed.
    files.as_ref().try_map(|path| path.symlink_metadata().map_err(MissionError::io("read", path)))?;
    merge_absolute(driver, Sides { base: &files.base, ours: &files.ours, theirs: &files.theirs })
}

fn merge_absolute(driver: Driver, files: Sides<&Path>) -> Result<()> {
    if matches!(driver, Driver::Traces | Driver::ReviewCycle) {
        return by_line(files);
    }
    let sides = files.try_map(|path| read_bytes(path, driver.limit()).map(Option::unwrap_or_default))?;
    let texts = sides.as_ref().named().map(|(name, bytes)| (name, bytes.as_slice()));
    let merged = match driver {
        Driver::EventLog => event_log::merge(texts),
        Driver::Meta => documents(&sides).and_then(|sides| fields::merge_meta(&sides)),
        Driver::Status => documents(&sides).and_then(|sides| fields::merge_status(&sides)),
        _ => {
            by_line(files)?;
            return still_json(&sides, files.ours);
        }
    };
    let conflict = match merged {
        Ok(text) => return write(files.ours, &text),
        Err(conflict) => conflict,
    };
    match &conflict.marked {
        Some(text) => write(files.ours, text)?,
        // Its own conflict is the one that is reported already.
        None => drop(by_line(files)),
    }
    let code = match driver {
        Driver::Status => ErrorCode::SnapshotConflict,
        _ => ErrorCode::MergeConflict,
    };
    Err(MissionError::invalid(code, conflict.problem, &json!({ "conflicts": conflict.names })))
}

fn write(path: &Path, text: &str) -> Result<()> {
    system::shared_file::replace(path, text.as_bytes()).map_err(MissionError::io("write", path))
}

/// A three-way merge by line, into the file of `ours`.
fn by_line(files: Sides<&Path>) -> Result<()> {
    match git::merge_files(files)? {
        true => Ok(()),
        false => Err(MissionError::rule(ErrorCode::MergeConflict, "both sides changed the same lines")),
    }
}

/// Lines that merge cleanly can still be an invalid document.
fn still_json(before: &Sides<Vec<u8>>, merged: &Path) -> Result<()> {
    let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    let was_json = is_json(&before.ours) && is_json(&before.theirs);
    if was_json && !is_json(&read_bytes(merged, 2 * MAX_JSON)?.unwrap_or_default()) {
        let problem = "the lines of both sides fit together, and the result is not JSON";
        return Err(MissionError::rule(ErrorCode::MergeConflict, problem));
    }
    Ok(())
}

/// The sides as JSON objects; an empty base is an empty object.
fn documents(sides: &Sides<Vec<u8>>) -> Result<Sides<Map<String, Value>>, Conflict> {
    let mut sides = sides.as_ref().named().into_iter().map(|(name, bytes)| {
        let text = bytes.strip_prefix(log::BOM).unwrap_or(bytes);
        if name == "base" && text.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(text)
            .map_err(|error| Conflict::unread(format!("{name}: not a JSON object: {error}")))
    });
    let mut next = || sides.next().unwrap_or_else(|| Ok(Map::new()));
    Ok(Sides { base: next()?, ours: next()?, theirs: next()? })
}

/// A document as earlier releases write it.
fn render(document: Map<String, Value>) -> String {
    json::sorted_document(&Value::Object(document))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// The three files of a driver in `directory`.
    fn files(directory: &Path, texts: [&str; 3]) -> Sides<PathBuf> {
        let file = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let [base, ours, theirs] = texts;
        Sides { base: file("base", base), ours: file("ours", ours), theirs: file("theirs", theirs) }
    }

    /// The merged file, and the problem if there was one.
    fn merged(driver: Driver, texts: [&str; 3]) -> (String, Option<String>) {
        let world = tempfile::tempdir().unwrap();
        let files = files(world.path(), texts);
        let sides = Sides { base: &*files.base, ours: &*files.ours, theirs: &*files.theirs };
        let outcome = merge(driver, sides);
        let text = std::fs::read_to_string(&files.ours).unwrap();
        let problem = outcome.err().map(|error| {
            assert!(!error.remedies().is_empty());
            error.to_string()
        });
        (text, problem)
    }

    #[test]
    fn text_conflict_keeps_both_sides_between_markers() {
        for driver in [Driver::Traces, Driver::ReviewCycle, Driver::AcceptanceMatrix, Driver::IssueMatrix] {
            let (text, problem) = merged(driver, ["a\nb\nc\n", "a\nours\nc\n", "a\ntheirs\nc\n"]);
            assert!(problem.is_some(), "{driver:?}");
            assert!(text.contains("<<<<<<< ours\nours\n=======\ntheirs\n>>>>>>> theirs\n"), "{text}");
            let far = ["1\n2\n3\n4\n5\n", "x\n2\n3\n4\n5\n", "1\n2\n3\n4\ny\n"];
            assert_eq!(merged(driver, far), ("x\n2\n3\n4\ny\n".to_owned(), None), "{driver:?}");
        }
    }

    #[test]
    fn matrix_that_is_json_no_longer_is_a_conflict() {
        let base = "{\n\"a\": 1,\n\n\n\n\"b\": 2\n}\n";
        let ours = "{\n\"a\": 1,\n\n\n\n\"b\": 2,\n\"c\": 3}\n";
        let theirs = "[{\n\"a\": 1,\n\n\n\n\"b\": 2\n}\n]";
        let (_, problem) = merged(Driver::IssueMatrix, [base, ours, theirs]);
        assert!(problem.is_some());
        let (_, problem) = merged(Driver::IssueMatrix, ["x\n\n\n\ny", "{}", "{}"]);
        assert_eq!(problem, None);
    }

    #[test]
    fn damaged_log_is_a_conflict_with_every_line_of_both_sides() {
        let (text, problem) =
            merged(Driver::EventLog, ["", "{\"event_id\": \"A\"}\n{\"ev", "{\"event_id\": \"B\"}\n"]);
        assert!(problem.unwrap().contains("ours line 2"));
        assert!(text.contains("\"A\"") && text.contains("{\"ev") && text.contains("\"B\""), "{text}");
    }

    #[test]
    fn files_that_are_no_files_are_named() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path();
        let error = merge(Driver::Meta, Sides { base: path, ours: path, theirs: path }).unwrap_err();
        assert!(error.to_string().contains(&contract::text::path(path).to_string()), "{error}");
    }
}
