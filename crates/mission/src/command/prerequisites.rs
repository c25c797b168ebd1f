//! `agent mission check-prerequisites`: where a mission's documents are, and which are missing. Reads
//! only; a missing document is a finding, not a failure.

use super::status::headings;
use super::{BranchContract, shown};
use crate::clock::Clock;
use crate::error::Result;
use crate::mission_log::view_mission_log;
use crate::planning;
use crate::project::Project;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Arguments of `agent mission check-prerequisites`.
#[derive(Clone, Debug, Default)]
pub struct PrerequisitesRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `--include-tasks`: `tasks.md` has to be there, too.
    pub include_tasks: bool,
    /// `--paths-only`: the paths without the report.
    pub paths_only: bool,
}

/// Paths of a mission's documents. Serialises to the report, or to the flat paths that were asked for.
#[derive(Clone, Debug)]
pub struct Prerequisites {
    /// Whether nothing that is needed is missing.
    pub valid: bool,
    /// Required documents that are missing or cannot be relied on.
    pub errors: Vec<String>,
    /// Optional documents that are missing, and parts that are not read.
    pub warnings: Vec<String>,
    /// Documents that exist, by key.
    pub files: Map<String, Value>,
    /// Directories that exist, by key.
    pub directories: Map<String, Value>,
    /// `spec.md`, `plan.md` and `tasks.md`, as far as they exist, sorted.
    pub available_docs: Vec<&'static str>,
    /// The mission's directory.
    pub feature_dir: String,
    /// The directory of missions.
    pub specs_dir: String,
    /// The branches.
    pub branches: BranchContract,
    /// Whether the flat form was asked for.
    pub paths_only: bool,
}

/// Looks.
pub fn look(project: &Project, request: &PrerequisitesRequest, clock: &Clock) -> Result<Prerequisites> {
    let mission = project.mission(request.mission.as_deref())?;
    let mut found = Prerequisites {
        valid: true,
        errors: Vec::new(),
        warnings: Vec::new(),
        files: Map::new(),
        directories: Map::new(),
        available_docs: Vec::new(),
        feature_dir: shown(&mission.path),
        specs_dir: shown(&project.missions()),
        branches: BranchContract::of(project, &mission, clock.now()),
        paths_only: request.paths_only,
    };
    let path = |name: &str| mission.path.join(name);
    for (key, name, needed) in [
        ("spec_file", "spec.md", true),
        ("plan_file", "plan.md", false),
        ("tasks_file", "tasks.md", request.include_tasks),
    ] {
        if path(name).is_file() {
            found.files.insert(key.into(), shown(&path(name)).into());
            found.available_docs.push(name);
        } else if needed {
            found.errors.push(format!("Missing required file: {name}"));
        }
    }
    for (key, name) in
        [("checklists_dir", "checklists"), ("research_dir", "research"), ("tasks_dir", "tasks")]
    {
        if path(name).is_dir() {
            found.directories.insert(key.into(), shown(&path(name)).into());
        } else {
            found.warnings.push(format!("Missing recommended directory: {name}/"));
        }
    }
    let findings = planning::read_findings(&mission.path);
    found.errors.extend(findings.errors);
    found.warnings.extend(findings.warnings);
    found.warnings.extend(view_mission_log(project, &mission)?.warnings(&mission.slug));
    found.warnings.extend(headings(&mission, BTreeMap::new()).1);
    found.directories.insert("feature_dir".into(), found.feature_dir.clone().into());
    found.available_docs.sort_unstable();
    found.valid = found.errors.is_empty();
    Ok(found)
}

impl Prerequisites {
    /// Documents and directories in one map.
    fn paths(&self) -> Map<String, Value> {
        self.files.iter().chain(&self.directories).map(|(key, path)| (key.clone(), path.clone())).collect()
    }

    /// Entries that both forms have.
    fn serialize_artifacts<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error> {
        out.serialize_entry("artifact_files", &self.files)?;
        out.serialize_entry("artifact_dirs", &self.directories)?;
        out.serialize_entry("available_docs", &self.available_docs)?;
        out.serialize_entry("FEATURE_DIR", &self.feature_dir)
    }

    /// A document's path, empty when it does not exist.
    pub fn file(&self, key: &str) -> &str {
        self.files.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Serialize for Prerequisites {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        let branches = serde_json::to_value(&self.branches).unwrap_or_default();
        if self.paths_only {
            for (key, path) in self.paths() {
                out.serialize_entry(&key, &path)?;
            }
            self.serialize_artifacts(&mut out)?;
            for (names, key) in [
                (["SPEC_FILE", "FEATURE_SPEC"], "spec_file"),
                (["PLAN_FILE", "IMPL_PLAN"], "plan_file"),
                (["TASKS_FILE", "TASKS"], "tasks_file"),
            ] {
                for name in names {
                    out.serialize_entry(name, self.file(key))?;
                }
            }
            out.serialize_entry("SPECS_DIR", &self.specs_dir)?;
        } else {
            out.serialize_entry("valid", &self.valid)?;
            out.serialize_entry("errors", &self.errors)?;
            out.serialize_entry("warnings", &self.warnings)?;
            out.serialize_entry("paths", &self.paths())?;
            self.serialize_artifacts(&mut out)?;
            out.serialize_entry("AVAILABLE_DOCS", &self.available_docs)?;
        }
        for (key, value) in branches.as_object().into_iter().flatten() {
            out.serialize_entry(key, value)?;
        }
        out.end()
    }
}
