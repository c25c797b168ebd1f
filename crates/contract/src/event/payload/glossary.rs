//! Glossary: scopes, terms, semantic checks and their clarifications.

use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, may, need, open, some};

const GRADE: Shape = Shape::OneOf(&["low", "medium", "high"]);
const STRICTNESS: Shape = Shape::OneOf(&["off", "medium", "max"]);
const CONFIDENCE: Shape = Shape::Within(0.0, 1.0);
const METADATA: Shape = Shape::Map(&Shape::AnyText);

static CONFLICT: ObjectShape = open(&[
    need("term", Shape::Text),
    need("nature", Shape::OneOf(&["overloaded", "drift", "ambiguous"])),
    need("severity", GRADE),
    need("description", Shape::AnyText),
]);

static SCOPE_ACTIVATED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("scope_id", Shape::Text),
    need("scope_type", Shape::OneOf(&["spec_kitty_core", "team_domain", "audience_domain", "mission_local"])),
    need("glossary_version_id", Shape::Text),
]);

static TERM_OBSERVED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("scope_id", Shape::Text),
    need("step_id", Shape::Text),
    need("term_surface", Shape::Text),
    need("confidence", CONFIDENCE),
    need("actor", Shape::Text),
    some("step_metadata", METADATA),
]);

static CHECK_EVALUATED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("scope_id", Shape::Text),
    need("step_id", Shape::Text),
    need("conflicts", Shape::List(&Shape::Object(&CONFLICT), 0)),
    need("severity", GRADE),
    need("confidence", CONFIDENCE),
    need("recommended_action", Shape::OneOf(&["block", "warn", "pass"])),
    need("effective_strictness", STRICTNESS),
    some("step_metadata", METADATA),
]);

static CLARIFICATION_REQUESTED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("scope_id", Shape::Text),
    need("step_id", Shape::Text),
    need("semantic_check_event_id", Shape::Text),
    need("term", Shape::Text),
    need("question", Shape::AnyText),
    need("options", Shape::List(&Shape::AnyText, 0)),
    need("urgency", GRADE),
    need("actor", Shape::Text),
]);

static CLARIFICATION_RESOLVED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("clarification_event_id", Shape::Text),
    need("selected_meaning", Shape::Text),
    need("actor", Shape::Text),
]);

static SENSE_UPDATED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("scope_id", Shape::Text),
    need("term_surface", Shape::Text),
    may("before_sense", &Shape::AnyText),
    need("after_sense", Shape::Text),
    need("reason", Shape::AnyText),
    need("actor", Shape::Text),
]);

static GENERATION_BLOCKED: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("step_id", Shape::Text),
    need("conflict_event_ids", Shape::List(&Shape::AnyText, 1)),
    need("blocking_strictness", Shape::OneOf(&["medium", "max"])),
    some("step_metadata", METADATA),
]);

static STRICTNESS_SET: ObjectShape = open(&[
    need("mission_id", Shape::Text),
    need("new_strictness", STRICTNESS),
    may("previous_strictness", &STRICTNESS),
    need("actor", Shape::Text),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("GlossaryScopeActivated", SchemaChoice::One(&SCOPE_ACTIVATED)),
    ("TermCandidateObserved", SchemaChoice::One(&TERM_OBSERVED)),
    ("SemanticCheckEvaluated", SchemaChoice::One(&CHECK_EVALUATED)),
    ("GlossaryClarificationRequested", SchemaChoice::One(&CLARIFICATION_REQUESTED)),
    ("GlossaryClarificationResolved", SchemaChoice::One(&CLARIFICATION_RESOLVED)),
    ("GlossarySenseUpdated", SchemaChoice::One(&SENSE_UPDATED)),
    ("GenerationBlockedBySemanticConflict", SchemaChoice::One(&GENERATION_BLOCKED)),
    ("GlossaryStrictnessSet", SchemaChoice::One(&STRICTNESS_SET)),
];
