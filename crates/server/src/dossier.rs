//! Artifact bodies: `POST /api/dossier/push-content/`.
//!
//! A body is stored under the team that has the index event of its path. The route has no team header,
//! so the account's private teamspaces are searched in order.

use crate::access_log::LogNote;
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate, drain_if_refused, read_body, read_object};
use crate::store::{ArtifactKey, BodyOutcome, NewBody, Principal};
use crate::time::UnixMillis;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::body::{self, ArtifactBody, ArtifactPush, BodyAnswer};
use std::sync::Arc;

pub(crate) async fn push(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpRefusal> {
    let (principal, body) = drain_if_refused(admit(&app, &caller, &headers).await, body).await?;
    let _permits = app.upload_permits(&caller, &principal.account.user_id).await?;
    let limit = app.limits.bytes_per_body_request;
    let bytes = read_body(&headers, body, limit, &app.limits).await;
    let bytes = bytes.map_err(|fault| fault.refusal("body", || HttpRefusal::request_too_large(limit)))?;
    app.metrics.request_bytes.inc_by(bytes.len() as u64);
    let work = move || validate(&bytes);
    let push = tokio::task::spawn_blocking(work).await.map_err(|_| HttpRefusal::unavailable())??;

    let (artifact_path, content_hash) = (push.artifact_path.clone(), push.content_hash.clone());
    let teams = principal.private_teams().map(|team| team.key).collect();
    let (code, status) = match app.store.push_body(teams, new_body(push), UnixMillis::now()).await? {
        BodyOutcome::Stored => {
            app.metrics.bodies_stored.inc();
            (StatusCode::CREATED, body::STORED)
        }
        BodyOutcome::AlreadyExists => (StatusCode::OK, body::ALREADY_EXISTS),
        BodyOutcome::NotIndexed => {
            let detail = "the MissionDossierArtifactIndexed event of this path has not arrived";
            return Err(HttpRefusal::absent(body::INDEX_ENTRY_NOT_FOUND, detail));
        }
    };
    let answer = BodyAnswer { status: status.to_owned(), artifact_path, content_hash };
    Ok((code, LogNote::of_account(principal.account.user_id), Json(answer)).into_response())
}

async fn admit(app: &Arc<App>, caller: &Caller, headers: &HeaderMap) -> Result<Principal, HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    let has_private_team = principal.private_teams().next().is_some();
    if has_private_team { Ok(principal) } else { Err(HttpRefusal::missing_private_team()) }
}

/// Reads and validates the fields.
fn validate(bytes: &[u8]) -> Result<ArtifactBody, HttpRefusal> {
    let push: ArtifactPush = read_object(bytes).map_err(|error| {
        // serde names the key. Other errors get a position only, because a type error would quote a
        // piece of the file.
        let text = error.to_string();
        let is_about_keys = ["missing field", "unknown field", "duplicate field"];
        match is_about_keys.iter().any(|start| text.starts_with(start)) {
            true => HttpRefusal::malformed(text),
            false => HttpRefusal::malformed(format!(
                "schema: the request must be an object of nine text fields (line {} column {})",
                error.line(),
                error.column()
            )),
        }
    })?;
    let push = ArtifactBody::from(push);
    match push.fault() {
        None => Ok(push),
        Some(fault) => Err(HttpRefusal::malformed(fault)),
    }
}

fn new_body(push: ArtifactBody) -> NewBody {
    NewBody {
        key: ArtifactKey {
            project_uuid: push.project_uuid,
            mission_slug: push.mission_slug,
            target_branch: push.target_branch,
            mission_type: push.mission_type,
            manifest_version: push.manifest_version,
            path: push.artifact_path,
        },
        content_hash: push.content_hash,
        content: push.content_body,
    }
}
