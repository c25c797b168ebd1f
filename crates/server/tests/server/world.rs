//! A server with accounts, and logins as a client and a person do them.

use super::client::{Answer, form, hidden_fields, post_form, send};
use super::databases;
use contract::wire::body::BODY_KEY_COLUMNS;
use contract::wire::{endpoint, oauth};
use serde_json::{Value, json};
use server::{
    Admin, DatabaseUrl, Handle, Lifetimes, ServerConfig, ServerLimits, StoreLocation, TrustedProxies,
};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;
use testkit::events::{self, envelope};
use testkit::gzip;

pub(crate) const PROJECT: &str = "4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d00";
pub(crate) const EMAIL: &str = "dev@example.com";
pub(crate) const TEAM: &str = "Team-1";

/// Bytes written to an access log, shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A running server with one account.
pub(crate) struct World {
    /// Of the database, unless that is in PostgreSQL.
    pub(crate) data: TempDir,
    pub(crate) store: StoreLocation,
    pub(crate) log: Shared,
    pub(crate) secret: String,
    handle: Option<Handle>,
    limits: ServerLimits,
    lifetimes: Lifetimes,
    proxies: TrustedProxies,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(ServerLimits::default(), Lifetimes::default())
    }

    /// On PostgreSQL if its address is in the environment: the whole suite runs on both.
    pub(crate) fn with(limits: ServerLimits, lifetimes: Lifetimes) -> Self {
        match std::env::var_os(databases::DATABASE) {
            None => Self::in_directory(limits, lifetimes),
            Some(_) => Self::on_postgres(limits, lifetimes),
        }
    }

    /// For tests that read the file of the store.
    pub(crate) fn in_directory(limits: ServerLimits, lifetimes: Lifetimes) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let store = data.path().into();
        Self::on(data, store, limits, lifetimes)
    }

    pub(crate) fn on_postgres(limits: ServerLimits, lifetimes: Lifetimes) -> Self {
        let store = databases::new_database(databases::DATABASE).into();
        Self::on(tempfile::tempdir().expect("a directory"), store, limits, lifetimes)
    }

    pub(crate) fn on_database(url: DatabaseUrl) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        Self::on(data, url.into(), ServerLimits::default(), Lifetimes::default())
    }

    fn on(data: TempDir, store: StoreLocation, limits: ServerLimits, lifetimes: Lifetimes) -> Self {
        let admin = Admin::open(store.clone()).expect("a store");
        let created = admin.create_account(EMAIL, Some("Dev"), Some(TEAM)).expect("an account");
        let secret = created.approval_secret.expose().to_owned();
        let (log, proxies) = (Shared::default(), TrustedProxies::default());
        let mut world = Self { data, store, log, secret, handle: None, limits, lifetimes, proxies };
        world.start();
        world
    }

    /// A second server on the same database.
    pub(crate) fn beside(&self) -> Self {
        let mut world = Self {
            data: tempfile::tempdir().expect("a directory"),
            store: self.store.clone(),
            log: Shared::default(),
            secret: self.secret.clone(),
            handle: None,
            limits: self.limits,
            lifetimes: self.lifetimes,
            proxies: self.proxies.clone(),
        };
        world.start();
        world
    }

    /// A server behind a proxy on this machine: requests may name the address they come from.
    pub(crate) fn behind_proxy(limits: ServerLimits, lifetimes: Lifetimes) -> Self {
        let mut world = Self::with(limits, lifetimes);
        world.stop();
        world.proxies = TrustedProxies::new(vec!["127.0.0.1".parse().expect("a range")]);
        world.start();
        world
    }

    /// Starts, or starts again, on the same data.
    pub(crate) fn start(&mut self) {
        let mut config = ServerConfig::new(self.store.clone());
        config.limits = self.limits;
        config.lifetimes = self.lifetimes;
        config.trusted_proxies = self.proxies.clone();
        config.access_log = Some(Box::new(self.log.clone()));
        self.handle = Some(Handle::start(config).expect("a server"));
    }

    /// Changes what the next start is bounded by.
    pub(crate) fn change_limits(&mut self, change: impl FnOnce(&mut ServerLimits)) {
        change(&mut self.limits);
    }

    /// Changes how long the sessions of the next start live.
    pub(crate) fn change_lifetimes(&mut self, change: impl FnOnce(&mut Lifetimes)) {
        change(&mut self.lifetimes);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(handle) = self.handle.take() {
            handle.stop().expect("an orderly stop");
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.handle.as_ref().expect("a running server").address()
    }

    /// A counter of `/metrics`, or one of its series: `requests_total{route="me"}`.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let text = send(self.address(), "GET", endpoint::METRICS, &[], &[]).text();
        let series = format!("\nspec_kitty_{name} ");
        let (_, rest) = text.split_once(&series).unwrap_or_else(|| panic!("{name} in {text}"));
        rest.lines().next().and_then(|value| value.parse().ok()).expect("a number")
    }

    /// Requests of all routes but those for operators.
    pub(crate) fn client_requests(&self) -> u64 {
        let text = send(self.address(), "GET", endpoint::METRICS, &[], &[]).text();
        let series = text.lines().filter_map(|line| line.strip_prefix("spec_kitty_requests_total{route="));
        let of_clients = series.filter(|line| !line.starts_with("\"operations\""));
        of_clients.filter_map(|line| line.split_once("} ")?.1.parse::<u64>().ok()).sum()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::open(self.store.clone()).expect("a store")
    }

    /// A machine token: the shortest way to a login.
    pub(crate) fn token(&self) -> String {
        self.token_of(EMAIL, TEAM)
    }

    pub(crate) fn token_of(&self, email: &str, team: &str) -> String {
        let issued = self.admin().issue_ci_token(email, Some(team), "test").expect("a token");
        issued.token.expose().to_owned()
    }

    /// A second account with a teamspace of its own.
    pub(crate) fn neighbour(&self) -> (String, String) {
        let created =
            self.admin().create_account("other@example.com", None, Some("Team-2")).expect("an account");
        (self.token_of("other@example.com", "Team-2"), created.approval_secret.expose().to_owned())
    }

    /// Logs in by device flow as a client and a person do it.
    pub(crate) fn login(&self) -> Value {
        self.login_as(EMAIL, &self.secret)
    }

    /// The access token of another account's login.
    pub(crate) fn access(&self, email: &str, secret: &str) -> String {
        self.login_as(email, secret)["access_token"].as_str().expect("a token").to_owned()
    }

    pub(crate) fn login_as(&self, email: &str, secret: &str) -> Value {
        let device = self.start_device();
        let code = device["user_code"].as_str().expect("a user code");
        let page = send(self.address(), "GET", &format!("/device?user_code={code}"), &[], &[]);
        let approved = self.answer_page(&page, endpoint::DEVICE_APPROVAL, email, secret, "approve");
        assert_eq!(approved.status, 200, "{}", approved.text());
        let polled = self.poll(device["device_code"].as_str().expect("a device code"));
        assert_eq!(polled.status, 200, "{}", polled.text());
        polled.json()
    }

    pub(crate) fn start_device(&self) -> Value {
        let answer = self.ask_device(&[]);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Asks for a device login.
    pub(crate) fn ask_device(&self, headers: &[(&str, &str)]) -> Answer {
        let fields = [("client_id", oauth::CLIENT_ID), ("scope", oauth::SCOPE)];
        post_form(self.address(), endpoint::OAUTH_DEVICE, headers, &fields)
    }

    /// Loads the approval page and posts its form.
    pub(crate) fn answer_device(&self, device: &Value, secret: &str, decision: &str) -> Answer {
        let code = device["user_code"].as_str().expect("a user code");
        let page = send(self.address(), "GET", &format!("/device?user_code={code}"), &[], &[]);
        assert_eq!(page.status, 200);
        self.answer_page(&page, endpoint::DEVICE_APPROVAL, EMAIL, secret, decision)
    }

    /// Posts the form a page shows, with the cookie it set.
    pub(crate) fn answer_page(
        &self,
        page: &Answer,
        path: &str,
        email: &str,
        secret: &str,
        decision: &str,
    ) -> Answer {
        self.answer_page_from(page, path, [email, secret, decision], &[])
    }

    /// The same with headers of a proxy; `typed` are address, secret and decision.
    pub(crate) fn answer_page_from(
        &self,
        page: &Answer,
        path: &str,
        typed: [&str; 3],
        more: &[(&str, &str)],
    ) -> Answer {
        let hidden = hidden_fields(&page.text());
        let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let [email, secret, decision] = typed;
        fields.extend([("email", email), ("secret", secret), ("decision", decision)]);
        let cookie =
            page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap_or_default();
        let origin = format!("http://{}", self.address());
        let mut headers = vec![("Cookie", cookie), ("Origin", origin.as_str())];
        headers.extend_from_slice(more);
        post_form(self.address(), path, &headers, &fields)
    }

    pub(crate) fn poll(&self, device_code: &str) -> Answer {
        let fields = [
            ("grant_type", oauth::GRANT_DEVICE_CODE),
            ("device_code", device_code),
            ("client_id", oauth::CLIENT_ID),
        ];
        post_form(self.address(), endpoint::OAUTH_TOKEN, &[], &fields)
    }

    pub(crate) fn refresh(&self, refresh_token: &str) -> Answer {
        let fields = [
            ("grant_type", oauth::GRANT_REFRESH_TOKEN),
            ("refresh_token", refresh_token),
            ("client_id", oauth::CLIENT_ID),
        ];
        post_form(self.address(), endpoint::OAUTH_TOKEN, &[], &fields)
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> Answer {
        send(self.address(), "GET", path, &[("Authorization", &format!("Bearer {token}"))], &[])
    }

    /// Sends a batch, packed.
    pub(crate) fn batch(&self, token: &str, team: &str, events: &[Value]) -> Answer {
        self.batch_text(token, team, &json!({ "events": events }).to_string())
    }

    pub(crate) fn batch_text(&self, token: &str, team: &str, text: &str) -> Answer {
        self.batch_bytes(token, team, "gzip", &gzip(text.as_bytes()))
    }

    pub(crate) fn batch_bytes(&self, token: &str, team: &str, encoding: &str, bytes: &[u8]) -> Answer {
        let headers = [("Content-Encoding", encoding), (endpoint::TEAM_HEADER, team)];
        self.post(token, endpoint::EVENTS_BATCH, &headers, bytes)
    }

    pub(crate) fn push(&self, token: &str, push: &Value) -> Answer {
        self.post(token, endpoint::PUSH_CONTENT, &[], push.to_string().as_bytes())
    }

    /// Posts JSON as the owner of a token.
    pub(crate) fn post(&self, token: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
        let authorization = format!("Bearer {token}");
        let mut headers =
            vec![("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
        headers.extend_from_slice(more);
        send(self.address(), "POST", path, &headers, body)
    }

    /// Everything the server holds for a token, by ids.
    pub(crate) fn held_events(&self, token: &str) -> Vec<String> {
        let answer = self.get(token, endpoint::INSPECT_EVENTS);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let page = answer.json();
        let rows = page["rows"].as_array().expect("rows").clone();
        assert_eq!(page["total"].as_u64(), Some(rows.len() as u64));
        rows.iter().map(|row| row["event_id"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Short lives, so that tests need not wait.
pub(crate) fn hasty() -> Lifetimes {
    Lifetimes { device_interval: Duration::from_millis(1), ..Lifetimes::default() }
}

/// The `n`th event of a test, each with an id of its own.
pub(crate) fn event(n: u64) -> Value {
    let payload = json!({"mission_slug": "demo", "wp_id": "WP01", "wp_title": "First", "depends_on": [], "actor": "dev"});
    of_team(n, envelope(&id(n), "WPCreated", ("WorkPackage", "WP01"), PROJECT, &payload))
}

/// The index event that announces a path.
pub(crate) fn indexed(n: u64, path: &str, content: &str) -> Value {
    of_team(n, events::indexed(&id(n), PROJECT, "demo", path, content))
}

fn id(n: u64) -> String {
    format!("01K{n:023}")
}

fn of_team(n: u64, mut event: Value) -> Value {
    event["team_slug"] = TEAM.into();
    event["lamport_clock"] = n.into();
    event["node_id"] = "0123456789ab".into();
    event["project_slug"] = "demo".into();
    event
}

/// The key that a receipt has for a push.
pub(crate) fn body_key(push: &Value) -> Value {
    BODY_KEY_COLUMNS.iter().map(|name| push[*name].clone()).collect()
}

/// The body of a path.
pub(crate) fn body_of(path: &str, content: &str) -> Value {
    serde_json::to_value(events::body(PROJECT, "demo", path, content)).expect("a push")
}

/// The statuses of a batch's results, in order.
pub(crate) fn statuses(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let results = answer.json()["results"].as_array().expect("results").clone();
    results.iter().map(|result| result["status"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A form body, for requests that set their own headers.
pub(crate) fn form_body(fields: &[(&str, &str)]) -> Vec<u8> {
    form(fields)
}
