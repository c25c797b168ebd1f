//! Only an answer of the protocol is believed: every route, with every answer that is none.

use crate::login::{grant, me};
use crate::machine::{Machine, User, expired, machine, session};
use crate::world::{Ingest, PROJECT, body_row, capture, drain_all, events, logged_in};
use delivery::auth::{LoginMethod, Revoked, log_in, log_out};
use delivery::drain::StoppedBy;
use delivery::probe::{Reachability, SessionState, fetch_login_probe};
use serde_json::{Value, json};
use testkit::World;
use testkit::scripted::{Reply, ScriptedRequest, ScriptedServer};

/// Answer to every request.
type Answers = Box<dyn Fn() -> Reply + Send + Sync>;

/// Answers that no server of the protocol gives, by name.
fn bad_answers() -> Vec<(&'static str, Answers)> {
    fn text(status: u16, body: &'static str) -> Answers {
        Box::new(move || Reply::text(status, body))
    }
    const PAGE: &str = "<html><title>Hotel</title>Welcome, please log in</html>";
    const FIELDS: &str = r#"["acc-9", "ref-9", "Bearer", 3600, "s9", true, "stored", [], "active"]"#;
    vec![
        ("login page 200", text(200, PAGE)),
        ("login page 201", text(201, PAGE)),
        ("login page 401", text(401, PAGE)),
        ("login page 403", text(403, PAGE)),
        ("login page 511", text(511, PAGE)),
        ("empty 200", text(200, "")),
        ("empty 201", text(201, "")),
        ("blank 200", text(200, " \n")),
        ("null", text(200, "null")),
        ("array", text(200, "[]")),
        ("array of true", text(200, "[true]")),
        ("array of fields", text(200, FIELDS)),
        ("other shape", text(200, r#"{"ok": true}"#)),
        ("two documents", text(200, r#"{"status": "stored"}{"revoked": true, "results": []}"#)),
        ("204", Box::new(|| Reply::Raw(b"HTTP/1.1 204 X\r\n\r\n".to_vec()))),
        ("cut off in the JSON", text(200, r#"{"access_token": "acc-9", "status": "stored", "results": [{"#)),
        (
            "cut off by the connection",
            Box::new(|| {
                Reply::Raw(b"HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n{\"status\": \"stored\"".to_vec())
            }),
        ),
        (
            "huge",
            Box::new(|| {
                Reply::text(200, &format!("{{\"status\": \"stored\", \"x\": \"{}\"}}", "x".repeat(2 << 20)))
            }),
        ),
    ]
}

/// A server that is well but for `route`, which answers badly.
fn well_but(route: &'static str, bad: Answers) -> ScriptedServer {
    let ingest = Ingest::default();
    ScriptedServer::start(move |seen: &ScriptedRequest, _| {
        if seen.path == route {
            return bad();
        }
        match seen.path.as_str() {
            "/oauth/device" => Reply::json(200, device()),
            "/oauth/token" => Reply::json(200, grant()),
            "/api/v1/me" => Reply::json(200, me()),
            _ => ingest.answer(seen),
        }
    })
}

fn device() -> Value {
    json!({"device_code": "d", "user_code": "ABCDEFGH", "verification_uri": "https://h.example/device",
        "expires_in": 1, "interval": 1})
}

fn with_rows(stub: &ScriptedServer) -> World {
    let machine = logged_in(&stub.url());
    capture(&machine, PROJECT, events(PROJECT, &["e1", "e2"]));
    capture(&machine, PROJECT, vec![body_row(PROJECT, "spec.md", "# Spec\n")]);
    machine
}

#[test]
fn answer_of_something_else_settles_no_row_and_ends_no_login() {
    for (route, left) in [
        ("/api/v1/sync/health/", (2, 1)),
        ("/api/v1/events/batch/", (2, 1)),
        ("/api/dossier/push-content/", (0, 1)),
    ] {
        for (name, bad) in bad_answers() {
            let stub = well_but(route, bad);
            let machine = with_rows(&stub);
            let session = machine.stored();
            let report = drain_all(&machine);
            let what = format!("{route}, {name}: {report:?}");
            assert!(
                matches!(report.stopped.as_ref().map(|stopped| stopped.reason), Some(StoppedBy::Server(_))),
                "{what}"
            );
            assert_eq!((report.remaining.events, report.remaining.bodies), left, "{what}");
            assert_eq!((report.parked.total(), report.settled_before), (0, 0), "{what}");
            assert_eq!(machine.stored(), session, "{what}");
            assert!(stub.seen_at(route).len() <= 2, "{what}");
        }
    }
}

#[test]
fn body_answer_with_other_hash_or_status_settles_nothing() {
    for body in [
        json!({"status": "stored", "content_hash": "0".repeat(64)}),
        json!({"status": "already_exists", "content_hash": "0".repeat(64)}),
        json!({"status": "stored", "content_hash": 7}),
        json!({"status": "queued"}),
        json!({"status": true}),
    ] {
        for status in [200, 201] {
            let body = body.clone();
            let stub =
                well_but("/api/dossier/push-content/", Box::new(move || Reply::json(status, body.clone())));
            let machine = with_rows(&stub);
            let report = drain_all(&machine);
            assert_eq!((report.remaining.bodies, report.parked.bodies), (1, 0), "{report:?}");
            assert_eq!(report.stopped.unwrap().reason.name(), "unusable_answer");
        }
    }
}

#[test]
fn foreign_answer_creates_no_login() {
    for route in ["/oauth/device", "/oauth/token", "/api/v1/me"] {
        for (name, bad) in bad_answers() {
            let stub = well_but(route, bad);
            let machine = machine();
            machine.configure(&stub.url()).store(&session(&stub.url()));
            let before = machine.files();
            let error = log_in(&machine.context(), None, LoginMethod::Device, &mut User::default());
            assert!(error.is_err(), "{route}, {name}");
            assert!(machine.files() == before, "{route}, {name}");
        }
    }
}

#[test]
fn refresh_that_something_else_answers_keeps_the_session() {
    let odd_grants: Vec<(&str, Answers)> = vec![
        ("empty token", Box::new(|| Reply::json(200, json!({"access_token": ""})))),
        ("unsendable token", Box::new(|| Reply::json(200, json!({"access_token": "a b"})))),
        ("other type", Box::new(|| Reply::json(200, json!({"access_token": "a", "token_type": "MAC"})))),
        ("word in an array", Box::new(|| Reply::text(400, r#"["invalid_grant"]"#))),
        ("word in a page", Box::new(|| Reply::text(401, "<html>invalid_grant</html>"))),
    ];
    for (name, bad) in bad_answers().into_iter().chain(odd_grants) {
        let stub = well_but("/oauth/token", bad);
        let machine = with_rows(&stub);
        machine.store(&expired(&stub.url()));
        let session = machine.stored();
        let report = drain_all(&machine);
        assert_eq!(machine.stored(), session, "{name}: {report:?}");
        let reason = report.stopped.as_ref().map(|stopped| stopped.reason);
        assert_eq!(reason, Some(StoppedBy::RefreshFailed), "{name}: {report:?}");
        assert_eq!(report.remaining.total(), 3, "{name}");
    }
}

#[test]
fn revocation_that_something_else_answers_is_not_believed() {
    for (name, bad) in bad_answers() {
        let stub = well_but("/oauth/revoke", bad);
        let machine = logged_in(&stub.url());
        let report = log_out(&machine.context(), true).unwrap();
        assert!(matches!(report.revoked, Revoked::No(_)), "{name}: {report:?}");
    }
}

#[test]
fn probe_of_another_service_finds_no_server_and_no_session() {
    for (name, bad) in bad_answers() {
        let stub = well_but("/api/v1/sync/health/", bad);
        let probe = fetch_login_probe(&logged_in(&stub.url()).context()).unwrap();
        let believed = matches!(probe.health, Reachability::Connected { .. } | Reachability::LoginNeeded);
        assert!(!believed && !probe.is_good(), "{name}: {probe:?}");
    }
    for (name, bad) in bad_answers() {
        let stub = well_but("/api/v1/session-status", bad);
        let probe = fetch_login_probe(&logged_in(&stub.url()).context()).unwrap();
        assert!(matches!(probe.session, Some(SessionState::Unknown(_))), "{name}: {probe:?}");
    }
}
