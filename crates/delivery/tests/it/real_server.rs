//! The whole path against this product's own server: log in, send, ask it what it holds.

use crate::machine::{Machine, User, machine, machine_with};
use crate::world::{body_row, capture, drain_all, event};
use contract::wire::endpoint::{INSPECT_BODIES, INSPECT_EVENTS};
use delivery::auth::{LoginMethod, Revoked, log_in, log_out};
use delivery::http::HttpRequest;
use delivery::probe::{
    Reachability, SessionState, fetch_login_probe, fetch_session_state, fetch_sync_health,
};
use delivery::{DeliveryContext, TokenError, TokenSource};
use queue::NewRow;
use serde_json::{Value, json};
use server::{Admin, Handle, Lifetimes, ServerConfig};
use std::time::Duration;
use tempfile::TempDir;
use testkit::World;
use testkit::events::{claimed, indexed};

const EMAIL: &str = "dev@example.com";
const PROJECT: &str = "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00";
const MISSION: &str = "demo-01KRX11M";

struct Server {
    handle: Handle,
    secret: String,
    data: TempDir,
}

fn start(lifetimes: Lifetimes) -> Server {
    let data = tempfile::tempdir().unwrap();
    let created =
        Admin::open(data.path()).unwrap().create_account(EMAIL, Some("Dev"), Some("Team-1")).unwrap();
    let mut config = ServerConfig::new(data.path());
    config.lifetimes = Lifetimes { device_interval: Duration::ZERO, ..lifetimes };
    Server {
        handle: Handle::start(config).unwrap(),
        secret: created.approval_secret.expose().to_owned(),
        data,
    }
}

/// A person at a browser: loads the page, fills in its form, and returns redirects without following them.
fn approve(page_url: &str, secret: &str) -> Option<String> {
    let browser: ureq::Agent =
        ureq::Agent::config_builder().max_redirects(0).http_status_as_error(false).proxy(None).build().into();
    let mut page = browser.get(page_url).call().unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let html = page.body_mut().read_to_string().unwrap();
    let attribute = |tag: &str, name: &str| -> Option<String> {
        let text = tag.split_once(&format!("{name}=\""))?.1.split_once('"')?.0;
        Some(text.replace("&amp;", "&").replace("&#39;", "'").replace("&quot;", "\""))
    };
    let hidden = html.split("<input ").filter(|tag| tag.starts_with("type=\"hidden\""));
    let mut fields: Vec<(String, String)> =
        hidden.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?))).collect();
    for (name, value) in [("email", EMAIL), ("secret", secret), ("decision", "approve")] {
        fields.push((name.into(), value.into()));
    }
    let action = attribute(html.split_once("<form ").unwrap().1, "action").unwrap();
    let target = url::Url::parse(page_url).unwrap().join(&action).unwrap();
    let answer = browser.post(target.as_str()).header("Cookie", &cookie).send_form(fields).unwrap();
    answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned())
}

fn log_in_by_device(machine: &World, server: &Server) {
    let secret = server.secret.clone();
    let mut user = User { page: Some(Box::new(move |page| drop(approve(page, &secret)))), ..User::default() };
    let report =
        log_in(&machine.context(), Some(&server.handle.url()), LoginMethod::Device, &mut user).unwrap();
    assert_eq!((report.email.as_str(), report.team.unwrap().id.as_str()), (EMAIL, "Team-1"));
}

/// The n-th event id: a ULID.
fn id(n: usize) -> String {
    format!("01KX00000000000000000{n:05}")
}

fn status_change(n: usize) -> NewRow {
    event(claimed(&id(n), PROJECT, MISSION).to_string())
}

/// The rows that the server lists.
fn held(context: &DeliveryContext, path: &str) -> Value {
    let mut source = TokenSource::for_login(context).unwrap();
    let bearer = source.bearer().unwrap();
    let request = HttpRequest { bearer: Some(&bearer), ..HttpRequest::get(path) };
    context.client.send(source.destination(), &request).unwrap().object().unwrap().into()
}

