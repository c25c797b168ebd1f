//! Decision points. The origin of a point is an ADR or a planning interview, and the two have
//! different tables; `origin_surface` distinguishes them.

use super::collaboration::PARTICIPANT;
use super::{EventSchema, SchemaChoice};
use crate::event::rejection::{Rejection, RejectionCode};
use crate::event::shape::{ObjectShape, Shape, closed, may, need, some};
use crate::json::Node;

const ADR: Shape = Shape::OneOf(&["adr"]);
const INTERVIEW: Shape = Shape::OneOf(&["planning_interview"]);
const ACTOR_TYPE: Shape = Shape::OneOf(&["human", "llm", "service"]);
const AUTHORITY: Shape = Shape::OneOf(&["mission_owner", "advisory", "informed"]);

static ADR_POINT: ObjectShape = closed(&[
    need("origin_surface", ADR),
    need("decision_point_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_type", Shape::Text),
    need("phase", Shape::Text),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("authority_role", AUTHORITY),
    need("mission_owner_authority_flag", Shape::Flag),
    need("mission_owner_authority_path", Shape::AnyText),
    need("rationale", Shape::Text),
    need("alternatives_considered", Shape::List(&Shape::AnyText, 1)),
    need("evidence_refs", Shape::List(&Shape::AnyText, 1)),
    need("state_entered_at", Shape::Instant),
    need("recorded_at", Shape::Instant),
]);

static OVERRIDDEN: ObjectShape = closed(&[
    may("origin_surface", &Shape::OneOf(&["adr", "planning_interview"])),
    need("decision_point_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_type", Shape::Text),
    need("phase", Shape::Text),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("authority_role", AUTHORITY),
    need("mission_owner_authority_flag", Shape::Flag),
    need("mission_owner_authority_path", Shape::AnyText),
    need("rationale", Shape::Text),
    need("alternatives_considered", Shape::List(&Shape::AnyText, 1)),
    need("evidence_refs", Shape::List(&Shape::AnyText, 1)),
    need("state_entered_at", Shape::Instant),
    need("recorded_at", Shape::Instant),
]);

static INTERVIEW_OPENED: ObjectShape = closed(&[
    need("origin_surface", INTERVIEW),
    need("decision_point_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_type", Shape::Text),
    need("phase", Shape::Text),
    need("origin_flow", Shape::OneOf(&["charter", "specify", "plan"])),
    need("question", Shape::Text),
    need("options", Shape::List(&Shape::AnyText, 0)),
    need("input_key", Shape::Text),
    need("step_id", Shape::Text),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("state_entered_at", Shape::Instant),
    need("recorded_at", Shape::Instant),
]);

static TEAMSPACE: ObjectShape = closed(&[need("teamspace_id", Shape::Text), may("name", &Shape::AnyText)]);
static CHANNEL: ObjectShape = closed(&[need("channel_id", Shape::Text), may("name", &Shape::AnyText)]);
static THREAD: ObjectShape = closed(&[
    may("slack_team_id", &Shape::AnyText),
    need("channel_id", Shape::Text),
    need("thread_ts", Shape::Text),
    may("url", &Shape::AnyText),
]);

static WIDENED: ObjectShape = closed(&[
    need("origin_surface", INTERVIEW),
    need("decision_point_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_type", Shape::Text),
    need("channel", Shape::OneOf(&["slack"])),
    need("teamspace_ref", Shape::Object(&TEAMSPACE)),
    need("default_channel_ref", Shape::Object(&CHANNEL)),
    need("thread_ref", Shape::Object(&THREAD)),
    some("invited_participants", Shape::List(&Shape::Object(&PARTICIPANT), 0)),
    need("widened_by", Shape::Text),
    need("widened_at", Shape::Instant),
    need("recorded_at", Shape::Instant),
]);

