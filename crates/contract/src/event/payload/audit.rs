//! Mission audits and continuous-integration gates.

use super::dossier::{CONTENT_REF, PROVENANCE};
use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, closed, may, need, open};

const SEVERITY: Shape = Shape::OneOf(&["info", "warning", "error", "critical"]);

static ARTIFACT: ObjectShape = closed(&[
    need("report_path", Shape::Text),
    need("content_hash", Shape::Object(&CONTENT_REF)),
    need("provenance", Shape::Object(&PROVENANCE)),
]);

static REQUESTED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Whole(1)),
    need("mission_type", Shape::Text),
    need("actor", Shape::Text),
    need("trigger_mode", Shape::OneOf(&["manual", "post_merge"])),
    need("audit_scope", Shape::List(&Shape::AnyText, 1)),
    need("enforcement_mode", Shape::OneOf(&["advisory", "blocking"])),
]);

static STARTED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Whole(1)),
    need("mission_type", Shape::Text),
    need("actor", Shape::Text),
    need("audit_scope_hash", Shape::Text),
]);

static DECISION_REQUESTED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Whole(1)),
    need("mission_type", Shape::Text),
    need("actor", Shape::Text),
    need("decision_id", Shape::Text),
    need("question", Shape::AnyText),
    need("context_summary", Shape::AnyText),
    need("severity", SEVERITY),
]);

static COMPLETED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Whole(1)),
    need("mission_type", Shape::Text),
    need("actor", Shape::Text),
    need("verdict", Shape::OneOf(&["pass", "pass_with_warnings", "fail", "blocked_decision_required"])),
    need("severity", SEVERITY),
    need("findings_count", Shape::Whole(0)),
    need("artifact_ref", Shape::Object(&ARTIFACT)),
    need("summary", Shape::AnyText),
]);

static FAILED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Whole(1)),
    need("mission_type", Shape::Text),
    need("actor", Shape::Text),
    need("error_code", Shape::Text),
    need("error_message", Shape::AnyText),
    may("partial_artifact_ref", &Shape::Object(&ARTIFACT)),
]);

static GATE_PASSED: ObjectShape = open(&[
    need("gate_name", Shape::Text),
    need("gate_type", Shape::OneOf(&["ci"])),
    need("conclusion", Shape::OneOf(&["success"])),
    need("external_provider", Shape::OneOf(&["github"])),
    need("check_run_id", Shape::Integer(1)),
    need("check_run_url", Shape::Url),
    need("delivery_id", Shape::Text),
    may("pr_number", &Shape::Integer(1)),
]);

static GATE_FAILED: ObjectShape = open(&[
    need("gate_name", Shape::Text),
    need("gate_type", Shape::OneOf(&["ci"])),
    need("conclusion", Shape::OneOf(&["failure", "timed_out", "cancelled", "action_required"])),
    need("external_provider", Shape::OneOf(&["github"])),
    need("check_run_id", Shape::Integer(1)),
    need("check_run_url", Shape::Url),
    need("delivery_id", Shape::Text),
    may("pr_number", &Shape::Integer(1)),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("MissionAuditRequested", SchemaChoice::One(&REQUESTED)),
    ("MissionAuditStarted", SchemaChoice::One(&STARTED)),
    ("MissionAuditDecisionRequested", SchemaChoice::One(&DECISION_REQUESTED)),
    ("MissionAuditCompleted", SchemaChoice::One(&COMPLETED)),
    ("MissionAuditFailed", SchemaChoice::One(&FAILED)),
    ("GatePassed", SchemaChoice::One(&GATE_PASSED)),
    ("GateFailed", SchemaChoice::One(&GATE_FAILED)),
];
