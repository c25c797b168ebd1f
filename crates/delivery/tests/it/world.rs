//! A machine whose account is logged in, whose queue holds rows, and a server that takes them.

use crate::machine::{Machine, VERSION, session};
use contract::event::ValidatedEvent;
use contract::wire::ArtifactBody;
use delivery::drain::{DrainOptions, DrainReport};
use delivery::{DrainError, DrainProgress, drain};
use gate::EgressPermit;
use identity::BuildInfo;
use preflight::Boundary;
use queue::{Capacity, Capture, NewRow, QueueCounts, RowOrigin, Witness, Writer};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Mutex;
use testkit::World;
use testkit::scripted::{Reply, ScriptedRequest, ScriptedServer};

pub const PROJECT: &str = "164b830e-0aa9-486a-80e9-73e0ff9bd516";
pub const OTHER_PROJECT: &str = "892d6066-b402-45e3-9521-a4ac582672a6";

/// A machine logged in at `server` as `dev@example.com` in `PT-1`.
pub fn logged_in(server: &str) -> World {
    let machine = crate::machine::machine();
    machine.configure(server).store(&session(server));
    machine
}

/// Asks the boundary of `machine` for a permit.
fn permit<T, E: std::fmt::Debug>(machine: &World, ask: impl Fn(&Boundary<'_>) -> Result<T, E>) -> T {
    let build = BuildInfo { version: VERSION.to_owned(), commit: None, release: true };
    ask(&Boundary::new(&machine.environment(), &machine.home(), build)).expect("a coherent boundary")
}

pub fn egress(machine: &World) -> EgressPermit {
    permit(machine, |boundary| boundary.egress_permit())
}

/// Captures rows as a producing command does.
pub fn capture(machine: &World, project: &str, rows: Vec<NewRow>) {
    let permit = permit(machine, |boundary| boundary.capture_permit());
    let mut writer = Writer::open(&permit, Capacity(1_000_000)).expect("the queue");
    let place = RowOrigin { project_uuid: Some(project.to_owned()), ..RowOrigin::default() };
    let capture = Capture { place, mission_slug: "demo-01KRX11M".into(), rows };
    let prepared = writer.prepare(&capture).expect("prepared");
    writer.confirm(prepared).expect("confirmed");
}

/// An event's stored text, as this program writes it.
pub fn event_text(id: &str, project: &str) -> String {
    format!(
        "{{\"event_id\": \"{id}\", \"event_type\": \"WPStatusChanged\", \"aggregate_id\": \"WP01\", \"payload\": {{\"n\": 1.50}}, \
         \"team_slug\": \"PT-1\", \"project_uuid\": \"{project}\"}}"
    )
}

pub fn event(text: String) -> NewRow {
    let row = ValidatedEvent::unvalidated(text);
    let witness =
        Witness::LogRow { log: "/nowhere/status.events.jsonl".into(), event_id: row.id().to_owned() };
    NewRow::event(row, witness)
}

pub fn events(project: &str, ids: &[&str]) -> Vec<NewRow> {
    ids.iter().map(|id| event(event_text(id, project))).collect()
}

pub fn body_row(project: &str, path: &str, content: &str) -> NewRow {
    body_of(testkit::events::body(project, "demo-01KRX11M", path, content))
}

pub fn body_of(row: ArtifactBody) -> NewRow {
    let witness = Witness::File {
        path: format!("/nowhere/{}", row.artifact_path).into(),
        sha256: row.content_hash.clone(),
    };
    NewRow::body(row, witness)
}

pub fn try_drain(
    machine: &World,
    options: DrainOptions,
    progress: &mut dyn DrainProgress,
) -> Result<DrainReport, DrainError> {
    drain(egress(machine), &machine.context(), &options, progress)
}

pub fn drain_all(machine: &World) -> DrainReport {
    try_drain(machine, DrainOptions::default(), &mut ()).expect("a drain")
}

pub fn counts(machine: &World) -> QueueCounts {
    let path = egress(machine).queue_path().to_path_buf();
    queue::observe_counts(&path, &|_: &RowOrigin| contract::Consent::Unset).expect("counts")
}

/// The answer of a conforming server.
#[derive(Default)]
pub struct Ingest {
    stored: Mutex<HashSet<String>>,
    pub limits: Option<Value>,
}

impl Ingest {
    pub fn limited(events: u64) -> Self {
        Self {
            limits: Some(
                json!({"max_events_per_batch": events, "max_decompressed_bytes_per_batch": 1_000_000}),
            ),
            ..Self::default()
        }
    }

    pub fn answer(&self, seen: &ScriptedRequest) -> Reply {
        match seen.path.as_str() {
            "/api/v1/sync/health/" => {
                Reply::json(200, json!({"status": "ok", "sync_ingress": {"limits": self.limits}}))
            }
            "/api/v1/events/batch/" => {
                let mut stored = self.stored.lock().unwrap();
                let results: Vec<Value> = seen
                    .event_ids()
                    .into_iter()
                    .map(|id| {
                        let status = if stored.insert(id.clone()) { "success" } else { "duplicate" };
                        json!({"event_id": id, "status": status})
                    })
                    .collect();
                Reply::json(200, json!({"results": results}))
            }
            "/api/dossier/push-content/" => {
                let body = seen.json();
                let key = format!("{}|{}", body["artifact_path"], body["content_hash"]);
                let new = self.stored.lock().unwrap().insert(key);
                let (status, word) = if new { (201, "stored") } else { (200, "already_exists") };
                Reply::json(status, json!({"status": word, "content_hash": body["content_hash"]}))
            }
            _ => Reply::json(404, json!({"error": "Not found"})),
        }
    }
}

/// A well-behaved server.
pub fn accepting() -> ScriptedServer {
    let ingest = Ingest::default();
    ScriptedServer::start(move |seen, _| ingest.answer(seen))
}

/// The batches that a server saw, each as its event ids.
pub fn batches(stub: &ScriptedServer) -> Vec<Vec<String>> {
    stub.seen_at("/api/v1/events/batch/").iter().map(ScriptedRequest::event_ids).collect()
}
