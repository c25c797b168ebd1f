//! From bytes to judged events. Pure and bounded: no store, no clock.

use crate::answer::Refusal;
use crate::config::Limits;
use crate::store::{ArtifactKey, NewEvent};
use contract::event::{self, Node, Rejection, RejectionCode, Tolerance};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::io::Read;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Plain,
    /// gzip, one member or several.
    Gzip,
}

/// A batch, judged.
pub(super) struct Batch {
    /// One for each submitted event, in order.
    pub(super) verdicts: Vec<Verdict>,
    /// The accepted ones, in order.
    pub(super) events: Vec<NewEvent>,
}

/// The judgement of one event.
pub(super) enum Verdict {
    /// It is in [`Batch::events`].
    Accepted { id: Box<RawValue>, deviations: Vec<&'static str> },
    /// It is not stored.
    Rejected { id: Option<Box<RawValue>>, rejection: Rejection, text: String },
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

/// Unpacks, splits and judges a batch.
pub(super) fn batch(bytes: &[u8], encoding: Encoding, limits: &Limits) -> Result<Batch, Refusal> {
    let plain = match encoding {
        Encoding::Plain if bytes.len() > limits.bytes_per_batch => {
            return Err(Refusal::batch_too_large(limits));
        }
        Encoding::Plain => bytes.to_vec(),
        Encoding::Gzip => inflate(bytes, limits)?,
    };
    let text = String::from_utf8(plain).map_err(|_| Refusal::malformed("schema: the batch is not UTF-8"))?;
    let request: Request<'_> = serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        Refusal::malformed(format!(
            "schema: the batch must be an object with the field events, an array ({place})"
        ))
    })?;
    if request.events.is_empty() {
        return Err(Refusal::no_events());
    }
    if request.events.len() > limits.events_per_batch {
        return Err(Refusal::batch_too_large(limits));
    }
    let mut batch = Batch { verdicts: Vec::with_capacity(request.events.len()), events: Vec::new() };
    batch.events.reserve(request.events.len());
    for raw in request.events {
        judge(raw, &mut batch);
    }
    Ok(batch)
}

fn inflate(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let limit = limits.bytes_per_batch;
    let mut plain = Vec::with_capacity(bytes.len().saturating_mul(4).min(limit + 1));
    let mut bounded = MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    bounded
        .read_to_end(&mut plain)
        .map_err(|_| Refusal::malformed("schema: the batch is not a whole gzip stream"))?;
    if plain.len() > limit { Err(Refusal::batch_too_large(limits)) } else { Ok(plain) }
}

fn judge(raw: &RawValue, batch: &mut Batch) {
    let node = match Node::parse(raw.get()) {
        Ok(node) => node,
        Err(error) => {
            let text = format!("schema: not readable as one JSON object (column {})", error.column());
            return reject(raw, Rejection::new(RejectionCode::EnvelopeShapeInvalid, text), batch);
        }
    };
    match event::judge(&node, Tolerance::LegacyShape) {
        Err(rejection) => reject(raw, rejection, batch),
        Ok(valid) => {
            // Ids are plain ASCII by now: the same text, whatever escapes it was sent with.
            let Ok(id) = serde_json::value::to_raw_value(&valid.event_id) else {
                return reject(
                    raw,
                    Rejection::new(RejectionCode::EnvelopeShapeInvalid, "schema: no id"),
                    batch,
                );
            };
            let deviations = valid.deviations.iter().map(|deviation| deviation.name()).collect();
            batch.verdicts.push(Verdict::Accepted { id, deviations });
            batch.events.push(NewEvent {
                digest: Sha256::digest(raw.get().as_bytes()).into(),
                bytes: raw.get().to_owned(),
                artifact: artifact(&valid.event_type, &node),
                event_id: valid.event_id,
                canonical_id: valid.canonical_id,
                event_type: valid.event_type,
                aggregate_id: valid.aggregate_id,
                project_uuid: valid.project_uuid,
                timestamp: valid.timestamp,
                lamport_clock: valid.lamport_clock,
                deviations: valid.deviations,
            });
        }
    }
}

fn reject(raw: &RawValue, rejection: Rejection, batch: &mut Batch) {
    let text = rejection.to_string();
    batch.verdicts.push(Verdict::Rejected { id: sent_id(raw), rejection, text });
}

/// The id as it was sent, token for token; found also in events that are otherwise unreadable.
fn sent_id(raw: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Id {
        event_id: Box<RawValue>,
    }
    serde_json::from_str::<Id>(raw.get()).ok().map(|id| id.event_id)
}

/// The artifact an index event announces.
fn artifact(event_type: &str, event: &Node<'_>) -> Option<ArtifactKey> {
    if event_type != event::kind::DOSSIER_ARTIFACT_INDEXED {
        return None;
    }
    let payload = event.get("payload")?;
    let namespace = payload.get("namespace")?;
    let text = |key: &str| namespace.text(key).map(str::to_owned);
    Some(ArtifactKey {
        project_uuid: text("project_uuid")?,
        mission_slug: text("mission_slug")?,
        target_branch: text("target_branch")?,
        mission_type: text("mission_type")?,
        manifest_version: text("manifest_version")?,
        path: payload.get("artifact_id")?.text("path")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn status(result: Result<Batch, Refusal>) -> StatusCode {
        result.err().map_or(StatusCode::OK, |refusal| refusal.into_response().status())
    }

    fn small() -> Limits {
        Limits { bytes_per_batch: 4096, events_per_batch: 3, ..Limits::default() }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![b' '; 50 * 1024 * 1024]);
        assert!(bomb.len() < 512 * 1024);
        assert_eq!(status(batch(&bomb, Encoding::Gzip, &small())), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn what_is_no_batch_is_refused_as_a_whole() {
        for bad in ["", "{", "[]", "{}", r#"{"events":null}"#, r#"{"events":{}}"#, r#"{"events":[]}"#] {
            assert_eq!(
                status(batch(bad.as_bytes(), Encoding::Plain, &small())),
                StatusCode::BAD_REQUEST,
                "{bad}"
            );
        }
        assert_eq!(
            status(batch(b"{\"events\":[\"\xff\"]}", Encoding::Plain, &small())),
            StatusCode::BAD_REQUEST
        );
        assert_eq!(status(batch(&gzip(b"{")[..8], Encoding::Gzip, &small())), StatusCode::BAD_REQUEST);
        let four = r#"{"events":[1,2,3,4]}"#;
        assert_eq!(status(batch(four.as_bytes(), Encoding::Plain, &small())), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn an_unreadable_event_is_answered_by_its_id_and_stops_no_other() {
        let deep = format!(r#"{{"event_id":"deep","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let text = format!(r#"{{"events":[{deep},{{"event_id":"twice","a":1,"a":2}},7]}}"#);
        let batch = batch(text.as_bytes(), Encoding::Plain, &small()).ok().unwrap();
        let ids: Vec<Option<&str>> = batch
            .verdicts
            .iter()
            .map(|verdict| match verdict {
                Verdict::Accepted { .. } => Some("accepted"),
                Verdict::Rejected { id, .. } => id.as_ref().map(|id| id.get()),
            })
            .collect();
        assert_eq!(ids, [Some("\"deep\""), Some("\"twice\""), None]);
        assert!(batch.events.is_empty());
    }
}
