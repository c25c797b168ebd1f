//! Connectors to other systems, and the lifecycle of imported items.

use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, may, need, open};

const ACTOR_TYPE: Shape = Shape::OneOf(&["human", "service", "system"]);

static PROVISIONED: ObjectShape = open(&[
    need("connector_id", Shape::Text),
    need("connector_type", Shape::Text),
    need("provider", Shape::Text),
    need("mission_id", Shape::Text),
    need("project_uuid", Shape::Uuid),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("endpoint_url", Shape::Url),
    need("recorded_at", Shape::Instant),
    need("credentials_ref", Shape::Text),
    need("config_hash", Shape::Text),
    may("user_id", &Shape::AnyText),
]);

static HEALTH_CHECKED: ObjectShape = open(&[
    need("connector_id", Shape::Text),
    need("connector_type", Shape::Text),
    need("provider", Shape::Text),
    need("mission_id", Shape::Text),
    need("project_uuid", Shape::Uuid),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("endpoint_url", Shape::Url),
    need("recorded_at", Shape::Instant),
    need("health_status", Shape::OneOf(&["healthy", "degraded", "unreachable"])),
    need("latency_ms", Shape::Within(0.0, f64::MAX)),
    may("user_id", &Shape::AnyText),
]);

static DEGRADED: ObjectShape = open(&[
    need("connector_id", Shape::Text),
    need("connector_type", Shape::Text),
    need("provider", Shape::Text),
    need("mission_id", Shape::Text),
    need("project_uuid", Shape::Uuid),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("endpoint_url", Shape::Url),
    need("recorded_at", Shape::Instant),
    need("degradation_reason", Shape::Text),
    need("last_healthy_at", Shape::Instant),
    may("user_id", &Shape::AnyText),
]);

static REVOKED: ObjectShape = open(&[
    need("connector_id", Shape::Text),
    need("connector_type", Shape::Text),
    need("provider", Shape::Text),
    need("mission_id", Shape::Text),
    need("project_uuid", Shape::Uuid),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("endpoint_url", Shape::Url),
    need("recorded_at", Shape::Instant),
    need("revocation_reason", Shape::Text),
    may("user_id", &Shape::AnyText),
]);

static RECONNECTED: ObjectShape = open(&[
    need("connector_id", Shape::Text),
    need("connector_type", Shape::Text),
    need("provider", Shape::Text),
    need("mission_id", Shape::Text),
    need("project_uuid", Shape::Uuid),
    need("actor_id", Shape::Text),
    need("actor_type", ACTOR_TYPE),
    need("endpoint_url", Shape::Url),
    need("recorded_at", Shape::Instant),
    need("previous_state", Shape::OneOf(&["provisioned", "healthy", "degraded", "revoked", "reconnected"])),
    need("reconnect_strategy", Shape::OneOf(&["automatic", "manual", "backoff"])),
    may("user_id", &Shape::AnyText),
]);

static INGEST_ACCEPTED: ObjectShape = open(&[
    need("delivery_id", Shape::Text),
    need("source_event_fingerprint", Shape::Text),
    need("connector_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("recorded_at", Shape::Instant),
    need("ingest_batch_id", Shape::Text),
    need("ingested_count", Shape::Whole(1)),
]);

static INGEST_REJECTED: ObjectShape = open(&[
    need("delivery_id", Shape::Text),
    need("source_event_fingerprint", Shape::Text),
    need("connector_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("recorded_at", Shape::Instant),
    need("rejection_reason", Shape::Text),
    need("rejected_payload_ref", Shape::Text),
]);

static RETRY_SCHEDULED: ObjectShape = open(&[
    need("delivery_id", Shape::Text),
    need("source_event_fingerprint", Shape::Text),
    need("connector_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("recorded_at", Shape::Instant),
    need("retry_attempt", Shape::Whole(1)),
    need("max_retries", Shape::Whole(1)),
    need("next_retry_at", Shape::Instant),
]);

static DEAD_LETTERED: ObjectShape = open(&[
    need("delivery_id", Shape::Text),
    need("source_event_fingerprint", Shape::Text),
    need("connector_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("recorded_at", Shape::Instant),
    need("failure_reason", Shape::Text),
    need("total_attempts", Shape::Whole(1)),
    need("dead_letter_ref", Shape::Text),
]);

static REPLAY_COMPLETED: ObjectShape = open(&[
    need("delivery_id", Shape::Text),
    need("source_event_fingerprint", Shape::Text),
    need("connector_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("recorded_at", Shape::Instant),
    need("replay_id", Shape::Text),
    need("replayed_count", Shape::Whole(0)),
    need("replay_source", Shape::Text),
]);

static REFERENCE_LINKED: ObjectShape = open(&[
    need("link_id", Shape::Text),
    need("connector_id", Shape::Text),
    need("external_provider", Shape::Text),
    need("external_ref_type", Shape::Text),
    need("external_ref_id", Shape::Text),
    need("external_ref_url", Shape::Url),
    need("internal_aggregate_type", Shape::Text),
    need("internal_aggregate_id", Shape::Text),
    need("mission_id", Shape::Text),
    need("linked_by", Shape::Text),
    need("recorded_at", Shape::Instant),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("ConnectorProvisioned", SchemaChoice::One(&PROVISIONED)),
    ("ConnectorHealthChecked", SchemaChoice::One(&HEALTH_CHECKED)),
    ("ConnectorDegraded", SchemaChoice::One(&DEGRADED)),
    ("ConnectorRevoked", SchemaChoice::One(&REVOKED)),
    ("ConnectorReconnected", SchemaChoice::One(&RECONNECTED)),
    ("SyncIngestAccepted", SchemaChoice::One(&INGEST_ACCEPTED)),
    ("SyncIngestRejected", SchemaChoice::One(&INGEST_REJECTED)),
    ("SyncRetryScheduled", SchemaChoice::One(&RETRY_SCHEDULED)),
    ("SyncDeadLettered", SchemaChoice::One(&DEAD_LETTERED)),
    ("SyncReplayCompleted", SchemaChoice::One(&REPLAY_COMPLETED)),
    ("ExternalReferenceLinked", SchemaChoice::One(&REFERENCE_LINKED)),
];
