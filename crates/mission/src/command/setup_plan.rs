//! `agent mission setup-plan`: from a committed specification to a committed plan.
//!
//! Runs as often as one likes: first it puts the plan's template in place, then, when the plan has content,
//! it commits it. With nothing left to do it succeeds and changes nothing.

use super::{BranchContract, Planned, Recorded, has_fact, mission_fact, shown};
use crate::clock::Clock;
use crate::error::{MissionError, Result};
use crate::git::{is_committed, is_unchanged};
use crate::log::{FactKind, Row};
use crate::mission_log::read_mission_log;
use crate::outgoing::CaptureReport;
use crate::placeholder_check::{plan_is_substantive, spec_is_substantive};
use crate::planning::read_planning;
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::template::read_plan_template;
use crate::transaction::{Change, Done};
use serde::Serialize;
use serde_json::{Value, json};

/// Actor of the facts that this command writes.
const ACTOR: &str = "spec-kitty agent mission setup-plan";

/// Arguments of `agent mission setup-plan`.
#[derive(Clone, Debug, Default)]
pub struct SetupPlanRequest {
    /// `--mission`.
    pub mission: Option<String>,
}

/// State of planning. JSON keys as the reference writes them, and `capture{}`.
#[derive(Clone, Debug, Serialize)]
pub struct PlanSetUp {
    /// `success` or `blocked`; both end with exit 0.
    pub result: &'static str,
    /// Whether the plan is complete and committed.
    pub phase_complete: bool,
    /// Reason of the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_reason: Option<&'static str>,
    /// `SPEC_NOT_SUBSTANTIVE_OR_UNCOMMITTED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<&'static str>,
    /// Directory name.
    pub mission_slug: String,
    /// `plan.md`; absent while the specification blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_file: Option<String>,
    /// The directory.
    pub feature_dir: String,
    /// `spec.md`.
    pub spec_file: String,
    /// Whether the specification is committed; only while it blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_committed: Option<bool>,
    /// Whether the specification has content; only while it blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec_substantive: Option<bool>,
    /// Whether the plan has content; absent while the specification blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_substantive: Option<bool>,
    /// The commit that was made, when one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_hash: Option<String>,
    /// The branches.
    #[serde(flatten)]
    pub branches: BranchContract,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

const SPEC_BLOCKS: &str = "spec.md must be committed and have content before planning starts: give at least one \
                           FR-### requirement a description of its own, commit spec.md, then run \
                           `spec-kitty agent mission setup-plan` again.";
const PLAN_BLOCKS: &str = "plan.md has no content yet: under `## Technical Context` replace the placeholder of \
                           Language/Version and of at least one more field, then run \
                           `spec-kitty agent mission setup-plan` again to commit it.";

/// Plans the step that is due.
pub fn plan(
    project: &Project,
    request: &SetupPlanRequest,
    clock: &Clock,
) -> Result<Planned<SetupPlanRequest, PlanSetUp>> {
    let mission = project.mission(request.mission.as_deref()).map_err(MissionError::of_planning)?;
    project.branch()?;
    let spec_file = mission.path.join("spec.md");
    let Some(spec) = read_planning(&mission.path, "spec.md")? else {
        return Err(MissionError::invalid(
            ErrorCode::SpecFileMissing,
            format!("{} does not exist", contract::text::path(&spec_file)),
            &json!({ "spec_file": shown(&spec_file), "mission_slug": mission.slug }),
        ));
    };
    let mut outcome = PlanSetUp {
        result: "blocked",
        phase_complete: false,
        blocked_reason: Some(SPEC_BLOCKS),
        error_code: None,
        mission_slug: mission.slug.clone(),
        plan_file: None,
        feature_dir: shown(&mission.path),
        spec_file: shown(&spec_file),
        spec_committed: None,
        spec_substantive: None,
        plan_substantive: None,
        commit_hash: None,
        branches: BranchContract::of(project, &mission, clock.now()),
        warnings: Vec::new(),
        capture: CaptureReport::default(),
    };
    let (committed, substantive) = (is_committed(project, &spec_file)?, spec_is_substantive(&spec));
    if !(committed && substantive) {
        outcome.error_code = Some("SPEC_NOT_SUBSTANTIVE_OR_UNCOMMITTED");
        (outcome.spec_committed, outcome.spec_substantive) = (Some(committed), Some(substantive));
        return Ok(Planned { request: request.clone(), change: None, outcome, plan });
    }
    let change = plan_change(project, mission, clock, &mut outcome)?;
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

fn plan_change(
    project: &Project,
    mission: MissionDirectory,
    clock: &Clock,
    outcome: &mut PlanSetUp,
) -> Result<Change> {
    let log = read_mission_log(project, &mission)?;
    let slug = mission.slug.clone();
    let plan_file = mission.path.join("plan.md");
    let artifact = |name: &str| project.relative(&mission.path.join(name));
    let at = clock.now().iso();
    let mut rows: Vec<Row> = Vec::new();
    let mut fact = |kind, key: &str, value: &str, extra: Value| {
        if !has_fact(&log, kind, key, value) {
            let mut payload = json!({ "mission_slug": slug, "actor": ACTOR, "at": at });
            if let (Some(payload), Value::Object(extra)) = (payload.as_object_mut(), extra) {
                payload.extend(extra);
            }
            rows.push(mission_fact(kind, &slug, clock.ulid(), &at, payload));
        }
    };
    let (spec_path, plan_path) = (artifact("spec.md"), artifact("plan.md"));
    fact(FactKind::SpecifyCompleted, "artifact_path", &spec_path, json!({ "artifact_path": spec_path }));
    fact(FactKind::PlanStarted, "mission_slug", &slug, json!({}));
    let existing = read_planning(&mission.path, "plan.md")?;
    let text = match &existing {
        Some(text) => text.clone(),
        None => read_plan_template(project.root())?,
    };
    let substantive = plan_is_substantive(&text);
    let mut commit = None;
    if substantive {
        let clean =
            existing.is_some() && is_committed(project, &plan_file)? && is_unchanged(project, &plan_file)?;
        commit = (!clean).then(|| (vec![plan_file.clone()], format!("Add plan for feature {slug}")));
        fact(FactKind::PlanCompleted, "artifact_path", &plan_path, json!({ "artifact_path": plan_path }));
    }
    outcome.plan_file = Some(shown(&plan_file));
    outcome.plan_substantive = Some(substantive);
    outcome.phase_complete = substantive;
    (outcome.result, outcome.blocked_reason) =
        if substantive { ("success", None) } else { ("blocked", Some(PLAN_BLOCKS)) };
    let mut change = Change::of(mission, log);
    change.append(rows)?;
    change.commit = commit;
    if existing.is_none() {
        change.files.insert(plan_file, text.into_bytes());
    }
    Ok(change)
}

impl Recorded for PlanSetUp {
    fn record(&mut self, done: Done) {
        self.commit_hash = done.commit;
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
