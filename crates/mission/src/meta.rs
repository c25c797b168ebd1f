//! `meta.json`: identity and settings of a mission.
//!
//! Owns the file's format (keys sorted, indent 2, non-ASCII kept, trailing newline) and the rules on
//! its known keys. Never loses a key it does not know. Never touches another file.

use crate::document::{MAX_JSON, read_text};
use crate::error::{MissionError, Result};
use crate::slug;
use contract::json;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The file's name in a mission directory.
pub const FILE: &str = "meta.json";
/// The type of a mission that names none.
pub(crate) const DEFAULT_TYPE: &str = "software-dev";

/// A parsed `meta.json`. Unknown keys are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    path: PathBuf,
    map: Map<String, Value>,
}

/// The number a mission may have: older missions have one, new ones get it when they are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissionNumber {
    /// None yet.
    Unassigned,
    /// This one.
    Assigned(i64),
}

/// Content of a new mission's `meta.json`.
#[derive(Clone, Debug)]
pub struct NewMeta<'a> {
    /// ULID.
    pub mission_id: &'a str,
    /// Directory name.
    pub mission_slug: &'a str,
    /// Name for people.
    pub friendly_name: &'a str,
    /// Type, for example `software-dev`.
    pub mission_type: &'a str,
    /// Branch the mission's work lands on.
    pub target_branch: &'a str,
    /// Time of creation.
    pub created_at: &'a str,
    /// One line on what it is for.
    pub purpose_tldr: &'a str,
    /// A paragraph on what it is for.
    pub purpose_context: &'a str,
    /// Whether the work lands by way of a pull request.
    pub pr_bound: bool,
    /// Whether a merge keeps the branches of the mission.
    pub retain_branches: bool,
    /// Whether a merge keeps the worktrees of the mission.
    pub retain_worktrees: bool,
    /// Topology, when it is recorded: only current missions do so.
    pub topology: Option<Topology>,
}

/// Places of a mission's rows and of the work on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Topology {
    /// All on one branch.
    SingleBranch,
    /// Work in the branches of lanes.
    Lanes,
    /// Lane rows on the coordination branch.
    Coord,
    /// Both.
    LanesWithCoord,
}

impl Topology {
    /// The names in `meta.json`.
    pub const fn names() -> &'static [&'static str] {
        <Self as strum::VariantNames>::VARIANTS
    }

    /// Whether lane rows are kept on the coordination branch.
    pub(crate) const fn coordinates(self) -> bool {
        matches!(self, Self::Coord | Self::LanesWithCoord)
    }
}

/// The coordination branch that a new mission gets.
pub(crate) fn coordination_branch_of(mission_slug: &str) -> String {
    format!("kitty/mission-{mission_slug}")
}

/// Reads the `meta.json` of a mission directory; nothing when there is none.
pub fn read_meta(mission_dir: &Path) -> Result<Option<Meta>> {
    let path = mission_dir.join(FILE);
    read_text(&path, MAX_JSON)?.map(|text| Meta::parse(&path, &text)).transpose()
}

