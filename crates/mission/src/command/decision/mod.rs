//! `agent decision open|resolve|defer|cancel|verify`: local commands.
//!
//! A deferred decision can be resolved or canceled later; resolved and canceled are final. Asking the
//! same question again gives the open entry back.

mod request;

pub use request::{CloseRequest, Closed, Closing, OpenRequest, Opened};

use super::{Planned, Recorded, has_fact, shown};
use crate::clock::{Clock, Moment};
use crate::decision::{
    Decision, DecisionStatus, Ledger, OriginFlow, Verification, read_ledger, render_page, verify_markers,
};
use crate::dialect::Dialect;
use crate::document::{MAX_TEXT, read_text};
use crate::error::{MissionError, Result};
use crate::log::{FactKind, FactRow, Log, Row};
use crate::mission_log::{MissionLog, read_mission_log};
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::transaction::{Change, Done};
use serde_json::{Map, Value, json};

/// The origin of this command's questions, in the facts it writes.
const SURFACE: &str = "planning_interview";
/// The key under which those facts name the decision.
const KEY: &str = "decision_point_id";

fn invalid(code: ErrorCode, problem: impl Into<String>, facts: Value) -> MissionError {
    MissionError::invalid(code, problem, &facts)
}

/// The mission, which must have an identity, and its ledger.
fn open_mission(project: &Project, handle: Option<&str>) -> Result<(MissionDirectory, String, Ledger)> {
    let mission = project.mission(handle)?;
    let Some(id) = mission.mission_id().map(str::to_owned) else {
        let problem = format!("mission {} has no mission_id in meta.json", mission.slug);
        return Err(invalid(ErrorCode::MissionNotFound, problem, json!({ "mission_slug": mission.slug })));
    };
    let ledger = read_ledger(&mission.path, &id)?;
    Ok((mission, id, ledger))
}

/// Opens a decision.
pub fn open(project: &Project, request: &OpenRequest, clock: &Clock) -> Result<Opened> {
    plan_open(project, request, clock)?.apply(project, None, clock)
}

fn plan_open(
    project: &Project,
    request: &OpenRequest,
    clock: &Clock,
) -> Result<Planned<OpenRequest, Opened>> {
    let planned =
        |outcome, change| Ok(Planned { request: request.clone(), change, outcome, plan: plan_open });
    let (flow, options) = request.arguments()?;
    let (mission, mission_id, mut ledger) = open_mission(project, request.mission.as_deref())?;
    let place = request.step_id.as_deref().or(request.slot_key.as_deref()).unwrap_or_default();
    let log = read_mission_log(project, &mission)?;
    let dialect = mission.dialect(&log);
    if dialect == Dialect::Rc11 && !flow.is_early() {
        let problem = format!(
            "`{}` is a flow of current missions, and {} is one of an earlier release: use charter, specify or plan",
            flow.name(),
            mission.slug
        );
        return Err(MissionError::Argument { name: "--flow", problem });
    }
    if let Some(known) = ledger.entries.iter().find(|entry| entry.asks(flow, place, &request.input_key)) {
        if known.status != DecisionStatus::Open {
            let problem =
                format!("decision {} asked the same and is {}", known.decision_id, known.status.name());
            let facts = json!({ "decision_id": known.decision_id, "status": known.status.name() });
            return Err(invalid(ErrorCode::DecisionAlreadyClosed, problem, facts));
        }
        let opened = Opened {
            artifact_path: shown(&ledger.page_path(&known.decision_id)),
            decision_id: known.decision_id.clone(),
            event_lamport: None,
            idempotent: true,
            mission_id,
            warnings: Vec::new(),
        };
        let is_logged = has_fact(&log, FactKind::DecisionPointOpened, KEY, &known.decision_id);
        if is_logged || request.dry_run {
            return planned(opened, None);
        }
        // An earlier command ended between the ledger and the log.
        let at = clock.now().iso();
        let payload =
            opened_payload(known, mission.mission_type(), request.actor.as_deref(), &known.created_at);
        let row = fact(FactKind::DecisionPointOpened, clock.ulid(), at, payload);
        let rows = log.line_count() + 1;
        let mut change = Change::of(mission, log);
        change.append(vec![row])?;
        return planned(Opened { event_lamport: Some(rows), ..opened }, Some(change));
    }
    if request.dry_run {
        let opened = Opened {
            decision_id: "DRY_RUN".into(),
            artifact_path: String::new(),
            event_lamport: None,
            idempotent: false,
            mission_id,
            warnings: Vec::new(),
        };
        return planned(opened, None);
    }
    let now = clock.now();
    let mut entry = new_entry(request, (flow, options), &mission, &mission_id, clock, now);
    if dialect == Dialect::Current {
        entry.opened_by = Some(request.actor.clone().unwrap_or_else(|| "cli".to_owned()));
    }
    let payload = opened_payload(&entry, mission.mission_type(), request.actor.as_deref(), &now.iso());
    let row = fact(FactKind::DecisionPointOpened, clock.ulid(), now.iso(), payload);
    let (decision_id, artifact_path) =
        (entry.decision_id.clone(), shown(&ledger.page_path(&entry.decision_id)));
    ledger.put(entry.clone());
    let (change, rows) = change(mission, log, &ledger, &entry, row)?;
    let event_lamport = Some(rows);
    let warnings = Vec::new();
    let opened =
        Opened { decision_id, artifact_path, event_lamport, idempotent: false, mission_id, warnings };
    planned(opened, Some(change))
}