#[test]
fn device_login_delivers_once_across_token_rotation() {
    let server = start(Lifetimes::default());
    let machine = machine();
    log_in_by_device(&machine, &server);
    let context = machine.context();

    let mut rows: Vec<NewRow> = (0..5).map(status_change).collect();
    rows.push(event(indexed(&id(5), PROJECT, MISSION, "spec.md", "# Spec\n").to_string()));
    let mut incomplete = claimed(&id(6), PROJECT, MISSION);
    incomplete["payload"] = json!({"wp_id": "WP01"});
    rows.push(event(incomplete.to_string()));
    capture(&machine, PROJECT, rows);
    capture(
        &machine,
        PROJECT,
        vec![body_row(PROJECT, "spec.md", "# Spec\n"), body_row(PROJECT, "plan.md", "# Plan\n")],
    );
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.events.parked), (6, 1), "{report:?}");
    assert_eq!((report.bodies.delivered, report.bodies.kept), (1, 1), "plan.md was never announced");
    assert!(report.failures[0].error.contains("PAYLOAD_SCHEMA_FAIL"), "{:?}", report.failures);

    let events = held(&context, INSPECT_EVENTS);
    let mut ids: Vec<&str> =
        events["rows"].as_array().unwrap().iter().map(|row| row["event_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..6).map(id).collect::<Vec<_>>());
    assert_eq!(held(&context, INSPECT_BODIES)["total"], 1);

    // The refresh token rotates; the session stays valid.
    let mut source = TokenSource::for_login(&context).unwrap();
    source.bearer().unwrap();
    let before = machine.stored().unwrap();
    let bearer = source.renewed_bearer().unwrap();
    assert_ne!(machine.stored().unwrap().refresh_token, before.refresh_token);
    let health = fetch_sync_health(&context, source.destination(), Some(&bearer));
    assert!(matches!(health, Reachability::Connected { .. }), "{health:?}");
    assert!(matches!(
        fetch_session_state(&context, source.destination(), &bearer),
        SessionState::Active { .. }
    ));
    assert_eq!(fetch_sync_health(&context, source.destination(), None), Reachability::LoginNeeded);

    assert_eq!(log_out(&context, true).unwrap().revoked, Revoked::Yes);
}

#[test]
fn browser_login_works_and_its_end_is_noticed() {
    let server = start(Lifetimes::default());
    let machine = machine();
    let secret = server.secret.clone();
    let browser = move |page: &str| {
        let (page, secret) = (page.to_owned(), secret.clone());
        std::thread::spawn(move || {
            let callback = approve(&page, &secret).unwrap();
            let browser: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
            browser.get(&callback).call().unwrap();
        });
    };
    let mut user = User { browser: Some(Box::new(browser)), sleeps: true, ..User::default() };
    log_in(&machine.context(), Some(&server.handle.url()), LoginMethod::Browser, &mut user).unwrap();

    let context = machine.context();
    let mut source = TokenSource::for_login(&context).unwrap();
    source.bearer().unwrap();
    let session = machine.stored().unwrap();
    // Logged out elsewhere: the server no longer has the session.
    assert_eq!(log_out(&context, true).unwrap().revoked, Revoked::Yes);
    machine.store(&session);
    let error = source.renewed_bearer().unwrap_err();
    assert!(matches!(error, TokenError::Ended), "{error:?}");
    assert_eq!(machine.stored(), None);
}

#[test]
fn ci_token_delivers_without_a_session() {
    let server = start(Lifetimes::default());
    let token = Admin::open(server.data.path()).unwrap().issue_ci_token(EMAIL, None, "ci").unwrap();
    let machine = machine_with(&[
        ("SPEC_KITTY_TOKEN", token.token.expose()),
        ("SPEC_KITTY_SERVER_URL", &server.handle.url()),
    ]);
    capture(&machine, PROJECT, vec![status_change(0)]);
    let report = drain_all(&machine);
    assert_eq!((report.events.delivered, report.remaining.total()), (1, 0), "{report:?}");
    assert!(!format!("{report:?}").contains(token.token.expose()));
    assert!(!machine.home().session_file().exists());
}

#[test]
fn login_required_wrong_address_and_silence_differ() {
    let server = start(Lifetimes::default());
    let machine = machine();
    let to = delivery::server_address::ServerAddress::parse(&server.handle.url()).unwrap();
    assert_eq!(fetch_sync_health(&machine.context(), &to, None), Reachability::LoginNeeded);
    let elsewhere = format!("{}/nowhere", server.handle.url());
    let elsewhere = delivery::server_address::ServerAddress::parse(&elsewhere).unwrap();
    assert!(matches!(
        fetch_sync_health(&machine.context(), &elsewhere, None),
        Reachability::NotASyncServer(_)
    ));
    server.handle.stop().unwrap();
    assert!(matches!(fetch_sync_health(&machine.context(), &to, None), Reachability::Unreachable(_)));
}

#[test]
fn login_probe_uses_the_stored_token_and_renews_nothing() {
    let server = start(Lifetimes::default());
    let machine = machine();
    log_in_by_device(&machine, &server);
    let context = machine.context();
    let probe = fetch_login_probe(&context).unwrap();
    assert!(probe.is_good() && !probe.awaits_renewal(), "{probe:?}");
    assert_eq!(probe.session, Some(SessionState::Active { generation: Some(1) }));

    let mut expired = machine.stored().unwrap();
    expired.access_token_expires_at = "2026-01-01T00:00:00Z".parse().unwrap();
    machine.store(&expired);
    let probe = fetch_login_probe(&context).unwrap();
    assert!(!probe.is_good() && probe.awaits_renewal(), "{probe:?}");
    assert_eq!((probe.token_shown, probe.session), (false, None));
    assert_eq!(machine.stored(), Some(expired), "asking renewed nothing");

    assert_eq!(log_out(&context, true).unwrap().revoked, Revoked::Yes);
    assert!(matches!(fetch_login_probe(&context), Err(TokenError::Ended | TokenError::IdentityChanged(_))));
    server.handle.stop().unwrap();
}

#[test]
fn probe_with_a_ci_token_asks_for_no_session() {
    let server = start(Lifetimes::default());
    let token = Admin::open(server.data.path()).unwrap().issue_ci_token(EMAIL, None, "ci").unwrap();
    let machine = machine_with(&[
        ("SPEC_KITTY_TOKEN", token.token.expose()),
        ("SPEC_KITTY_SERVER_URL", &server.handle.url()),
    ]);
    let probe = fetch_login_probe(&machine.context()).unwrap();
    assert!(probe.is_good(), "{probe:?}");
    assert_eq!(probe.session, None);
}
