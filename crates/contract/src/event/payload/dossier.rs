//! The mission dossier: which artifacts exist, with which content, and whether they drifted.

use super::{EventSchema, SchemaChoice};
use crate::event::shape::{ObjectShape, Shape, closed, may, need};

pub(super) const ALGORITHM: Shape = Shape::OneOf(&["sha256", "sha512", "md5"]);

static NAMESPACE: ObjectShape = closed(&[
    need("project_uuid", Shape::Text),
    need("mission_slug", Shape::Text),
    need("target_branch", Shape::Text),
    need("mission_type", Shape::Text),
    need("manifest_version", Shape::Text),
    may("step_id", &Shape::AnyText),
]);

static IDENTITY: ObjectShape = closed(&[
    need("mission_type", Shape::Text),
    need("path", Shape::Text),
    need("artifact_class", Shape::OneOf(&["input", "workflow", "output", "evidence", "policy", "runtime"])),
    may("run_id", &Shape::AnyText),
    may("wp_id", &Shape::AnyText),
]);

pub(super) static CONTENT_REF: ObjectShape = closed(&[
    need("hash", Shape::Text),
    need("algorithm", ALGORITHM),
    may("size_bytes", &Shape::Whole(0)),
    may("encoding", &Shape::AnyText),
]);

pub(super) static PROVENANCE: ObjectShape = closed(&[
    may("source_event_ids", &Shape::List(&Shape::AnyText, 0)),
    may("git_sha", &Shape::AnyText),
    may("git_ref", &Shape::AnyText),
    may("actor_id", &Shape::AnyText),
    may("actor_kind", &Shape::OneOf(&["human", "llm", "system"])),
    may("revised_at", &Shape::AnyText),
]);

const DIAGNOSTICS: Shape = Shape::Map(&Shape::AnyText);

static INDEXED: ObjectShape = closed(&[
    need("namespace", Shape::Object(&NAMESPACE)),
    need("artifact_id", Shape::Object(&IDENTITY)),
    need("content_ref", Shape::Object(&CONTENT_REF)),
    need("indexed_at", Shape::AnyText),
    may("provenance", &Shape::Object(&PROVENANCE)),
    may("step_id", &Shape::AnyText),
    may("supersedes", &Shape::Object(&IDENTITY)),
    may("context_diagnostics", &DIAGNOSTICS),
]);

static MISSING: ObjectShape = closed(&[
    need("namespace", Shape::Object(&NAMESPACE)),
    need("expected_identity", Shape::Object(&IDENTITY)),
    need("manifest_step", Shape::Text),
    need("checked_at", Shape::AnyText),
    may("last_known_ref", &Shape::Object(&PROVENANCE)),
    may("remediation_hint", &Shape::AnyText),
    may("context_diagnostics", &DIAGNOSTICS),
]);

static SNAPSHOT: ObjectShape = closed(&[
    need("namespace", Shape::Object(&NAMESPACE)),
    need("snapshot_hash", Shape::Text),
    need("artifact_count", Shape::Whole(0)),
    need("anomaly_count", Shape::Whole(0)),
    need("computed_at", Shape::AnyText),
    may("algorithm", &ALGORITHM),
    may("context_diagnostics", &DIAGNOSTICS),
]);

static DRIFT: ObjectShape = closed(&[
    need("namespace", Shape::Object(&NAMESPACE)),
    need("expected_hash", Shape::Text),
    need("actual_hash", Shape::Text),
    need(
        "drift_kind",
        Shape::OneOf(&[
            "artifact_added",
            "artifact_removed",
            "artifact_mutated",
            "anomaly_introduced",
            "anomaly_resolved",
            "manifest_version_changed",
        ]),
    ),
    need("detected_at", Shape::AnyText),
    may("artifact_ids_changed", &Shape::List(&Shape::Object(&IDENTITY), 0)),
    may("rebuild_hint", &Shape::AnyText),
    may("context_diagnostics", &DIAGNOSTICS),
]);

pub(super) const TYPES: &[EventSchema] = &[
    ("MissionDossierArtifactIndexed", SchemaChoice::One(&INDEXED)),
    ("MissionDossierArtifactMissing", SchemaChoice::One(&MISSING)),
    ("MissionDossierSnapshotComputed", SchemaChoice::One(&SNAPSHOT)),
    ("MissionDossierParityDriftDetected", SchemaChoice::One(&DRIFT)),
];
