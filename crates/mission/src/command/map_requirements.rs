//! `agent tasks map-requirements`: which requirements a work package covers, in its front matter, and which
//! tickets of a tracker it belongs to.
//!
//! Everything is judged before the first write. Running it again changes nothing.

use super::move_task::auto_commit;
use super::{Planned, Recorded, missing_file};
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::error::{MissionError, Result};
use crate::front_matter::{Scalar, WorkPackage, edit, read_work_package};
use crate::log::{Annotation, Row};
use crate::mission_log::read_mission_log;
use crate::outgoing::CaptureReport;
use crate::planning::read_planning;
use crate::project::Project;
use crate::remedies::ErrorCode;
use crate::tasks::{self, is_functional, references, spec_requirements};
use crate::transaction::{Change, Done};
use crate::work_package::{is_wp_id, read_wp_files};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Actor of the rows that this command writes.
const ACTOR: &str = "spec-kitty agent tasks map-requirements";

/// Arguments of `agent tasks map-requirements`.
#[derive(Clone, Debug, Default)]
pub struct MappingRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `--wp`: one work package.
    pub wp_id: Option<String>,
    /// `--refs`: its requirements, with commas between them.
    pub refs: Option<String>,
    /// `--batch`: a JSON object, `{"WP01": ["FR-001"]}`.
    pub batch: Option<String>,
    /// `--replace`: removes what the front matter names already.
    pub replace: bool,
    /// `--tracker-ref`: tickets of the work package.
    pub tracker_refs: Vec<String>,
    /// `--auto-commit` or `--no-auto-commit`; without either the project's config decides.
    pub commit: Option<bool>,
}

/// Coverage of the functional requirements.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// All that the spec declares.
    pub total_functional: usize,
    /// Those that some work package covers.
    pub mapped_functional: usize,
    /// The others.
    pub unmapped_functional: Vec<String>,
}

/// Report of `map-requirements`.
#[derive(Clone, Debug, Serialize)]
pub struct Mapped {
    /// `success`.
    pub result: &'static str,
    /// Directory name.
    pub mission_slug: String,
    /// Requested mappings, by work package.
    pub mapped: BTreeMap<String, BTreeSet<String>>,
    /// Requirements that each work package covers now.
    pub total_mappings: BTreeMap<String, BTreeSet<String>>,
    /// Coverage of the spec after the command.
    pub coverage: Coverage,
    /// Whether there was anything to commit.
    pub committed: bool,
    /// The commit.
    pub commit_sha: Option<String>,
    /// Ids that occur in prose of the spec and count nowhere.
    pub bare_prose_requirement_ids: Vec<String>,
    /// References of the mission's work packages that the spec does not declare.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

/// Requested mappings, by work package.
type Mappings = BTreeMap<String, BTreeSet<String>>;

impl MappingRequest {
    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        self.mappings().map(|_| ())
    }

    fn mappings(&self) -> Result<Mappings> {
        let wrong = |name, problem: &str| Err(MissionError::Argument { name, problem: problem.to_owned() });
        check_tracker_refs(&self.tracker_refs)?;
        let (mappings, name) = match (&self.batch, &self.wp_id, &self.refs) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
                return wrong("--batch", "is for several work packages: leave --wp and --refs out");
            }
            (Some(_), None, None) if !self.tracker_refs.is_empty() => {
                return wrong("--tracker-ref", "belongs to one work package: name it with --wp");
            }
            (Some(batch), None, None) => (batch_of(batch)?, "--batch"),
            (None, Some(wp_id), Some(refs)) => {
                let refs = refs.split(',').map(|text| text.trim().to_uppercase());
                let refs = refs.filter(|text| !text.is_empty()).collect();
                (Mappings::from([(wp_id.trim().to_uppercase(), refs)]), "--refs")
            }
            (None, Some(wp_id), None) if !self.tracker_refs.is_empty() => {
                (Mappings::from([(wp_id.trim().to_uppercase(), BTreeSet::new())]), "--wp")
            }
            _ => return wrong("--wp", "needs --refs or --tracker-ref; --batch maps several work packages"),
        };
        if let Some(id) = mappings.keys().find(|id| !is_wp_id(id)) {
            let shown = contract::text::printable(id);
            let problem = format!("`{shown}` is not a work package id: WP and two digits, like WP01");
            return wrong(if name == "--batch" { name } else { "--wp" }, &problem);
        }
        match mappings.values().flatten().find(|id| references(id) != [(*id).clone()]) {
            Some(id) => {
                let shown = contract::text::printable(id);
                let problem =
                    format!("`{shown}` is not a requirement id: FR-, NFR- or C- and digits, like FR-001");
                wrong(name, &problem)
            }
            None => Ok(mappings),
        }
    }
}

