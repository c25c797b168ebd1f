//! Events and bodies of the event contract, as a client sends them.

use contract::wire::ArtifactBody;
use contract::wire::body::hash;
use serde_json::{Value, json};

/// An event of any type about an aggregate, which is a type and an id.
pub fn envelope(
    event_id: &str,
    event_type: &str,
    (aggregate_type, aggregate_id): (&str, &str),
    project: &str,
    payload: &Value,
) -> Value {
    json!({
        "event_id": event_id, "event_type": event_type, "aggregate_id": aggregate_id,
        "aggregate_type": aggregate_type, "schema_version": "3.0.0",
        "build_id": "b6fae293-c05d-4536-9006-c6d252528f7e", "payload": payload, "node_id": "a68cb90bc34b",
        "lamport_clock": 1, "causation_id": null, "correlation_id": event_id,
        "timestamp": "2026-05-18T12:00:00+00:00", "team_slug": null, "project_uuid": project,
        "project_slug": "widgets", "git_branch": "main", "head_commit_sha": null, "repo_slug": "acme/widgets",
    })
}

/// WP01 of a mission is claimed.
pub fn claimed(event_id: &str, project: &str, mission: &str) -> Value {
    let payload = json!({
        "mission_slug": mission, "wp_id": "WP01", "from_lane": "planned", "to_lane": "claimed", "actor": "dev",
        "force": false, "reason": null, "review_ref": null, "execution_mode": "worktree", "evidence": null,
    });
    envelope(event_id, "WPStatusChanged", ("WorkPackage", "WP01"), project, &payload)
}

/// The index event of a document, without which a server accepts no body.
pub fn indexed(event_id: &str, project: &str, mission: &str, path: &str, content: &str) -> Value {
    let payload = json!({
        "namespace": {
            "project_uuid": project, "mission_slug": mission, "target_branch": "main",
            "mission_type": "software-dev", "manifest_version": "1",
        },
        "artifact_id": { "mission_type": "software-dev", "path": path, "artifact_class": "input" },
        "content_ref": {
            "algorithm": "sha256", "hash": hash(content.as_bytes()), "size_bytes": content.len(),
        },
        "indexed_at": "2026-05-18T12:00:00+00:00",
    });
    let aggregate = format!("{mission}:{path}");
    envelope(event_id, "MissionDossierArtifactIndexed", ("MissionDossier", &aggregate), project, &payload)
}

/// The body of a document.
pub fn body(project: &str, mission: &str, path: &str, content: &str) -> ArtifactBody {
    ArtifactBody {
        project_uuid: project.into(),
        mission_slug: mission.into(),
        target_branch: "main".into(),
        mission_type: "software-dev".into(),
        manifest_version: "1".into(),
        artifact_path: path.into(),
        content_hash: hash(content.as_bytes()),
        hash_algorithm: "sha256".into(),
        content_body: content.into(),
    }
}

/// Id of the `n`th [`common`] event, as a client draws it: time first, then chance.
pub fn common_id(n: usize) -> String {
    format!("01K{:07}{:016X}", n / 10, (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// The most common event of a real queue, for benchmarks: a lane change, about a kilobyte.
pub fn common(n: usize, project: &str, team: Option<&str>) -> Value {
    let id = common_id(n);
    let (from, to, actor) = ("claimed", "in_progress", "implementer");
    json!({
        "event_id": id, "event_type": "WPStatusChanged", "aggregate_id": "WP01", "aggregate_type": "WorkPackage",
        "schema_version": "3.0.0", "build_id": "0f0e6f4c-3a2b-4d00-9a6e-5d3c4b528f0e",
        "payload": {"mission_slug": "demo-boundary-01M81786", "wp_id": "WP01", "from_lane": from, "to_lane": to,
            "actor": actor, "force": false, "reason": null, "review_ref": null, "execution_mode": "worktree",
            "evidence": null},
        "node_id": "0123456789ab", "lamport_clock": n, "causation_id": id, "correlation_id": id,
        "timestamp": "2026-11-22T09:00:00.123456+00:00", "team_slug": team, "project_uuid": project,
        "project_slug": "demo", "git_branch": "main",
        "head_commit_sha": "e31fe09eca6060c088f6dba8e0fcd70f5ab7f0d4", "repo_slug": "owner/demo",
        "from_lane": from, "to_lane": to, "actor": actor, "force": false, "reason": null, "review_ref": null,
        "execution_mode": "worktree", "evidence": null
    })
}
