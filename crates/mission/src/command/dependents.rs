//! `agent tasks list-dependents`: what a work package depends on, and what depends on it. Reads only.

use crate::error::{MissionError, Result};
use crate::front_matter::{WorkPackage, read_work_package};
use crate::planning::read_planning;
use crate::project::Project;
use crate::remedies::ErrorCode;
use crate::tasks;
use crate::work_package::read_wp_files;
use crate::wps::{self, read_wps};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;

/// The neighbours of one work package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dependents {
    /// `WPnn`.
    pub wp_id: String,
    /// Its direct dependencies.
    pub depends_on: Vec<String>,
    /// Ids of the work packages that depend on it directly.
    pub dependents: Vec<String>,
    /// Files that cannot be read; with any, the lists may be incomplete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Looks, by the rules of `finalize-tasks`: `wps.yaml` decides; without it the front matter, and where that names
/// nothing, `tasks.md`.
pub fn list_dependents(project: &Project, mission: Option<&str>, wp_id: &str) -> Result<Dependents> {
    let mission = project.mission(mission)?;
    let wp_id = wp_id.trim().to_uppercase();
    let mut graph = read_planning(&mission.path, tasks::FILE)?
        .map(|text| tasks::dependency_graph(&text))
        .unwrap_or_default();
    let mut warnings = Vec::new();
    let read = |path: PathBuf| -> Result<Option<WorkPackage>> { read_work_package(&path) };
    for path in read_wp_files(&mission.path)? {
        match read(path) {
            Ok(Some(wp)) if !wp.dependencies.is_empty() => drop(graph.insert(wp.id, wp.dependencies)),
            Ok(Some(wp)) => drop(graph.entry(wp.id).or_default()),
            Ok(None) => {}
            Err(error) => warnings.push(crate::error::chain(&error)),
        }
    }
    if let Some(entries) = read_wps(&mission.path)? {
        graph.values_mut().for_each(Vec::clear);
        graph.extend(entries.into_iter().map(|entry: wps::WpsEntry| (entry.id, entry.dependencies)));
    }
    let Some(depends_on) = graph.get(&wp_id).cloned() else {
        let shown = contract::text::printable(&wp_id);
        return Err(MissionError::invalid(
            ErrorCode::WorkPackageNotFound,
            format!("no work package {shown} in {}", mission.slug),
            &json!({ "mission_slug": mission.slug, "unknown_wps": [wp_id] }),
        ));
    };
    let dependents = graph.iter().filter(|(_, on)| on.contains(&wp_id)).map(|(id, _)| id.clone()).collect();
    Ok(Dependents { depends_on, dependents, warnings, wp_id })
}