fn new_entry(
    request: &OpenRequest,
    (flow, options): (OriginFlow, Vec<String>),
    mission: &MissionDirectory,
    mission_id: &str,
    clock: &Clock,
    now: Moment,
) -> Decision {
    Decision {
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
        opened_by: None,
        mission_id: mission_id.to_owned(),
        mission_slug: mission.slug.clone(),
        other: Map::new(),
    }
}

/// Resolves, defers or cancels a decision.
pub fn close(project: &Project, request: &CloseRequest, clock: &Clock) -> Result<Closed> {
    plan_close(project, request, clock)?.apply(project, None, clock)
}

fn plan_close(
    project: &Project,
    request: &CloseRequest,
    clock: &Clock,
) -> Result<Planned<CloseRequest, Closed>> {
    let planned =
        |outcome, change| Ok(Planned { request: request.clone(), change, outcome, plan: plan_close });
    request.check()?;
    let (mission, _, mut ledger) = open_mission(project, request.mission.as_deref())?;
    let status = request.closing.status();
    let mut closed = Closed {
        decision_id: request.decision_id.clone(),
        status: status.name(),
        terminal_outcome: status.name(),
        event_lamport: None,
        idempotent: true,
        warnings: Vec::new(),
    };
    let Some(known) = ledger.find(&request.decision_id) else {
        let problem =
            format!("decision {} is not in {}", request.decision_id, contract::text::path(ledger.path()));
        return Err(invalid(
            ErrorCode::DecisionNotFound,
            problem,
            json!({ "decision_id": request.decision_id }),
        ));
    };
    let (final_answer, other_answer) = match &request.closing {
        Closing::Resolve { final_answer, other_answer } => (Some(final_answer.clone()), *other_answer),
        Closing::Defer | Closing::Cancel => (None, false),
    };
    let same = known.status == status
        && known.final_answer == final_answer
        && known.other_answer == other_answer
        && known.rationale == request.rationale;
    let log = read_mission_log(project, &mission)?;
    if same {
        if request.dry_run || is_closed_in(&log, known) {
            return planned(closed, None);
        }
        // An earlier command ended between the ledger and the log.
        let at = known.resolved_at.clone().unwrap_or_default();
        let payload = closed_payload(known, mission.mission_type(), request.actor.as_deref(), &at);
        let row = fact(FactKind::DecisionPointResolved, clock.ulid(), clock.now().iso(), payload);
        closed.event_lamport = Some(log.line_count() + 1);
        let mut change = Change::of(mission, log);
        change.append(vec![row])?;
        return planned(closed, Some(change));
    }
    check_may_become(known, status)?;
    closed.idempotent = false;
    if request.dry_run {
        return planned(closed, None);
    }
    let now = clock.now();
    let entry = Decision {
        status,
        final_answer,
        other_answer,
        rationale: request.rationale.clone(),
        resolved_at: Some(now.iso_z()),
        resolved_by: request.resolved_by.clone(),
        ..known.clone()
    };
    let payload = closed_payload(&entry, mission.mission_type(), request.actor.as_deref(), &now.iso());
    let row = fact(FactKind::DecisionPointResolved, clock.ulid(), now.iso(), payload);
    ledger.put(entry.clone());
    let (change, rows) = change(mission, log, &ledger, &entry, row)?;
    closed.event_lamport = Some(rows);
    planned(closed, Some(change))
}

