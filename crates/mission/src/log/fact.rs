//! A fact of the mission's life, as the log holds it: something was created, started, completed or
//! decided.

use serde_json::{Map, Value, json};

/// Version of the envelope of lifecycle facts.
pub(crate) const FACT_SCHEMA_VERSION: &str = "5.0.0";

/// The facts that commands of this crate write.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
)]
pub enum FactKind {
    /// The mission's directory was created.
    MissionCreated,
    /// Specifying began.
    SpecifyStarted,
    /// The spec is committed and has content.
    SpecifyCompleted,
    /// Planning began.
    PlanStarted,
    /// The plan is committed and has content.
    PlanCompleted,
    /// Cutting into work packages began.
    TasksStarted,
    /// The work packages are final.
    TasksCompleted,
    /// A work package exists.
    WPCreated,
    /// A work package was approved by its implementer, because the reviewer failed.
    ReviewerSelfApproval,
    /// A decision was opened.
    DecisionPointOpened,
    /// A decision was resolved, deferred or canceled.
    DecisionPointResolved,
}

impl FactKind {
    /// The `event_type`.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The kind of exactly this name.
    pub fn from_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// Decision facts have a smaller envelope: `at`, `event_id`, `event_type`, `payload`.
    const fn is_decision(self) -> bool {
        matches!(self, Self::DecisionPointOpened | Self::DecisionPointResolved)
    }

    /// Subject of the fact: `WorkPackage` or `Mission`.
    pub const fn aggregate_type(self) -> &'static str {
        match self {
            Self::WPCreated | Self::ReviewerSelfApproval => "WorkPackage",
            _ => "Mission",
        }
    }
}

/// One fact.
#[derive(Clone, Debug, PartialEq)]
pub struct FactRow {
    /// ULID.
    pub event_id: String,
    /// Kind of the fact.
    pub kind: FactKind,
    /// Mission id, mission slug or work package id; empty for decisions.
    pub aggregate_id: String,
    /// Time: ISO 8601, UTC.
    pub timestamp: String,
    /// The facts themselves.
    pub payload: Map<String, Value>,
    /// The project's uuid and slug; only on `MissionCreated`.
    pub project: Option<(String, String)>,
}

impl FactRow {
    pub(super) fn from_map(map: &Map<String, Value>) -> Option<Self> {
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            event_id: text("event_id")?,
            kind: FactKind::from_name(map.get("event_type")?.as_str()?)?,
            aggregate_id: text("aggregate_id").unwrap_or_default(),
            timestamp: text("timestamp").or_else(|| text("at")).unwrap_or_default(),
            payload: map.get("payload")?.as_object()?.clone(),
            project: text("project_uuid").zip(text("project_slug")),
        })
    }

    /// A text of the payload.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.payload.get(key).and_then(Value::as_str)
    }

    /// The work package or the decision that the fact is about.
    pub(super) fn subject(&self) -> Option<&str> {
        match self.kind {
            FactKind::WPCreated | FactKind::ReviewerSelfApproval => Some(&self.aggregate_id),
            _ => self.text("decision_point_id"),
        }
    }

    /// The row as JSON.
    pub fn to_value(&self) -> Value {
        if self.kind.is_decision() {
            return json!({
                "at": self.timestamp,
                "event_id": self.event_id,
                "event_type": self.kind.name(),
                "payload": self.payload,
            });
        }
        let (uuid, slug) = self.project.clone().unzip();
        json!({
            "aggregate_id": self.aggregate_id,
            "aggregate_type": self.kind.aggregate_type(),
            "event_id": self.event_id,
            "event_type": self.kind.name(),
            "payload": self.payload,
            "project_slug": slug,
            "project_uuid": uuid,
            "schema_version": FACT_SCHEMA_VERSION,
            "timestamp": self.timestamp,
        })
    }
}
