//! Reading and judging the work packages of a mission: coverage, dependencies, requirements, cancellations,
//! cycles.

use crate::command::missing_file;
use crate::error::{MissionError, Result};
use crate::front_matter::{WorkPackage, read_work_package};
use crate::graph::{self, Graph};
use crate::lane::Lane;
use crate::planning::{heading_warnings, read_planning, unread_files};
use crate::project::MissionDirectory;
use crate::remedies::ErrorCode;
use crate::snapshot::Snapshot;
use crate::tasks::{self, SpecRequirements, is_functional, references, requirement, spec_requirements};
use crate::work_package::read_wp_files;
use crate::wps::{self, read_wps};
use contract::text;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The work packages, and the content of the documents about them.
#[derive(Debug)]
pub(crate) struct Packages {
    /// Their files, by name.
    pub(crate) files: Vec<WorkPackage>,
    /// Dependencies of each: as in `wps.yaml`; without it as in its front matter, and where that names nothing, as in
    /// `tasks.md`. Empty without either of the two documents.
    pub(crate) graph: Graph,
    /// Requirements each covers: front matter first, `tasks.md` otherwise.
    pub(crate) requirements: BTreeMap<String, Vec<String>>,
    /// `tasks.md`, made from `wps.yaml` because there is none.
    pub(crate) made_tasks_md: Option<String>,
    /// Warnings about parts that are not read, or read otherwise than their author may think.
    pub(crate) warnings: Vec<String>,
    /// Requirements and references that count nowhere.
    pub(crate) uncounted: Vec<String>,
    tasks_md: bool,
    by_manifest: bool,
    canceled: BTreeSet<String>,
}

impl Packages {
    /// Whether there is a `tasks.md`, or will be.
    pub(crate) fn has_tasks_md(&self) -> bool {
        self.tasks_md
    }

    /// Whether a work package was canceled: it stays as it is, and is not worked on.
    pub(crate) fn is_canceled(&self, wp_id: &str) -> bool {
        self.canceled.contains(wp_id)
    }

    /// The dependencies of the work packages that are not canceled.
    pub(crate) fn active(&self) -> Graph {
        let active = self.graph.iter().filter(|(id, _)| !self.is_canceled(id));
        active.map(|(id, on)| (id.clone(), on.clone())).collect()
    }

    /// Dependencies of a work package.
    pub(crate) fn dependencies<'a>(&'a self, wp: &'a WorkPackage) -> &'a [String] {
        // Without a document that names work packages there is no graph, and the front matter stays.
        self.graph.get(&wp.id).unwrap_or(&wp.dependencies)
    }

    /// Takes the cancellations of the log, and refuses what depends on them, and cycles.
    pub(crate) fn judge_active(&mut self, board: &Snapshot) -> Result<()> {
        let ids = self.files.iter().map(|wp| &wp.id).chain(self.graph.keys());
        self.canceled = ids.filter(|id| board.lane(id) == Lane::Canceled).cloned().collect();
        let active = self.active();
        let stale: Vec<_> = active
            .iter()
            .flat_map(|(id, on)| on.iter().map(move |on| (id, on)))
            .filter(|(_, on)| self.is_canceled(on))
            .map(|(id, on)| {
                json!({
                    "dependent_wp_id": id,
                    "canceled_dependency_wp_id": on,
                    "recovery": format!("remove {on} from the dependencies of {id}, or name another work package"),
                })
            })
            .collect();
        if let Some(first) = stale.first() {
            let name = |key: &str| first[key].as_str().unwrap_or_default();
            let problem = format!(
                "{} depends on {}, which was canceled",
                name("dependent_wp_id"),
                name("canceled_dependency_wp_id")
            );
            return Err(MissionError::invalid(
                ErrorCode::CanceledWpDependency,
                problem,
                &json!({ "stale_dependencies": stale }),
            ));
        }
        let cycles = graph::cycles(&active);
        let Some(cycle) = cycles.first() else { return Ok(()) };
        let origin = if self.by_manifest { wps::FILE } else { "the front matter, together with tasks.md," };
        let problem =
            format!("work packages depend on each other in a circle: {} (from {origin})", cycle.join(" -> "));
        Err(MissionError::invalid(ErrorCode::DependencyCycle, problem, &json!({ "cycles": cycles })))
    }
}

/// Reads everything and judges it, in the order in which problems are best corrected.
pub(crate) fn read_packages(mission: &MissionDirectory) -> Result<Packages> {
    let directory = mission.path.join("tasks");
    if !directory.is_dir() {
        return Err(missing_file(&directory));
    }
    let spec_file = mission.path.join("spec.md");
    let spec = read_planning(&mission.path, "spec.md")?.ok_or_else(|| missing_file(&spec_file))?;
    let plan = read_planning(&mission.path, "plan.md")?;
    let manifest = read_wps(&mission.path)?;
    let written = read_planning(&mission.path, tasks::FILE)?;
    let made_tasks_md = match (&written, &manifest) {
        (None, Some(entries)) => Some(wps::render_tasks(&mission.slug, entries)),
        _ => None,
    };
    let tasks_md = written.as_ref().or(made_tasks_md.as_ref());
    let files = read_files(mission)?;
    let tasks_file = mission.path.join(tasks::FILE);
    let mut warnings = heading_warnings(&tasks_file, tasks_md.map_or("", String::as_str));
    warnings.extend(files.iter().filter_map(WorkPackage::warning));
    let mut stated = BTreeMap::new();
    let graph = match (&manifest, tasks_md) {
        (Some(entries), _) => {
            warnings.extend(wps::untracked(entries, plan.as_deref().unwrap_or_default()));
            let mut graph: Graph = files.iter().map(|wp| (wp.id.clone(), Vec::new())).collect();
            graph.extend(entries.iter().map(|entry| (entry.id.clone(), entry.dependencies.clone())));
            graph
        }
        (None, Some(text)) => {
            let from_tasks_md = tasks::dependency_graph(text);
            check_coverage(&from_tasks_md, &files)?;
            stated = tasks::requirement_graph(text);
            let graph = resolve(&files, &from_tasks_md, &mut warnings);
            warnings.extend(unread_dependencies(&tasks_file, text, &files));
            graph
        }
        (None, None) => Graph::new(),
    };
    let origin = if manifest.is_some() { wps::FILE } else { "the front matter, together with tasks.md," };
    check_references(&graph, origin)?;
    let known = spec_requirements(&spec);
    let requirements = check_requirements(&known, &files, &stated, &graph)?;
    if manifest.is_some() {
        check_agreement(&graph, &files)?;
    }
    Ok(Packages {
        uncounted: uncounted(&spec_file, &known, &files),
        files,
        requirements,
        tasks_md: tasks_md.is_some(),
        by_manifest: manifest.is_some(),
        canceled: BTreeSet::new(),
        warnings,
        made_tasks_md,
        graph,
    })
}

