//! Event ingest: `POST /api/v1/events/batch/`, and `POST /api/v1/events/preflight/`, which judges alike and
//! stores nothing.
//!
//! Order: token, team, an upload permit, the body within its bounds, then (on a blocking
//! thread, unless it is small) inflate, split and validate, then one commit, then the answer. The body of a refused request is
//! discarded within bounds, so that the client reads the answer.

mod content;
mod prepare;
mod rejected;
mod senders;

pub(crate) use senders::Senders;

use crate::access_log::{EventCounts, LogNote};
use crate::app::App;
use crate::refusal::HttpRefusal;
use crate::request::{Caller, authenticate, discard_if_refused, machine_label, read_body};
use crate::store::{EventOutcome, HeldQuery, Membership, NewRejection, Sighting};
use crate::time::UnixMillis;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use axum::response::{IntoResponse, Response};
use contract::wire::batch::EventStatus;
use contract::wire::endpoint::TEAM_HEADER;
use contract::wire::receipts::ReceiptState;
use prepare::{Encoding, EventVerdict, JudgedBatch, Submission};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::sync::Arc;

/// Allowance above the batch limit for the gzip frame around incompressible bytes.
const WIRE_SLACK: usize = 64 * 1024;

pub(crate) async fn batch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpRefusal> {
    let (mut sender, body) = discard_if_refused(admit(&app, &caller, &headers).await, body).await?;
    let _permits = app.upload_permits(&caller, &sender.account).await?;
    let judged = judge(&app, &headers, &mut sender, body, app.limits.bytes_per_batch).await?;
    let JudgedBatch { team, verdicts, blocks, node_id, rejections } = judged;

    let sighting = Sighting {
        team: team.key,
        user_id: sender.account.clone(),
        node_id,
        name: sender.machine,
        program: sender.program,
        now: UnixMillis::now(),
    };
    let events = blocks.iter().flat_map(|block| &block.events);
    let flagged = events.filter(|event| !event.deviations.is_empty()).count() as u64;
    let delivers = !blocks.is_empty();
    let ingest = async {
        if delivers { app.store.ingest(team.key, blocks, sighting.now).await } else { Ok(Vec::new()) }
    };
    let outcomes = ingest.await?;
    // After the commit: a batch that was not stored is no delivery.
    record(&app, &sighting, delivers, rejections).await;
    let counts = count(&app, &verdicts, &outcomes, flagged);
    let note = LogNote {
        account: Some(sender.account),
        team: Some(team.team_id),
        events: Some(counts),
        refusal: None,
    };
    Ok(json(note, &BatchResultList { results: results(&verdicts, &outcomes) }))
}

