//! `agent decision open|resolve|defer|cancel|verify`: local commands.
//!
//! A deferred decision can be resolved or canceled later; resolved and canceled are final. Asking the
//! same question again gives the open entry back.

use super::shown;
use crate::change::{Change, lock_mission};
use crate::clock::Clock;
use crate::decision::{
    Decision, DecisionStatus, Ledger, OriginFlow, Verification, read_ledger, render_page, verify_markers,
};
use crate::document::{MAX_TEXT, read_text};
use crate::error::{MissionError, Result};
use crate::log::{FactKind, FactRow, Row, read_log};
use crate::project::{MissionDirectory, Project};
use crate::slug::is_ulid;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Where the questions of this command come from, in the facts it writes.
const SURFACE: &str = "planning_interview";

/// `open`: a question.
#[derive(Clone, Debug, Default)]
pub struct OpenRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `--flow`: charter, specify or plan.
    pub flow: String,
    /// `--step-id`; this or the slot is needed.
    pub step_id: Option<String>,
    /// `--slot-key`.
    pub slot_key: Option<String>,
    /// `--input-key`.
    pub input_key: String,
    /// `--question`.
    pub question: String,
    /// `--options`: a JSON array of texts.
    pub options: Option<String>,
    /// `--actor`; `cli` without it.
    pub actor: Option<String>,
    /// `--dry-run`: writes nothing.
    pub dry_run: bool,
}

/// What becomes of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    /// `resolve`.
    Resolve {
        /// `--final-answer`.
        final_answer: String,
        /// `--other-answer`: none of the options.
        other_answer: bool,
    },
    /// `defer`.
    Defer,
    /// `cancel`.
    Cancel,
}

/// `resolve`, `defer`, `cancel`.
#[derive(Clone, Debug)]
pub struct CloseRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// The decision.
    pub decision_id: String,
    /// What becomes of it.
    pub closing: Closing,
    /// `--rationale`; needed to defer and to cancel.
    pub rationale: Option<String>,
    /// `--resolved-by`.
    pub resolved_by: Option<String>,
    /// `--actor`; `cli` without it.
    pub actor: Option<String>,
    /// `--dry-run`: writes nothing.
    pub dry_run: bool,
}

/// What opening did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Opened {
    /// The decision: a new one, or the open one that asks the same. `DRY_RUN` for a dry run.
    pub decision_id: String,
    /// Its page; empty for a dry run.
    pub artifact_path: String,
    /// How many rows the log has now; null when nothing was written.
    pub event_lamport: Option<usize>,
    /// Whether it was open before.
    pub idempotent: bool,
    /// ULID of the mission.
    pub mission_id: String,
}

/// What closing did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Closed {
    /// The decision.
    pub decision_id: String,
    /// What became of it.
    pub status: &'static str,
    /// The same once more.
    pub terminal_outcome: &'static str,
    /// How many rows the log has now; null when nothing was written.
    pub event_lamport: Option<usize>,
    /// Whether it was so before.
    pub idempotent: bool,
}

impl Closing {
    const fn status(&self) -> DecisionStatus {
        match self {
            Self::Resolve { .. } => DecisionStatus::Resolved,
            Self::Defer => DecisionStatus::Deferred,
            Self::Cancel => DecisionStatus::Canceled,
        }
    }
}

fn invalid(code: &'static str, problem: impl Into<String>, facts: Value) -> MissionError {
    MissionError::invalid(code, problem, &facts)
}

fn blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

impl OpenRequest {
    fn arguments(&self) -> Result<(OriginFlow, Vec<String>)> {
        let wrong = |name, problem: &str| MissionError::Argument { name, problem: problem.to_owned() };
        let flow = OriginFlow::named(&self.flow)
            .ok_or_else(|| wrong("--flow", "must be charter, specify or plan"))?;
        if blank(self.step_id.as_deref()) && blank(self.slot_key.as_deref()) {
            return Err(invalid("DECISION_MISSING_STEP_OR_SLOT", "give --step-id or --slot-key", json!({})));
        }
        for (name, text) in [("--input-key", &self.input_key), ("--question", &self.question)] {
            if blank(Some(text)) {
                return Err(wrong(name, "must not be blank"));
            }
        }
        let options = match &self.options {
            None => Vec::new(),
            Some(text) => {
                serde_json::from_str(text).map_err(|_| wrong("--options", "must be a JSON array of texts"))?
            }
        };
        Ok((flow, options))
    }

    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        self.arguments().map(|_| ())
    }
}

