//! Event ingest: `POST /api/v1/events/batch/`.
//!
//! Order: token, team, a place among the uploads, the body within its bounds, then (on a thread that
//! may block) inflate, split and judge, then one commit, then the answer. What is refused before the
//! body is read is read and forgotten within bounds, so that the client sees the answer.

mod prepare;

use crate::access_log::EventCounts;
use crate::app::{App, LogNote};
use crate::metrics;
use crate::refusal::HttpRefusal;
use crate::request::{BodyFault, Caller, authenticate, drain, read_body};
use crate::store::{EventOutcome, Principal};
use crate::time::UnixMillis;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use contract::wire::batch::EventStatus;
use contract::wire::endpoint::TEAM_HEADER;
use prepare::{Encoding, EventVerdict, JudgedBatch};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// How much larger than its content a batch may arrive: a gzip frame around incompressible bytes.
const WIRE_SLACK: usize = 64 * 1024;

/// Receives a batch.
pub(crate) async fn batch(
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
    let admitted = admit(app, caller, headers).await;
    let (principal, team_id, encoding) = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => {
            drain(body).await;
            return Err(refusal);
        }
    };
    let Some(team) = principal.private_team(&team_id) else {
        drain(body).await;
        return Err(HttpRefusal::missing_private_team());
    };
    let (key, team_id) = (team.key, team.team_id.clone());

    let _places = app.upload_place(caller, &principal.account.user_id).await?;
    let limits = app.limits;
    let bytes = read_body(headers, body, limits.bytes_per_batch + WIRE_SLACK, &limits).await;
    let bytes = bytes.map_err(|fault| match fault {
        BodyFault::TooLarge => HttpRefusal::batch_too_large(&limits),
        BodyFault::TooSlow => HttpRefusal::too_slow(),
        BodyFault::Broken => HttpRefusal::malformed("schema: the batch did not arrive whole").closing(),
    })?;
    metrics::add(&app.metrics.bytes_in, bytes.len() as u64);
    let sent_to = team_id.clone();
    let work = move || prepare::batch(bytes, encoding, &sent_to, &limits);
    let JudgedBatch { verdicts, blocks } =
        tokio::task::spawn_blocking(work).await.map_err(|_| HttpRefusal::unavailable())??;

    let events = blocks.iter().flat_map(|block| &block.events);
    let flagged = events.filter(|event| !event.deviations.is_empty()).count() as u64;
    let outcomes =
        if blocks.is_empty() { Vec::new() } else { app.store.ingest(key, blocks, UnixMillis::now()).await? };
    let counts = count(app, &verdicts, &outcomes, flagged);
    let answer = answer(&verdicts, &outcomes);
    let mut response = (StatusCode::OK, [(CONTENT_TYPE, "application/json")], answer).into_response();
    response.extensions_mut().insert(LogNote {
        account: Some(principal.account.user_id),
        team: Some(team_id),
        events: Some(counts),
        refusal: None,
    });
    Ok(response)
}

/// Who sends, to which team, and how the body is packed.
async fn admit(
    app: &Arc<App>,
    caller: &Caller,
    headers: &HeaderMap,
) -> Result<(Principal, String, Encoding), HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    let team = headers.get(TEAM_HEADER).and_then(|team| team.to_str().ok());
    let team = team.ok_or_else(HttpRefusal::missing_private_team)?.trim().to_owned();
    let encoding = match headers.get(CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap_or_default()) {
        None => Encoding::Plain,
        Some(name) if name.eq_ignore_ascii_case("identity") => Encoding::Plain,
        Some(name) if name.eq_ignore_ascii_case("gzip") => Encoding::Gzip,
        Some(_) => return Err(HttpRefusal::unknown_encoding()),
    };
    Ok((principal, team, encoding))
}

fn count(app: &App, verdicts: &[EventVerdict], outcomes: &[EventOutcome], flagged: u64) -> EventCounts {
    let stored = outcomes.iter().filter(|outcome| **outcome == EventOutcome::Stored).count() as u64;
    let differing = outcomes.iter().filter(|outcome| **outcome == EventOutcome::Duplicate { differs: true });
    let differing = differing.count() as u64;
    let duplicate = outcomes.len() as u64 - stored;
    let rejected = verdicts.len() as u64 - outcomes.len() as u64;
    let metrics = &app.metrics;
    metrics::add(&metrics.events_stored, stored);
    metrics::add(&metrics.events_duplicate, duplicate);
    metrics::add(&metrics.events_differing, differing);
    metrics::add(&metrics.events_rejected, rejected);
    metrics::add(&metrics.events_legacy_shape, flagged);
    EventCounts { stored, duplicate, rejected }
}

/// One line of the answer. The id is the token that was sent, escapes and all.
#[derive(Serialize)]
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
struct BatchResponse<'a> {
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
                error: None,
                error_message: None,
                code: None,
                path: None,
                legacy_shape: deviations,
                content_differs,
            }
        }
        EventVerdict::Rejected { id, rejection, text } => BatchResultLine {
            event_id: id.as_deref(),
            status: EventStatus::Rejected.name(),
            error: Some(text),
            error_message: Some(text),
            code: Some(rejection.code.name()),
            path: Some(rejection.path_text()),
            legacy_shape: &[],
            content_differs: false,
        },
    });
    serde_json::to_vec(&BatchResponse { results: results.collect() }).unwrap_or_default()
}