pub(crate) async fn preflight(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, HttpRefusal> {
    let (mut sender, body) = discard_if_refused(admit(&app, &caller, &headers).await, body).await?;
    let _permits = app.upload_permits(&caller, &sender.account).await?;
    // Not compressed, and nothing of it is stored.
    let JudgedBatch { team, verdicts, blocks, .. } =
        judge(&app, &headers, &mut sender, body, app.limits.bytes_per_body_request).await?;
    let ids: Vec<String> =
        blocks.into_iter().flat_map(|block| block.events).map(|event| event.canonical_id).collect();
    let query =
        HeldQuery { team: team.key, events: ids.iter().cloned().map(Some).collect(), ..HeldQuery::default() };
    let mut states = app.store.held(query).await?.events.into_iter();
    let mut seen = HashSet::new();
    let outcomes: Vec<EventOutcome> = ids
        .iter()
        .map(|id| match states.next() {
            Some(ReceiptState::Missing) if seen.insert(id) => EventOutcome::Stored,
            _ => EventOutcome::Duplicate { differs: false },
        })
        .collect();
    let note =
        LogNote { account: Some(sender.account), team: Some(team.team_id), events: None, refusal: None };
    Ok(json(note, &PreflightAnswer::of(results(&verdicts, &outcomes))))
}

/// Records the sender and what was rejected. A batch does not fail for it.
async fn record(app: &App, sighting: &Sighting, delivers: bool, rejections: Vec<NewRejection>) {
    let delivers = delivers && app.senders.is_due(sighting);
    if !delivers && rejections.is_empty() {
        return;
    }
    if let Err(error) = app.store.record_sender(sighting.clone(), delivers, rejections).await {
        tracing::warn!(%error, "the sender of a batch was not recorded");
    }
}

/// Sender of events: account, machine, teams, and the encoding of the batch.
struct Sender {
    account: String,
    /// The machine, as its login names it.
    machine: String,
    /// Program and version of the request.
    program: String,
    teams: Vec<Membership>,
    encoding: Encoding,
}

async fn admit(app: &Arc<App>, caller: &Caller, headers: &HeaderMap) -> Result<Sender, HttpRefusal> {
    let principal = authenticate(app, caller, headers).await?;
    let encoding = match headers.get(CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap_or_default()) {
        None => Encoding::Plain,
        Some(name) if name.eq_ignore_ascii_case("identity") => Encoding::Plain,
        Some(name) if name.eq_ignore_ascii_case("gzip") => Encoding::Gzip,
        Some(_) => return Err(HttpRefusal::unknown_encoding()),
    };
    let teams: Vec<Membership> = match headers.get(TEAM_HEADER) {
        Some(named) => {
            let named = named.to_str().unwrap_or_default().trim();
            principal.private_team(named).into_iter().cloned().collect()
        }
        None => principal.private_teams().cloned().collect(),
    };
    if teams.is_empty() {
        return Err(HttpRefusal::missing_private_team());
    }
    let program = machine_label(None, headers.get(USER_AGENT));
    let machine = principal.machine_name().to_owned();
    Ok(Sender { account: principal.account.user_id, machine, program, teams, encoding })
}

/// Reads the events of a request within `most_bytes`, and validates them. A small batch is validated at once, because
/// a switch to a blocking thread would cost more.
async fn judge(
    app: &App,
    headers: &HeaderMap,
    sender: &mut Sender,
    body: Body,
    most_bytes: usize,
) -> Result<JudgedBatch, HttpRefusal> {
    let limits = app.limits;
    let bytes = read_body(headers, body, most_bytes + WIRE_SLACK, &limits).await;
    let bytes = bytes.map_err(|fault| fault.refusal("batch", || HttpRefusal::batch_too_large(&limits)))?;
    app.metrics.request_bytes.inc_by(bytes.len() as u64);
    let (encoding, teams) = (sender.encoding, std::mem::take(&mut sender.teams));
    let mut submission = Submission { bytes, encoding, most_bytes, teams, unpacked: None };
    if submission.unpack_if_small() {
        return prepare::batch(submission, &limits);
    }
    let work = move || prepare::batch(submission, &limits);
    tokio::task::spawn_blocking(work).await.map_err(|_| HttpRefusal::unavailable())?
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
    metrics.batch_events.observe(verdicts.len() as f64);
    for verdict in verdicts {
        if let EventVerdict::Rejected { rejection, .. } = verdict {
            metrics.count_rejection(rejection.code);
        }
    }
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

/// The answer to a preflight. With a rejected event it also has what releases up to 3.2.7 print.
#[derive(Serialize)]
struct PreflightAnswer<'a> {
    results: Vec<BatchResultLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<PreflightDetail<'a>>,
}

#[derive(Serialize)]
struct PreflightDetail<'a> {
    event_id: Option<&'a RawValue>,
    path: Option<String>,
    detail: &'a str,
}

impl<'a> PreflightAnswer<'a> {
    fn of(results: Vec<BatchResultLine<'a>>) -> Self {
        let rejected = results.iter().filter_map(|line| Some((line, line.error?)));
        let details: Vec<_> = rejected
            .clone()
            .map(|(line, detail)| PreflightDetail {
                event_id: line.event_id,
                path: line.path.clone(),
                detail,
            })
            .collect();
        let first = rejected.clone().next();
        let error = first
            .as_ref()
            .map(|(_, text)| format!("{} of {} events are rejected: {text}", details.len(), results.len()));
        let code = first.and_then(|(line, _)| line.code);
        Self { error, code, details, results }
    }
}

fn json(note: LogNote, answer: &impl Serialize) -> Response {
    let answer = serde_json::to_vec(answer).unwrap_or_default();
    (Extension(note), [(CONTENT_TYPE, "application/json")], answer).into_response()
}

fn results<'a>(verdicts: &'a [EventVerdict], outcomes: &[EventOutcome]) -> Vec<BatchResultLine<'a>> {
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
    results.collect()
}
