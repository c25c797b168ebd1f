//! Events and bodies of a mission's documents: only what changed since the last capture.
//!
//! A document has no row in the log, so its events have no id and no time of their own. The id is derived from the
//! content of the event, and the time is that of the mission: whoever captures the same content makes the same event.
//! Content that comes back after other content is one more fact, and the id has a number of its own.

use super::captured_cache::CapturedCache;
use super::envelope::{Origin, Stamp, derived_id, draft_to_row};
use super::payload::Draft;
use crate::dossier::{Artifact, BodyVerdict, Dossier, MANIFEST_VERSION, Overlay, read_body_verdict};
use crate::error::Result;
use crate::project::MissionDirectory;
use contract::event::kind;
use contract::wire::ArtifactBody;
use queue::{Kind, NewRow, Witness};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The dossier of one mission, as it will be.
#[derive(Debug)]
pub(crate) struct Documents<'a> {
    pub(crate) mission: &'a MissionDirectory,
    pub(crate) target_branch: &'a str,
    pub(crate) overlay: &'a Overlay,
    pub(crate) dossier: &'a Dossier,
    /// Files that every command rewrites; a later command must not unmake the witness of this one.
    pub(crate) volatile: &'a [PathBuf],
    /// A row of the same command that proves the volatile ones.
    pub(crate) anchor: Option<&'a str>,
}

impl Documents<'_> {
    /// The namespace of every dossier row, in the order of its keys on the wire.
    pub(crate) fn namespace(&self, project_uuid: &str) -> Value {
        json!({
            "project_uuid": project_uuid,
            "mission_slug": self.mission.slug,
            "target_branch": self.target_branch,
            "mission_type": self.mission.mission_type(),
            "manifest_version": MANIFEST_VERSION,
        })
    }

    /// Documents that are to be captured.
    pub(crate) fn changed<'a>(&'a self, cache: &'a CapturedCache) -> impl Iterator<Item = &'a Artifact> {
        self.dossier.present().filter(|artifact| !cache.holds(&artifact.path, &artifact.sha256))
    }

    /// Number of events that [`plan_dossier_rows`] will make.
    pub(crate) fn event_count(&self, cache: &CapturedCache) -> u64 {
        let changed = self.changed(cache).count() as u64;
        changed + u64::from(!cache.holds_snapshot(&self.dossier.parity_hash()))
    }

    fn file(&self, artifact: &Artifact) -> PathBuf {
        artifact.path.split('/').fold(self.mission.path.clone(), |path, part| path.join(part))
    }

    fn witness(&self, artifact: &Artifact) -> Witness {
        let path = self.file(artifact);
        match self.anchor {
            Some(event_id) if self.volatile.contains(&path) => {
                Witness::Row { kind: Kind::Event, key: event_id.to_owned() }
            }
            _ => Witness::File { path, sha256: artifact.sha256.clone() },
        }
    }
}

/// The rows for what changed since `cache`, and `cache` as it will be once they are confirmed. The documents in `lost`
/// are captured under new ids; `is_known` answers whether the queue has an event.
pub(crate) fn plan_dossier_rows(
    documents: &Documents<'_>,
    origin: &Origin,
    stamp: &mut Stamp,
    lost: &[String],
    mut is_known: impl FnMut(&str) -> Result<bool>,
    cache: &mut CapturedCache,
) -> Result<Vec<NewRow>> {
    let namespace = documents.namespace(&origin.project_uuid);
    let mission = documents.mission;
    let at = mission.created_at().iso();
    let mut identify = |draft: &mut Draft, is_repeated: bool| -> Result<()> {
        let (payload, mut number) = (contract::json::sorted_line(&draft.payload), 0_u64);
        loop {
            let (project, repo) = (origin.project_slug.as_str(), origin.repo_slug.as_deref().unwrap_or(""));
            let parts = [draft.event_type, project, repo, &payload, &number.to_string()];
            draft.event_id = derived_id(mission, parts);
            if !is_repeated || !is_known(&draft.event_id)? {
                return Ok(());
            }
            number += 1;
        }
    };
    let (mut rows, mut bodies, mut unsettled) = (Vec::new(), Vec::new(), Vec::new());
    let mut last_witness = None;
    for artifact in documents.changed(cache) {
        let witness = documents.witness(artifact);
        last_witness = Some(witness.clone());
        let mut draft = indexed(documents, &namespace, artifact, &at);
        let is_repeated =
            cache.holds_other(&artifact.path, &artifact.sha256) || lost.contains(&artifact.path);
        identify(&mut draft, is_repeated)?;
        rows.push(draft_to_row(draft, mission, origin, stamp, witness)?);
        match read_body_verdict(&documents.mission.path, artifact, documents.overlay) {
            BodyVerdict::Sent(text) => bodies.push(body(documents, origin, artifact, text)),
            BodyVerdict::Skipped(reason) if reason.is_momentary() => unsettled.push(artifact.path.clone()),
            BodyVerdict::Skipped(_) => {}
        }
    }
    let hash = documents.dossier.parity_hash();
    if !cache.holds_snapshot(&hash) {
        let witness =
            last_witness.or_else(|| documents.dossier.present().next().map(|first| documents.witness(first)));
        if let Some(witness) = witness {
            let mut draft = snapshot(documents, &namespace, &hash, &at);
            identify(&mut draft, cache.holds_other_snapshot(&hash))?;
            draft.aggregate_id = format!("{}:{}", mission.slug, draft.event_id);
            draft.payload["context_diagnostics"]["snapshot_id"] = draft.event_id.clone().into();
            rows.push(draft_to_row(draft, mission, origin, stamp, witness)?);
        }
    }
    let settled = documents.dossier.present().filter(|artifact| !unsettled.contains(&artifact.path));
    let captured: BTreeMap<_, _> =
        settled.map(|artifact| (artifact.path.clone(), artifact.sha256.clone())).collect();
    cache.remember(captured, hash);
    rows.extend(bodies);
    Ok(rows)
}

