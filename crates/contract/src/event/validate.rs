//! Validation of a JSON value against the published event contract.
//!
//! The checks have an order, so that every reader names the same fault of an event with several. It is: an object;
//! required envelope keys; forbidden keys; a payload object; the lane vocabulary; the envelope's values; the payload.

use super::legacy::{self, Deviation};
use super::rejection::{Rejection, RejectionCode};
use super::shape::{ObjectShape, Shape, may, need, open, some};
use super::{FORBIDDEN_AGGREGATES, FORBIDDEN_KEYS, FORBIDDEN_TYPES, SCHEMA_VERSION, id, payload};
use crate::Lane;
use crate::json::Node;

/// Whether deviations of earlier clients are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// Contract shapes only: what a client captures.
    Strict,
    /// Also the flagged deviations of [`Deviation`]: what a server ingests.
    LegacyShape,
}

/// Fields of an accepted event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSummary {
    /// The id as it was sent.
    pub event_id: String,
    /// The id that idempotency compares.
    pub canonical_id: String,
    /// See [`known_types`].
    pub event_type: String,
    /// Its subject.
    pub aggregate_id: String,
    /// The project as it was sent; none for the tolerated `null`.
    pub project_uuid: Option<String>,
    /// Its team, if the event names one.
    pub team_slug: Option<String>,
    /// Time at the producer, as sent.
    pub timestamp: String,
    /// The producer's clock.
    pub lamport_clock: i64,
    /// The tolerated deviations; empty under [`Tolerance::Strict`].
    pub deviations: Vec<Deviation>,
}

/// Validates an event that was read with [`Node::parse`].
pub fn validate_event(event: &Node<'_>, tolerance: Tolerance) -> Result<EventSummary, Rejection> {
    let Node::Object(_) = event else {
        return Err(envelope_fault(format!("schema: an event must be an object, is {}", event.noun())));
    };
    required_keys(event)?;
    forbidden_keys(event)?;
    let empty = Node::Object(Vec::new());
    let payload = payload_of(event, &empty)?;
    let event_type = event.text("event_type").unwrap_or_default();
    lanes(event_type, payload, tolerance)?;

    let mut deviations = Vec::new();
    envelope(event, tolerance, &mut deviations)?;
    after_cut_over(event)?;
    let table = payload::shape_of(event_type, payload).ok_or_else(unknown_type)?;
    if let Err(fault) = table.check(payload) {
        let tolerated = match tolerance {
            Tolerance::LegacyShape => legacy::payload_deviation(event_type, payload),
            Tolerance::Strict => None,
        };
        deviations.push(tolerated.ok_or_else(|| fault.under("payload"))?);
    }
    deviations.sort_unstable();
    Ok(summary(event, deviations))
}

/// Validates a payload alone against the schema of its type. The path starts at the payload.
pub fn validate_payload(event_type: &str, payload: &Node<'_>) -> Result<(), Rejection> {
    payload::shape_of(event_type, payload).ok_or_else(unknown_type)?.check(payload)
}

/// Every event type of the contract.
pub fn known_types() -> impl Iterator<Item = &'static str> {
    payload::names()
}

/// Validates only that an envelope is from after the cut-over: no forbidden key at any depth, the exact
/// version, no earlier type or aggregate.
pub fn validate_cut_over(event: &Node<'_>) -> Result<(), Rejection> {
    forbidden_keys(event)?;
    after_cut_over(event)
}

/// Validates an envelope without its payload, of any event type, strictly.
pub fn validate_envelope(event: &Node<'_>) -> Result<(), Rejection> {
    required_keys(event)?;
    payload_of(event, &Node::Null)?;
    envelope(event, Tolerance::Strict, &mut Vec::new())?;
    validate_cut_over(event)
}

/// The payload, which must be an object; `without` when it is absent.
fn payload_of<'n, 'a>(event: &'n Node<'a>, without: &'n Node<'a>) -> Result<&'n Node<'a>, Rejection> {
    match event.get("payload") {
        None => Ok(without),
        Some(payload @ Node::Object(_)) => Ok(payload),
        Some(other) => {
            Err(envelope_fault(format!("field must be an object, is {}", other.noun())).under("payload"))
        }
    }
}

fn unknown_type() -> Rejection {
    envelope_fault("schema: unknown event_type".to_owned()).under("event_type")
}

static ENVELOPE: ObjectShape = open(&[
    need("event_type", Shape::Text),
    need("aggregate_id", Shape::Text),
    need("timestamp", Shape::Instant),
    need("node_id", Shape::Text),
    need("lamport_clock", Shape::Whole(0)),
    may("project_slug", &Shape::AnyText),
    may("team_slug", &Shape::AnyText),
    some("data_tier", Shape::WholeWithin(0, 4)),
]);

const REQUIRED: [&str; 9] = [
    "event_id",
    "event_type",
    "aggregate_id",
    "timestamp",
    "build_id",
    "node_id",
    "lamport_clock",
    "project_uuid",
    "correlation_id",
];

fn required_keys(event: &Node<'_>) -> Result<(), Rejection> {
    let Some(missing) = REQUIRED.into_iter().find(|key| event.get(key).is_none()) else {
        return Ok(());
    };
    // Rows of local logs name a work package without being an event, or carry the keys of the
    // envelope before the cut-over.
    let names_work_package =
        ["wp_id", "wp", "work_package_id"].into_iter().any(|key| event.get(key).is_some());
    let is_older_envelope = event.get("event_version").is_some() && event.get("occurred_at").is_some();
    let is_local_row = is_older_envelope || (event.get("event_type").is_none() && names_work_package);
    if is_local_row {
        let text = "schema: a row of a local status log is not an event";
        return Err(Rejection::new(RejectionCode::RawHistoricalRow, text));
    }
    Err(envelope_fault("field is missing".to_owned()).under(missing))
}

