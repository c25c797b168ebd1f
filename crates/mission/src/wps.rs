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
pub struct Entry {
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
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    work_packages: Vec<Entry>,
}

/// Reads the `wps.yaml` of a mission directory; nothing when there is none.
pub fn read_wps(mission_dir: &Path) -> Result<Option<Vec<Entry>>> {
    let path = mission_dir.join(FILE);
    read_text(&path, MAX_JSON)?.map(|text| parse(&path, &text)).transpose()
}

/// Parses the text of the file at `path`.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Entry>> {
    let wrong = |problem: String| MissionError::malformed(path, problem);
    let map = parse_yaml(text).map_err(|problem| wrong(problem.replace("front matter", "the file")))?;
    let document: Document = serde_json::from_value(map.into()).map_err(|error| wrong(error.to_string()))?;
    match document.work_packages.iter().find(|entry| !is_wp_id(&entry.id)) {
        Some(entry) => {
            let shown = contract::text::printable(&entry.id);
            Err(wrong(format!("has an entry with the id `{shown}`, not WP and two digits")))
        }
        None => Ok(document.work_packages),
    }
}

/// A `tasks.md` that says what the entries say.
pub fn render_tasks(mission_slug: &str, entries: &[Entry]) -> String {
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
        assert!(parse(Path::new("w"), "work_packages: [{id: x}]").is_err());
    }
}