/// The event of a document, without its id.
fn indexed(documents: &Documents<'_>, namespace: &Value, artifact: &Artifact, at: &str) -> Draft {
    Draft {
        event_id: String::new(),
        event_type: kind::DOSSIER_ARTIFACT_INDEXED,
        aggregate_type: "MissionDossier",
        aggregate_id: format!("{}:{}", documents.mission.slug, artifact.path),
        timestamp: at.to_owned(),
        payload: json!({
            "namespace": namespace,
            "artifact_id": {
                "mission_type": documents.mission.mission_type(),
                "path": artifact.path,
                "artifact_class": artifact.class.name(),
            },
            "content_ref": { "algorithm": "sha256", "hash": artifact.sha256, "size_bytes": artifact.size },
            "indexed_at": at,
            "context_diagnostics": {
                "artifact_key": artifact.key,
                "required_status": if artifact.required { "required" } else { "optional" },
            },
        }),
    }
}

/// The event of all documents together, without its id, which is also that of its subject and of the snapshot.
fn snapshot(documents: &Documents<'_>, namespace: &Value, hash: &str, at: &str) -> Draft {
    let count = |required: bool, present: bool| {
        let matches = |artifact: &&Artifact| artifact.required == required && (artifact.is_text || !present);
        documents.dossier.artifacts.iter().filter(matches).count()
    };
    let anomalies = documents.dossier.anomalies();
    Draft {
        event_type: kind::DOSSIER_SNAPSHOT_COMPUTED,
        aggregate_type: "MissionDossier",
        aggregate_id: String::new(),
        timestamp: at.to_owned(),
        payload: json!({
            "namespace": namespace,
            "snapshot_hash": hash,
            "artifact_count": documents.dossier.artifacts.len(),
            "anomaly_count": anomalies,
            "computed_at": at,
            "algorithm": "sha256",
            "context_diagnostics": {
                "completeness_status": if anomalies == 0 { "complete" } else { "incomplete" },
                "required_artifacts": count(true, false).to_string(),
                "required_present": count(true, true).to_string(),
                "optional_artifacts": count(false, false).to_string(),
                "optional_present": count(false, true).to_string(),
            },
        }),
        event_id: String::new(),
    }
}

fn body(documents: &Documents<'_>, origin: &Origin, artifact: &Artifact, text: String) -> NewRow {
    let row = ArtifactBody {
        project_uuid: origin.project_uuid.clone(),
        mission_slug: documents.mission.slug.clone(),
        target_branch: documents.target_branch.to_owned(),
        mission_type: documents.mission.mission_type().to_owned(),
        manifest_version: MANIFEST_VERSION.to_owned(),
        artifact_path: artifact.path.clone(),
        content_hash: artifact.sha256.clone(),
        hash_algorithm: "sha256".to_owned(),
        content_body: text,
    };
    let witness = Witness::File { path: documents.file(artifact), sha256: artifact.sha256.clone() };
    NewRow::body(row, witness)
}
