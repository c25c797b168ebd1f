//! Artifact bodies: `POST /api/dossier/push-content/`.
//!
//! A body is stored under the team that has the index event of its path. The route has no team header,
//! so the account's private teamspaces are searched in order.

use crate::access_log::LogNote;
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate, discard_if_refused, machine_label, read_body, read_object};
use crate::store::{
    ArtifactKey, BodyOutcome, NewBody, NewRejection, Principal, Sighting, StoreError, TeamKey,
};
use crate::time::UnixMillis;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::USER_AGENT;
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
    let (principal, body) = discard_if_refused(admit(&app, &caller, &headers).await, body).await?;
    let _permits = app.upload_permits(&caller, &principal.account.user_id).await?;
    let limit = app.limits.bytes_per_body_request;
    let bytes = read_body(&headers, body, limit, &app.limits).await;
    let bytes = bytes.map_err(|fault| fault.refusal("body", || HttpRefusal::request_too_large(limit)))?;
    app.metrics.request_bytes.inc_by(bytes.len() as u64);
    let work = move || read(&bytes);
    let (push, fault) = tokio::task::spawn_blocking(work).await.map_err(|_| HttpRefusal::unavailable())??;
    let teams: Vec<TeamKey> = principal.private_teams().map(|team| team.key).collect();
    if let Some(fault) = fault {
        if let Err(error) = record(&app, &principal, &headers, teams, &push, &fault).await {
            tracing::warn!(%error, "a refused body was not recorded");
        }
        return Err(HttpRefusal::malformed(fault));
    }

    let (artifact_path, content_hash) = (push.artifact_path.clone(), push.content_hash.clone());
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

/// Records a refused body for the page of the team that has its project. A push names no team.
async fn record(
    app: &App,
    principal: &Principal,
    headers: &HeaderMap,
    teams: Vec<TeamKey>,
    push: &ArtifactBody,
    fault: &str,
) -> Result<(), StoreError> {
    let found = app.store.project_in(teams, push.project_uuid.clone()).await?;
    let Some((team, project_uuid)) = found.into_iter().next() else { return Ok(()) };
    let sighting = Sighting {
        team,
        user_id: principal.account.user_id.clone(),
        node_id: String::new(),
        name: principal.machine_name().to_owned(),
        program: machine_label(None, headers.get(USER_AGENT)),
        now: UnixMillis::now(),
    };
    let rejection = NewRejection::of_body(project_uuid, &push.artifact_path, fault);
    app.store.record_sender(sighting, false, vec![rejection]).await
}

/// Reads and judges the fields. Slow for a large body.
fn read(bytes: &[u8]) -> Result<(ArtifactBody, Option<String>), HttpRefusal> {
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
    let fault = push.fault();
    Ok((push, fault))
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
