//! Reading and judging the work packages of a mission: coverage, cycles, dependencies, requirements.

use crate::error::{MissionError, Result};
use crate::front_matter::{WorkPackage, read_work_package};
use crate::graph::{self, Graph};
use crate::planning::{heading_warnings, read_planning, unread_files};
use crate::project::MissionDirectory;
use crate::remedies::ErrorCode;
use crate::tasks::{self, is_functional, references, spec_requirements};
use crate::work_package::read_wp_files;
use crate::wps::{self, read_wps};
use contract::text;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The work packages, and what the documents say about them.
#[derive(Debug)]
pub(crate) struct Packages {
    /// Their files, by name.
    pub(crate) files: Vec<WorkPackage>,
    /// Dependencies as `wps.yaml` or `tasks.md` say; empty without either.
    pub(crate) graph: Graph,
    /// Requirements each covers: front matter first, `tasks.md` otherwise.
    pub(crate) requirements: BTreeMap<String, Vec<String>>,
    /// Whether `wps.yaml` decides, so that the front matter follows it even to nothing.
    pub(crate) by_manifest: bool,
    /// `tasks.md`, made from `wps.yaml` because there is none.
    pub(crate) made_tasks_md: Option<String>,
    /// Headings of `tasks.md` that are not read, and what a merge left in the text of a work package.
    pub(crate) warnings: Vec<String>,
    tasks_md: bool,
}

impl Packages {
    /// Whether there is a `tasks.md`, or will be.
    pub(crate) fn has_tasks_md(&self) -> bool {
        self.tasks_md
    }
}

/// Reads everything and judges it, in the order in which problems are best corrected.
pub(crate) fn read_packages(mission: &MissionDirectory) -> Result<Packages> {
    let directory = mission.path.join("tasks");
    let missing = |what: &std::path::Path| {
        let problem = format!("{} not found", text::path(what));
        MissionError::invalid(ErrorCode::MissionFileMissing, problem, &json!({ "path": text::path(what) }))
    };
    if !directory.is_dir() {
        return Err(missing(&directory));
    }
    let spec_file = mission.path.join("spec.md");
    let spec = read_planning(&mission.path, "spec.md")?.ok_or_else(|| missing(&spec_file))?;
    read_planning(&mission.path, "plan.md")?;
    let manifest = read_wps(&mission.path)?;
    let written = read_planning(&mission.path, tasks::FILE)?;
    let made_tasks_md = match (&written, &manifest) {
        (None, Some(entries)) => Some(wps::render_tasks(&mission.slug, entries)),
        _ => None,
    };
    let tasks_md = written.as_ref().or(made_tasks_md.as_ref());
    let files = read_files(mission)?;
    let mut graph = tasks_md.map(|text| tasks::dependency_graph(text)).unwrap_or_default();
    if tasks_md.is_some() {
        check_coverage(&graph, &files)?;
    }
    if let Some(entries) = &manifest {
        graph.extend(entries.iter().map(|entry| (entry.id.clone(), entry.dependencies.clone())));
    }
    check_graph(&graph, if manifest.is_some() { wps::FILE } else { tasks::FILE })?;
    let stated = tasks_md.map(|text| tasks::requirement_graph(text)).unwrap_or_default();
    let requirements = check_requirements(&spec, &files, &stated, &graph)?;
    if manifest.is_none() {
        check_agreement(&graph, &files)?;
    }
    let mut warnings = heading_warnings(&mission.path.join(tasks::FILE), tasks_md.map_or("", String::as_str));
    warnings.extend(files.iter().filter_map(WorkPackage::warning));
    Ok(Packages {
        files,
        requirements,
        by_manifest: manifest.is_some(),
        tasks_md: tasks_md.is_some(),
        warnings,
        made_tasks_md,
        graph,
    })
}

fn read_files(mission: &MissionDirectory) -> Result<Vec<WorkPackage>> {
    let unread: Vec<_> =
        unread_files(&mission.path)?.iter().map(|path| text::path(path).to_string()).collect();
    if !unread.is_empty() {
        return Err(MissionError::invalid(
            ErrorCode::WorkPackageFilesUnread,
            format!("files in tasks/ look like work packages and are not read: {}", unread.join(", ")),
            &json!({ "unread_files": unread }),
        ));
    }
    let mut files: Vec<WorkPackage> = Vec::new();
    for path in read_wp_files(&mission.path)? {
        let Some(wp) = read_work_package(&path)? else { continue };
        if let Some(other) = files.iter().find(|other| other.id == wp.id) {
            let problem = format!("says it is {}, and so does {}", wp.id, text::path(&other.path));
            return Err(MissionError::malformed(&path, problem));
        }
        files.push(wp);
    }
    Ok(files)
}

