//! The overview at `/`: version, limits, and row counts unless they are private. Nothing about any account.

use super::text::grouped;
use super::{Frame, SignedIn, page};
use crate::app::App;
use crate::refusal::HttpRefusal;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use contract::wire::endpoint;
use std::sync::Arc;

/// Rows of one table: name and number.
type Rows = Vec<(&'static str, String)>;
/// Each with its heading.
type Tables = Vec<(&'static str, Rows)>;

#[derive(Debug, Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    frame: Frame,
    url: String,
    version: &'a str,
    started: String,
    tables: Tables,
    metrics_path: Option<&'static str>,
}

/// `GET /`: totals of the whole server.
pub(crate) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, HttpRefusal> {
    let mut tables = if app.private_metrics { Vec::new() } else { counts(&app).await? };
    let limits = &app.limits;
    let bounds = [
        ("Events in a batch", limits.events_per_batch as u64),
        ("Bytes in a batch", limits.bytes_per_batch as u64),
    ];
    tables.push(("Limits", rows(&bounds)));
    let title = "Overview";
    let frame = match SignedIn::find(&app, &headers).await? {
        Some(signed_in) => signed_in.frame(title, None),
        None => Frame { title: title.to_owned(), offers_sign_in: true, ..Frame::default() },
    };
    let content = OverviewPage {
        frame: Frame { is_narrow: true, ..frame },
        url: app.base_url(&headers),
        version: &app.version,
        started: app.started.readable(),
        tables,
        metrics_path: (!app.private_metrics).then_some(endpoint::METRICS),
    };
    Ok(page(StatusCode::OK, &content))
}

async fn counts(app: &App) -> Result<Tables, HttpRefusal> {
    let (totals, metrics) = (app.store.totals().await?, &app.metrics);
    let stored = [
        ("Events", totals.events),
        ("Artifact bodies", totals.bodies),
        ("Projects", totals.projects),
        ("Accounts", totals.accounts),
        ("Teams", totals.teams),
        ("Sessions", totals.sessions),
    ];
    let since = [
        ("Client requests", metrics.client_requests()),
        ("Events stored", metrics.events_stored.get()),
        ("Events stored before", metrics.events_duplicate.get()),
        ("Events rejected", metrics.events_rejected.get()),
        ("Events in shapes of earlier clients", metrics.events_legacy_shape.get()),
    ];
    Ok(vec![("Stored", rows(&stored)), ("Since the start", rows(&since))])
}

fn rows(numbers: &[(&'static str, u64)]) -> Rows {
    numbers.iter().map(|(name, number)| (*name, grouped(*number))).collect()
}
