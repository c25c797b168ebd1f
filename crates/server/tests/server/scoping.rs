//! Every route, asked without a login, by a stranger, a member and an ex-member: none shows or changes what belongs to
//! a team of others.

use super::browser::{ACCEPT, Browser};
use super::client::{Answer, raw, request};
use super::world::{EMAIL, PROJECT, TEAM, World, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::ServerLimits;

/// Text that only members may read.
const MARKER: &str = "marker-of-the-team";

/// The expectation of a route.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// As the router names it.
    pub(crate) route: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    body: fn() -> String,
    /// Statuses without a login, for a stranger, an ex-member and a member, in this order.
    pub(crate) expected: [u16; 4],
}

fn nothing() -> String {
    String::new()
}

fn one_event() -> String {
    let mut event = event(77);
    event["team_slug"] = TEAM.into();
    json!({ "events": [event] }).to_string()
}

fn one_body() -> String {
    body_of("spec.md", MARKER).to_string()
}

fn receipts() -> String {
    json!({ "events": [event(1)["event_id"]] }).to_string()
}

fn share() -> String {
    json!({ "source_project_uuid": PROJECT, "destination_team_slug": "guild" }).to_string()
}

fn team() -> String {
    json!({ "team_id": TEAM }).to_string()
}

const fn row(
    route: &'static str,
    method: &'static str,
    path: &'static str,
    body: fn() -> String,
    expected: [u16; 4],
) -> Row {
    Row { route, method, path, body, expected }
}

/// A page: its visitor has the cookie of a sign-in.
const fn page(route: &'static str, method: &'static str, path: &'static str, expected: [u16; 4]) -> Row {
    row(route, method, path, nothing, expected)
}

/// The member changes things last: `FORGET_PROJECT` is the end.
pub(crate) const ROWS: &[Row] = &[
    row("EVENTS_BATCH", "POST", endpoint::EVENTS_BATCH, one_event, [401, 403, 403, 200]),
    row("EVENTS_PREFLIGHT", "POST", endpoint::EVENTS_PREFLIGHT, one_event, [401, 403, 403, 200]),
    row("PUSH_CONTENT", "POST", endpoint::PUSH_CONTENT, one_body, [401, 404, 404, 200]),
    row("SYNC_HEALTH", "GET", endpoint::SYNC_HEALTH, nothing, [401, 200, 200, 200]),
    row("RECEIPTS", "POST", endpoint::RECEIPTS, receipts, [401, 403, 403, 200]),
    row("REPOSITORY_SHARES", "GET", endpoint::REPOSITORY_SHARES, nothing, [401, 200, 200, 200]),
    row("REPOSITORY_SHARES", "POST", endpoint::REPOSITORY_SHARES, share, [401, 403, 403, 201]),
    row("LEAVE_SHARE", "POST", endpoint::LEAVE_SHARE, share, [401, 403, 403, 200]),
    row("ME", "GET", endpoint::ME, nothing, [401, 200, 200, 200]),
    row("SESSION_STATUS", "GET", endpoint::SESSION_STATUS, nothing, [401, 200, 200, 200]),
    row("WS_TOKEN", "POST", endpoint::WS_TOKEN, team, [401, 403, 403, 403]),
    row("INSPECT_EVENTS", "GET", "/api/v1/inspect/events?content=1", nothing, [401, 200, 200, 200]),
    row("INSPECT_BODIES", "GET", "/api/v1/inspect/bodies?content=1", nothing, [401, 200, 200, 200]),
    // The rest knows no account.
    row("OAUTH_DEVICE", "POST", endpoint::OAUTH_DEVICE, nothing, [400; 4]),
    row("DEVICE_APPROVAL", "GET", endpoint::DEVICE_APPROVAL, nothing, [200; 4]),
    row("OAUTH_AUTHORIZE", "GET", endpoint::OAUTH_AUTHORIZE, nothing, [400; 4]),
    row("OAUTH_TOKEN", "POST", endpoint::OAUTH_TOKEN, nothing, [400; 4]),
    row("OAUTH_REVOKE", "POST", endpoint::OAUTH_REVOKE, nothing, [400; 4]),
    row("web::style::STYLESHEET", "GET", "/assets/style.css", nothing, [200; 4]),
    // A sign-in without its form, by anybody.
    page("web::sign_in::SIGN_IN", "POST", "/sign-in", [403; 4]),
    page("web::sign_in::SIGN_IN", "GET", "/sign-in", [200, 303, 303, 303]),
    // Forms without the key of the browser; `sign_in.rs` sends those with it.
    page("web::sign_in::SIGN_OUT", "POST", "/sign-out", [303, 403, 403, 403]),
    page("web::account::END_SESSION", "POST", "/account/sessions/end", [303, 403, 403, 403]),
    page("web::account::REVOKE_TOKEN", "POST", "/account/tokens/revoke", [303, 403, 403, 403]),
    page("web::missions::LIST", "GET", "/missions", [303, 200, 200, 200]),
    // The first mission of the store, and its first document.
    page("web::missions::BOARD", "GET", "/missions/1", [303, 404, 404, 200]),
    page("web::missions::EVENTS", "GET", "/missions/1/events", [303, 404, 404, 200]),
    page("web::missions::DOCUMENT", "GET", "/missions/1/documents/1", [303, 404, 404, 200]),
    page("web::missions::WORK_PACKAGE", "GET", "/missions/1/work-package?id=WP01", [303, 404, 404, 200]),
    page("web::machines::MACHINES", "GET", "/machines", [303, 200, 200, 200]),
    page("web::machines::REJECTED", "GET", "/rejected", [303, 200, 200, 200]),
    page("web::account::ACCOUNT", "GET", "/account", [303, 200, 200, 200]),
    row("HEALTHZ", "GET", endpoint::HEALTHZ, nothing, [200; 4]),
    row("READYZ", "GET", endpoint::READYZ, nothing, [200; 4]),
    row("METRICS", "GET", endpoint::METRICS, nothing, [200; 4]),
    row("OPENAPI", "GET", endpoint::OPENAPI, nothing, [200; 4]),
    row("/", "GET", "/", nothing, [200; 4]),
    row("FORGET_PROJECT", "POST", endpoint::FORGET_PROJECT, nothing, [401, 200, 200, 200]),
];