/// Dependencies without a `wps.yaml`: front matter that names some is the authority, `tasks.md` fills the gaps.
fn resolve(files: &[WorkPackage], from_tasks_md: &Graph, warnings: &mut Vec<String>) -> Graph {
    let set = |ids: &[String]| -> BTreeSet<String> { ids.iter().cloned().collect() };
    let mut graph = Graph::new();
    for wp in files {
        let text = from_tasks_md.get(&wp.id).cloned().unwrap_or_default();
        let written = wp.get("dependencies").is_some_and(|value| !value.is_null());
        if wp.dependencies.is_empty() {
            if written && !text.is_empty() {
                warnings.push(format!(
                    "{}: its front matter has `dependencies: []`, tasks.md names {}, and that counts",
                    wp.id,
                    text.join(", ")
                ));
            }
            graph.insert(wp.id.clone(), text);
        } else {
            if !text.is_empty() && set(&text) != set(&wp.dependencies) {
                warnings.push(format!(
                    "{}: tasks.md names {}, its front matter {}, and that counts",
                    wp.id,
                    text.join(", "),
                    wp.dependencies.join(", ")
                ));
            }
            graph.insert(wp.id.clone(), wp.dependencies.clone());
        }
    }
    graph
}

/// Lines about dependencies that are not read, of work packages whose front matter names none.
fn unread_dependencies(path: &Path, text: &str, files: &[WorkPackage]) -> Vec<String> {
    let open = |id: &String| files.iter().any(|wp| wp.id == *id && wp.dependencies.is_empty());
    let unread = tasks::unread_dependencies(text).into_iter().filter(|(id, ..)| open(id));
    unread
        .map(|(id, line, shown)| {
            format!(
                "{} line {line}: `{}` is not read as a dependency of {id}: write it like `**Dependencies**: WP01, WP02`",
                text::path(path),
                text::printable(&shown)
            )
        })
        .collect()
}

/// Requirements of the spec and references of work packages that count nowhere, one line each.
fn uncounted(spec_file: &Path, known: &SpecRequirements, files: &[WorkPackage]) -> Vec<String> {
    let bare = known.bare.iter().map(|(line, id)| {
        format!(
            "{} line {line}: {id} is in a sentence and does not count: begin a table row, a heading or a list item with it to declare it",
            text::path(spec_file)
        )
    });
    let dropped = files.iter().filter_map(|wp| {
        let found = requirement::success_criteria(&wp.requirement_refs);
        let names = found.join(", ");
        (!found.is_empty()).then(|| {
            format!("{}: {names} in its requirement_refs are success criteria and do not count", wp.id)
        })
    });
    bare.chain(dropped).collect()
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
        wp.check_lane()?;
        if let Some(other) = files.iter().find(|other| other.id == wp.id) {
            let problem =
                format!("is named {} in its front matter, and so is {}", wp.id, text::path(&other.path));
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

/// Dependencies, declared in `origin`, lead to work packages that exist.
fn check_references(graph: &Graph, origin: &str) -> Result<()> {
    for wp_id in graph.keys() {
        let errors = graph::problems(graph, wp_id);
        if !errors.is_empty() {
            let problem =
                format!("the dependencies of {wp_id} are wrong: {} (from {origin})", errors.join("; "));
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
    spec: &SpecRequirements,
    files: &[WorkPackage],
    stated: &BTreeMap<String, Vec<String>>,
    graph: &Graph,
) -> Result<BTreeMap<String, Vec<String>>> {
    let known = &spec.declared;
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
            "bare_prose_requirement_ids": spec.bare.iter().map(|(_, id)| id).collect::<BTreeSet<_>>(),
            "dependencies_parsed": graph,
            "requirement_refs_parsed": parsed,
        }),
    ))
}

/// Front matter and `wps.yaml` agree where both have a value.
fn check_agreement(graph: &Graph, files: &[WorkPackage]) -> Result<()> {
    let set = |ids: &[String]| -> BTreeSet<String> { ids.iter().cloned().collect() };
    let conflicts: Vec<String> = files
        .iter()
        .filter_map(|wp| {
            let parsed = graph.get(&wp.id).filter(|parsed| !parsed.is_empty())?;
            let differs = !wp.dependencies.is_empty() && set(parsed) != set(&wp.dependencies);
            differs.then(|| {
                format!(
                    "{}: its front matter has {}, wps.yaml has {}",
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