fn forbidden_keys(node: &Node<'_>) -> Result<(), Rejection> {
    match node {
        Node::Object(entries) => {
            for (key, value) in entries {
                if FORBIDDEN_KEYS.contains(&key.as_ref()) {
                    let text = "field is forbidden: it is from before the schema's cut-over";
                    return Err(Rejection::new(RejectionCode::ForbiddenKey, text).under(key));
                }
                forbidden_keys(value).map_err(|fault| fault.under(key))?;
            }
            Ok(())
        }
        Node::List(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| forbidden_keys(item).map_err(|fault| fault.at(index))),
        _ => Ok(()),
    }
}

fn lanes(event_type: &str, payload: &Node<'_>, tolerance: Tolerance) -> Result<(), Rejection> {
    if event_type != super::kind::WP_STATUS_CHANGED {
        return Ok(());
    }
    for key in ["from_lane", "to_lane"] {
        let is_tolerated = |text: &str| {
            tolerance == Tolerance::LegacyShape && key == "from_lane" && text == Lane::Genesis.name()
        };
        if let Some(text) = payload.text(key)
            && Lane::from_event(text).is_none()
            && !is_tolerated(text)
        {
            let fault = Rejection::new(RejectionCode::UnknownLane, "field is not a lane of the schema");
            return Err(fault.under(key).under("payload"));
        }
    }
    Ok(())
}

fn envelope(
    event: &Node<'_>,
    tolerance: Tolerance,
    deviations: &mut Vec<Deviation>,
) -> Result<(), Rejection> {
    for key in ["event_id", "correlation_id"] {
        identifier(event, key)?;
    }
    if event.get("causation_id").is_some_and(|value| !value.is_null()) {
        identifier(event, "causation_id")?;
    }
    ENVELOPE.check(event).map_err(into_envelope_fault)?;
    let build = event.get("build_id").unwrap_or(&Node::Null);
    match (Shape::Text.check(build), tolerance) {
        (Ok(()), _) => {}
        (Err(_), Tolerance::LegacyShape) if build.as_str() == Some("") => {
            deviations.push(Deviation::EmptyBuild)
        }
        (Err(fault), _) => return Err(into_envelope_fault(fault.under("build_id"))),
    }
    let project = event.get("project_uuid").unwrap_or(&Node::Null);
    match (Shape::Uuid.check(project), tolerance) {
        (Ok(()), _) => Ok(()),
        (Err(_), Tolerance::LegacyShape) if project.is_null() => {
            deviations.push(Deviation::NullProject);
            Ok(())
        }
        (Err(fault), _) => Err(into_envelope_fault(fault.under("project_uuid"))),
    }
}

fn identifier(event: &Node<'_>, key: &'static str) -> Result<(), Rejection> {
    if event.text(key).is_some_and(id::is_valid) {
        return Ok(());
    }
    let text = "field must be an event id: a ULID, or a UUID with or without hyphens";
    Err(envelope_fault(text.to_owned()).under(key))
}

fn after_cut_over(event: &Node<'_>) -> Result<(), Rejection> {
    if event.text("schema_version") != Some(SCHEMA_VERSION) {
        let text = format!("field must be present and exactly {SCHEMA_VERSION}");
        return Err(envelope_fault(text).under("schema_version"));
    }
    let aggregate = event.text("aggregate_id").unwrap_or_default();
    let first = aggregate.split('/').next().unwrap_or_default();
    if FORBIDDEN_AGGREGATES.contains(&first) || event.text("aggregate_type") == Some("Feature") {
        let text = "field names an aggregate from before the schema's cut-over";
        return Err(envelope_fault(text.to_owned()).under("aggregate_id"));
    }
    if FORBIDDEN_TYPES.contains(&event.text("event_type").unwrap_or_default()) {
        let text = "field names an event from before the schema's cut-over";
        return Err(envelope_fault(text.to_owned()).under("event_type"));
    }
    Ok(())
}

fn summary(event: &Node<'_>, deviations: Vec<Deviation>) -> EventSummary {
    let text = |key: &str| event.text(key).unwrap_or_default().to_owned();
    let event_id = text("event_id");
    EventSummary {
        canonical_id: id::canonical(&event_id).unwrap_or_else(|| event_id.clone()),
        event_id,
        event_type: text("event_type"),
        aggregate_id: text("aggregate_id"),
        project_uuid: event.text("project_uuid").map(str::to_owned),
        team_slug: event.text("team_slug").filter(|team| !team.is_empty()).map(str::to_owned),
        timestamp: text("timestamp"),
        lamport_clock: match event.get("lamport_clock") {
            Some(Node::Integer(value)) => *value,
            Some(Node::Float(value)) => *value as i64,
            _ => 0,
        },
        deviations,
    }
}

fn envelope_fault(message: String) -> Rejection {
    Rejection::new(RejectionCode::EnvelopeShapeInvalid, message)
}

fn into_envelope_fault(fault: Rejection) -> Rejection {
    Rejection { code: RejectionCode::EnvelopeShapeInvalid, ..fault }
}
