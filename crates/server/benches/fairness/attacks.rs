//! Attacks of the first account.

use crate::client::{self, connect_from, exchange, request};
use crate::world::{EMAIL, TEAM, World, body_of, event, indexed};
use crate::{ATTACKER, Attack};
use contract::wire::{endpoint, oauth};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;
use testkit::gzip;

/// Sends a batch one byte at a time, just fast enough not to be silent.
pub(crate) fn slow_upload(attack: &Attack, number: usize) {
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nX-Team-Slug: {TEAM}\r\nContent-Length: 1000000\r\n\r\n",
        endpoint::EVENTS_BATCH,
        attack.authorization()
    );
    while attack.continues() {
        let mut stream = attack.connect(number);
        let mut is_open = stream.write_all(head.as_bytes()).is_ok();
        while attack.continues() && is_open {
            is_open = stream.write_all(b" ").is_ok();
            attack.pause(Duration::from_millis(100));
        }
    }
}

/// Opens 128 connections from its own address, and again whenever some were closed.
pub(crate) fn idle_connections(attack: &Attack, number: usize) {
    let from = ATTACKER + u8::try_from(number).unwrap();
    let mut held: Vec<TcpStream> = Vec::new();
    while attack.continues() {
        held.retain(|stream| {
            stream.set_nonblocking(true).unwrap();
            let mut buffer = [0; 1];
            matches!(stream.peek(&mut buffer), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        });
        while held.len() < 128 && attack.continues() {
            held.push(connect_from(attack.server(number), from));
        }
        attack.pause(Duration::from_millis(20));
    }
}

/// Requests 250 device logins as fast as possible.
pub(crate) fn device_requests(attack: &Attack, number: usize) {
    let form = client::form(&[("client_id", oauth::CLIENT_ID)]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    for _ in 0..250 {
        attack.ask(number, "POST", endpoint::OAUTH_DEVICE, &headers, &form);
    }
}

/// Guesses a secret for another account each time, on the page it loaded.
pub(crate) fn guess(attack: &Attack, number: usize) {
    // One page for all: each of them may open few.
    let (code, cookie, key) = attack.page.get_or_init(|| open_page(attack, 0));
    for round in 0..20 {
        if !attack.continues() {
            return;
        }
        let email = if round % 2 == 0 { EMAIL.to_owned() } else { format!("{number}-{round}@example.com") };
        let form = client::form(&[
            ("form_key", key),
            ("user_code", code),
            ("email", &email),
            ("secret", "wrong"),
            ("decision", "approve"),
        ]);
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", cookie.as_str())];
        attack.ask(number + round, "POST", endpoint::DEVICE_APPROVAL, &headers, &form);
    }
}

/// A device login of the attacker's own, its page opened: code, cookie and form key.
fn open_page(attack: &Attack, number: usize) -> (String, String, String) {
    let form = client::form(&[("client_id", oauth::CLIENT_ID)]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let server = attack.server(number);
    let bytes = request(server, "POST", endpoint::OAUTH_DEVICE, &headers, &form);
    let device = exchange(attack.connect(number), &bytes).filter(|answer| answer.status == 200);
    let code =
        device.map(|answer| answer.json()["user_code"].as_str().unwrap().to_owned()).unwrap_or_default();
    let path = format!("/device?user_code={code}");
    let page = exchange(attack.connect(number), &request(server, "GET", &path, &[], &[]));
    let Some(page) = page.filter(|page| page.status == 200) else { return Default::default() };
    let cookie = page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
    let key = client::hidden_fields(&page.text()).into_iter().find(|(name, _)| name == "form_key");
    (code, cookie.to_owned(), key.map(|(_, value)| value).unwrap_or_default())
}

/// Twenty bodies of half a megabyte for [`slow_reader`].
pub(crate) fn fill(world: &World, token: &str) {
    for n in 0..20 {
        let (path, content) = (format!("tasks/WP{n:02}.md"), format!("{n:02}").repeat(250_000));
        assert_eq!(world.batch(token, TEAM, &[indexed(n, &path, &content)]).status, 200);
        assert_eq!(world.push(token, &body_of(&path, &content)).status, 201);
    }
}

/// Requests ten megabytes and reads them slowly.
pub(crate) fn slow_reader(attack: &Attack, number: usize) {
    let path = format!("{}?content=1", endpoint::INSPECT_BODIES);
    let authorization = attack.authorization();
    let bytes = request(attack.server(number), "GET", &path, &[("Authorization", &authorization)], &[]);
    while attack.continues() {
        let mut stream = attack.connect(number);
        let mut is_open = stream.write_all(&bytes).is_ok();
        let mut buffer = [0; 256];
        while attack.continues() && is_open {
            is_open = stream.read(&mut buffer).is_ok_and(|count| count > 0);
            attack.pause(Duration::from_millis(100));
        }
    }
}

/// Opens its own page and sends half of its form.
pub(crate) fn half_open_page(attack: &Attack, number: usize) {
    let (code, cookie, _) = open_page(attack, number);
    let half = format!(
        "POST /device HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 500\r\n\r\nuser_code={code}"
    );
    while attack.continues() {
        let mut stream = attack.connect(number);
        let mut is_open = stream.write_all(half.as_bytes()).is_ok();
        while attack.continues() && is_open {
            attack.pause(Duration::from_millis(200));
            is_open = stream.write_all(b"x").is_ok();
        }
    }
}

/// Posts to the ingest route, again and again.
fn post_batches(attack: &Attack, number: usize, token: &str, team: &str, coding: &str, body: &[u8]) {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", &*authorization), ("X-Team-Slug", team), ("Content-Encoding", coding)];
    while attack.continues() {
        attack.ask(number, "POST", endpoint::EVENTS_BATCH, &headers, body);
    }
}

/// New events, one a request.
pub(crate) fn flood(attack: &Attack, number: usize) {
    let authorization = attack.authorization();
    let headers = [("Authorization", &*authorization), ("X-Team-Slug", TEAM)];
    for n in 0.. {
        if !attack.continues() {
            return;
        }
        let body = json!({ "events": [event(number as u64 * 1_000_000 + n)] }).to_string();
        attack.ask(number, "POST", endpoint::EVENTS_BATCH, &headers, body.as_bytes());
    }
}

pub(crate) fn thousand() -> Vec<serde_json::Value> {
    (0..1000).map(event).collect()
}

pub(crate) fn replay(attack: &Attack, number: usize) {
    let body = gzip(json!({ "events": thousand() }).to_string().as_bytes());
    post_batches(attack, number, &attack.token, TEAM, "gzip", &body);
}

pub(crate) fn forged_tokens(attack: &Attack, number: usize) {
    let body = json!({ "events": [event(1)] }).to_string();
    post_batches(attack, number, &format!("skp_e30.{number}"), TEAM, "identity", body.as_bytes());
}

pub(crate) fn revoked_token(attack: &Attack, number: usize) {
    let body = json!({ "events": [event(1)] }).to_string();
    post_batches(attack, number, &attack.revoked, TEAM, "identity", body.as_bytes());
}

/// A gigabyte of blanks, packed to a megabyte.
pub(crate) fn bomb(attack: &Attack, number: usize) {
    static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let member = gzip(&vec![b' '; 16 * 1024 * 1024]);
        member.repeat(64)
    });
    post_batches(attack, number, &attack.token, TEAM, "gzip", &BOMB);
}

pub(crate) fn nested(attack: &Attack, number: usize) {
    let (open, close) = ("[".repeat(250_000), "]".repeat(250_000));
    let whole = format!("{{\"events\":[{open}{close}]}}");
    let in_a_payload =
        json!({ "events": [event(1)] }).to_string().replace("\"demo\"", &format!("{open}{close}"));
    let body = if number.is_multiple_of(2) { whole } else { in_a_payload };
    post_batches(attack, number, &attack.token, TEAM, "gzip", &gzip(body.as_bytes()));
}

pub(crate) fn refresh_replay(attack: &Attack, number: usize) {
    let form = client::form(&[
        ("grant_type", oauth::GRANT_REFRESH_TOKEN),
        ("refresh_token", &attack.refresh_token),
        ("client_id", oauth::CLIENT_ID),
    ]);
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    while attack.continues() {
        attack.ask(number, "POST", endpoint::OAUTH_TOKEN, &headers, &form);
    }
}

/// Events for the second account's team, in the header or in the envelope, and its rows.
pub(crate) fn cross_team(attack: &Attack, number: usize) {
    let authorization = attack.authorization();
    let mut of_other = event(1);
    of_other["team_slug"] = "Team-2".into();
    let batch = json!({ "events": [of_other] }).to_string();
    let receipts = json!({ "events": [event(1)["event_id"]] }).to_string();
    let headers = [("Authorization", &*authorization), ("X-Team-Slug", "Team-2")];
    while attack.continues() {
        attack.ask(number, "POST", endpoint::EVENTS_BATCH, &headers, batch.as_bytes());
        attack.ask(number, "POST", endpoint::RECEIPTS, &headers, receipts.as_bytes());
        // Listings are of one's own teams, whatever is asked for: an empty page.
        let path = format!("{}?team=Team-2", endpoint::INSPECT_EVENTS);
        let bytes = request(attack.server(number), "GET", &path, &headers, &[]);
        let page = exchange(attack.connect(number), &bytes);
        let is_empty = page.is_none_or(|page| page.status != 200 || page.json()["rows"] == json!([]));
        assert!(is_empty, "rows of another team were shown");
    }
}