impl Meta {
    /// Parses the text of the file at `path`. Only the shape of the known keys is judged; whether the
    /// required ones are there is [`Meta::validate`]'s business, because older missions lack some.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
            .map_err(|error| MissionError::malformed(path, format!("is not JSON: {error}")))?;
        let Value::Object(map) = value else {
            return Err(MissionError::malformed(path, "is not a JSON object"));
        };
        Ok(Self { path: path.to_owned(), map })
    }

    /// The meta of a new mission.
    pub fn create(path: PathBuf, new: &NewMeta<'_>) -> Self {
        let mut map = Map::new();
        for (key, text) in [
            ("created_at", new.created_at),
            ("friendly_name", new.friendly_name),
            ("mission_id", new.mission_id),
            ("mission_slug", new.mission_slug),
            ("mission_type", new.mission_type),
            ("purpose_context", new.purpose_context),
            ("purpose_tldr", new.purpose_tldr),
            ("slug", new.mission_slug),
            ("target_branch", new.target_branch),
        ] {
            map.insert(key.into(), text.into());
        }
        map.insert("mission_number".into(), Value::Null);
        for (key, is_set) in [
            ("pr_bound", new.pr_bound),
            ("retain_branches", new.retain_branches),
            ("retain_worktrees", new.retain_worktrees),
        ] {
            if is_set {
                map.insert(key.into(), true.into());
            }
        }
        if let Some(topology) = new.topology {
            map.insert("topology".into(), <&str>::from(topology).into());
            map.insert("flattened".into(), false.into());
            let branch = topology.coordinates().then(|| coordination_branch_of(new.mission_slug));
            map.insert("coordination_branch".into(), branch.into());
        }
        Self { path, map }
    }

    /// The same with another target branch.
    pub fn with_target_branch(&self, target: &str) -> Self {
        let mut meta = self.clone();
        meta.map.insert("target_branch".into(), target.into());
        meta
    }

    /// The bytes of the file.
    pub fn render(&self) -> String {
        json::sorted_document(&Value::Object(self.map.clone()))
    }

    /// Judges a meta that is about to be written.
    pub fn validate(&self) -> Result<()> {
        for key in ["slug", "mission_slug", "friendly_name", "mission_type", "target_branch", "created_at"] {
            if self.text(key).is_none_or(|text| text.trim().is_empty()) {
                return Err(self.wrong(key, "must be a text that is not blank"));
            }
        }
        for key in ["purpose_tldr", "purpose_context"] {
            let blank = |value: &Value| value.as_str().is_none_or(|text| text.trim().is_empty());
            if self.map.get(key).is_some_and(blank) {
                return Err(self.wrong(key, "must be a text that is not blank, or be left out"));
            }
        }
        if self.map.get("change_mode").is_some_and(|mode| mode != "bulk_edit" && !mode.is_null()) {
            return Err(self.wrong("change_mode", "can only be `bulk_edit`"));
        }
        self.mission_number().map(|_| ())
    }

    /// The mission's ULID, when it has one.
    pub fn mission_id(&self) -> Option<&str> {
        self.text("mission_id").map(str::trim).filter(|id| !id.is_empty())
    }

    /// `created_at`, as written.
    pub(crate) fn created_at(&self) -> Option<&str> {
        self.text("created_at")
    }

    /// `mission_slug`, as written.
    pub fn mission_slug(&self) -> Option<&str> {
        self.text("mission_slug")
    }

    /// The name for people.
    pub fn friendly_name(&self) -> Option<&str> {
        self.text("friendly_name")
    }

    /// The branch the mission's work lands on.
    pub fn target_branch(&self) -> Option<&str> {
        self.text("target_branch").map(str::trim).filter(|branch| !branch.is_empty())
    }

    /// The branch that keeps the mission's lane rows; none when the checkout does. A topology without a
    /// coordination branch, and `flattened`, win over a branch that is still named.
    ///
    /// # Errors
    /// When the value cannot be the name of a branch.
    pub fn coordination_branch(&self) -> Result<Option<&str>> {
        const KEY: &str = "coordination_branch";
        let without = matches!(self.text("topology").map(str::trim), Some("single_branch" | "lanes"));
        if without || self.map.get("flattened") == Some(&Value::Bool(true)) {
            return Ok(None);
        }
        match self.map.get(KEY) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(name)) if name.trim().is_empty() => Ok(None),
            Some(Value::String(name)) if is_branch_name(name.trim()) => Ok(Some(name.trim())),
            Some(_) => Err(self.wrong(KEY, "is not the name of a branch")),
        }
    }

    /// The branch that the finished work is merged into, where it is another one: of missions that are merged by a
    /// pull request.
    pub fn merge_target_branch(&self) -> Option<&str> {
        self.text("merge_target_branch").map(str::trim).filter(|branch| !branch.is_empty())
    }

    /// `mission_type`, else the older `mission`, else `DEFAULT_TYPE`.
    pub fn mission_type(&self) -> &str {
        ["mission_type", "mission"]
            .into_iter()
            .filter_map(|key| self.text(key))
            .find(|text| !text.trim().is_empty())
            .unwrap_or(DEFAULT_TYPE)
    }

    /// The mission's number: null or blank counts as none; digits count as a number; anything else is wrong.
    pub fn mission_number(&self) -> Result<MissionNumber> {
        let Some(value) = self.map.get("mission_number") else { return Ok(MissionNumber::Unassigned) };
        match value {
            Value::Null => Ok(MissionNumber::Unassigned),
            Value::Number(number) => number
                .as_i64()
                .map(MissionNumber::Assigned)
                .ok_or_else(|| self.wrong("mission_number", "must be a whole number, digits or null")),
            Value::String(text) if text.trim().is_empty() => Ok(MissionNumber::Unassigned),
            Value::String(text) if text.trim().bytes().all(|b| b.is_ascii_digit()) => text
                .trim()
                .parse()
                .map(MissionNumber::Assigned)
                .map_err(|_| self.wrong("mission_number", "is too large")),
            _ => Err(self.wrong("mission_number", "must be a whole number, digits or null")),
        }
    }

    /// The number as status documents show it: decimal, else the digits `mission_slug` begins with,
    /// else empty.
    pub(crate) fn display_number(&self, mission_slug: &str) -> Result<String> {
        Ok(match self.mission_number()? {
            MissionNumber::Assigned(number) => number.to_string(),
            MissionNumber::Unassigned => slug::leading_number(mission_slug),
        })
    }

    /// Whether it has a key that only releases since 3.2.0 write: a `status_phase` of at least 1, a `topology`
    /// or a `coordination_branch`.
    pub fn is_current(&self) -> bool {
        let phase = match self.map.get("status_phase") {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_i64(),
            None => None,
        };
        let names = |key: &str| self.map.get(key).is_some_and(|value| !value.is_null());
        phase.is_some_and(|phase: i64| phase >= 1) || names("topology") || names("coordination_branch")
    }

    /// A key's value, known or not.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    fn wrong(&self, key: &str, problem: &str) -> MissionError {
        MissionError::malformed(&self.path, format!("key `{key}` {problem}"))
    }
}

