//! Unpacks, splits and validates a batch, and chooses its team. Pure and bounded: no store, no clock.

use super::content;
use super::rejected::{RECORDED, recorded};
use crate::config::ServerLimits;
use crate::refusal::HttpRefusal;
use crate::request::read_object;
use crate::store::{
    ArtifactKey, Membership, MissionHint, NewBlock, NewEvent, NewRejection, assign_missions, bounded,
    is_same_team,
};
use contract::event::{self, Node, Rejection, RejectionCode, Tolerance};
use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, write::GzEncoder};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};

/// Content encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    /// One member or several.
    Gzip,
}

/// The bytes of a request with events.
pub(super) struct Submission {
    pub(super) bytes: Vec<u8>,
    pub(super) encoding: Encoding,
    /// Bound on the unpacked bytes.
    pub(super) most_bytes: usize,
    /// The teams that it may be for, in the order of joining. Never empty.
    pub(super) teams: Vec<Membership>,
    /// Its text, if it was unpacked before.
    pub(super) unpacked: Option<Vec<u8>>,
}

/// Bounds of a small batch, as it was sent and unpacked.
const SMALL: usize = 4 * 1024;
const SMALL_UNPACKED: usize = 16 * 1024;

impl Submission {
    /// Whether it is small, unpacked too, so that little work is left. A small text is kept.
    pub(super) fn unpack_if_small(&mut self) -> bool {
        if self.bytes.len() > SMALL || self.most_bytes < SMALL_UNPACKED {
            return false;
        }
        if self.encoding == Encoding::Gzip {
            self.unpacked = inflate(&self.bytes, SMALL_UNPACKED).ok().flatten();
        }
        self.encoding == Encoding::Plain || self.unpacked.is_some()
    }
}

/// A validated batch.
pub(super) struct JudgedBatch {
    /// The team that the events are for.
    pub(super) team: Membership,
    /// One verdict per submitted event, in order.
    pub(super) verdicts: Vec<EventVerdict>,
    /// The accepted events, by project.
    pub(super) blocks: Vec<NewBlock>,
    /// The machine that the first valid event names.
    pub(super) node_id: String,
    /// The first of the rejected events.
    pub(super) rejections: Vec<NewRejection>,
}

pub(super) enum EventVerdict {
    /// `at` is its position among the events of all blocks.
    Accepted {
        id: Box<RawValue>,
        deviations: Vec<&'static str>,
        at: usize,
    },
    Rejected {
        id: Option<Box<RawValue>>,
        rejection: Rejection,
        text: String,
    },
}

#[derive(Deserialize)]
struct SubmittedBatch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

pub(super) fn batch(submission: Submission, limits: &ServerLimits) -> Result<JudgedBatch, HttpRefusal> {
    let Submission { bytes, encoding, most_bytes, teams, unpacked } = submission;
    let (plain, packed) = match encoding {
        Encoding::Plain if bytes.len() > most_bytes => {
            return Err(HttpRefusal::batch_too_large(limits));
        }
        Encoding::Plain => (bytes, None),
        Encoding::Gzip => {
            let plain = unpacked.map_or_else(|| inflate(&bytes, most_bytes), |plain| Ok(Some(plain)))?;
            (plain.ok_or_else(|| HttpRefusal::batch_too_large(limits))?, Some(bytes))
        }
    };
    let text =
        std::str::from_utf8(&plain).map_err(|_| HttpRefusal::malformed("schema: the batch is not UTF-8"))?;
    let request: SubmittedBatch<'_> = read_object(text.as_bytes()).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        HttpRefusal::malformed(format!(
            "schema: the batch must be an object with the field events, an array ({place})"
        ))
    })?;
    if request.events.is_empty() {
        return Err(HttpRefusal::no_events());
    }
    if request.events.len() > limits.events_per_batch {
        return Err(HttpRefusal::batch_too_large(limits));
    }
    let (mut buffer, mut node_id) = (Vec::new(), None);
    let judged: Vec<Result<Accepted, Rejection>> =
        request.events.iter().map(|raw| judge(text, raw, &mut buffer, &mut node_id)).collect();
    let named = judged.iter().flatten().filter_map(|accepted| accepted.team_slug.as_deref());
    let team = choose_team(teams, named).ok_or_else(HttpRefusal::missing_private_team)?;
    let mut verdicts = Vec::with_capacity(request.events.len());
    let mut projects: Vec<ProjectEvents> = Vec::new();
    let mut rejections = Vec::new();
    for (raw, judged) in request.events.into_iter().zip(judged) {
        verdicts.push(match judged.and_then(|accepted| accepted.sent_to(&team.team_id)) {
            Ok(Accepted { id, project_uuid, event, hint, .. }) => {
                let deviations = event.deviations.iter().map(|deviation| deviation.name()).collect();
                let project = project_index(&mut projects, project_uuid);
                projects[project].events.push((verdicts.len(), event));
                projects[project].hints.push(hint);
                EventVerdict::Accepted { id, deviations, at: 0 }
            }
            Err(rejection) => {
                let error = rejection.to_string();
                if rejections.len() < RECORDED {
                    rejections.push(recorded(raw, &rejection));
                }
                EventVerdict::Rejected { id: sent_id(raw), rejection, text: error }
            }
        });
    }
    let blocks = blocks(text, packed, projects, &mut verdicts);
    Ok(JudgedBatch { team, verdicts, blocks, node_id: node_id.unwrap_or_default(), rejections })
}

