//! Requests that release 3.2.7 really sent, replayed with the tokens of this test. Each is answered so that
//! the client shows success.

use super::client::{Answer, raw};
use super::world::{World, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use std::path::PathBuf;

const EMAIL: &str = "ada@example.org";
const TEAM: &str = "pt-01m8j40rmwfnzgbr7b7vqa0jg3";

struct Replay {
    world: World,
    secret: String,
    access: String,
    refresh: String,
}

impl Replay {
    fn new() -> Self {
        let world = World::with(server::ServerLimits::default(), super::world::hasty());
        let created = world.admin().create_account(EMAIL, Some("Ada"), Some(TEAM)).expect("an account");
        let secret = created.approval_secret.expose().to_owned();
        Self { world, secret, access: String::new(), refresh: String::new() }
    }

    /// Sends the `n`th request of a recorded command. `fields` of its form get values of this run.
    fn send(&self, command: &str, n: usize, fields: &[(&str, &str)]) -> Answer {
        let (head, body) = recorded(command, n);
        let body = match fields {
            [] => body,
            fields => {
                let form = url_fields(&body);
                let replaced = form.iter().map(|(name, value)| {
                    let given = fields.iter().find(|(field, _)| field == name);
                    (name.as_str(), given.map_or(value.as_str(), |(_, given)| *given))
                });
                super::world::form_body(&replaced.collect::<Vec<_>>())
            }
        };
        let lines: Vec<String> = head
            .trim_end()
            .split("\r\n")
            .map(|line| match line.split_once(": ") {
                Some(("Authorization", _)) => format!("Authorization: Bearer {}", self.access),
                Some(("Connection", _)) => "Connection: close".to_owned(),
                Some(("Content-Length", _)) => format!("Content-Length: {}", body.len()),
                _ => line.to_owned(),
            })
            .collect();
        let request = [lines.join("\r\n").as_bytes(), b"\r\n\r\n", &body].concat();
        raw(self.world.address(), &request).expect("an answer")
    }

    /// Logs in by the recorded requests of the device flow.
    fn login(&mut self, command: &str) {
        let device = self.send(command, 1, &[]).json();
        let code = device["user_code"].as_str().expect("a user code");
        for key in ["device_code", "verification_uri", "expires_in", "interval"] {
            assert_ne!(device[key], Value::Null, "{key}");
        }
        let path = format!("/device?user_code={code}");
        let page = super::client::send(self.world.address(), "GET", &path, &[], &[]);
        let path = endpoint::DEVICE_APPROVAL;
        assert_eq!(self.world.answer_page(&page, path, EMAIL, &self.secret, "approve").status, 200);
        let device_code = device["device_code"].as_str().expect("a device code").to_owned();
        self.take_grant(&self.send(command, 4, &[("device_code", &device_code)]));
        self.expect_me(&self.send(command, 5, &[]));
    }

    fn take_grant(&mut self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let grant = answer.json();
        for key in ["expires_in", "session_id"] {
            assert_ne!(grant[key], Value::Null, "{key}");
        }
        self.access = grant["access_token"].as_str().expect("an access token").to_owned();
        self.refresh = grant["refresh_token"].as_str().expect("a refresh token").to_owned();
    }

    fn expect_me(&self, answer: &Answer) {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let me = answer.json();
        assert_eq!(me["email"], EMAIL);
        let team = &me["teams"][0];
        assert_eq!((&team["id"], &team["is_private_teamspace"]), (&json!(TEAM), &json!(true)));
    }

    /// A batch or preflight: every id is answered, and stored or held.
    fn expect_events(&self, command: &str, n: usize) -> Vec<String> {
        let answer = self.send(command, n, &[]);
        let sent = parsed(command, n)["body"]["events"].as_array().expect("events").clone();
        let results = statuses(&answer);
        assert_eq!(results.len(), sent.len());
        for (event, result) in sent.iter().zip(answer.json()["results"].as_array().expect("results")) {
            assert_eq!(event["event_id"], result["event_id"]);
            assert!(
                ["success", "duplicate"].contains(&result["status"].as_str().unwrap_or_default()),
                "{result}"
            );
        }
        results
    }

    /// A body: stored or held, with the echo that the client compares.
    fn expect_body(&self, command: &str, n: usize) {
        let answer = self.send(command, n, &[]);
        let (sent, stored) = (&parsed(command, n)["body"], answer.json());
        assert!([200, 201].contains(&answer.status), "{command} {n}: {}", answer.text());
        for key in ["artifact_path", "content_hash"] {
            assert_eq!(sent[key], stored[key], "{command} {n}");
        }
    }
}

fn directory(command: &str) -> PathBuf {
    testkit::shared().join("current/golden").join(command)
}

fn recorded(command: &str, n: usize) -> (String, Vec<u8>) {
    let file = |extension: &str| directory(command).join(format!("req-{n:04}.{extension}"));
    let head = std::fs::read_to_string(file("raw")).expect("a recorded head");
    (head, std::fs::read(file("body")).expect("a recorded body"))
}

fn parsed(command: &str, n: usize) -> Value {
    let text = std::fs::read(directory(command).join(format!("req-{n:04}.json"))).expect("a recording");
    serde_json::from_slice(&text).expect("JSON")
}

fn url_fields(body: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_day_of_327_succeeds() {
    let mut replay = Replay::new();
    replay.login("login-device");
    for command in ["auth-doctor-server", "sync-doctor", "sync-status-check"] {
        assert_eq!(replay.send(command, 1, &[]).status, 200, "{command}");
    }

    assert_eq!(replay.expect_events("now-today", 1), ["success"; 14]);
    (2..=6).for_each(|n| replay.expect_body("now-today", n));
    replay.expect_events("now-mended", 1);
    (2..=6).for_each(|n| replay.expect_body("now-mended", n));
    assert_eq!(replay.world.held_events(&replay.access).len(), 14, "the same fourteen, once");

    replay.expect_events("import-history-today", 1);
    // The bodies of the other project are early; the client keeps them for this answer alone.
    for n in 1..=5 {
        let answer = replay.send("import-history-mended", n, &[]);
        assert_eq!((answer.status, &answer.json()["error"]), (404, &json!("index_entry_not_found")));
    }
    assert_eq!(replay.expect_events("import-history-mended", 6), ["success"]);
    assert_eq!(replay.expect_events("import-history-mended", 7), ["success"]);
    assert_eq!(replay.world.held_events(&replay.access).len(), 15);

    for command in ["daemon-start", "share"] {
        let n = if command == "share" { 2 } else { 1 };
        let answer = replay.send(command, n, &[]);
        assert_eq!(answer.status, 403);
        assert!(answer.json()["error_description"].is_string());
    }

    let rotated = replay.send("refresh", 1, &[("refresh_token", &replay.refresh)]);
    replay.take_grant(&rotated);
    for (command, n) in [("refresh", 2), ("routes", 1), ("routes-stub", 1), ("opt-out-delete", 1)] {
        let answer = replay.send(command, n, &[]);
        assert_eq!((answer.status, answer.json()), (200, json!({ "results": [] })), "{command}");
    }
    let admin = replay.world.admin();
    admin.add_team("team-x", Some("Team X"), false).expect("a team");
    admin.add_member("team-x", EMAIL, false).expect("a member");
    let shared = replay.send("share", 1, &[]);
    assert_eq!((shared.status, &shared.json()["share"]["state"]), (201, &json!("shared")));
    assert_eq!(replay.send("routes", 1, &[]).json()["results"][0]["team"]["name"], "Team X");
    for command in ["unshare", "unshare-stub"] {
        let left = replay.send(command, 1, &[]);
        assert_eq!((left.status, &left.json()["status"]), (200, &json!("left")));
    }
    assert_eq!(replay.send("opt-out-delete", 1, &[]).json(), json!({ "results": [] }));
    let deleted = replay.send("opt-out-delete", 2, &[]);
    assert_eq!(
        (deleted.status, &deleted.json()["deleted_event_count"]),
        (200, &json!(14)),
        "{}",
        deleted.text()
    );
    assert_eq!(replay.world.held_events(&replay.access).len(), 1, "the other project stays");

    let revoked = replay.send("logout", 1, &[("token", &replay.refresh)]);
    assert_eq!((revoked.status, revoked.json()), (200, json!({ "revoked": true })));
    assert_eq!(replay.send("logout", 2, &[]).status, 200);
    assert_eq!(replay.send("sync-doctor", 1, &[]).status, 401);
    replay.login("login-two-teams");
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_browser_login_of_327_succeeds() {
    let mut replay = Replay::new();
    let page = replay.send("login-browser", 1, &[]);
    assert_eq!(page.status, 200, "{}", page.text());
    let path = endpoint::OAUTH_AUTHORIZE;
    let back = replay.world.answer_page(&page, path, EMAIL, &replay.secret, "approve");
    let callback = back.header("location").expect("a redirect to the client");
    let (_, query) = callback.split_once('?').expect("a query");
    let query = url_fields(query.as_bytes());
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    assert!(callback.starts_with("http://127.0.0.1:28888/callback?"));
    assert!(value("state").is_some());
    let grant = replay.send("login-browser", 3, &[("code", &value("code").expect("a code"))]);
    replay.take_grant(&grant);
    replay.expect_me(&replay.send("login-browser", 4, &[]));
}