static INTERVIEW_DISCUSSING: ObjectShape = closed(&[
    need("origin_surface", INTERVIEW),
    need("decision_point_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("mission_slug", Shape::Text),
    need("mission_type", Shape::Text),
    need("snapshot_kind", Shape::OneOf(&["participant_contribution", "digest", "owner_note"])),
    some("contributions", Shape::List(&Shape::AnyText, 0)),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("state_entered_at", Shape::Instant),
    need("recorded_at", Shape::Instant),
]);

static SUMMARY: ObjectShape = closed(&[
    need("text", Shape::Text),
    need("source", Shape::OneOf(&["slack_extraction", "manual", "mission_owner_override"])),
    may("extracted_at", &Shape::Instant),
    may("candidate_answer", &Shape::AnyText),
]);

static CLOSURE: ObjectShape = closed(&[
    need("channel_id", Shape::Text),
    need("thread_ts", Shape::Text),
    need("message_ts", Shape::Text),
    may("url", &Shape::AnyText),
]);

static INTERVIEW_RESOLVED: ObjectShape = ObjectShape {
    rule: Some(outcome_fits),
    ..closed(&[
        need("origin_surface", INTERVIEW),
        need("decision_point_id", Shape::Text),
        need("mission_id", Shape::Text),
        need("run_id", Shape::Text),
        need("mission_slug", Shape::Text),
        need("mission_type", Shape::Text),
        need("terminal_outcome", Shape::OneOf(&["resolved", "deferred", "canceled"])),
        may("final_answer", &Shape::AnyText),
        some("other_answer", Shape::Flag),
        may("rationale", &Shape::AnyText),
        may("summary", &Shape::Object(&SUMMARY)),
        some("actual_participants", Shape::List(&Shape::Object(&PARTICIPANT), 0)),
        need("resolved_by", Shape::Text),
        some("closed_locally_while_widened", Shape::Flag),
        may("closure_message", &Shape::Object(&CLOSURE)),
        need("state_entered_at", Shape::Instant),
        need("recorded_at", Shape::Instant),
    ])
};

pub(super) const TYPES: &[EventSchema] = &[
    ("DecisionPointOpened", SchemaChoice::By(|payload| by_origin(payload, &INTERVIEW_OPENED))),
    ("DecisionPointWidened", SchemaChoice::One(&WIDENED)),
    ("DecisionPointDiscussing", SchemaChoice::By(|payload| by_origin(payload, &INTERVIEW_DISCUSSING))),
    ("DecisionPointResolved", SchemaChoice::By(|payload| by_origin(payload, &INTERVIEW_RESOLVED))),
    ("DecisionPointOverridden", SchemaChoice::One(&OVERRIDDEN)),
];

fn by_origin(payload: &Node<'_>, interview: &'static ObjectShape) -> &'static ObjectShape {
    if payload.text("origin_surface") == Some("planning_interview") { interview } else { &ADR_POINT }
}

/// An answer belongs to a resolved point, a rationale to a deferred or cancelled one.
fn outcome_fits(payload: &Node<'_>) -> Result<(), Rejection> {
    let fail = |key: &str, text: &str| Err(Rejection::new(RejectionCode::PayloadSchemaFail, text).under(key));
    let answer = payload.get("final_answer").filter(|value| !value.is_null());
    if payload.text("terminal_outcome") == Some("resolved") {
        return match answer.and_then(Node::as_str) {
            Some(text) if !text.is_empty() => Ok(()),
            _ => fail("final_answer", "field is missing: a resolved decision has an answer"),
        };
    }
    if answer.is_some() {
        return fail("final_answer", "field must be absent unless the decision is resolved");
    }
    if payload.text("rationale").is_none_or(str::is_empty) {
        return fail("rationale", "field is missing: a decision not resolved has a rationale");
    }
    if payload.get("other_answer") == Some(&Node::Bool(true)) {
        return fail("other_answer", "field must be false unless the decision is resolved");
    }
    Ok(())
}