impl CloseRequest {
    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        if !is_ulid(&self.decision_id) {
            let shown = contract::text::printable(&self.decision_id).into_owned();
            return Err(MissionError::Argument {
                name: "DECISION_ID",
                problem: format!("`{shown}` is no decision id (26 characters)"),
            });
        }
        match &self.closing {
            Closing::Resolve { final_answer, .. } if blank(Some(final_answer)) => {
                Err(MissionError::Argument { name: "--final-answer", problem: "must not be blank".into() })
            }
            Closing::Defer | Closing::Cancel if blank(self.rationale.as_deref()) => {
                Err(MissionError::Argument { name: "--rationale", problem: "must not be blank".into() })
            }
            _ => Ok(()),
        }
    }
}

/// The mission, which must have an identity, and its ledger.
fn open_mission(project: &Project, handle: Option<&str>) -> Result<(MissionDirectory, String, Ledger)> {
    let mission = project.mission(handle)?;
    let Some(id) = mission.mission_id().map(str::to_owned) else {
        let problem = format!("mission {} has no mission_id in meta.json", mission.slug);
        return Err(invalid("MISSION_NOT_FOUND", problem, json!({ "mission_slug": mission.slug })));
    };
    let ledger = read_ledger(&mission.path, &id)?;
    Ok((mission, id, ledger))
}

/// Opens a decision.
pub fn open(project: &Project, request: &OpenRequest, clock: &Clock) -> Result<Opened> {
    let (flow, options) = request.arguments()?;
    let (mission, mission_id, mut ledger) = open_mission(project, request.mission.as_deref())?;
    let place = request.step_id.as_deref().or(request.slot_key.as_deref()).unwrap_or_default();
    if let Some(known) = ledger.entries.iter().find(|entry| entry.asks(flow, place, &request.input_key)) {
        if known.status != DecisionStatus::Open {
            let problem =
                format!("decision {} asked the same and is {}", known.decision_id, known.status.name());
            let facts = json!({ "decision_id": known.decision_id, "status": known.status.name() });
            return Err(invalid("DECISION_ALREADY_CLOSED", problem, facts));
        }
        return Ok(Opened {
            artifact_path: shown(&ledger.page_path(&known.decision_id)),
            decision_id: known.decision_id.clone(),
            event_lamport: None,
            idempotent: true,
            mission_id,
        });
    }
    if request.dry_run {
        return Ok(Opened {
            decision_id: "DRY_RUN".into(),
            artifact_path: String::new(),
            event_lamport: None,
            idempotent: false,
            mission_id,
        });
    }
    let now = clock.now();
    let entry = Decision {
        decision_id: clock.ulid(),
        origin_flow: flow,
        step_id: request.step_id.clone(),
        slot_key: request.slot_key.clone(),
        input_key: request.input_key.clone(),
        question: request.question.clone(),
        options,
        status: DecisionStatus::Open,
        final_answer: None,
        rationale: None,
        other_answer: false,
        summary_json: None,
        created_at: now.iso_z(),
        resolved_at: None,
        resolved_by: None,
        mission_id: mission_id.clone(),
        mission_slug: mission.slug.clone(),
        other: Map::new(),
    };
    let actor = request.actor.as_deref().unwrap_or("cli");
    let payload = json!({
        "actor_id": actor,
        "actor_type": "human",
        "decision_point_id": entry.decision_id,
        "input_key": entry.input_key,
        "mission_id": entry.mission_id,
        "mission_slug": entry.mission_slug,
        "mission_type": mission.mission_type(),
        "options": entry.options,
        "origin_flow": flow,
        "origin_surface": SURFACE,
        "phase": flow.name().to_uppercase(),
        "question": entry.question,
        "recorded_at": now.iso(),
        "run_id": entry.decision_id,
        "state_entered_at": now.iso(),
        "step_id": entry.place(),
    });
    let row = fact(FactKind::DecisionPointOpened, clock.ulid(), now.iso(), payload);
    let (decision_id, artifact_path) =
        (entry.decision_id.clone(), shown(&ledger.page_path(&entry.decision_id)));
    ledger.put(entry.clone());
    let rows = record(project, mission, &ledger, &entry, row, clock)?;
    Ok(Opened { decision_id, artifact_path, event_lamport: Some(rows), idempotent: false, mission_id })
}

