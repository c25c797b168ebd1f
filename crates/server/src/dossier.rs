//! Artifact bodies: `POST /api/dossier/push-content/`.
//!
//! A body is stored under the team that holds the index event of its path. There is no team header
//! on this route, so the account's private teamspaces are asked in order.

use crate::app::{App, LogNote};
use crate::metrics;
use crate::refusal::HttpRefusal;
use crate::request::{BodyFault, Caller, authenticate, drain, read_body, read_object};
use crate::store::{ArtifactKey, BodyOutcome, NewBody, Principal};
use crate::time::UnixMillis;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::body::{self, BodyAnswer, BodyPush};
use std::sync::Arc;

/// Receives a body.
pub(crate) async fn push(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match receive(&app, &caller, &headers, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn receive(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, HttpRefusal> {
    let principal = match admit(app, caller, headers).await {
        Ok(principal) => principal,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let _places = app.upload_place(caller, &principal.account.user_id).await?;
    let limit = app.limits.bytes_per_body_request;
    let bytes = read_body(headers, body, limit, &app.limits).await.map_err(|fault| match fault {
        BodyFault::TooLarge => HttpRefusal::request_too_large(limit),
        BodyFault::TooSlow => HttpRefusal::too_slow(),
        BodyFault::Broken => HttpRefusal::malformed("schema: the body did not arrive whole").closing(),
    })?;
    metrics::add(&app.metrics.bytes_in, bytes.len() as u64);
    let push = tokio::task::spawn_blocking(move || judge(&bytes))
        .await
        .map_err(|_| HttpRefusal::unavailable())??;

    let answer = BodyAnswer {
        status: String::new(),
        artifact_path: push.artifact_path.clone(),
        content_hash: push.content_hash.clone(),
    };
    let teams = principal.private_teams().map(|team| team.key).collect();
    let (status, word) = match app.store.push_body(teams, new_body(push), UnixMillis::now()).await? {
        BodyOutcome::Stored => (StatusCode::CREATED, body::STORED),
        BodyOutcome::AlreadyExists => (StatusCode::OK, body::ALREADY_EXISTS),
        BodyOutcome::NotIndexed => {
            let detail = "the MissionDossierArtifactIndexed event of this path has not arrived";
            return Err(HttpRefusal::absent(body::INDEX_ENTRY_NOT_FOUND, detail));
        }
    };
    if status == StatusCode::CREATED {
        metrics::add(&app.metrics.bodies_stored, 1);
    }
    let mut response = (status, Json(BodyAnswer { status: word.to_owned(), ..answer })).into_response();
    response
        .extensions_mut()
        .insert(LogNote { account: Some(principal.account.user_id), ..LogNote::default() });
    Ok(response)
}

async fn admit(app: &Arc<App>, caller: &Caller, headers: &HeaderMap) -> Result<Principal, HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    let has_private_team = principal.private_teams().next().is_some();
    if has_private_team { Ok(principal) } else { Err(HttpRefusal::missing_private_team()) }
}

/// The nine fields, checked.
fn judge(bytes: &[u8]) -> Result<BodyPush, HttpRefusal> {
    let push: BodyPush = read_object(bytes).map_err(|error| {
        // serde names the key; positions help with the rest. Values are never quoted: a type error
        // would show a piece of the file.
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
    match push.fault() {
        None => Ok(push),
        Some(fault) => Err(HttpRefusal::malformed(fault)),
    }
}

fn new_body(push: BodyPush) -> NewBody {
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
