//! Answers of a server, or of something in its place. The binary accepts only the protocol, parks a conflict with its
//! payload, and parks nothing when everything is refused.

use crate::worlds::{fresh, with_server};
use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::World;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::scripted::{Reply, ScriptedServer};

const EVENT: &str = "01KRX0000000000000000000A1";
const PAGE: &str = "<html><title>Hotel</title>Please log in</html>";

/// A world that is logged in at `server`, with events and a body that wait.
fn waiting(server: &str) -> World {
    let world = fresh();
    world.log_in_at(server);
    world.init_project();
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    queue.event(EVENT, None).body("spec.md", "# Spec\n").body("plan.md", "# Plan\n");
    drop(queue);
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    world
}

fn status(world: &World) -> Value {
    world.run(["sync", "status", "--json"]).exits(0).json()
}

/// Waiting events and bodies, parked events and bodies.
fn rows(world: &World) -> [u64; 4] {
    let status = status(world);
    let count = |pointer: &str| status.pointer(pointer).and_then(Value::as_u64).unwrap();
    [
        count("/active_queue/event_count"),
        count("/active_queue/body_upload_count"),
        count("/parked/events"),
        count("/parked/bodies"),
    ]
}

fn health() -> Reply {
    Reply::json(200, json!({"status": "ok", "sync_ingress": {"limits": {}}}))
}

#[test]
fn portal_that_answers_200_to_everything_settles_nothing() {
    let portal = ScriptedServer::start(|_, _| Reply::text(200, PAGE));
    let world = waiting(&portal.url());
    let before = std::fs::read(world.home().session_file()).unwrap();
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(now["stopped"]["reason"], "unusable_answer", "{now:#}");
    assert_eq!(rows(&world), [1, 2, 0, 0]);
    assert_eq!(std::fs::read(world.home().session_file()).unwrap(), before);
    let doctor = world.run(["sync", "doctor", "--json"]).exits(1).stdout;
    assert!(doctor.contains("not_a_sync_server") || doctor.contains("health document"), "{doctor}");
    world.run(["auth", "login", "--headless", "--force"]).exits(1);
    assert_eq!(std::fs::read(world.home().session_file()).unwrap(), before);
}

/// Every other verb that asks the server something, after a delivery that succeeded.
#[test]
fn question_that_something_else_answers_fails_with_a_remedy() {
    let login = "spec-kitty auth login --server URL";
    let report = "report the answer to the server's administrator";
    for (reply, says, remedy) in [
        (Reply::text(200, PAGE), "not one of this protocol", login),
        (Reply::json(200, json!([])), "not one of this protocol", login),
        (Reply::text(401, PAGE), "HTTP 401", login),
        (Reply::text(403, PAGE), "HTTP 403", login),
        (Reply::text(502, PAGE), "HTTP 502", report),
    ] {
        let portal = ScriptedServer::start(move |asked, _| match asked.path.as_str() {
            "/api/v1/sync/health/" => health(),
            "/api/dossier/push-content/" => Reply::json(201, json!({"status": "stored"})),
            "/api/v1/events/batch/" => {
                Reply::json(200, json!({"results": [{"event_id": EVENT, "status": "success"}]}))
            }
            _ => reply.clone(),
        });
        let world = waiting(&portal.url());
        world.run(["sync", "now"]).exits(0);
        for verb in [
            &["resend", "--missing", "--yes"][..],
            &["share", "other", "--project", PROJECT],
            &["unshare", "other", "--project", PROJECT],
        ] {
            let error = world.run(["sync", "--json"].iter().chain(verb).copied()).exits(1).json();
            assert!(error["error"].as_str().unwrap().contains(says), "{says} {verb:?}: {error:#}");
            assert_eq!(error["remediation"], json!([remedy]), "{says} {verb:?}: {error:#}");
        }
        let routes = world.run(["sync", "routes", "--project", PROJECT]).exits(0);
        assert!(routes.stdout.contains(says) && routes.stderr.contains(remedy), "{routes:?}");
    }
}

#[test]
fn body_that_a_portal_takes_stays() {
    for reply in [
        Reply::text(200, PAGE),
        Reply::text(200, ""),
        Reply::json(200, json!([])),
        Reply::json(201, json!({"status": "stored", "content_hash": "0".repeat(64)})),
        Reply::Raw(b"HTTP/1.1 201 X\r\nContent-Length: 4000\r\n\r\n{\"status\": \"stored\"}".to_vec()),
    ] {
        let portal = ScriptedServer::start(move |asked, _| match asked.path.as_str() {
            "/api/v1/sync/health/" => health(),
            "/api/dossier/push-content/" => reply.clone(),
            _ => Reply::json(200, json!({"results": [{"event_id": EVENT, "status": "success"}]})),
        });
        let world = waiting(&portal.url());
        world.run(["sync", "now"]).exits(1);
        assert_eq!(rows(&world), [0, 2, 0, 0]);
    }
}

#[test]
fn duplicate_with_other_content_is_parked_as_a_conflict() {
    let (world, _server) = with_server();
    ReferenceQueue::create(&world.root().join("queue.db")).event(EVENT, None);
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    let queue = Connection::open(status(&world)["active_queue"]["path"].as_str().unwrap()).unwrap();
    let data: String = queue.query_row("SELECT data FROM queue", [], |row| row.get(0)).unwrap();
    world.run(["sync", "now"]).exits(0);
    let other = data.replace("\"actor\": \"dev\"", "\"actor\": \"another\"");
    assert_ne!(data, other);
    let sql = "INSERT INTO queue (event_id, event_type, data, timestamp)
        VALUES (?1, 'WPStatusChanged', ?2, 1779105600)";
    queue.execute(sql, [EVENT, &other]).unwrap();
    drop(queue);

    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!((&now["events"]["parked"], &now["events"]["duplicate"]), (&1.into(), &0.into()), "{now:#}");
    let list = world.run(["sync", "parked", "list", "--json"]).exits(0).json();
    assert!(list.to_string().contains("conflict"), "{list:#}");
    let shown = world.run(["sync", "parked", "show", "1"]).exits(0).stdout;
    assert!(shown.contains("conflict") && shown.contains("another"), "{shown}");
    assert!(shown.contains("the server holds other content"), "{shown}");
    world.run(["sync", "parked", "retry", "1"]).exits(0);
    assert_eq!(rows(&world), [1, 0, 0, 0]);
    world.run(["sync", "now"]).exits(1);
    assert_eq!(rows(&world), [0, 0, 1, 0]);
}

#[test]
fn server_that_refuses_everything_parks_nothing() {
    for status in [400, 413, 422] {
        let server = ScriptedServer::start(move |_, _| Reply::text(status, "refused"));
        let world = waiting(&server.url());
        for n in 0..3 {
            world.run(["agent", "mission", "create", &format!("mission-{n}")]).exits(0);
        }
        let [events, bodies, ..] = rows(&world);
        for _ in 0..4 {
            let before = server.seen().len();
            let now = world.run(["sync", "now", "--json"]).exits(1).json();
            assert_eq!(now["stopped"]["reason"], "everything_refused", "{status}: {now:#}");
            assert_eq!(rows(&world), [events, bodies, 0, 0], "{status}");
            assert!(server.seen().len() - before < 30, "{status}: {now:#}");
        }
    }
}
