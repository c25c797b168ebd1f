//! `wps.yaml`: the work packages of a mission as data. When it is there it decides about dependencies,
//! and a mission without `tasks.md` gets one from it.
//!
//! Pure but for reading the file.

use crate::document::{MAX_JSON, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::reader::parse_yaml;
use crate::work_package::is_wp_id;
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;

/// The file's name in a mission directory.
pub const FILE: &str = "wps.yaml";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WpsEntry {
    /// `WPnn`.
    pub id: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// The ids it depends on.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// The requirements it covers.
    #[serde(default)]
    pub requirement_refs: Vec<String>,
    /// Its subtasks.
    #[serde(default)]
    pub subtasks: Vec<String>,
    /// The concerns of the plan that it works on: `IC-nn`.
    #[serde(default)]
    pub plan_concern_refs: Option<Vec<String>>,
    /// Whether it works on no concern in particular.
    #[serde(default)]
    pub cross_cutting: Option<bool>,
}

#[derive(Deserialize)]
struct WpsDocument {
    #[serde(default)]
    work_packages: Vec<WpsEntry>,
}

/// Reads the `wps.yaml` of a mission directory; nothing when there is none.
pub(crate) fn read_wps(mission_dir: &Path) -> Result<Option<Vec<WpsEntry>>> {
    let path = mission_dir.join(FILE);
    read_text(&path, MAX_JSON)?.map(|text| parse(&path, &text)).transpose()
}

/// Parses the text of the file at `path`.
pub fn parse(path: &Path, text: &str) -> Result<Vec<WpsEntry>> {
    let wrong = |problem: String| MissionError::malformed(path, problem);
    let map = parse_yaml(text).map_err(|problem| wrong(problem.replace("front matter", "the file")))?;
    let document: WpsDocument =
        serde_json::from_value(map.into()).map_err(|error| wrong(error.to_string()))?;
    for (index, entry) in document.work_packages.iter().enumerate() {
        let shown = contract::text::printable;
        if !is_wp_id(&entry.id) {
            return Err(wrong(format!(
                "has an entry with the id `{}`, not WP and two digits",
                shown(&entry.id)
            )));
        }
        if document.work_packages[..index].iter().any(|other| other.id == entry.id) {
            return Err(wrong(format!("has two entries of {}", entry.id)));
        }
        if let Some(other) = entry.dependencies.iter().find(|other| !is_wp_id(other)) {
            let problem = "in `dependencies`, not WP and two digits";
            return Err(wrong(format!("has `{}` {problem}, in the entry of {}", shown(other), entry.id)));
        }
        if let Some(other) = entry.plan_concern_refs.iter().flatten().find(|other| !is_concern(other)) {
            let problem = "in `plan_concern_refs`, not IC- and two digits";
            return Err(wrong(format!("has `{}` {problem}, in the entry of {}", shown(other), entry.id)));
        }
    }
    Ok(document.work_packages)
}

/// Whether `text` is `IC-nn`.
fn is_concern(text: &str) -> bool {
    matches!(text.as_bytes(), [b'I', b'C', b'-', a, b] if a.is_ascii_digit() && b.is_ascii_digit())
}

/// The entries that name neither a concern of the plan nor that they are cross-cutting, one line each. Nothing
/// where concerns are not tracked: no entry uses the keys and `plan` has no heading `IC-nn`.
pub(crate) fn untracked(entries: &[WpsEntry], plan: &str) -> Vec<String> {
    let heading = |line: &str| {
        let bare = line.trim_start_matches('#');
        (2..=4).contains(&(line.len() - bare.len()))
            && bare.starts_with([' ', '\t'])
            && bare.trim_start().get(..5).is_some_and(is_concern)
    };
    let used = |entry: &WpsEntry| entry.plan_concern_refs.is_some() || entry.cross_cutting.is_some();
    if !entries.iter().any(used) && !plan.lines().any(heading) {
        return Vec::new();
    }
    let covered = |entry: &&WpsEntry| {
        entry.cross_cutting == Some(true)
            || entry.plan_concern_refs.as_ref().is_some_and(|refs| !refs.is_empty())
    };
    let open = entries.iter().filter(|entry| !covered(entry));
    open.map(|entry| {
        format!("{}: {FILE} gives it no `plan_concern_refs` (IC-nn) and no `cross_cutting: true`", entry.id)
    })
    .collect()
}

/// A `tasks.md` with the content of the entries.
pub(crate) fn render_tasks(mission_slug: &str, entries: &[WpsEntry]) -> String {
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let mut out = format!("# Tasks of {mission_slug}\n\nMade from {FILE} by finalize-tasks.\n");
    for entry in entries {
        let title = if entry.title.is_empty() { &entry.id } else { &entry.title };
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "\n## {} - {title}\n\n**Dependencies**: {}\n**Requirements**: {}\n",
            entry.id,
            list(&entry.dependencies),
            list(&entry.requirement_refs)
        );
        if !entry.subtasks.is_empty() {
            out.push('\n');
        }
        for subtask in &entry.subtasks {
            let _ = writeln!(out, "- [ ] {subtask}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{dependency_graph, requirement_graph};

    #[test]
    fn generated_tasks_equal_the_file() {
        let text = "work_packages:\n- id: WP01\n  title: A\n  requirement_refs: [FR-001]\n  owned_files: [x]\n- id: WP02\n  dependencies: [WP01]\n  subtasks: [T001]\n";
        let entries = parse(Path::new("w"), text).unwrap();
        let tasks = render_tasks("m", &entries);
        assert_eq!(dependency_graph(&tasks)["WP02"], ["WP01"]);
        assert!(dependency_graph(&tasks)["WP01"].is_empty());
        assert_eq!(requirement_graph(&tasks)["WP01"], ["FR-001"]);
        assert!(parse(Path::new("w"), "work_packages: 3").is_err());
        for wrong in [
            "{id: x}",
            "{id: WP01}, {id: WP01}",
            "{id: WP01, dependencies: [wp2]}",
            "{id: WP01, plan_concern_refs: [IC1]}",
        ] {
            assert!(parse(Path::new("w"), &format!("work_packages: [{wrong}]")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn entry_without_a_concern_is_named_where_concerns_are_tracked() {
        let entries = |text: &str| parse(Path::new("w"), text).unwrap();
        let plain = entries("work_packages: [{id: WP01}, {id: WP02}]");
        assert!(untracked(&plain, "# IC-01\n").is_empty());
        assert_eq!(untracked(&plain, "a\n### IC-01: x\n").len(), 2);
        let used = entries(
            "work_packages: [{id: WP01, plan_concern_refs: [IC-01]}, {id: WP02, cross_cutting: true}, {id: WP03, cross_cutting: false}]",
        );
        let found = untracked(&used, "");
        assert!(found.len() == 1 && found[0].starts_with("WP03: "), "{found:?}");
    }
}
