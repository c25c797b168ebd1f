//! A lane change, as the log holds it.

use crate::lane::Lane;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

/// How a work package is being worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionMode {
    /// In a git worktree of its lane.
    Worktree,
    /// In the repository itself.
    DirectRepo,
}

impl ExecutionMode {
    /// The name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worktree => "worktree",
            Self::DirectRepo => "direct_repo",
        }
    }

    /// The mode of exactly this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Worktree, Self::DirectRepo].into_iter().find(|mode| mode.name() == name)
    }
}

/// One lane change. Reading keeps what older releases wrote, so `execution_mode` is any text.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneRow {
    /// ULID.
    pub event_id: String,
    /// Directory name of the mission.
    pub mission_slug: String,
    /// ULID of the mission, when it has one.
    pub mission_id: Option<String>,
    /// `WPnn`.
    pub wp_id: String,
    /// The lane before.
    pub from_lane: Lane,
    /// The lane after.
    pub to_lane: Lane,
    /// When: ISO 8601, UTC.
    pub at: String,
    /// Who.
    pub actor: String,
    /// Whether it was forced.
    pub force: bool,
    /// `worktree` or `direct_repo`; older logs hold others.
    pub execution_mode: String,
    /// Why.
    pub reason: Option<String>,
    /// Where the review is written down.
    pub review_ref: Option<String>,
    /// `{review: {reviewer, verdict, reference}, repos?, verification?}`.
    pub evidence: Option<Value>,
    /// Policy facts of other producers; kept, never sent.
    pub policy_metadata: Option<Value>,
}

impl LaneRow {
    /// Whether the row takes a work package from review back to work, naming the review.
    pub fn is_rollback(&self) -> bool {
        self.from_lane == Lane::ForReview
            && self.to_lane == Lane::InProgress
            && self.review_ref.as_ref().is_some_and(|reference| !reference.is_empty())
    }

    /// Reads a line that is as it should be. Nothing otherwise: then [`LaneRow::from_map`] says what is
    /// wrong with it, at leisure. A log of a hundred thousand rows is read this way in half the time.
    pub(super) fn read_quickly(line: &str) -> Option<Self> {
        let row: Quick = serde_json::from_str(line).ok()?;
        (row.event_type.is_none() && row.event_name.is_none()).then(|| Self {
            event_id: row.event_id,
            mission_slug: row.mission_slug,
            mission_id: row.mission_id,
            wp_id: row.wp_id,
            from_lane: row.from_lane,
            to_lane: row.to_lane,
            at: row.at,
            actor: row.actor,
            force: row.force,
            execution_mode: row.execution_mode,
            reason: row.reason,
            review_ref: row.review_ref,
            evidence: row.evidence,
            policy_metadata: row.policy_metadata,
        })
    }

    pub(super) fn from_map(map: &Map<String, Value>) -> Result<Self, String> {
        let optional = |key: &'static str| match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("key `{key}` is not a text")),
        };
        let required = |key: &'static str| {
            optional(key)?.ok_or_else(|| format!("is a lane row without the key `{key}`"))
        };
        let lane = |key: &'static str| {
            let text = required(key)?;
            Lane::typed(&text).ok_or_else(|| format!("key `{key}` names the unknown lane `{text}`"))
        };
        let mission_slug = match map.get("mission_slug") {
            None => required("feature_slug")?,
            Some(_) => required("mission_slug")?,
        };
        let value = |key: &str| map.get(key).filter(|value| !value.is_null()).cloned();
        Ok(Self {
            event_id: required("event_id")?,
            mission_slug,
            mission_id: optional("mission_id")?,
            wp_id: required("wp_id")?,
            from_lane: lane("from_lane")?,
            to_lane: lane("to_lane")?,
            at: required("at")?,
            actor: required("actor")?,
            force: match map.get("force") {
                Some(Value::Bool(force)) => *force,
                Some(_) => return Err("key `force` is neither true nor false".into()),
                None => return Err("is a lane row without the key `force`".into()),
            },
            execution_mode: required("execution_mode")?,
            reason: optional("reason")?,
            review_ref: optional("review_ref")?,
            evidence: value("evidence"),
            policy_metadata: value("policy_metadata"),
        })
    }

    /// The row as JSON: fourteen keys; `mission_id` only when it is known.
    pub fn to_value(&self) -> Value {
        let mut row = json!({
            "event_id": self.event_id,
            "mission_slug": self.mission_slug,
            "wp_id": self.wp_id,
            "from_lane": self.from_lane,
            "to_lane": self.to_lane,
            "at": self.at,
            "actor": self.actor,
            "force": self.force,
            "execution_mode": self.execution_mode,
            "reason": self.reason,
            "review_ref": self.review_ref,
            "evidence": self.evidence,
            "policy_metadata": self.policy_metadata,
        });
        if let (Some(map), Some(id)) = (row.as_object_mut(), &self.mission_id) {
            map.insert("mission_id".into(), id.clone().into());
        }
        row
    }
}

/// The common form of a lane row.
#[derive(Deserialize)]
struct Quick {
    event_id: String,
    mission_slug: String,
    #[serde(default)]
    mission_id: Option<String>,
    wp_id: String,
    from_lane: Lane,
    to_lane: Lane,
    at: String,
    actor: String,
    force: bool,
    execution_mode: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    review_ref: Option<String>,
    #[serde(default)]
    evidence: Option<Value>,
    #[serde(default)]
    policy_metadata: Option<Value>,
    /// Rows that have one of these are no lane rows, whatever its value.
    #[serde(default, deserialize_with = "present")]
    event_type: Option<()>,
    #[serde(default, deserialize_with = "present")]
    event_name: Option<()>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<()>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| Some(()))
}