/// The team that all events with a team name, if it is one of `teams`; else the first.
fn choose_team<'e>(mut teams: Vec<Membership>, named: impl Iterator<Item = &'e str>) -> Option<Membership> {
    let mut named = named.map(contract::scope::trim).filter(|named| !named.is_empty());
    let chosen = named.next().filter(|first| named.all(|other| is_same_team(first, other)));
    let at = chosen.and_then(|chosen| teams.iter().position(|team| is_same_team(&team.team_id, chosen)));
    let at = at.unwrap_or(0);
    (at < teams.len()).then(|| teams.swap_remove(at))
}

/// The accepted events of one project, each with the index of its verdict.
struct ProjectEvents {
    uuid: Option<String>,
    events: Vec<(usize, NewEvent)>,
    /// Of each event.
    hints: Vec<MissionHint>,
}

/// The index of a project, added if it is new; few batches have more than one.
fn project_index(projects: &mut Vec<ProjectEvents>, uuid: Option<String>) -> usize {
    projects.iter().rposition(|project| project.uuid == uuid).unwrap_or_else(|| {
        projects.push(ProjectEvents { uuid, events: Vec::new(), hints: Vec::new() });
        projects.len() - 1
    })
}

/// Turns projects into blocks. A batch of one project without a rejected event is stored as it was sent.
/// From any other batch the accepted events of each project are packed again, so that a block contains
/// neither rejected events nor events of another project.
fn blocks(
    text: &str,
    packed: Option<Vec<u8>>,
    projects: Vec<ProjectEvents>,
    verdicts: &mut [EventVerdict],
) -> Vec<NewBlock> {
    let accepted: usize = projects.iter().map(|project| project.events.len()).sum();
    let is_whole = projects.len() == 1 && accepted == verdicts.len();
    let mut as_sent = packed.filter(|_| is_whole);
    let mut next = 0;
    let mut blocks = Vec::with_capacity(projects.len());
    for project in projects {
        let (packed, offsets) = match as_sent.take() {
            Some(packed) => (packed, None),
            None => {
                let (packed, offsets) = pack(text, &project.events);
                (packed, Some(offsets))
            }
        };
        let mut events = Vec::with_capacity(project.events.len());
        for (index, (verdict, mut event)) in project.events.into_iter().enumerate() {
            if let Some(offset) = offsets.as_ref().and_then(|offsets| offsets.get(index)) {
                event.offset = *offset;
            }
            if let Some(EventVerdict::Accepted { at, .. }) = verdicts.get_mut(verdict) {
                *at = next;
            }
            next += 1;
            events.push(event);
        }
        let subjects = events.iter().map(|event| &*event.aggregate_id);
        let (missions, of_events) = assign_missions(project.hints.iter().zip(subjects));
        for (event, mission) in events.iter_mut().zip(of_events) {
            event.mission = mission;
        }
        let project_name = project.hints.into_iter().find_map(|hint| hint.project_name);
        blocks.push(NewBlock { project_uuid: project.uuid, project_name, missions, packed, events });
    }
    blocks
}

/// Packs events one after another, each on a line. Returns the offset of each as well.
fn pack(text: &str, events: &[(usize, NewEvent)]) -> (Vec<u8>, Vec<usize>) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut offsets = Vec::with_capacity(events.len());
    let mut written = 0;
    for (_, event) in events {
        let bytes = text.as_bytes().get(event.offset..event.offset + event.length).unwrap_or_default();
        offsets.push(written);
        // Writing to memory cannot fail.
        let _ = encoder.write_all(bytes).and_then(|()| encoder.write_all(b"\n"));
        written += bytes.len() + 1;
    }
    (encoder.finish().unwrap_or_default(), offsets)
}

/// The text of a batch; nothing when it is larger than `limit`.
fn inflate(bytes: &[u8], limit: usize) -> Result<Option<Vec<u8>>, HttpRefusal> {
    let mut plain = Vec::with_capacity(bytes.len().saturating_mul(4).min(limit + 1));
    let mut bounded = MultiGzDecoder::new(bytes).take(limit as u64 + 1);
    bounded
        .read_to_end(&mut plain)
        .map_err(|_| HttpRefusal::malformed("schema: the batch is not a whole gzip stream"))?;
    Ok((plain.len() <= limit).then_some(plain))
}

