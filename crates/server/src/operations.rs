//! Routes for operators, and the limits for clients: health, readiness, counters.

use crate::app::App;
use crate::receipts;
use crate::refusal::{self, HttpRefusal};
use crate::request::{Caller, authenticate, discard};
use crate::store::Principal;
use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use contract::wire::health::{LIMITS_VERSION, SyncHealth, SyncIngress};
use std::sync::Arc;

/// `GET /api/v1/sync/health/`: the limits of ingest, for a client that is logged in.
pub(crate) async fn sync_health(
    State(app): State<Arc<App>>,
    principal: Principal,
    headers: HeaderMap,
) -> Result<Json<SyncHealth>, HttpRefusal> {
    let receipts = receipts::newest(&app, &principal, &headers).await?;
    Ok(Json(SyncHealth {
        status: "ok".to_owned(),
        sync_ingress: SyncIngress {
            contract_version: LIMITS_VERSION.to_owned(),
            limits: app.limits.advertised(),
        },
        receipts,
    }))
}

/// `POST /api/v1/ws-token`: there is no live channel, and the client prints the sentence about that.
pub(crate) async fn ws_token(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> HttpRefusal {
    let admitted = authenticate(&app, &caller, &headers).await;
    discard(body).await;
    admitted.err().unwrap_or_else(HttpRefusal::no_live_channel)
}

/// `GET /healthz`: the process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the store commits.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, HttpRefusal> {
    app.store.ping().await?;
    Ok("ready\n")
}

/// `GET /metrics`
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, HttpRefusal> {
    if app.private_metrics {
        return Err(refusal::not_found().await);
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.render_metrics()).into_response())
}

/// The description of the routes. A test compares it with the router and with answers.
const OPENAPI: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(crate) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