/// Credentials of a visitor: a token for clients, a cookie for pages.
pub(crate) struct Login {
    pub(crate) token: String,
    pub(crate) cookie: String,
}

impl Login {
    pub(crate) fn of(world: &World, email: &str, secret: &str) -> Self {
        Self { token: world.access(email, secret), cookie: Browser::sign_in(world, email, secret).cookie }
    }
}

pub(crate) fn ask(world: &World, row: &Row, login: &Login) -> Answer {
    let token = &login.token;
    let path = row.path.replace("{project_uuid}", PROJECT);
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("X-Team-Slug", TEAM), ("Content-Type", "application/json")];
    // Shares are asked about without a team, as earlier clients do.
    if row.route.contains("SHARE") || row.route.contains("INSPECT") {
        headers.clear();
    }
    if row.route.starts_with("web::") {
        headers = vec![ACCEPT, ("Cookie", &login.cookie)];
    } else if !token.is_empty() {
        headers.push(("Authorization", &authorization));
    }
    let body = (row.body)();
    let bytes = request(world.address(), row.method, &path, &headers, body.as_bytes());
    raw(world.address(), &bytes).expect("an answer")
}

#[test]
fn table_has_every_route() {
    let router = include_str!("../../src/app.rs");
    let routes = router.split(".route(").skip(1).map(|rest| {
        let name = rest.split([',', ')']).next().unwrap_or_default().trim();
        name.strip_prefix("endpoint::").unwrap_or(name.trim_matches('"')).to_owned()
    });
    let mut routes: Vec<String> = routes.collect();
    let mut listed: Vec<String> = ROWS.iter().map(|row| row.route.to_owned()).collect();
    routes.sort();
    listed.sort();
    listed.dedup();
    assert_eq!(listed, routes, "a new route needs a row");
}

#[test]
fn every_route_is_scoped_by_membership() {
    let world = World::with(ServerLimits::default(), hasty());
    let admin = world.admin();
    admin.add_team("guild", Some(MARKER), false).unwrap();
    admin.add_member("guild", EMAIL, false).unwrap();
    let member = Login::of(&world, EMAIL, &world.secret);
    let stranger = admin.create_account("stranger@example.com", None, None).unwrap();
    let stranger = Login::of(&world, "stranger@example.com", stranger.approval_secret.expose());
    let left = admin.create_account("left@example.com", None, None).unwrap();
    let was_member = Login::of(&world, "left@example.com", left.approval_secret.expose());
    for team in [TEAM, "guild"] {
        admin.add_member(team, "left@example.com", true).unwrap();
    }
    let mut marked = event(1);
    marked["payload"]["wp_title"] = MARKER.into();
    let mut broken = event(3);
    broken["payload"] = 7.into();
    let events = [marked, indexed(2, "spec.md", MARKER), broken];
    let answer = world.batch(&was_member.token, TEAM, &events);
    assert_eq!(statuses(&answer), ["success", "success", "rejected"]);
    assert_eq!(world.push(&was_member.token, &body_of("spec.md", MARKER)).status, 201);
    for team in [TEAM, "guild"] {
        admin.remove_member(team, "left@example.com").unwrap();
    }

    let shows = |answer: &Answer| {
        let text = answer.text();
        [MARKER, TEAM, event(1)["event_id"].as_str().unwrap()].iter().any(|secret| text.contains(secret))
    };
    let login = |token: &str, cookie: &str| Login { token: token.to_owned(), cookie: cookie.to_owned() };
    let none = login("", "");
    let forged = login("skp_e30.x", &format!("spec_kitty_session={}", "A".repeat(43)));
    let mut shown_to_members = 0;
    for row in ROWS {
        for (who, login, expected) in [
            ("no login", &none, row.expected[0]),
            ("a forged token", &forged, row.expected[0]),
            ("a stranger", &stranger, row.expected[1]),
            ("an ex-member", &was_member, row.expected[2]),
        ] {
            let answer = ask(&world, row, login);
            let what = format!("{} {} for {who}: {}", row.method, row.path, answer.text());
            assert_eq!(answer.status, expected, "{what}");
            assert!(!shows(&answer), "{what}");
            if row.route == "FORGET_PROJECT" && expected == 200 {
                assert_eq!(answer.json()["deleted_event_count"], Value::from(0), "{what}");
            }
        }
        let answer = ask(&world, row, &member);
        assert_eq!(answer.status, row.expected[3], "{} {}: {}", row.method, row.path, answer.text());
        shown_to_members += usize::from(shows(&answer));
    }
    assert!(shown_to_members >= 4, "the table compares with what members see");
    // What the others asked for did not change anything before the member's own requests.
    assert_eq!(admin.projects(None).unwrap(), []);
}
