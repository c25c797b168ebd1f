//! `auth`: the login of this machine.

use super::{
    compare, damaged_config, damaged_session, fresh, logged_in, printed, prints, switched_off, words,
};
use identity::session::Team;
use testkit::world::{SERVER, TEAM, USER, session};
use testkit::{Run, Server, World, browser};

/// A login whose refresh token has expired.
fn expired() -> World {
    let world = logged_in();
    let mut session = session(SERVER, USER, TEAM);
    session.access_token_expires_at = "2026-05-19T12:00:00Z".parse().unwrap();
    session.refresh_token_expires_at = Some("2026-05-20T12:00:00Z".parse().unwrap());
    world.write_session(&session);
    world
}

/// A CI token decides who acts.
fn by_token() -> World {
    let mut world = fresh();
    world.set("SPEC_KITTY_TOKEN", "skp_ZGV2QGV4YW1wbGUuY29tfHRlYW0tUFJJVi0wMQ.secret");
    world.set("SPEC_KITTY_SERVER_URL", SERVER);
    world
}

/// A CI token without its server.
fn token_without_server() -> World {
    let mut world = by_token();
    world.unset("SPEC_KITTY_SERVER_URL");
    world
}

/// A login with two private teamspaces.
fn two_teams() -> World {
    let world = logged_in();
    let mut session = session(SERVER, USER, TEAM);
    let [name, role] = ["Design", "owner"].map(str::to_owned);
    session.teams.push(Team { id: "design-team".into(), name, role, private: true });
    world.write_session(&session);
    world
}

#[test]
fn auth_status() {
    prints("auth/status_fresh", fresh, "auth status");
    prints("auth/status_logged_in", logged_in, "auth status");
    prints("auth/status_expired", expired, "auth status");
    prints("auth/status_token", by_token, "auth status");
    prints("auth/status_token_without_server", token_without_server, "auth status");
    prints("auth/status_damaged_session", damaged_session, "auth status");
    prints("auth/status_damaged_config", damaged_config, "auth status");
    prints("auth/status_switched_off", switched_off, "auth status");
}

#[test]
fn auth_whoami() {
    prints("auth/whoami_fresh", fresh, "auth whoami");
    prints("auth/whoami_logged_in", logged_in, "auth whoami");
    prints("auth/whoami_damaged_session", damaged_session, "auth whoami");
}

#[test]
fn auth_doctor() {
    prints("auth/doctor_fresh", fresh, "auth doctor");
    prints("auth/doctor_logged_in", logged_in, "auth doctor");
    prints("auth/doctor_expired", expired, "auth doctor");
    prints("auth/doctor_damaged_session", damaged_session, "auth doctor");
    prints("auth/doctor_token", by_token, "auth doctor");
}

#[test]
fn auth_login() {
    prints("auth/login_without_server", fresh, "auth login");
    prints("auth/login_unusable_server", fresh, "auth login --server sync.example.org");
    prints("auth/login_with_token", by_token, "auth login");
    prints("auth/login_again", logged_in, "auth login");
}

#[test]
fn auth_login_approved() {
    let shown = ["", " --json"].map(|form| {
        let mut world = fresh();
        let server = Server::start(&world, USER);
        let line = format!("auth login --server {}{form}", server.url());
        let argv: Vec<String> = words(&line).into_iter().map(str::to_owned).collect();
        let stdout = browser::log_in(&mut world, &server, USER, &argv);
        printed(&world, &line, Run { code: Some(0), stdout, stderr: String::new() })
    });
    compare("auth/login", &shown.join("\n"));
}

#[test]
fn auth_logout() {
    prints("auth/logout_fresh", fresh, "auth logout");
    prints("auth/logout_force", logged_in, "auth logout --force");
}

#[test]
fn auth_switch() {
    prints("auth/switch_fresh", fresh, "auth switch design-team");
    prints("auth/switch_unknown_team", logged_in, "auth switch design-team");
    prints("auth/switch_same_team", logged_in, "auth switch team-PRIV-01");
    prints("auth/switch", two_teams, "auth switch design-team");
}
