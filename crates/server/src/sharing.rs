//! Projects and other teams: sharing a project, ending that, and forgetting a project.
//!
//! All routes act on the private teamspaces of the asking account: those that hold the project, or the one
//! that `X-Team-Slug` names. Machine tokens only deliver, so they may ask but not change.

use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, FormFields, authenticate, discard_if_refused, read_body, read_object};
use crate::store::{Membership, Principal, ShareRecord, StoreError, TeamKey, is_same_team};
use crate::time::UnixMillis;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use contract::wire::endpoint::TEAM_HEADER;
use contract::wire::error::code;
use contract::wire::sharing::{
    LEFT, ProjectForgotten, SHARED, Share, ShareCreated, ShareLeft, ShareList, ShareRequest, ShareTeam,
    SharedProject,
};
use std::sync::Arc;

/// `GET /api/v1/sync/repository-shares/?source_project_uuid=UUID`: the teams that see the projects of the
/// account's private teamspaces.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Json<ShareList>, HttpRefusal> {
    let form = FormFields::parse(query.unwrap_or_default().as_bytes())
        .ok_or_else(|| HttpRefusal::malformed("schema: the query has a field twice"))?;
    let project = form.get("source_project_uuid").map(str::to_owned);
    let shares = app.store.shares_of(source_teams(&principal, &headers), project).await?;
    Ok(Json(ShareList { results: shares.into_iter().map(share).collect() }))
}

/// `POST /api/v1/sync/repository-shares/`
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ShareCreated>), HttpRefusal> {
    let (principal, request) = read_request(&app, &caller, &headers, body).await?;
    let with = destination(&principal, &request)?.key;
    let project = request.source_project_uuid;
    let found = app.store.project_in(source_teams(&principal, &headers), project.clone()).await?;
    if found.is_empty() {
        // After this answer, earlier clients send the project's facts and ask again.
        return Err(HttpRefusal::absent(
            code::UNKNOWN_PROJECT,
            "no private teamspace of this account has the project yet",
        ));
    }
    if found.iter().any(|(team, _)| *team == with) {
        return Err(HttpRefusal::malformed(
            "field destination_team_slug names the team that has the project",
        ));
    }
    let teams: Vec<TeamKey> = found.iter().map(|(team, _)| *team).collect();
    app.store.share(found, with, principal.account.user_id.clone(), UnixMillis::now()).await?;
    let shares = app.store.shares_of(teams, Some(project)).await?;
    let is_new = |record: &ShareRecord| is_same_team(&record.team_id, &request.destination_team_slug);
    let record =
        shares.into_iter().find(is_new).ok_or_else(|| unknown_team(&request.destination_team_slug))?;
    Ok((StatusCode::CREATED, Json(ShareCreated { share: share(record), auto_approved: true })))
}

