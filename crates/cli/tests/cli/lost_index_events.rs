//! Bodies whose index event was lost from the queue DB: they are named with their remedy, and it brings them to
//! the server. The real program and a real server.

use crate::worlds::with_server;
use contract::{Remedy, Scope};
use rusqlite::Connection;
use serde_json::Value;
use std::path::{Path, PathBuf};
use testkit::mission::Mission;
use testkit::world::USER;
use testkit::{Server, World};

const DOCUMENTS: usize = 24;

/// A mission with many documents, captured and not delivered.
fn with_documents() -> (World, Server, Mission, PathBuf) {
    let (world, server) = with_server();
    let mission = Mission::create(&world, "widgets");
    std::fs::create_dir_all(mission.path.join("research")).unwrap();
    for number in 0..DOCUMENTS {
        mission.write(&document(number), &text(number));
    }
    world.run(["sync", "capture", "--history", &mission.slug, "--yes"]).exits(0);
    let path = world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team));
    (world, server, mission, path)
}

fn document(number: usize) -> String {
    format!("research/{number:02}.md")
}

fn text(number: usize) -> String {
    format!("# {number} \u{1f431}\n{}\n", "text ".repeat(number))
}

fn index_event(path: &Path, document: &str) -> String {
    Connection::open(path)
        .unwrap()
        .query_row(
            "SELECT data FROM queue WHERE event_type = 'MissionDossierArtifactIndexed' AND coalesce_key LIKE ?1",
            [format!("%|{document}")],
            |row| row.get(0),
        )
        .unwrap()
}

/// The warnings about such bodies in a JSON document.
fn warnings(document: &Value) -> Vec<Value> {
    let mut warnings = document["warnings"].as_array().unwrap_or_else(|| panic!("{document:#}")).clone();
    warnings.retain(|warning| warning["code"] == "bodies_not_indexed");
    warnings
}

/// Every screen about delivery names the bodies and the remedy.
#[track_caller]
fn is_named(world: &World, mission: &Mission, bodies: &str) {
    let hint = Remedy::CaptureHistory { mission: mission.slug.clone() }.hint();
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let [warning] = &warnings(&status)[..] else { panic!("{status:#}") };
    assert_eq!(warning["remediation_hint"], hint);
    let said = warning["text"].as_str().unwrap();
    let checkout = std::fs::canonicalize(world.work()).unwrap();
    for part in [bodies, &mission.slug, "index_entry_not_found", checkout.to_str().unwrap()] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let shown = world.run(["sync", "status"]).exits(0);
    assert!(shown.stderr.contains(bodies) && shown.stderr.contains(&hint), "{shown:?}");
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1).stdout;
    assert!(doctor.lines().any(|line| line.trim().ends_with(&hint)), "{doctor}");
    let now = world.run(["sync", "now", "--no-strict", "--json"]).exits(0).json();
    assert_eq!(warnings(&now), warnings(&status));
    let now = world.run(["sync", "now", "--no-strict"]).exits(0).stdout;
    assert!(now.contains(bodies) && now.lines().any(|line| line.trim() == hint), "{now}");
}

/// The path and the hash of every body that waits.
fn bodies(path: &Path) -> Vec<(String, String)> {
    let db = Connection::open(path).unwrap();
    let mut select = db.prepare("SELECT artifact_path, content_hash FROM body_upload_queue").unwrap();
    let bodies = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    bodies.collect::<Result<_, _>>().unwrap()
}

/// The server has every one of these bodies; it takes none whose hash is not its content's.
#[track_caller]
fn are_held(server: &Server, bodies: &[(String, String)]) {
    let held = server.held();
    assert!(bodies.len() > DOCUMENTS);
    assert!(bodies.iter().all(|body| held.contains(body)), "{bodies:?} {held:?}");
}

/// Destroys every page with the text: those that are free now may hold it, too.
fn destroy_pages_with(path: &Path, text: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let pages =
        bytes.chunks_mut(4096).filter(|page| page.windows(text.len()).any(|part| part == text.as_bytes()));
    assert!(pages.map(|page| page.fill(0xa5)).count() > 0);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn bodies_without_index_events_leave_after_capture_history() {
    let (world, server, mission, path) = with_documents();
    let bodies = bodies(&path);
    let lost = Connection::open(&path)
        .unwrap()
        .execute("DELETE FROM queue WHERE coalesce_key LIKE '%|research/0%'", [])
        .unwrap();
    assert_eq!(lost, 10);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(warnings(&status), Vec::<Value>::new(), "the server was not asked yet");
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(now["bodies"]["kept"], 10, "{now:#}");
    assert_eq!(warnings(&now).len(), 1, "{now:#}");
    is_named(&world, &mission, "10 bodies of mission");

    let hint = Remedy::CaptureHistory { mission: mission.slug.clone() };
    let captured = world.run(hint.argv().unwrap()).exits(0).stdout;
    assert!(captured.contains("captured 10 events and 0 bodies"), "{captured}");
    let again = world.run(hint.argv().unwrap()).exits(0).stdout;
    assert!(again.contains("captured 0 events and 0 bodies"), "{again}");
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(warnings(&status), Vec::<Value>::new());
    // Without waiting for the pause that the refusals began.
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!(
        (&now["bodies"]["delivered"], &now["remaining"]["bodies"]),
        (&10.into(), &0.into()),
        "{now:#}"
    );
    assert_eq!(warnings(&now), Vec::<Value>::new());
    are_held(&server, &bodies);
}

#[test]
fn queue_repaired_with_gaps_is_whole_after_capture_history() {
    let (world, server, mission, path) = with_documents();
    let bodies = bodies(&path);
    let event = index_event(&path, &document(7));
    destroy_pages_with(&path, event.get(..40).unwrap());
    let content = text(DOCUMENTS - 1);
    destroy_pages_with(&path, content.get(..20).unwrap());
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    let salvaged = &repaired["actions"][0]["salvaged"];
    for kind in ["events", "bodies"] {
        let (saved, held) = (&salvaged[kind], &salvaged[format!("{kind}_held")]);
        assert!(saved.as_u64() < held.as_u64(), "{kind}: {repaired:#}");
    }
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert!(now["bodies"]["kept"].as_u64() > Some(0) && warnings(&now).len() == 1, "{now:#}");
    is_named(&world, &mission, " of mission ");

    world.run(Remedy::CaptureHistory { mission: mission.slug.clone() }.argv().unwrap()).exits(0);
    let now = world.run(["sync", "now", "--json"]).exits(0).json();
    assert_eq!((&now["result"], &now["remaining"]["bodies"]), (&"delivered".into(), &0.into()), "{now:#}");
    are_held(&server, &bodies);
}

#[test]
fn bodies_of_an_opted_out_project_are_not_named() {
    let (world, _server, _, path) = with_documents();
    Connection::open(&path)
        .unwrap()
        .execute("DELETE FROM queue WHERE coalesce_key LIKE '%|research/0%'", [])
        .unwrap();
    world.run(["sync", "now"]).exits(1);
    let named = |world: &World| warnings(&world.run(["sync", "status", "--json"]).exits(0).json()).len();
    assert_eq!(named(&world), 1);
    world.run(["sync", "opt-out"]).exits(0);
    assert_eq!(named(&world), 0);
}
