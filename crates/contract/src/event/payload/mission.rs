//! Missions: catalogue entries, phases, artifact phases, and the project they live in.

use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, closed, may, need, open, some};

static CREATED: ObjectShape = closed(&[
    may("mission_id", &Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Nullable(&Shape::Whole(1))),
    need("mission_type", Shape::Text),
    need("target_branch", Shape::Text),
    need("wp_count", Shape::Whole(0)),
    need("friendly_name", Shape::Text),
    need("purpose_tldr", Shape::Text),
    need("purpose_context", Shape::Text),
    may("created_at", &Shape::Text),
]);

static CLOSED: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    need("mission_number", Shape::Whole(1)),
    need("mission_type", Shape::Text),
]);

static STARTED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("mission_type", Shape::Text),
    need("initial_phase", Shape::Text),
    need("actor", Shape::Text),
]);

static COMPLETED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("mission_type", Shape::Text),
    need("final_phase", Shape::Text),
    need("actor", Shape::Text),
]);

static CANCELLED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("reason", Shape::Text),
    need("actor", Shape::Text),
    some("cancelled_wp_ids", Shape::List(&Shape::AnyText, 0)),
]);

static PHASE_ENTERED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("phase_name", Shape::Text),
    may("previous_phase", &Shape::Text),
    need("actor", Shape::Text),
]);

static REVIEW_ROLLBACK: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("review_ref", Shape::Text),
    need("target_phase", Shape::Text),
    some("affected_wp_ids", Shape::List(&Shape::AnyText, 0)),
    need("actor", Shape::Text),
]);

static ORIGIN_BOUND: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    need("provider", Shape::Text),
    need("external_issue_id", Shape::Text),
    need("external_issue_key", Shape::Text),
    need("external_issue_url", Shape::Text),
    need("title", Shape::Text),
    may("mission_id", &Shape::Text),
]);

static PROJECT_INITIALIZED: ObjectShape = closed(&[
    need("project_uuid", Shape::Text),
    may("project_slug", &Shape::Text),
    need("actor", Shape::Text),
    may("runtime_version", &Shape::Text),
    may("initialized_at", &Shape::Instant),
]);

static ARTIFACT_PHASE_STARTED: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    may("mission_number", &Shape::Whole(1)),
    need("actor", Shape::Text),
    may("at", &Shape::Instant),
]);

static ARTIFACT_PHASE_COMPLETED: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    may("mission_number", &Shape::Whole(1)),
    need("actor", Shape::Text),
    may("at", &Shape::Instant),
    need("artifact_path", Shape::Text),
    may("summary", &Shape::AnyText),
]);

static TASKS_COMPLETED: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    may("mission_number", &Shape::Whole(1)),
    need("actor", Shape::Text),
    may("at", &Shape::Instant),
    need("artifact_path", Shape::Text),
    need("wp_count", Shape::Whole(0)),
    may("summary", &Shape::AnyText),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("MissionCreated", SchemaChoice::One(&CREATED)),
    ("MissionClosed", SchemaChoice::One(&CLOSED)),
    ("MissionStarted", SchemaChoice::One(&STARTED)),
    ("MissionCompleted", SchemaChoice::One(&COMPLETED)),
    ("MissionCancelled", SchemaChoice::One(&CANCELLED)),
    ("PhaseEntered", SchemaChoice::One(&PHASE_ENTERED)),
    ("ReviewRollback", SchemaChoice::One(&REVIEW_ROLLBACK)),
    ("MissionOriginBound", SchemaChoice::One(&ORIGIN_BOUND)),
    ("ProjectInitialized", SchemaChoice::One(&PROJECT_INITIALIZED)),
    ("SpecifyStarted", SchemaChoice::One(&ARTIFACT_PHASE_STARTED)),
    ("SpecifyCompleted", SchemaChoice::One(&ARTIFACT_PHASE_COMPLETED)),
    ("PlanStarted", SchemaChoice::One(&ARTIFACT_PHASE_STARTED)),
    ("PlanCompleted", SchemaChoice::One(&ARTIFACT_PHASE_COMPLETED)),
    ("TasksStarted", SchemaChoice::One(&ARTIFACT_PHASE_STARTED)),
    ("TasksCompleted", SchemaChoice::One(&TASKS_COMPLETED)),
];
