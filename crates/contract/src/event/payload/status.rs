//! Lane changes of work packages, with the evidence that a finished one carries.

use super::{EventSchema, SchemaChoice};
use crate::Lane;
use crate::event::rejection::{Rejection, RejectionCode};
use crate::event::shape::{Key, ObjectShape, Shape, closed, may, need, open, some};
use crate::event::transition::{self, Move};
use crate::json::Node;

static REPO: ObjectShape = open(&[
    need("repo", Shape::Text),
    need("branch", Shape::Text),
    need("commit", Shape::Text),
    may("files_touched", &Shape::List(&Shape::AnyText, 0)),
]);

static VERIFICATION: ObjectShape =
    open(&[need("command", Shape::Text), need("result", Shape::Text), may("summary", &Shape::AnyText)]);

static REVIEW: ObjectShape =
    open(&[need("reviewer", Shape::Text), need("verdict", Shape::Text), may("reference", &Shape::AnyText)]);

static EVIDENCE: ObjectShape = open(&[
    need("repos", Shape::List(&Shape::Object(&REPO), 1)),
    some("verification", Shape::List(&Shape::Object(&VERIFICATION), 0)),
    need("review", Shape::Object(&REVIEW)),
]);

static EVIDENCE_WITHOUT_REVIEW: ObjectShape = open(&[
    need("repos", Shape::List(&Shape::Object(&REPO), 1)),
    some("verification", Shape::List(&Shape::Object(&VERIFICATION), 0)),
    may("review", &Shape::Object(&REVIEW)),
]);

const EXECUTION_MODES: Shape = Shape::OneOf(&["worktree", "direct_repo"]);

static CHANGED_KEYS: &[Key] = &[
    need("mission_slug", Shape::Text),
    need("wp_id", Shape::Text),
    may("from_lane", &Shape::Lane),
    need("to_lane", Shape::Lane),
    need("actor", Shape::Actor),
    some("force", Shape::Flag),
    may("reason", &Shape::AnyText),
    need("execution_mode", EXECUTION_MODES),
    may("review_ref", &Shape::AnyText),
    may("evidence", &Shape::Object(&EVIDENCE)),
];

static WITHOUT_REVIEW_KEYS: &[Key] = &[
    need("mission_slug", Shape::Text),
    need("wp_id", Shape::Text),
    may("from_lane", &Shape::Lane),
    need("to_lane", Shape::OneOf(&["approved", "done"])),
    need("actor", Shape::Actor),
    some("force", Shape::Flag),
    may("reason", &Shape::AnyText),
    need("execution_mode", EXECUTION_MODES),
    may("review_ref", &Shape::AnyText),
    need("evidence", Shape::Object(&EVIDENCE_WITHOUT_REVIEW)),
];

static CHANGED: ObjectShape = ObjectShape { keys: CHANGED_KEYS, closed: true, rule: Some(move_is_allowed) };

/// The shape of a move to `approved` or `done` whose evidence lacks its review, for
/// [`crate::event::legacy`].
pub(in crate::event) static WITHOUT_REVIEW: ObjectShape =
    ObjectShape { keys: WITHOUT_REVIEW_KEYS, closed: true, rule: Some(move_is_allowed) };

/// The first row of a work package in the releases since 3.2.0, for [`crate::event::legacy`].
pub(in crate::event) static FROM_GENESIS: ObjectShape = closed(&[
    need("mission_slug", Shape::Text),
    need("wp_id", Shape::Text),
    need("from_lane", Shape::OneOf(&["genesis"])),
    need("to_lane", Shape::OneOf(&["planned", "canceled"])),
    need("actor", Shape::Actor),
    some("force", Shape::Flag),
    may("reason", &Shape::AnyText),
    need("execution_mode", EXECUTION_MODES),
    may("review_ref", &Shape::AnyText),
    may("evidence", &Shape::Object(&EVIDENCE)),
]);

pub(super) const TYPES: &[EventSchema] = &[("WPStatusChanged", SchemaChoice::One(&CHANGED))];

fn move_is_allowed(payload: &Node<'_>) -> Result<(), Rejection> {
    let fail = |text: &str| Rejection::new(RejectionCode::PayloadSchemaFail, text);
    let force = matches!(payload.get("force"), Some(Node::Bool(true)));
    let reason = payload.text("reason");
    if force && reason.is_none_or(|text| text.trim().is_empty()) {
        return Err(fail("field is missing: force=True requires a reason").under("reason"));
    }
    let Some(to) = payload.text("to_lane").and_then(Lane::from_event) else {
        return Err(fail("field is missing").under("to_lane"));
    };
    let has_evidence = payload.get("evidence").is_some_and(|value| !value.is_null());
    if matches!(to, Lane::Approved | Lane::Done) && !has_evidence {
        return Err(fail("field is missing: approved and done require evidence").under("evidence"));
    }
    let from = payload.text("from_lane").and_then(Lane::from_event);
    let step = Move { from, to, force, reason, review_ref: payload.text("review_ref") };
    let violations = transition::violations(&step);
    if violations.is_empty() {
        return Ok(());
    }
    let text = format!("invalid transition: {}", violations.join("; "));
    Err(Rejection::new(RejectionCode::UnknownLane, text).under("to_lane"))
}