/// Resolves, defers or cancels a decision.
pub fn close(project: &Project, request: &CloseRequest, clock: &Clock) -> Result<Closed> {
    request.check()?;
    let (mission, _, mut ledger) = open_mission(project, request.mission.as_deref())?;
    let status = request.closing.status();
    let mut closed = Closed {
        decision_id: request.decision_id.clone(),
        status: status.name(),
        terminal_outcome: status.name(),
        event_lamport: None,
        idempotent: true,
    };
    let Some(known) = ledger.find(&request.decision_id) else {
        let problem =
            format!("decision {} is not in {}", request.decision_id, contract::text::path(ledger.path()));
        return Err(invalid("DECISION_NOT_FOUND", problem, json!({ "decision_id": request.decision_id })));
    };
    let (final_answer, other_answer) = match &request.closing {
        Closing::Resolve { final_answer, other_answer } => (Some(final_answer.clone()), *other_answer),
        Closing::Defer | Closing::Cancel => (None, false),
    };
    let same = known.status == status
        && known.final_answer == final_answer
        && known.other_answer == other_answer
        && known.rationale == request.rationale;
    if same {
        return Ok(closed);
    }
    let may_change = match known.status {
        DecisionStatus::Open => true,
        DecisionStatus::Deferred => status != DecisionStatus::Deferred,
        DecisionStatus::Resolved | DecisionStatus::Canceled => false,
    };
    if !may_change {
        let problem = format!(
            "decision {} is {} already and cannot become {}",
            known.decision_id,
            known.status.name(),
            status.name()
        );
        let facts = json!({ "decision_id": known.decision_id, "existing_status": known.status.name(), "requested_status": status.name() });
        return Err(invalid("DECISION_TERMINAL_CONFLICT", problem, facts));
    }
    closed.idempotent = false;
    if request.dry_run {
        return Ok(closed);
    }
    let now = clock.now();
    let actor = request.actor.as_deref().unwrap_or("cli");
    let entry = Decision {
        status,
        final_answer,
        other_answer,
        rationale: request.rationale.clone(),
        resolved_at: Some(now.iso_z()),
        resolved_by: request.resolved_by.clone(),
        ..known.clone()
    };
    let payload = json!({
        "actual_participants": [],
        "closed_locally_while_widened": false,
        "closure_message": null,
        "decision_point_id": entry.decision_id,
        "final_answer": entry.final_answer,
        "mission_id": entry.mission_id,
        "mission_slug": entry.mission_slug,
        "mission_type": mission.mission_type(),
        "origin_surface": SURFACE,
        "other_answer": entry.other_answer,
        "rationale": entry.rationale,
        "recorded_at": now.iso(),
        "resolved_by": entry.resolved_by.as_deref().unwrap_or(actor),
        "run_id": entry.decision_id,
        "state_entered_at": now.iso(),
        "summary": null,
        "terminal_outcome": status.name(),
    });
    let row = fact(FactKind::DecisionPointResolved, clock.ulid(), now.iso(), payload);
    ledger.put(entry.clone());
    closed.event_lamport = Some(record(project, mission, &ledger, &entry, row, clock)?);
    Ok(closed)
}

/// Compares the ledger with the markers in `spec.md` and `plan.md`. Reads only.
pub fn verify(project: &Project, mission: Option<&str>) -> Result<Verification> {
    let mission = project.mission(mission)?;
    let ledger = read_ledger(&mission.path, mission.mission_id().unwrap_or_default())?;
    let spec = read_text(&mission.path.join("spec.md"), MAX_TEXT)?.unwrap_or_default();
    let plan = read_text(&mission.path.join("plan.md"), MAX_TEXT)?.unwrap_or_default();
    Ok(verify_markers(&ledger, &[("spec.md", &spec), ("plan.md", &plan)]))
}

fn fact(kind: FactKind, event_id: String, at: String, payload: Value) -> Row {
    Row::Fact(FactRow {
        event_id,
        kind,
        aggregate_id: String::new(),
        timestamp: at,
        payload: payload.as_object().cloned().unwrap_or_default(),
        project: None,
    })
}

/// Writes ledger, page and fact; returns how many rows the log has then. Under the mission's lock, and
/// only when ledger and log are still those that were read.
fn record(
    project: &Project,
    mission: MissionDirectory,
    ledger: &Ledger,
    entry: &Decision,
    row: Row,
    clock: &Clock,
) -> Result<usize> {
    let lock = lock_mission(project, &mission.slug)?;
    let log = read_log(&mission.path)?;
    let on_disk = read_ledger(&mission.path, &ledger.mission_id)?;
    let others = |ledger: &Ledger| -> Vec<Decision> {
        ledger.entries.iter().filter(|known| known.decision_id != entry.decision_id).cloned().collect()
    };
    if others(&on_disk) != others(ledger) {
        return Err(MissionError::Busy {
            what: "the decision ledger",
            path: ledger.path().to_owned(),
            holder: None,
        });
    }
    let rows = log.line_count() + 1;
    let mut change = Change::of(mission, log);
    change.rows.push(row);
    change.files.insert(ledger.path().to_owned(), ledger.render().into_bytes());
    change.files.insert(ledger.page_path(&entry.decision_id), render_page(entry).into_bytes());
    change.carry_out(&lock, project, None, clock)?;
    Ok(rows)
}