fn batch_of(text: &str) -> Result<Mappings> {
    let batch: BTreeMap<String, Vec<String>> =
        serde_json::from_str(text).map_err(|error| MissionError::Argument {
            name: "--batch",
            problem: format!("is not a JSON object like {{\"WP01\": [\"FR-001\"]}}: {error}"),
        })?;
    let upper = |refs: Vec<String>| refs.into_iter().map(|id| id.trim().to_uppercase()).collect();
    Ok(batch.into_iter().map(|(id, refs)| (id.trim().to_uppercase(), upper(refs))).collect())
}

/// Plans the mapping.
pub fn plan(
    project: &Project,
    request: &MappingRequest,
    clock: &Clock,
) -> Result<Planned<MappingRequest, Mapped>> {
    let mappings = request.mappings()?;
    let commits = request.commit.map_or_else(|| auto_commit(project), Ok)?;
    let mission = project.mission(request.mission.as_deref())?;
    let spec_file = mission.path.join("spec.md");
    let spec = read_planning(&mission.path, "spec.md")?.ok_or_else(|| missing_file(&spec_file))?;
    let known = spec_requirements(&spec);
    let text = read_planning(&mission.path, tasks::FILE)?.unwrap_or_default();
    let stated = tasks::requirement_graph(&text);
    let mut files: BTreeMap<String, WorkPackage> = BTreeMap::new();
    for path in read_wp_files(&mission.path)? {
        files.extend(read_work_package(&path)?.map(|wp| (wp.id.clone(), wp)));
    }
    check_packages(&mission.slug, &mappings, &files)?;
    check_declared(&spec_file, &mappings, &known.declared)?;
    let log = read_mission_log(project, &mission)?;
    let dialect = mission.dialect(&log);
    let mut change = Change::of(mission, log);
    let (mut totals, mut written) = (Mappings::new(), Vec::new());
    for (id, wp) in &files {
        let own: BTreeSet<String> = references(&wp.requirement_refs.join("\n")).into_iter().collect();
        let fallback = || stated.get(id).into_iter().flatten().cloned().collect();
        let mut covered = if own.is_empty() { fallback() } else { own.clone() };
        let mut changes = Vec::new();
        if let Some(asked) = mappings.get(id).filter(|asked| !asked.is_empty()) {
            if request.replace {
                covered.clear();
            }
            covered.extend(asked.iter().cloned());
            if covered != own {
                changes.push(("requirement_refs", Scalar::List(covered.iter().cloned().collect())));
            }
        }
        if mappings.contains_key(id) && dialect == Dialect::Rc11 {
            changes.extend(tracker_change(wp, &request.tracker_refs, request.replace));
        }
        if !changes.is_empty() {
            change.files.insert(wp.path.clone(), edit(wp, &changes)?.into_bytes());
            written.push(wp.path.clone());
        }
        totals.insert(id.clone(), covered);
    }
    if let (Dialect::Current, Some(wp_id)) = (dialect, &request.wp_id)
        && !request.tracker_refs.is_empty()
    {
        let key = if request.replace { "tracker_refs_replace" } else { "tracker_refs" };
        let refs: Vec<&str> = request.tracker_refs.iter().map(|text| text.trim()).collect();
        change.append(vec![Row::Annotation(Annotation {
            event_id: clock.ulid(),
            wp_id: wp_id.trim().to_uppercase(),
            at: clock.now().iso(),
            actor: ACTOR.to_owned(),
            delta: [(key.to_owned(), json!(refs))].into_iter().collect(),
        })])?;
        change.refresh_status()?;
    }
    let outcome = Mapped {
        result: "success",
        mission_slug: change.mission.slug.clone(),
        warnings: undeclared_references(&totals, &known.declared),
        coverage: coverage(&totals, &known.declared),
        total_mappings: totals.into_iter().filter(|(_, refs)| !refs.is_empty()).collect(),
        committed: false,
        commit_sha: None,
        bare_prose_requirement_ids: known.bare.into_iter().map(|(_, id)| id).collect(),
        capture: CaptureReport::default(),
        mapped: mappings,
    };
    if written.is_empty() && request.tracker_refs.is_empty() {
        return Ok(Planned { request: request.clone(), change: None, outcome, plan });
    }
    if commits && !written.is_empty() {
        let ids: Vec<&str> = outcome.mapped.keys().map(String::as_str).collect();
        change.commit = Some((written, format!("chore: Map requirements for {}", ids.join(", "))));
    }
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

/// Each mapped work package must have its file.
fn check_packages(mission: &str, mappings: &Mappings, files: &BTreeMap<String, WorkPackage>) -> Result<()> {
    let absent: Vec<_> = mappings.keys().filter(|id| !files.contains_key(*id)).collect();
    let Some(first) = absent.first() else { return Ok(()) };
    Err(MissionError::invalid(
        ErrorCode::WorkPackageNotFound,
        format!("no work package {first} in {mission}"),
        &json!({ "mission_slug": mission, "unknown_wps": absent }),
    ))
}

/// Each mapped requirement must be declared by the spec.
fn check_declared(spec: &Path, mappings: &Mappings, declared: &[String]) -> Result<()> {
    let unknown: BTreeSet<_> = mappings.values().flatten().filter(|id| !declared.contains(id)).collect();
    let Some(first) = unknown.first() else { return Ok(()) };
    Err(MissionError::invalid(
        ErrorCode::RequirementUndeclared,
        format!("{} declares no {first}", contract::text::path(spec)),
        &json!({ "unknown_refs": unknown, "parsed_spec_ids": declared }),
    ))
}

/// How many of the functional requirements have a work package.
fn coverage(mapped: &Mappings, declared: &[String]) -> Coverage {
    let covered: BTreeSet<&String> = mapped.values().flatten().collect();
    let (mapped, unmapped): (Vec<&String>, Vec<&String>) =
        declared.iter().filter(|id| is_functional(id)).partition(|id| covered.contains(id));
    Coverage {
        total_functional: mapped.len() + unmapped.len(),
        mapped_functional: mapped.len(),
        unmapped_functional: unmapped.into_iter().cloned().collect(),
    }
}

/// A warning for each work package that refers to requirements that the spec does not declare.
fn undeclared_references(mapped: &Mappings, declared: &[String]) -> Vec<String> {
    let stale = |(id, refs): (&String, &BTreeSet<String>)| {
        let stale: Vec<_> = refs.iter().filter(|id| !declared.contains(id)).cloned().collect();
        (!stale.is_empty()).then(|| format!("{id}: spec.md does not declare {}", stale.join(", ")))
    };
    mapped.iter().filter_map(stale).collect()
}

/// Judges tickets by themselves.
pub(super) fn check_tracker_refs(refs: &[String]) -> Result<()> {
    match refs.iter().any(|text| text.trim().is_empty() || text.contains(char::is_control)) {
        true => Err(MissionError::Argument {
            name: "--tracker-ref",
            problem: "must be one line that is not blank".into(),
        }),
        false => Ok(()),
    }
}

/// The tickets in the front matter of a mission that only earlier releases write.
pub(super) fn tracker_change(
    wp: &WorkPackage,
    refs: &[String],
    replace: bool,
) -> Option<(&'static str, Scalar)> {
    let listed = match wp.get("tracker_refs") {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    let mut wanted: Vec<String> = if replace { Vec::new() } else { listed.clone() };
    for text in refs.iter().map(|text| text.trim()) {
        if !wanted.iter().any(|known| known == text) {
            wanted.push(text.to_owned());
        }
    }
    (!refs.is_empty() && wanted != listed).then_some(("tracker_refs", Scalar::List(wanted)))
}

impl Recorded for Mapped {
    fn record(&mut self, done: Done) {
        self.committed = done.commit.is_some();
        self.commit_sha = done.commit;
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
