//! Report of a verb: one value, rendered as text or as JSON, and notes for stderr.

use contract::ExitCode;
use contract::switch::Switch;
use contract::text::printable;
use serde::Serialize;
use serde_json::Value;

/// A result that can be shown. The JSON is the value itself; the text is written here.
pub(crate) trait Render: Serialize {
    /// The result as people read it, ending with a newline, or empty.
    fn text(&self) -> String;
}

/// The end of a verb that did not fail: what to print, where, and how to exit.
#[derive(Debug)]
pub(crate) struct Report {
    /// Exit code of the process.
    pub exit: ExitCode,
    /// The result as text, for stdout.
    pub text: String,
    /// The result as JSON, for stdout with `--json`.
    pub json: Value,
    /// Lines for stderr, whatever the form of the result.
    pub notes: Vec<String>,
}

impl Report {
    /// A successful result.
    pub(crate) fn of(document: &impl Render) -> Self {
        Self::exiting(ExitCode::Ok, document)
    }

    /// A result with an exit code of its own.
    pub(crate) fn exiting(exit: ExitCode, document: &impl Render) -> Self {
        // A value of ours that does not serialise would be a bug; an error is better than a panic.
        let json = serde_json::to_value(document).unwrap_or_else(
            |error| serde_json::json!({ "result": "unprintable", "detail": error.to_string() }),
        );
        Self { exit, text: document.text(), json, notes: Vec::new() }
    }

    /// A result that was already printed, or has nothing to print.
    pub(crate) fn silent() -> Self {
        Self { exit: ExitCode::Ok, text: String::new(), json: Value::Null, notes: Vec::new() }
    }

    /// Hosted sync is off: there is nothing to do, which is not a failure.
    pub(crate) fn disabled(switch: Switch) -> Self {
        let facts = serde_json::json!({ "sync_enabled": false });
        Self::of(&LineResult { result: "disabled", facts, line: switch.off_message() })
    }

    /// Adds a line for stderr.
    #[must_use]
    pub(crate) fn note(mut self, line: impl Into<String>) -> Self {
        self.notes.push(line.into());
        self
    }
}

/// A one-line result with a few facts.
#[derive(Debug, Serialize)]
pub(crate) struct LineResult<T: Serialize> {
    /// Outcome code for scripts.
    pub result: &'static str,
    /// The facts.
    #[serde(flatten)]
    pub facts: T,
    /// The line for people.
    #[serde(skip)]
    pub line: String,
}

impl<T: Serialize> Render for LineResult<T> {
    fn text(&self) -> String {
        if self.line.is_empty() { String::new() } else { format!("{}\n", self.line.trim_end_matches('\n')) }
    }
}

/// Projects that a list names; the others are counted.
pub(crate) const PROJECTS_SHOWN: usize = 5;

/// A project as lists show it: its slug beside its uuid.
pub(crate) fn project_name(slug: Option<&str>, uuid: Option<&str>) -> String {
    let uuid = uuid.map(printable);
    match (slug.map(printable), uuid) {
        (Some(slug), Some(uuid)) => format!("{slug} ({uuid})"),
        (None, Some(uuid)) => uuid.into_owned(),
        (_, None) => "no project".to_owned(),
    }
}

/// The line below a list of projects that counts the rest; `all` is what lists them.
pub(crate) fn more_projects(count: usize, all: &str) -> Option<String> {
    let rest = count.checked_sub(PROJECTS_SHOWN).filter(|rest| *rest > 0)?;
    let rest = u64::try_from(rest).unwrap_or(u64::MAX);
    Some(format!("... and {}; `{all}` lists them", counted(rest, "more project", "more projects")))
}

/// The key of a row as lists show it: the id of an event, or the path of a document with its mission and the start of
/// its hash, which tells versions of a document apart.
pub(crate) fn row_name(key: &str) -> String {
    // The key of a body: project, mission, branch, mission type, manifest version, path and hash.
    match serde_json::from_str::<[String; 7]>(key) {
        Ok([_, mission, .., path, hash]) => {
            let hash: String = hash.chars().take(8).collect();
            printable(&format!("{path} of {mission}, hash {hash}")).into_owned()
        }
        Err(_) => printable(key).into_owned(),
    }
}

/// A number and its noun: `1 event`, `2 events`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Events and bodies behind a label: `1 event, 2 bodies`.
pub(crate) fn rows(events: u64, bodies: u64) -> String {
    format!("{}, {}", counted(events, "event", "events"), counted(bodies, "body", "bodies"))
}

/// Events and bodies in a sentence: `1 event and 2 bodies`.
pub(crate) fn events_and_bodies(events: u64, bodies: u64) -> String {
    format!("{} and {}", counted(events, "event", "events"), counted(bodies, "body", "bodies"))
}