/// Every file has a section in `tasks.md`, and every section a file.
fn check_coverage(graph: &Graph, files: &[WorkPackage]) -> Result<()> {
    let sections: BTreeSet<&String> = graph.keys().collect();
    let ids: BTreeSet<&String> = files.iter().map(|wp| &wp.id).collect();
    let missing: Vec<_> = ids.difference(&sections).collect();
    let extra: Vec<_> = sections.difference(&ids).collect();
    if missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    Err(MissionError::invalid(
        ErrorCode::TasksCoverageIncomplete,
        "the sections of tasks.md and the files in tasks/ are not the same work packages, so lanes would be unreliable",
        &json!({
            "missing_wp_sections": missing,
            "extra_wp_sections": extra,
            "hint": "write headings such as `## WP01 - Title` or `## Work Package 1: Title`, one for each file",
        }),
    ))
}

/// Dependencies, said by `origin`, go in no circle and lead to work packages that exist.
pub(crate) fn check_graph(graph: &Graph, origin: &str) -> Result<()> {
    let cycles = graph::cycles(graph);
    if let Some(cycle) = cycles.first() {
        let problem = format!(
            "work packages depend on each other in a circle: {} (as {origin} says)",
            cycle.join(" -> ")
        );
        return Err(MissionError::invalid(ErrorCode::DependencyCycle, problem, &json!({ "cycles": cycles })));
    }
    for wp_id in graph.keys() {
        let errors = graph::problems(graph, wp_id);
        if !errors.is_empty() {
            let problem = format!("the dependencies of {wp_id} are wrong: {}", errors.join("; "));
            return Err(MissionError::invalid(
                ErrorCode::InvalidDependencies,
                problem,
                &json!({ "wp_id": wp_id, "errors": errors }),
            ));
        }
    }
    Ok(())
}

/// Every work package covers something, names nothing unknown, and every functional requirement is
/// covered. A work package that names something unknown covers nothing.
fn check_requirements(
    spec: &str,
    files: &[WorkPackage],
    stated: &BTreeMap<String, Vec<String>>,
    graph: &Graph,
) -> Result<BTreeMap<String, Vec<String>>> {
    let known = spec_requirements(spec);
    let mut parsed = BTreeMap::new();
    let (mut without, mut unknown, mut covered) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for wp in files {
        let own = references(&wp.requirement_refs.join("\n"));
        let refs = if own.is_empty() { stated.get(&wp.id).cloned().unwrap_or_default() } else { own };
        let strange: Vec<_> = refs.iter().filter(|id| !known.contains(id)).cloned().collect();
        if refs.is_empty() {
            without.push(wp.id.clone());
        } else if strange.is_empty() {
            covered.extend(refs.iter().cloned());
        } else {
            unknown.insert(wp.id.clone(), strange);
        }
        parsed.insert(wp.id.clone(), refs);
    }
    let open: Vec<_> = known.iter().filter(|id| is_functional(id) && !covered.contains(*id)).collect();
    if without.is_empty() && unknown.is_empty() && open.is_empty() {
        return Ok(parsed);
    }
    Err(MissionError::invalid(
        ErrorCode::RequirementMappingInvalid,
        "the work packages do not cover the requirements of spec.md",
        &json!({
            "missing_requirement_refs_wps": without,
            "unknown_requirement_refs": unknown,
            "unmapped_functional_requirements": open,
            "dependencies_parsed": graph,
            "requirement_refs_parsed": parsed,
        }),
    ))
}

/// Front matter and `tasks.md` say the same where both say something.
fn check_agreement(graph: &Graph, files: &[WorkPackage]) -> Result<()> {
    let set = |ids: &[String]| -> BTreeSet<String> { ids.iter().cloned().collect() };
    let conflicts: Vec<String> = files
        .iter()
        .filter_map(|wp| {
            let parsed = graph.get(&wp.id).filter(|parsed| !parsed.is_empty())?;
            let differs = !wp.dependencies.is_empty() && set(parsed) != set(&wp.dependencies);
            differs.then(|| {
                format!(
                    "{}: its front matter says {}, tasks.md says {}",
                    wp.id,
                    wp.dependencies.join(", "),
                    parsed.join(", ")
                )
            })
        })
        .collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    let problem = format!("dependencies disagree; correct one of the two: {}", conflicts.join("; "));
    Err(MissionError::invalid(
        ErrorCode::DependencyDisagreement,
        problem,
        &json!({ "dependency_conflicts": conflicts }),
    ))
}
