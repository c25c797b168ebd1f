//! The account and session of the asking token.

use crate::store::Principal;
use crate::time::UnixMillis;
use axum::Json;
use contract::wire::me::{AccountTeam, Me, SessionStatus};

/// `GET /api/v1/me`
pub(crate) async fn me(principal: Principal) -> Json<Me> {
    let teams = principal.account.teams.into_iter().map(|team| AccountTeam {
        id: team.team_id,
        name: team.name,
        role: team.role,
        is_private_teamspace: team.is_private,
    });
    Json(Me {
        user_id: principal.account.user_id,
        email: principal.account.email,
        name: Some(principal.account.name),
        teams: teams.collect(),
        session_id: principal.session_id,
        authenticated_at: Some(principal.authenticated_at.iso()),
        access_token_expires_at: principal.access_expires_at.map(UnixMillis::iso),
        refresh_token_expires_at: principal.refresh_expires_at.map(UnixMillis::iso),
        auth_flow: Some(principal.flow),
    })
}

/// `GET /api/v1/session-status`. A machine token has no session: `ci:` and the account's id replace it.
pub(crate) async fn session_status(principal: Principal) -> Json<SessionStatus> {
    Json(SessionStatus {
        session_id: principal.session_id.unwrap_or_else(|| format!("ci:{}", principal.account.user_id)),
        status: "active".to_owned(),
        current_generation: principal.generation,
    })
}
