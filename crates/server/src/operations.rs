//! What operators and clients ask before anything else: limits, liveness, counters, the overview.

use crate::app::App;
use crate::receipts;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate};
use crate::web::{self, overview::Overview};
use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use contract::wire::health::{LIMITS_VERSION, SyncHealth, SyncIngress};
use std::sync::Arc;

/// `GET /api/v1/sync/health/`: the limits of ingest, for a client that is logged in.
pub(crate) async fn sync_health(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Json<SyncHealth>, HttpRefusal> {
    let principal = authenticate(&app, &caller, &headers).await?;
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
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response()
}

/// `GET /`: what the server holds in all; nothing of any account.
pub(crate) async fn overview(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, HttpRefusal> {
    let totals = app.store.totals().await?;
    let body = web::overview::render(&Overview {
        url: &app.base_url(&headers),
        version: &app.version,
        started: app.started,
        totals,
        limits: &app.limits,
        metrics: &app.metrics,
    });
    Ok(web::answer(axum::http::StatusCode::OK, "Overview", &body))
}
