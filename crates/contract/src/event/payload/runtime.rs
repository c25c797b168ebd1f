//! Mission runs: steps, questions to people, profile invocations, and what a run cost and changed.

use super::{EventSchema, SchemaChoice};
use crate::event::rejection::{Rejection, RejectionCode};
use crate::event::shape::{ObjectShape, Shape, closed, may, need, open, some};
use crate::json::Node;

static ACTOR: ObjectShape = open(&[
    need("actor_id", Shape::Text),
    need("actor_type", Shape::OneOf(&["human", "llm", "service"])),
    some("display_name", Shape::AnyText),
    may("provider", &Shape::AnyText),
    may("model", &Shape::AnyText),
    may("tool", &Shape::AnyText),
]);

static RUN: ObjectShape = open(&[
    need("run_id", Shape::Text),
    need("mission_type", Shape::Text),
    need("actor", Shape::Object(&ACTOR)),
]);

static STEP_ISSUED: ObjectShape = open(&[
    need("run_id", Shape::Text),
    need("step_id", Shape::Text),
    need("agent_id", Shape::Text),
    need("actor", Shape::Object(&ACTOR)),
]);

static STEP_COMPLETED: ObjectShape = open(&[
    need("run_id", Shape::Text),
    need("step_id", Shape::Text),
    need("agent_id", Shape::Text),
    need("result", Shape::Text),
    need("actor", Shape::Object(&ACTOR)),
]);

static INPUT_REQUESTED: ObjectShape = open(&[
    need("run_id", Shape::Text),
    need("decision_id", Shape::Text),
    need("step_id", Shape::Text),
    need("question", Shape::Text),
    some("options", Shape::List(&Shape::AnyText, 0)),
    may("input_key", &Shape::AnyText),
    need("actor", Shape::Object(&ACTOR)),
]);

static INPUT_ANSWERED: ObjectShape = open(&[
    need("run_id", Shape::Text),
    need("decision_id", Shape::Text),
    need("answer", Shape::Text),
    need("actor", Shape::Object(&ACTOR)),
]);

static TOKEN_USAGE: ObjectShape = ObjectShape {
    rule: Some(total_is_the_sum),
    ..closed(&[
        need("mission_id", Shape::Text),
        may("run_id", &Shape::Text),
        may("step_id", &Shape::Text),
        may("wp_id", &Shape::Text),
        may("phase_name", &Shape::Text),
        may("actor", &Shape::Object(&ACTOR)),
        may("provider", &Shape::Text),
        may("model", &Shape::Text),
        need("input_tokens", Shape::Whole(0)),
        need("output_tokens", Shape::Whole(0)),
        need("total_tokens", Shape::Whole(0)),
        need("estimated_cost_usd", Shape::Within(0.0, f64::MAX)),
        need("source", Shape::Text),
    ])
};

static DIFF_SUMMARY: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    may("run_id", &Shape::Text),
    may("step_id", &Shape::Text),
    may("wp_id", &Shape::Text),
    may("phase_name", &Shape::Text),
    need("base_ref", Shape::Text),
    need("head_ref", Shape::Text),
    need("files_changed", Shape::Whole(0)),
    need("lines_added", Shape::Whole(0)),
    need("lines_deleted", Shape::Whole(0)),
    need("source", Shape::Text),
]);

static PROFILE_INVOCATION: ObjectShape = closed(&[
    need("mission_id", Shape::Text),
    need("run_id", Shape::Text),
    need("step_id", Shape::Text),
    need("action", Shape::Text),
    need("profile_slug", Shape::Text),
    may("profile_version", &Shape::Text),
    need("actor", Shape::Object(&ACTOR)),
    may("governance_scope", &Shape::Text),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("MissionRunStarted", SchemaChoice::One(&RUN)),
    ("NextStepIssued", SchemaChoice::One(&STEP_ISSUED)),
    ("NextStepAutoCompleted", SchemaChoice::One(&STEP_COMPLETED)),
    ("DecisionInputRequested", SchemaChoice::One(&INPUT_REQUESTED)),
    ("DecisionInputAnswered", SchemaChoice::One(&INPUT_ANSWERED)),
    ("MissionRunCompleted", SchemaChoice::One(&RUN)),
    ("TokenUsageRecorded", SchemaChoice::One(&TOKEN_USAGE)),
    ("DiffSummaryRecorded", SchemaChoice::One(&DIFF_SUMMARY)),
    ("ProfileInvocationStarted", SchemaChoice::One(&PROFILE_INVOCATION)),
];

fn total_is_the_sum(payload: &Node<'_>) -> Result<(), Rejection> {
    let count = |key: &str| match payload.get(key) {
        Some(Node::Integer(value)) => i128::from(*value),
        Some(Node::Float(value)) => *value as i128,
        _ => 0,
    };
    if count("total_tokens") == count("input_tokens") + count("output_tokens") {
        Ok(())
    } else {
        let text = "field must be the sum of input_tokens and output_tokens";
        Err(Rejection::new(RejectionCode::PayloadSchemaFail, text).under("total_tokens"))
    }
}
