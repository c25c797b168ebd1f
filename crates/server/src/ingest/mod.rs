//! Event ingest: `POST /api/v1/events/batch/`.
//!
//! Order: token, team, an upload permit, the body within its bounds, then (on a blocking thread)
//! inflate, split and validate, then one commit, then the answer. The body of a refused request is
//! drained within bounds, so that the client reads the answer.

mod prepare;

use crate::access_log::{EventCounts, LogNote};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate, drain_if_refused, read_body};
use crate::store::{EventOutcome, Principal, TeamKey};
use crate::time::UnixMillis;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use contract::wire::batch::EventStatus;
use contract::wire::endpoint::TEAM_HEADER;
use prepare::{Encoding, EventVerdict, JudgedBatch};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Allowance above the batch limit for the gzip frame around incompressible bytes.
const WIRE_SLACK: usize = 64 * 1024;

pub(crate) async fn batch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpRefusal> {
    let admitted = admit(&app, &caller, &headers).await;
    let (admitted, body) = drain_if_refused(admitted, body).await?;
    let AdmittedBatch { principal, team_id, key, encoding } = admitted;
    let _permits = app.upload_permits(&caller, &principal.account.user_id).await?;
    let limits = app.limits;
    let bytes = read_body(&headers, body, limits.bytes_per_batch + WIRE_SLACK, &limits).await;
    let bytes = bytes.map_err(|fault| fault.refusal("batch", || HttpRefusal::batch_too_large(&limits)))?;
    app.metrics.request_bytes.inc_by(bytes.len() as u64);
    let sent_to = team_id.clone();
    let work = move || prepare::batch(bytes, encoding, &sent_to, &limits);
    let JudgedBatch { verdicts, blocks } =
        tokio::task::spawn_blocking(work).await.map_err(|_| HttpRefusal::unavailable())??;

    let events = blocks.iter().flat_map(|block| &block.events);
    let flagged = events.filter(|event| !event.deviations.is_empty()).count() as u64;
    let outcomes =
        if blocks.is_empty() { Vec::new() } else { app.store.ingest(key, blocks, UnixMillis::now()).await? };
    let counts = count(&app, &verdicts, &outcomes, flagged);
    let answer = answer(&verdicts, &outcomes);
    let account = Some(principal.account.user_id);
    let note = LogNote { account, team: Some(team_id), events: Some(counts), refusal: None };
    Ok((Extension(note), [(CONTENT_TYPE, "application/json")], answer).into_response())
}

struct AdmittedBatch {
    principal: Principal,
    /// As the client named it.
    team_id: String,
    key: TeamKey,
    encoding: Encoding,
}

async fn admit(app: &Arc<App>, caller: &Caller, headers: &HeaderMap) -> Result<AdmittedBatch, HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    let team = headers.get(TEAM_HEADER).and_then(|team| team.to_str().ok());
    let team = team.ok_or_else(HttpRefusal::missing_private_team)?.trim();
    let encoding = match headers.get(CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap_or_default()) {
        None => Encoding::Plain,
        Some(name) if name.eq_ignore_ascii_case("identity") => Encoding::Plain,
        Some(name) if name.eq_ignore_ascii_case("gzip") => Encoding::Gzip,
        Some(_) => return Err(HttpRefusal::unknown_encoding()),
    };
    let team = principal.private_team(team).ok_or_else(HttpRefusal::missing_private_team)?;
    let (key, team_id) = (team.key, team.team_id.clone());
    Ok(AdmittedBatch { principal, team_id, key, encoding })
}

fn count(app: &App, verdicts: &[EventVerdict], outcomes: &[EventOutcome], flagged: u64) -> EventCounts {
    let of = |outcome: EventOutcome| outcomes.iter().filter(|known| **known == outcome).count() as u64;
    let stored = of(EventOutcome::Stored);
    let duplicate = outcomes.len() as u64 - stored;
    let rejected = verdicts.len() as u64 - outcomes.len() as u64;
    let metrics = &app.metrics;
    metrics.events_stored.inc_by(stored);
    metrics.events_duplicate.inc_by(duplicate);
    metrics.events_differing.inc_by(of(EventOutcome::Duplicate { differs: true }));
    metrics.events_rejected.inc_by(rejected);
    metrics.events_legacy_shape.inc_by(flagged);
    EventCounts { stored, duplicate, rejected }
}

/// The result of one event. The id is the JSON token that was sent, escapes included.
#[derive(Default, Serialize)]
struct BatchResultLine<'a> {
    event_id: Option<&'a RawValue>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    legacy_shape: &'a [&'static str],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    content_differs: bool,
}

#[derive(Serialize)]
struct BatchResultList<'a> {
    results: Vec<BatchResultLine<'a>>,
}

fn answer(verdicts: &[EventVerdict], outcomes: &[EventOutcome]) -> Vec<u8> {
    let results = verdicts.iter().map(|verdict| match verdict {
        EventVerdict::Accepted { id, deviations, at } => {
            // Without an outcome an event is not acknowledged.
            let (status, content_differs) = match outcomes.get(*at) {
                Some(EventOutcome::Stored) => (EventStatus::Accepted, false),
                Some(EventOutcome::Duplicate { differs }) => (EventStatus::Duplicate, *differs),
                None => (EventStatus::Rejected, false),
            };
            BatchResultLine {
                event_id: Some(id),
                status: status.name(),
                legacy_shape: deviations,
                content_differs,
                ..BatchResultLine::default()
            }
        }
        EventVerdict::Rejected { id, rejection, text } => BatchResultLine {
            event_id: id.as_deref(),
            status: EventStatus::Rejected.name(),
            error: Some(text),
            error_message: Some(text),
            code: Some(rejection.code.name()),
            path: Some(rejection.path_text()),
            ..BatchResultLine::default()
        },
    });
    serde_json::to_vec(&BatchResultList { results: results.collect() }).unwrap_or_default()
}