/// Whether the log has the event that closes a decision as in the ledger: a decision has one for each end,
/// from any program.
fn is_closed_in(log: &Log, decision: &Decision) -> bool {
    let end = decision.status.name();
    log.facts().any(|fact| {
        fact.kind == FactKind::DecisionPointResolved
            && fact.text(KEY) == Some(&decision.decision_id)
            && fact.text("terminal_outcome") == Some(end)
    })
}

/// Refuses to change what is final.
fn check_may_become(known: &Decision, status: DecisionStatus) -> Result<()> {
    let may_change = match known.status {
        DecisionStatus::Open => true,
        DecisionStatus::Deferred => status != DecisionStatus::Deferred,
        DecisionStatus::Resolved | DecisionStatus::Canceled => false,
    };
    if may_change {
        return Ok(());
    }
    let (is, wanted) = (known.status.name(), status.name());
    let problem = format!("decision {} is {is} already and cannot become {wanted}", known.decision_id);
    let facts =
        json!({ "decision_id": known.decision_id, "existing_status": is, "requested_status": wanted });
    Err(invalid(ErrorCode::DecisionTerminalConflict, problem, facts))
}

/// Compares the ledger with the markers in `spec.md` and `plan.md`. Reads only.
pub fn verify(project: &Project, mission: Option<&str>) -> Result<Verification> {
    let mission = project.mission(mission)?;
    let ledger = read_ledger(&mission.path, mission.mission_id().unwrap_or_default())?;
    let spec = read_text(&mission.path.join("spec.md"), MAX_TEXT)?.unwrap_or_default();
    let plan = read_text(&mission.path.join("plan.md"), MAX_TEXT)?.unwrap_or_default();
    Ok(verify_markers(&ledger, &[("spec.md", &spec), ("plan.md", &plan)]))
}

/// Payload of an opened question in the log. The asker is `cli` unless the caller names one.
fn opened_payload(entry: &Decision, mission_type: &str, actor: Option<&str>, at: &str) -> Value {
    json!({
        "actor_id": actor.unwrap_or("cli"),
        "actor_type": "human",
        "decision_point_id": entry.decision_id,
        "input_key": entry.input_key,
        "mission_id": entry.mission_id,
        "mission_slug": entry.mission_slug,
        "mission_type": mission_type,
        "options": entry.options,
        "origin_flow": entry.origin_flow,
        "origin_surface": SURFACE,
        "phase": entry.origin_flow.name().to_uppercase(),
        "question": entry.question,
        "recorded_at": at,
        "run_id": entry.decision_id,
        "state_entered_at": at,
        "step_id": entry.place(),
    })
}

/// Payload of a closed question in the log.
fn closed_payload(entry: &Decision, mission_type: &str, actor: Option<&str>, at: &str) -> Value {
    json!({
        "actual_participants": [],
        "closed_locally_while_widened": false,
        "closure_message": null,
        "decision_point_id": entry.decision_id,
        "final_answer": entry.final_answer,
        "mission_id": entry.mission_id,
        "mission_slug": entry.mission_slug,
        "mission_type": mission_type,
        "origin_surface": SURFACE,
        "other_answer": entry.other_answer,
        "rationale": entry.rationale,
        "recorded_at": at,
        "resolved_by": entry.resolved_by.as_deref().or(actor).unwrap_or("cli"),
        "run_id": entry.decision_id,
        "state_entered_at": at,
        "summary": null,
        "terminal_outcome": entry.status.name(),
    })
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

/// Ledger, page and fact; and how many rows the log will have.
fn change(
    mission: MissionDirectory,
    log: MissionLog,
    ledger: &Ledger,
    entry: &Decision,
    row: Row,
) -> Result<(Change, usize)> {
    let rows = log.line_count() + 1;
    let mut change = Change::of(mission, log);
    change.append(vec![row])?;
    change.files.insert(ledger.path().to_owned(), ledger.render().into_bytes());
    change.files.insert(ledger.page_path(&entry.decision_id), render_page(entry).into_bytes());
    Ok((change, rows))
}

// A decision is local: neither committed nor captured.
impl Recorded for Opened {
    fn record(&mut self, _: Done) {}

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}

impl Recorded for Closed {
    fn record(&mut self, _: Done) {}

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