/// A valid event, before its team is compared.
struct Accepted {
    /// For the answer.
    id: Box<RawValue>,
    project_uuid: Option<String>,
    /// The team that its envelope names.
    team_slug: Option<String>,
    hint: MissionHint,
    event: NewEvent,
}

impl Accepted {
    fn sent_to(self, team: &str) -> Result<Self, Rejection> {
        if self.team_slug.as_deref().is_none_or(|named| is_sent_to(named, team)) {
            return Ok(self);
        }
        let text = "the envelope names another team than the one the batch is sent to";
        Err(Rejection::new(RejectionCode::EnvelopeShapeInvalid, text).under("team_slug"))
    }
}

fn judge(
    text: &str,
    raw: &RawValue,
    buffer: &mut Vec<u8>,
    node_id: &mut Option<String>,
) -> Result<Accepted, Rejection> {
    let unreadable = |text: String| Rejection::new(RejectionCode::EnvelopeShapeInvalid, text);
    let node = Node::parse(raw.get()).map_err(|error| {
        unreadable(format!("schema: not readable as one JSON object (column {})", error.column()))
    })?;
    let valid = event::validate_event(&node, Tolerance::LegacyShape)?;
    // Valid ids are plain ASCII, so the text does not depend on the escapes it was sent with.
    let id = to_raw_value(&valid.event_id).map_err(|_| unreadable("schema: no id".to_owned()))?;
    if node_id.is_none() {
        *node_id = node.text("node_id").map(bounded);
    }
    let artifact = artifact(&valid.event_type, &node);
    let key_bytes = artifact.as_ref().map_or(0, ArtifactKey::bytes);
    if key_bytes > LONGEST_ARTIFACT_KEY {
        let text = format!(
            "schema: the texts that identify the artifact have {key_bytes} bytes; {LONGEST_ARTIFACT_KEY} are possible"
        );
        return Err(Rejection::new(RejectionCode::PayloadSchemaFail, text)
            .under("namespace")
            .under("payload"));
    }
    let event = NewEvent {
        digest: Sha256::digest(raw.get().as_bytes()).into(),
        content_digest: content::digest(&node, buffer),
        // The parser borrows from the text, so the event is a slice of it.
        offset: raw.get().as_ptr() as usize - text.as_ptr() as usize,
        length: raw.get().len(),
        mission: 0,
        artifact,
        event_id: valid.event_id,
        canonical_id: valid.canonical_id,
        event_type: valid.event_type,
        aggregate_id: valid.aggregate_id,
        deviations: valid.deviations,
    };
    let hint = MissionHint::of(&node);
    Ok(Accepted { id, project_uuid: valid.project_uuid, team_slug: valid.team_slug, hint, event })
}

/// Whether an envelope may name `named` in a batch for `team`. A blank name is accepted.
fn is_sent_to(named: &str, team: &str) -> bool {
    let named = contract::scope::trim(named);
    named.is_empty() || is_same_team(named, team)
}

/// The JSON token of the id as it was sent, also from events that are otherwise unreadable.
fn sent_id(raw: &RawValue) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Id {
        event_id: Box<RawValue>,
    }
    serde_json::from_str::<Id>(raw.get()).ok().map(|id| id.event_id)
}

/// Most bytes of an artifact's key. One entry of an index of PostgreSQL has at most 2,704.
const LONGEST_ARTIFACT_KEY: usize = 2048;