/// `POST /api/v1/sync/repository-shares/leave/`
pub(crate) async fn leave(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ShareLeft>, HttpRefusal> {
    let (principal, request) = read_request(&app, &caller, &headers, body).await?;
    let with = destination(&principal, &request)?;
    let user_id = principal.account.user_id.clone();
    app.store.unshare(request.source_project_uuid.clone(), with.key, user_id).await?;
    let teams = source_teams(&principal, &headers);
    let left = app.store.shares_of(teams, Some(request.source_project_uuid.clone())).await?;
    let is_shared = left.iter().any(|record| is_same_team(&record.team_id, &with.team_id));
    Ok(Json(ShareLeft {
        source_project_uuid: request.source_project_uuid,
        destination_team_slug: request.destination_team_slug,
        status: LEFT.to_owned(),
        state: if is_shared { SHARED } else { LEFT }.to_owned(),
    }))
}

/// `POST /api/v1/sync/projects/{uuid}/forget-private/`: deletes a project that only this account can see, or
/// that it owns the teamspace of.
pub(crate) async fn forget(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(project_uuid): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ProjectForgotten>, HttpRefusal> {
    let admitted = admit(&app, &caller, &headers).await;
    let (principal, body) = discard_if_refused(admitted, body).await?;
    crate::request::discard(body).await;
    let teams = source_teams(&principal, &headers);
    let found = app.store.project_in(teams.clone(), project_uuid.clone()).await?;
    for (team, _) in &found {
        let is_owner = principal.private_teams().any(|known| known.key == *team && known.role == "owner");
        if !is_owner {
            return Err(HttpRefusal::forbidden(
                code::UNAUTHORIZED,
                "only an owner of the teamspace, or the server's administrator, may delete its projects",
            ));
        }
    }
    if !app.store.shares_of(teams, Some(project_uuid)).await?.is_empty() {
        return Err(HttpRefusal::conflict(
            code::PROJECT_SHARED,
            "the project is shared with a team; end that with `spec-kitty sync unshare` first",
        ));
    }
    // On its own task: a client that leaves does not stop it half way.
    let forgotten = tokio::spawn(async move {
        let mut answer = ProjectForgotten::default();
        for (team, project_uuid) in found {
            let forgotten = app.store.forget_project(team, &project_uuid).await?;
            answer.deleted_event_count += forgotten.events;
            answer.deleted_build_count += forgotten.builds;
            answer.deleted_body_count += forgotten.bodies;
        }
        Ok::<_, StoreError>(answer)
    });
    Ok(Json(forgotten.await.map_err(|_| HttpRefusal::unavailable())??))
}

/// The person behind a request that changes something.
async fn admit(app: &Arc<App>, caller: &Caller, headers: &HeaderMap) -> Result<Principal, HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    if principal.session_id.is_none() {
        let text = "a machine token may not share or delete projects; log in as a person";
        return Err(HttpRefusal::forbidden(code::UNAUTHORIZED, text));
    }
    Ok(principal)
}

async fn read_request(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Principal, ShareRequest), HttpRefusal> {
    let (principal, body) = discard_if_refused(admit(app, caller, headers).await, body).await?;
    let limit = app.limits.bytes_per_form;
    let bytes = read_body(headers, body, limit, &app.limits).await;
    let bytes = bytes.map_err(|fault| fault.refusal("request", || HttpRefusal::request_too_large(limit)))?;
    let request: ShareRequest = read_object(&bytes).map_err(|_| {
        HttpRefusal::malformed("schema: the fields are source_project_uuid and destination_team_slug")
    })?;
    Ok((principal, request))
}

/// The private teamspaces whose projects the request is about.
fn source_teams(principal: &Principal, headers: &HeaderMap) -> Vec<TeamKey> {
    let named = headers.get(TEAM_HEADER).map(|named| named.to_str().unwrap_or_default().trim());
    let is_named = |team: &&Membership| named.is_none_or(|named| is_same_team(&team.team_id, named));
    principal.private_teams().filter(is_named).map(|team| team.key).collect()
}

/// The team that the request names. Teams of others are as unknown as those that do not exist.
fn destination<'p>(principal: &'p Principal, request: &ShareRequest) -> Result<&'p Membership, HttpRefusal> {
    let named = &request.destination_team_slug;
    let found = principal.account.teams.iter().find(|team| is_same_team(&team.team_id, named));
    found.ok_or_else(|| unknown_team(named))
}

fn unknown_team(named: &str) -> HttpRefusal {
    let named: String = contract::text::printable(named).chars().take(80).collect();
    let text = format!("this account is a member of no team with the id `{named}`");
    HttpRefusal::forbidden(code::UNKNOWN_TEAM, &text)
}

fn share(record: ShareRecord) -> Share {
    Share {
        team: ShareTeam { name: record.team_name, slug: record.team_id },
        state: SHARED.to_owned(),
        active_sharer_count: record.sharers,
        // Earlier clients show the slug, and only events in the store have one.
        shared_project: SharedProject {
            project_slug: Some(record.project_uuid.clone()),
            project_uuid: Some(record.project_uuid),
        },
    }
}
