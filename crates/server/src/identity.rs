//! Who a token belongs to.

use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate};
use crate::time::UnixMillis;
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use contract::wire::me::{Me, SessionStatus, Team};
use std::sync::Arc;

/// `GET /api/v1/me`
pub(crate) async fn me(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Json<Me>, HttpRefusal> {
    let principal = authenticate(&app, &caller, &headers).await?;
    let teams = principal.account.teams.into_iter().map(|team| Team {
        id: team.team_id,
        name: team.name,
        role: team.role,
        is_private_teamspace: team.is_private,
    });
    Ok(Json(Me {
        user_id: principal.account.user_id,
        email: principal.account.email,
        name: Some(principal.account.name),
        teams: teams.collect(),
        session_id: principal.session_id,
        authenticated_at: Some(principal.authenticated_at.iso()),
        access_token_expires_at: principal.access_expires_at.map(UnixMillis::iso),
        refresh_token_expires_at: principal.refresh_expires_at.map(UnixMillis::iso),
        auth_flow: Some(principal.flow),
    }))
}

/// `GET /api/v1/session-status`. A machine token has no session; its id stands in.
pub(crate) async fn session_status(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Json<SessionStatus>, HttpRefusal> {
    let principal = authenticate(&app, &caller, &headers).await?;
    Ok(Json(SessionStatus {
        session_id: principal.session_id.unwrap_or_else(|| format!("ci:{}", principal.account.user_id)),
        status: "active".to_owned(),
        current_generation: principal.generation,
    }))
}
