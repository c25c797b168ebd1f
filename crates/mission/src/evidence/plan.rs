//! `evidence.yaml`: the checks of a mission.
//!
//! ```yaml
//! checks:
//! - id: unit-tests
//!   issue: 12
//!   work_package: WP03
//!   command: cargo test
//!   timeout: 900
//!   exit: 0
//!   contains: ["test result: ok"]
//!   sources: ["src/**", "Cargo.toml"]
//! ```

use crate::document::{MAX_JSON, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::reader::parse_yaml;
use crate::work_package::is_wp_id;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// The file's name in a mission directory.
pub const FILE: &str = "evidence.yaml";
/// The longest a check may take.
const MAX_TIMEOUT: u64 = 24 * 3600;

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name, kebab-case; its transcript is called after it.
    pub id: String,
    /// The issue it proves.
    pub issue: u64,
    /// The work package to reopen when it fails.
    pub work_package: String,
    /// Command line for the system's shell, run in the project root.
    pub command: String,
    /// Seconds it may take.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
    /// Expected exit status.
    #[serde(default)]
    pub exit: i32,
    /// Texts that its output must contain, each somewhere in stdout or stderr.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Files that the result depends on, as patterns relative to the project root.
    pub sources: Vec<String>,
}

const fn ten_minutes() -> u64 {
    600
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceDocument {
    checks: Vec<Check>,
}

impl Check {
    /// Time limit.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn problem(&self) -> Option<String> {
        let shown = contract::text::printable(&self.id);
        let wrong = |what: &str| Some(format!("check `{shown}`: {what}"));
        if !crate::slug::is_kebab(&self.id) || self.id.len() > 60 {
            return wrong("`id` is not kebab-case of at most 60 characters");
        }
        if !is_wp_id(&self.work_package) {
            return wrong("`work_package` is not WP and two digits");
        }
        if self.command.trim().is_empty() {
            return wrong("`command` is blank");
        }
        if !(1..=MAX_TIMEOUT).contains(&self.timeout) {
            return wrong("`timeout` is not between 1 and 86400 seconds");
        }
        if !(0..=255).contains(&self.exit) {
            return wrong("`exit` is not between 0 and 255, so no command ends like that");
        }
        if self.sources.is_empty() || self.sources.iter().any(|pattern| pattern.trim().is_empty()) {
            return wrong("`sources` is empty: without it stale evidence is not detected");
        }
        if let Some(pattern) = self.sources.iter().find(|pattern| leaves(pattern)) {
            let shown = contract::text::printable(pattern);
            return wrong(&format!("source `{shown}` leaves the project: patterns are relative to its root"));
        }
        None
    }
}

/// Whether a pattern can only match outside of the project.
fn leaves(pattern: &str) -> bool {
    let drive = pattern.as_bytes().get(1) == Some(&b':');
    drive || pattern.starts_with(['/', '\\', '~']) || pattern.split(['/', '\\']).any(|part| part == "..")
}

/// Reads the checks of a mission directory.
pub(crate) fn read_checks(mission_dir: &Path) -> Result<Vec<Check>> {
    let path = mission_dir.join(FILE);
    match read_text(&path, MAX_JSON)? {
        Some(text) => parse(&path, &text),
        None => Err(MissionError::malformed(&path, "does not exist: name the checks of the mission in it")),
    }
}

/// Parses the text of the file at `path`.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Check>> {
    let wrong = |problem: String| MissionError::malformed(path, problem);
    let map = parse_yaml(text).map_err(|problem| wrong(problem.replace("front matter", "the file")))?;
    let document: EvidenceDocument =
        serde_json::from_value(map.into()).map_err(|error| wrong(error.to_string()))?;
    if document.checks.is_empty() {
        return Err(wrong("names no check, so it proves nothing".into()));
    }
    for (n, check) in document.checks.iter().enumerate() {
        if let Some(problem) = check.problem() {
            return Err(wrong(problem));
        }
        if document.checks[..n].iter().any(|other| other.id == check.id) {
            return Err(wrong(format!("has two checks `{}`", check.id)));
        }
    }
    Ok(document.checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "checks:\n- {id: unit, issue: 1, work_package: WP01, command: 'true', sources: ['src/**']}\n";

    #[test]
    fn check_names_what_it_needs() {
        let checks = parse(Path::new("e"), GOOD).unwrap();
        assert_eq!((checks[0].timeout, checks[0].exit), (600, 0));
        for (from, to, expected) in [
            ("unit", "../x", "kebab-case"),
            ("WP01", "W1", "work_package"),
            ("'true'", "' '", "command"),
            ("['src/**']", "[]", "sources"),
            ("issue: 1", "issue: one", "invalid type"),
            ("issue: 1", "issue: 1, isue: 2", "unknown field"),
            ("issue: 1", "issue: 1, timeout: 0", "timeout"),
            ("issue: 1", "issue: 1, exit: 300", "`exit` is not between 0 and 255"),
            ("issue: 1", "issue: 1, exit: -1", "`exit` is not between 0 and 255"),
            ("src/**", "/etc/**", "source `/etc/**` leaves the project"),
            ("src/**", "../x", "source `../x` leaves the project"),
            ("src/**", "src/../../x", "leaves the project"),
            ("checks:", "check: 1\nchecks:", "unknown field `check`"),
        ] {
            let message = parse(Path::new("e"), &GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let nothing = parse(Path::new("e"), "checks: []\n").unwrap_err().to_string();
        assert!(nothing.contains("names no check"), "{nothing}");
        let twice = format!("{GOOD}{}", &GOOD["checks:\n".len()..]);
        assert!(parse(Path::new("e"), &twice).unwrap_err().to_string().contains("two checks"));
    }
}
