//! `decisions/index.json`.

use crate::document::{MAX_JSON, read_names, read_text};
use crate::error::{MissionError, Result};
use contract::json;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The directory of decisions in a mission directory.
pub const DIRECTORY: &str = "decisions";
const FILE: &str = "index.json";
/// Version of the file's format.
const VERSION: u64 = 1;

/// Activity during which a question is asked.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::IntoStaticStr,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum OriginFlow {
    /// Writing the charter.
    Charter,
    /// Specifying.
    Specify,
    /// Planning.
    Plan,
    /// Cutting into work packages; only in a current mission, as the two after it.
    Tasks,
    /// Implementing.
    Implement,
    /// Reviewing.
    Review,
}

impl OriginFlow {
    /// The name in files.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The flow of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// Whether 3.2.0rc11 has it: that release refuses a ledger with another one.
    pub const fn is_early(self) -> bool {
        matches!(self, Self::Charter | Self::Specify | Self::Plan)
    }
}

/// State of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "snake_case")]
pub enum DecisionStatus {
    /// Not answered yet.
    Open,
    /// Answered.
    Resolved,
    /// Put off; a marker in the document shows it.
    Deferred,
    /// No longer asked.
    Canceled,
}

impl DecisionStatus {
    /// The name in files.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One question. Keys that this release does not know are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// ULID.
    pub decision_id: String,
    /// Activity during which the question was asked.
    pub origin_flow: OriginFlow,
    /// The step of the flow, or none.
    pub step_id: Option<String>,
    /// The slot of the flow, or none; one of the two is there.
    pub slot_key: Option<String>,
    /// Key of the input that the answer decides.
    pub input_key: String,
    /// The question.
    pub question: String,
    /// Answers to choose from.
    #[serde(default)]
    pub options: Vec<String>,
    /// State of the decision.
    pub status: DecisionStatus,
    /// The answer.
    pub final_answer: Option<String>,
    /// Reason for the answer or the closing.
    pub rationale: Option<String>,
    /// Whether the answer is not one of the options.
    #[serde(default)]
    pub other_answer: bool,
    /// A summary of other producers.
    #[serde(default)]
    pub summary_json: Option<Value>,
    /// Time of opening: UTC, `Z`.
    pub created_at: String,
    /// Time of closing.
    pub resolved_at: Option<String>,
    /// Actor of the closing.
    pub resolved_by: Option<String>,
    /// Actor of the opening; releases before 3.2.0 do not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<String>,
    /// ULID of the mission.
    pub mission_id: String,
    /// Directory name of the mission.
    pub mission_slug: String,
    /// Keys of other releases.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Decision {
    /// Whether two entries ask the same question: flow, step or slot, and input.
    pub fn asks(&self, flow: OriginFlow, place: &str, input_key: &str) -> bool {
        self.origin_flow == flow && self.place() == place && self.input_key == input_key
    }

    /// The step, else the slot.
    pub fn place(&self) -> &str {
        self.step_id.as_deref().or(self.slot_key.as_deref()).unwrap_or_default()
    }
}

/// The decisions of a mission.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    path: PathBuf,
    /// In the order of time, then of id.
    pub entries: Vec<Decision>,
    /// ULID of the mission.
    pub mission_id: String,
    other: Map<String, Value>,
}

/// Age below which a page without an entry in the ledger is normal: a command writes the page of a mission's first
/// decision before the ledger, under a lock that a reader does not take.
const PAGE_FIRST: Duration = Duration::from_secs(1);

