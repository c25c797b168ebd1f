//! Retrospectives: a run of one, its proposals, and the two older terminal events.

use super::dossier::PROVENANCE;
use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, closed, may, need};

static ACTOR: ObjectShape = closed(&[
    need("kind", Shape::OneOf(&["human", "agent", "runtime"])),
    need("id", Shape::Text),
    may("profile_id", &Shape::AnyText),
]);

static SIGNAL: ObjectShape = closed(&[
    need("kind", Shape::OneOf(&["charter_override", "explicit_flag", "environment", "parent_process"])),
    need("evidence", Shape::Text),
]);

static MODE: ObjectShape = closed(&[
    need("value", Shape::OneOf(&["autonomous", "human_in_command"])),
    need("source_signal", Shape::Object(&SIGNAL)),
]);

static REQUESTED: ObjectShape = closed(&[
    need("mode", Shape::Object(&MODE)),
    need("terminus_step_id", Shape::Text),
    need("requested_by", Shape::Object(&ACTOR)),
]);

static STARTED: ObjectShape =
    closed(&[need("facilitator_profile_id", Shape::Text), need("action_id", Shape::Text)]);

static COMPLETED: ObjectShape = closed(&[
    need("record_path", Shape::Text),
    need("record_hash", Shape::Text),
    need("findings_summary", Shape::Map(&Shape::Whole(i64::MIN))),
    need("proposals_count", Shape::Whole(0)),
]);

static SKIPPED: ObjectShape = closed(&[
    need("record_path", Shape::Text),
    need("skip_reason", Shape::Text),
    need("skipped_by", Shape::Object(&ACTOR)),
]);

static FAILED: ObjectShape = closed(&[
    need("failure_code", Shape::Text),
    need("message", Shape::Text),
    may("record_path", &Shape::AnyText),
]);

static PROPOSAL_GENERATED: ObjectShape =
    closed(&[need("proposal_id", Shape::Text), need("kind", Shape::Text), need("record_path", Shape::Text)]);

static PROPOSAL_APPLIED: ObjectShape = closed(&[
    need("proposal_id", Shape::Text),
    need("kind", Shape::Text),
    need("target_urn", Shape::Text),
    need("provenance_ref", Shape::Text),
    need("applied_by", Shape::Object(&ACTOR)),
]);

static PROPOSAL_REJECTED: ObjectShape = closed(&[
    need("proposal_id", Shape::Text),
    need("kind", Shape::Text),
    need("reason", Shape::OneOf(&["human_decline", "conflict", "stale_evidence", "invalid_payload"])),
    need("detail", Shape::Text),
    need("rejected_by", Shape::Object(&ACTOR)),
]);

const TRIGGER: Shape = Shape::OneOf(&["runtime", "operator", "policy"]);

static OLDER_COMPLETED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("actor", Shape::Text),
    need("trigger_source", TRIGGER),
    may("artifact_ref", &Shape::Object(&PROVENANCE)),
    need("completed_at", Shape::Instant),
]);

static OLDER_SKIPPED: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("actor", Shape::Text),
    need("trigger_source", TRIGGER),
    need("skip_reason", Shape::Text),
    need("skipped_at", Shape::Instant),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("retrospective.requested", SchemaChoice::One(&REQUESTED)),
    ("retrospective.started", SchemaChoice::One(&STARTED)),
    ("retrospective.completed", SchemaChoice::One(&COMPLETED)),
    ("retrospective.skipped", SchemaChoice::One(&SKIPPED)),
    ("retrospective.failed", SchemaChoice::One(&FAILED)),
    ("retrospective.proposal.generated", SchemaChoice::One(&PROPOSAL_GENERATED)),
    ("retrospective.proposal.applied", SchemaChoice::One(&PROPOSAL_APPLIED)),
    ("retrospective.proposal.rejected", SchemaChoice::One(&PROPOSAL_REJECTED)),
    ("RetrospectiveCompleted", SchemaChoice::One(&OLDER_COMPLETED)),
    ("RetrospectiveSkipped", SchemaChoice::One(&OLDER_SKIPPED)),
];
