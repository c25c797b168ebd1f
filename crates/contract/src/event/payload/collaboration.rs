//! People and agents who work on one mission together.

use super::{EventSchema, SchemaChoice};
use crate::event::rejection::{Rejection, RejectionCode};
use crate::event::shape::{ObjectShape, Shape, closed, may, need, open};
use crate::json::Node;

static EXTERNAL_REFS: ObjectShape = ObjectShape {
    rule: Some(has_reference),
    ..closed(&[
        may("slack_user_id", &Shape::Text),
        may("slack_team_id", &Shape::Text),
        may("teamspace_member_id", &Shape::Text),
    ])
};

pub(super) static PARTICIPANT: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("participant_type", Shape::OneOf(&["human", "llm_context"])),
    may("display_name", &Shape::AnyText),
    may("session_id", &Shape::AnyText),
    may("external_refs", &Shape::Object(&EXTERNAL_REFS)),
]);

static FOCUS: ObjectShape =
    open(&[need("target_type", Shape::OneOf(&["wp", "step", "file"])), need("target_id", Shape::Text)]);

static INVITED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("participant_identity", Shape::Object(&PARTICIPANT)),
    need("invited_by", Shape::Text),
    need("mission_id", Shape::Text),
]);

static JOINED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("participant_identity", Shape::Object(&PARTICIPANT)),
    need("mission_id", Shape::Text),
    may("auth_principal_id", &Shape::AnyText),
]);

static LEFT: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    may("reason", &Shape::AnyText),
]);

static PRESENCE: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    may("session_id", &Shape::AnyText),
]);

static DRIVE_INTENT: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("intent", Shape::OneOf(&["active", "inactive"])),
]);

static FOCUS_CHANGED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("focus_target", Shape::Object(&FOCUS)),
    may("previous_focus_target", &Shape::Object(&FOCUS)),
]);

static STEP_STARTED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("step_id", Shape::Text),
    may("wp_id", &Shape::AnyText),
    may("step_description", &Shape::AnyText),
]);

static STEP_COMPLETED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("step_id", Shape::Text),
    may("wp_id", &Shape::AnyText),
    need("outcome", Shape::OneOf(&["success", "failure", "skipped"])),
]);

static CONCURRENT_DRIVERS: ObjectShape = open(&[
    need("warning_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("participant_ids", Shape::List(&Shape::AnyText, 2)),
    need("focus_target", Shape::Object(&FOCUS)),
    need("severity", Shape::OneOf(&["info", "warning"])),
]);

static STEP_COLLISION: ObjectShape = open(&[
    need("warning_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("participant_ids", Shape::List(&Shape::AnyText, 2)),
    need("step_id", Shape::Text),
    may("wp_id", &Shape::AnyText),
    need("severity", Shape::OneOf(&["info", "warning"])),
]);

static ACKNOWLEDGED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("warning_id", Shape::Text),
    need("acknowledgement", Shape::OneOf(&["continue", "hold", "reassign", "defer"])),
]);

static COMMENT: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("comment_id", Shape::Text),
    need("content", Shape::Text),
    may("reply_to", &Shape::AnyText),
]);

static DECISION_CAPTURED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("decision_id", Shape::Text),
    need("topic", Shape::Text),
    need("chosen_option", Shape::Text),
    may("rationale", &Shape::AnyText),
    may("referenced_warning_id", &Shape::AnyText),
]);

static SESSION_LINKED: ObjectShape = open(&[
    need("participant_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("primary_session_id", Shape::Text),
    need("linked_session_id", Shape::Text),
    need("link_type", Shape::OneOf(&["cli_to_saas", "saas_to_cli"])),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("ParticipantInvited", SchemaChoice::One(&INVITED)),
    ("ParticipantJoined", SchemaChoice::One(&JOINED)),
    ("ParticipantLeft", SchemaChoice::One(&LEFT)),
    ("PresenceHeartbeat", SchemaChoice::One(&PRESENCE)),
    ("DriveIntentSet", SchemaChoice::One(&DRIVE_INTENT)),
    ("FocusChanged", SchemaChoice::One(&FOCUS_CHANGED)),
    ("PromptStepExecutionStarted", SchemaChoice::One(&STEP_STARTED)),
    ("PromptStepExecutionCompleted", SchemaChoice::One(&STEP_COMPLETED)),
    ("ConcurrentDriverWarning", SchemaChoice::One(&CONCURRENT_DRIVERS)),
    ("PotentialStepCollisionDetected", SchemaChoice::One(&STEP_COLLISION)),
    ("WarningAcknowledged", SchemaChoice::One(&ACKNOWLEDGED)),
    ("CommentPosted", SchemaChoice::One(&COMMENT)),
    ("DecisionCaptured", SchemaChoice::One(&DECISION_CAPTURED)),
    ("SessionLinked", SchemaChoice::One(&SESSION_LINKED)),
];

fn has_reference(refs: &Node<'_>) -> Result<(), Rejection> {
    let named = ["slack_user_id", "slack_team_id", "teamspace_member_id"];
    if named.into_iter().any(|key| refs.text(key).is_some_and(|text| !text.is_empty())) {
        Ok(())
    } else {
        Err(Rejection::new(RejectionCode::PayloadSchemaFail, "field must name at least one reference"))
    }
}