/// The artifact that an index event announces.
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
    use crate::store::TeamKey;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use testkit::gzip;

    fn status(result: Result<JudgedBatch, HttpRefusal>) -> StatusCode {
        result.err().map_or(StatusCode::OK, |refusal| refusal.into_response().status())
    }

    fn small() -> ServerLimits {
        ServerLimits { bytes_per_batch: 4096, events_per_batch: 3, ..ServerLimits::default() }
    }

    fn judged(
        bytes: Vec<u8>,
        encoding: Encoding,
        teams: &[&str],
        limits: &ServerLimits,
    ) -> Result<JudgedBatch, HttpRefusal> {
        let teams = teams.iter().enumerate().map(|(at, id)| Membership {
            key: TeamKey(at as i64),
            team_id: (*id).to_owned(),
            name: String::new(),
            role: "member".to_owned(),
            is_private: true,
        });
        let most_bytes = limits.bytes_per_batch;
        batch(Submission { bytes, encoding, most_bytes, teams: teams.collect(), unpacked: None }, limits)
    }

    #[test]
    fn gzip_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![b' '; 50 * 1024 * 1024]);
        assert!(bomb.len() < 512 * 1024);
        assert_eq!(
            status(judged(bomb, Encoding::Gzip, &["Team-1"], &small())),
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    #[test]
    fn batch_is_small_only_if_it_unpacks_to_little() {
        let is_small = |bytes: Vec<u8>, encoding| {
            let most_bytes = ServerLimits::default().bytes_per_batch;
            Submission { bytes, encoding, most_bytes, teams: Vec::new(), unpacked: None }.unpack_if_small()
        };
        assert!(is_small(vec![b' '; SMALL], Encoding::Plain));
        assert!(!is_small(vec![b' '; SMALL + 1], Encoding::Plain));
        assert!(is_small(gzip(&[b' '; SMALL_UNPACKED]), Encoding::Gzip));
        // A megabyte of brackets packs to a kilobyte, and its members may each be small.
        assert!(!is_small(gzip(&[b'['; SMALL_UNPACKED + 1]), Encoding::Gzip));
        assert!(!is_small(gzip(&[b'['; SMALL_UNPACKED]).repeat(2), Encoding::Gzip));
    }

    #[test]
    fn malformed_batch_is_refused_whole() {
        for bad in ["", "{", "[]", "{}", r#"{"events":null}"#, r#"{"events":{}}"#, r#"{"events":[]}"#] {
            assert_eq!(
                status(judged(bad.as_bytes().to_vec(), Encoding::Plain, &["Team-1"], &small())),
                StatusCode::BAD_REQUEST,
                "{bad}"
            );
        }
        assert_eq!(
            status(judged(b"{\"events\":[\"\xff\"]}".to_vec(), Encoding::Plain, &["Team-1"], &small())),
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            status(judged(gzip(b"{")[..8].to_vec(), Encoding::Gzip, &["Team-1"], &small())),
            StatusCode::BAD_REQUEST
        );
        let four = r#"{"events":[1,2,3,4]}"#;
        assert_eq!(
            status(judged(four.as_bytes().to_vec(), Encoding::Plain, &["Team-1"], &small())),
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }

    #[test]
    fn unreadable_event_is_answered_by_its_id() {
        let deep = format!(r#"{{"event_id":"deep","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let text = format!(r#"{{"events":[{deep},{{"event_id":"twice","a":1,"a":2}},7]}}"#);
        let batch = judged(text.as_bytes().to_vec(), Encoding::Plain, &["Team-1"], &small()).ok().unwrap();
        let ids: Vec<Option<&str>> = batch
            .verdicts
            .iter()
            .map(|verdict| match verdict {
                EventVerdict::Accepted { .. } => Some("accepted"),
                EventVerdict::Rejected { id, .. } => id.as_ref().map(|id| id.get()),
            })
            .collect();
        assert_eq!(ids, [Some("\"deep\""), Some("\"twice\""), None]);
        assert!(batch.blocks.is_empty());
    }

    #[test]
    fn team_is_that_of_all_events_or_the_first() {
        let teams = ["Team-A", "team-b", "Team-C"];
        let chosen = |named: &[&str]| {
            let events: Vec<String> = named.iter().enumerate().map(|(n, team)| event(n, team)).collect();
            let text = format!(r#"{{"events":[{}]}}"#, events.join(","));
            let limits = ServerLimits::default();
            let batch = judged(text.into_bytes(), Encoding::Plain, &teams, &limits).ok().unwrap();
            let accepted = |verdict: &EventVerdict| matches!(verdict, EventVerdict::Accepted { .. });
            (batch.team.team_id, batch.verdicts.iter().map(accepted).collect::<Vec<_>>())
        };
        let case = |named: &[&str], team: &str, accepted: &[bool]| {
            assert_eq!(chosen(named), (team.to_owned(), accepted.to_vec()), "{named:?}");
        };
        case(&["null", "\"\"", "\" \""], "Team-A", &[true; 3]);
        case(&["null", "\"TEAM-B\"", "\"team-b\""], "team-b", &[true; 3]);
        case(&["\"team-b\"", "\"team-a\"", "null"], "Team-A", &[false, true, true]);
        case(&["\"team-x\"", "null"], "Team-A", &[false, true]);
    }

    fn event(n: usize, team: &str) -> String {
        format!(
            r#"{{"event_id":"01K{n:023}","event_type":"HistoryAdded","aggregate_id":"WP01",
            "aggregate_type":"WorkPackage","schema_version":"3.0.0","build_id":"b","node_id":"n",
            "payload":{{"wp_id":"WP01","entry_type":"note","entry_content":"x","author":"dev"}},
            "lamport_clock":1,"correlation_id":"01K{n:023}","causation_id":null,
            "timestamp":"2026-11-22T09:00:00+00:00","team_slug":{team},
            "project_uuid":"4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00"}}"#
        )
    }
}
