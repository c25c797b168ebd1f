//! Receipt checks: whether the store still has rows that it acknowledged. Asked by the header of a
//! health request, and by `POST /api/v1/sync/receipts/`.
//!
//! A store that was restored from a backup has fewer rows than it acknowledged, and only the clients know.
//! The answer is about the team that asks: an event of another team is `missing`. A push names no team,
//! so a body is searched in every private teamspace of the account, as a push is.

use crate::access_log::LogNote;
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate, discard_if_refused, read_body, read_object};
use crate::store::{ArtifactKey, HeldQuery, HeldStates, Principal, TeamKey};
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use contract::event::id::canonical;
use contract::wire::endpoint::{RECEIPTS_HEADER, TEAM_HEADER};
use contract::wire::receipts::{
    BodyKey, MOST_ROWS, NewestReceipts, NewestStates, ReceiptsAnswer, ReceiptsQuestion, StatesOfProject,
};
use std::sync::Arc;

/// The answer to the header of a health request. `None` without the header, and for a team that the
/// token may not use.
pub(crate) async fn newest(
    app: &App,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<Option<NewestStates>, HttpRefusal> {
    let header = headers.get(RECEIPTS_HEADER).and_then(|value| value.to_str().ok());
    let Some(question) = header.and_then(NewestReceipts::from_header) else { return Ok(None) };
    let Some(team) = asking_team(principal, headers) else { return Ok(None) };
    let events = question.projects.iter().filter_map(|project| project.event.clone()).collect();
    let bodies = question.projects.iter().filter_map(|project| project.body.clone()).collect();
    let states = app.store.held(query(principal, team, events, bodies)).await?;
    let (mut events, mut bodies) = (states.events.into_iter(), states.bodies.into_iter());
    let projects = question.projects.into_iter().map(|asked| StatesOfProject {
        event: asked.event.and_then(|_| events.next()),
        body: asked.body.and_then(|_| bodies.next()),
        project: asked.project,
    });
    Ok(Some(NewestStates { projects: projects.collect() }))
}

/// `POST /api/v1/sync/receipts/`
pub(crate) async fn check(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpRefusal> {
    let admitted = authenticate(&app, &caller, &headers).await.and_then(|principal| {
        let team = asking_team(&principal, &headers).ok_or_else(HttpRefusal::missing_private_team)?;
        Ok((principal, team))
    });
    let ((principal, team), body) = discard_if_refused(admitted, body).await?;
    let _permits = app.upload_permits(&caller, &principal.account.user_id).await?;
    let limit = app.limits.bytes_per_batch;
    let bytes = read_body(&headers, body, limit, &app.limits).await;
    let bytes = bytes.map_err(|fault| fault.refusal("question", || HttpRefusal::request_too_large(limit)))?;
    let question: ReceiptsQuestion = read_object(&bytes).map_err(|_| {
        HttpRefusal::malformed("schema: the request must be an object of `events` and `bodies`")
    })?;
    if question.events.len() + question.bodies.len() > MOST_ROWS {
        return Err(HttpRefusal::malformed(format!("schema: one request names at most {MOST_ROWS} rows")));
    }
    let HeldStates { events, bodies } =
        app.store.held(query(&principal, team, question.events, question.bodies)).await?;
    let note = LogNote::of_account(principal.account.user_id);
    Ok((note, Json(ReceiptsAnswer { events, bodies })).into_response())
}

fn asking_team(principal: &Principal, headers: &HeaderMap) -> Option<TeamKey> {
    let team = headers.get(TEAM_HEADER)?.to_str().ok()?;
    Some(principal.private_team(team.trim())?.key)
}

fn query(principal: &Principal, team: TeamKey, events: Vec<String>, bodies: Vec<BodyKey>) -> HeldQuery {
    HeldQuery {
        team,
        teams: principal.private_teams().map(|team| team.key).collect(),
        events: events.iter().map(|id| canonical(id)).collect(),
        bodies: bodies.into_iter().map(body_key).collect(),
    }
}

fn body_key(
    [project_uuid, mission_slug, target_branch, mission_type, manifest_version, path, hash]: BodyKey,
) -> (ArtifactKey, String) {
    let key = ArtifactKey { project_uuid, mission_slug, target_branch, mission_type, manifest_version, path };
    (key, hash)
}