/// Reads the ledger of a mission directory; an absent one is empty.
pub fn read_ledger(mission_dir: &Path, mission_id: &str) -> Result<Ledger> {
    let path = mission_dir.join(DIRECTORY).join(FILE);
    let since = Instant::now();
    loop {
        if let Some(text) = read_text(&path, MAX_JSON)? {
            return Ledger::parse(&path, &text);
        }
        let pages = decision_files(mission_dir)?.len();
        if pages == 0 {
            let (entries, mission_id) = (Vec::new(), mission_id.to_owned());
            return Ok(Ledger { path, entries, mission_id, other: Map::new() });
        }
        if since.elapsed() >= PAGE_FIRST {
            let problem = format!("is gone, and pages of decisions still lie beside it: {pages}");
            return Err(MissionError::malformed(&path, problem));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The ledger of a mission directory and its pages, as far as they exist.
pub(crate) fn decision_files(mission_dir: &Path) -> Result<Vec<PathBuf>> {
    let directory = mission_dir.join(DIRECTORY);
    let is_ours = |name: &String| name == FILE || (name.starts_with("DM-") && name.ends_with(".md"));
    let files = read_names(&directory)?.into_iter().filter(is_ours).map(|name| directory.join(name));
    Ok(files.filter(|path| path.is_file()).collect())
}

impl Ledger {
    /// Parses the text of the ledger at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong = |problem: String| MissionError::malformed(path, problem);
        let value: Value =
            serde_json::from_str(text).map_err(|error| wrong(format!("is not JSON: {error}")))?;
        let Value::Object(mut map) = value else { return Err(wrong("is not a JSON object".into())) };
        match map.shift_remove("version") {
            Some(version) if version == VERSION => {}
            Some(version) => {
                return Err(wrong(format!("has version {version}; this release reads {VERSION}")));
            }
            None => return Err(wrong("has no `version`".into())),
        }
        let Some(Value::Array(items)) = map.shift_remove("entries") else {
            return Err(wrong("has no list `entries`".into()));
        };
        let entries = items.into_iter().enumerate().map(|(n, item)| {
            serde_json::from_value(item).map_err(|error| wrong(format!("entry {}: {error}", n + 1)))
        });
        let mission_id = match map.shift_remove("mission_id") {
            Some(Value::String(id)) => id,
            _ => return Err(wrong("has no `mission_id`".into())),
        };
        Ok(Self { path: path.to_owned(), entries: entries.collect::<Result<_>>()?, mission_id, other: map })
    }

    /// Path of the ledger.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the page of an entry.
    pub fn page_path(&self, decision_id: &str) -> PathBuf {
        self.path.with_file_name(format!("DM-{decision_id}.md"))
    }

    /// The entry with this id.
    pub fn find(&self, decision_id: &str) -> Option<&Decision> {
        self.entries.iter().find(|entry| entry.decision_id == decision_id)
    }

    /// Puts an entry in, in the place of one with the same id.
    pub fn put(&mut self, entry: Decision) {
        self.entries.retain(|known| known.decision_id != entry.decision_id);
        self.entries.push(entry);
        self.entries.sort_by(|a, b| (&a.created_at, &a.decision_id).cmp(&(&b.created_at, &b.decision_id)));
    }

    /// The bytes of the file.
    pub fn render(&self) -> String {
        let mut map = self.other.clone();
        map.insert("version".into(), VERSION.into());
        map.insert("mission_id".into(), self.mission_id.clone().into());
        map.insert("entries".into(), serde_json::to_value(&self.entries).unwrap_or_default());
        json::sorted_ascii_document(&Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_other_releases_are_kept() {
        let text = json::sorted_ascii_document(&serde_json::json!({
            "version": 1, "mission_id": "m", "future": [1], "entries": [{
                "decision_id": "d", "origin_flow": "plan", "step_id": null, "slot_key": "s", "input_key": "k",
                "question": "q", "options": [], "status": "open", "final_answer": null, "rationale": null,
                "other_answer": false, "summary_json": null, "created_at": "t", "resolved_at": null,
                "resolved_by": null, "opened_by": "cli", "mission_id": "m", "mission_slug": "x", "newer": {"a": 1}
            }]
        }));
        assert_eq!(Ledger::parse(Path::new("i"), &text).unwrap().render(), text);
    }

    #[test]
    fn ledger_of_a_newer_release_is_not_touched() {
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"version": 2, "entries": [], "mission_id": "m"}"#,
            r#"{"version": 1, "entries": [{}], "mission_id": "m"}"#,
        ] {
            assert!(Ledger::parse(Path::new("i"), wrong).is_err(), "{wrong}");
        }
    }
}