/// The rules of `git check-ref-format --branch`.
pub(crate) fn is_branch_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.'])
        && !name.contains(forbidden)
        && !["..", "//", "@{"].iter().any(|part| name.contains(part))
        && !matches!(name, "" | "@" | "HEAD")
        && name.split('/').all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &str) -> Meta {
        Meta::parse(Path::new("meta.json"), text).unwrap()
    }

    #[test]
    fn new_meta_is_valid_and_its_bytes_are_pinned() {
        let new = NewMeta {
            mission_id: "01KRX11MABCDEFGHJKMNPQRSTV",
            mission_slug: "demo-01KRX11M",
            friendly_name: "Démo",
            mission_type: "software-dev",
            target_branch: "main",
            created_at: "2026-01-02T03:04:05+00:00",
            purpose_tldr: "t",
            purpose_context: "c",
            pr_bound: false,
            retain_branches: false,
            retain_worktrees: false,
            topology: None,
        };
        let meta = Meta::create("meta.json".into(), &new);
        meta.validate().unwrap();
        let text = meta.render();
        assert!(text.starts_with(
            "{\n  \"created_at\": \"2026-01-02T03:04:05+00:00\",\n  \"friendly_name\": \"Démo\""
        ));
        assert!(text.contains("\"mission_number\": null") && text.ends_with("\n}\n"));
        assert_eq!(Meta::parse(Path::new("m"), &text).unwrap().render(), text);
    }

    #[test]
    fn number_is_an_integer_digits_or_nothing() {
        let number = |text: &str| meta(&format!("{{\"mission_number\": {text}}}")).mission_number();
        assert_eq!(number("null").unwrap(), MissionNumber::Unassigned);
        assert_eq!(number("\" \"").unwrap(), MissionNumber::Unassigned);
        assert_eq!(number("\"007\"").unwrap(), MissionNumber::Assigned(7));
        assert_eq!(number("12").unwrap(), MissionNumber::Assigned(12));
        for wrong in ["true", "1.5", "[]", "\"TBD\"", "\"pending\"", "99999999999999999999"] {
            let message = number(wrong).unwrap_err().to_string();
            assert!(message.starts_with("meta.json: key `mission_number`"), "{message}");
        }
    }

    #[test]
    fn current_mission_is_recognised_by_its_keys() {
        for current in [
            r#"{"status_phase": " 1"}"#,
            r#"{"status_phase": 2}"#,
            r#"{"topology": "coord"}"#,
            "\u{feff}{\"coordination_branch\": \"kitty/mission-x\"}",
        ] {
            assert!(meta(current).is_current(), "{current}");
        }
        for earlier in ["{}", r#"{"status_phase": 0}"#, r#"{"status_phase": "x", "topology": null}"#] {
            assert!(!meta(earlier).is_current(), "{earlier}");
        }
    }

    #[test]
    fn older_meta_falls_back_key_by_key() {
        assert_eq!(meta("{}").mission_type(), "software-dev");
        assert_eq!(meta(r#"{"mission":"research"}"#).mission_type(), "research");
        assert_eq!(meta("{}").display_number("042-x").unwrap(), "42");
        assert_eq!(meta("{}").display_number("x-01KRX11M").unwrap(), "");
    }

    #[test]
    fn coordination_branch_is_the_key_unless_the_topology_has_none() {
        let branch = |text: &str| meta(text).coordination_branch().map(|name| name.map(str::to_owned));
        for text in [
            r#"{"coordination_branch":"k/m","topology":"coord"}"#,
            r#"{"coordination_branch":"k/m","topology":"lanes_with_coord","flattened":false}"#,
            r#"{"coordination_branch":" k/m "}"#,
        ] {
            assert_eq!(branch(text).unwrap().as_deref(), Some("k/m"), "{text}");
        }
        for text in [
            "{}",
            r#"{"topology":"coord"}"#,
            r#"{"coordination_branch":null,"topology":"coord"}"#,
            r#"{"coordination_branch":""}"#,
            r#"{"coordination_branch":"k/m","topology":"single_branch"}"#,
            r#"{"coordination_branch":"k/m","topology":"lanes"}"#,
            r#"{"coordination_branch":"k/m","topology":"coord","flattened":true}"#,
        ] {
            assert_eq!(branch(text).unwrap(), None, "{text}");
        }
        for name in [
            "--all", "a..b", "a b", "a\\nb", "/a", "a/", "a.lock", "a/.b", "a:b", "@", "HEAD", "a@{1}",
            "a\\\\b",
        ] {
            let text = format!(r#"{{"coordination_branch":"{name}"}}"#);
            let error = branch(&text).unwrap_err().to_string();
            assert!(error.contains("`coordination_branch` is not the name of a branch"), "{error}");
        }
        assert!(branch(r#"{"coordination_branch":7}"#).is_err());
    }

    #[test]
    fn text_that_is_no_object_is_an_error() {
        for wrong in ["", "[]", "nul", "{\"a\":1,}", &"[".repeat(100_000)] {
            assert!(Meta::parse(Path::new("m"), wrong).is_err());
        }
    }
}
