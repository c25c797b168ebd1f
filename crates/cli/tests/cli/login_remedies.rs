//! Every reason of an absent login: the same reason and the same remedy in every command that names a
//! login. Issue 8, item 15.

use crate::worlds::fresh;
use contract::AuthAbsence;
use identity::Session;
use testkit::World;
use testkit::world::{SERVER, TEAM, USER, session, team};

const LOGIN: &str = "spec-kitty auth login";
const LOGIN_SERVER: &str = "spec-kitty auth login --server URL";

/// Set-up of a state, and its remedy with and without a configured server. A new reason does not compile without a
/// row.
fn row(why: AuthAbsence) -> (fn(&mut World), &'static str, &'static str) {
    match why {
        AuthAbsence::LoggedOut => (|_| {}, LOGIN, LOGIN_SERVER),
        AuthAbsence::Expired { .. } => (
            |world| {
                let end = Some("2026-01-31T12:00:00Z".parse().unwrap());
                let session = Session { refresh_token_expires_at: end, ..session(SERVER, USER, TEAM) };
                world.write_session(&session);
            },
            LOGIN,
            LOGIN_SERVER,
        ),
        AuthAbsence::NoPrivateTeam => (
            |world| {
                let mut session = session(SERVER, USER, TEAM);
                session.teams = vec![team("t", false)];
                world.write_session(&session);
            },
            "ask the server's administrator",
            "ask the server's administrator",
        ),
        AuthAbsence::CredentialsOnly => (
            |world| {
                let text = "[user]\nusername = \"dev@example.com\"\n[server]\nurl = \"https://h.invalid\"\n";
                world.write_state("credentials", text.as_bytes());
            },
            LOGIN,
            LOGIN_SERVER,
        ),
        AuthAbsence::TokenUnreadable => (
            |world| {
                world.set("SPEC_KITTY_TOKEN", "hunter2");
            },
            "set SPEC_KITTY_TOKEN to a valid token, or unset it",
            "set SPEC_KITTY_TOKEN to a valid token, or unset it",
        ),
        AuthAbsence::Unreadable => (
            |world| {
                world.write_session(&session(SERVER, USER, TEAM));
                std::fs::write(world.home().session_file(), "{").unwrap();
            },
            LOGIN,
            LOGIN_SERVER,
        ),
    }
}

fn reasons() -> [(AuthAbsence, &'static str); 6] {
    [
        (AuthAbsence::LoggedOut, "not logged in"),
        (AuthAbsence::Expired { on: "2026-01-31".parse().unwrap() }, "login expired on 2026-01-31"),
        (AuthAbsence::NoPrivateTeam, "no private teamspace"),
        (AuthAbsence::CredentialsOnly, "credentials of an earlier release are no login"),
        (AuthAbsence::TokenUnreadable, "token unreadable"),
        (AuthAbsence::Unreadable, "session unreadable"),
    ]
}

#[test]
fn absent_login_names_one_reason_and_one_remedy_everywhere() {
    for (why, reason) in reasons() {
        let (bring_about, known, unknown) = row(why);
        for (config, remedy) in
            [(format!("[sync]\nserver_url = \"{SERVER}\"\n"), known), (String::new(), unknown)]
        {
            let mut world = fresh();
            world.init_project();
            world.write_config(&config);
            bring_about(&mut world);
            prints(&world, reason, remedy, !config.is_empty());
        }
    }
}

#[track_caller]
fn prints(world: &World, reason: &str, remedy: &str, server_known: bool) {
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["auth_absent_reason"], reason, "{status:#}");
    assert_eq!(status["auth_present"], false);
    let check = world.run(["sync", "status", "--check"]).exits(2);
    let line = format!("auth_absent {reason}");
    assert!(check.stdout.lines().any(|found| found.trim() == line), "{line}: {}", check.stdout);
    assert!(!check.stdout.contains("--local-only"), "{}", check.stdout);

    let producing = ["agent", "mission", "create", "one"];
    let refused = world.run(producing).exits(2);
    let hint = refused.stderr.lines().find(|found| found.trim().starts_with(remedy)).map(str::trim);
    let hint = hint.unwrap_or_else(|| panic!("{reason}: no {remedy}: {}", refused.stderr));
    assert!(hint.ends_with(", or --local-only"), "{reason}: {hint}");
    assert!(
        refused.stderr.lines().skip(1).all(|line| line.chars().count() <= 80 || line.contains('/')),
        "{}",
        refused.stderr
    );
    let document = world.run(producing.iter().copied().chain(["--json"])).exits(2).json();
    assert_eq!(document["preflight"]["auth_absent_reason"], reason);

    for verb in [
        &["sync", "now"][..],
        &["sync", "doctor", "--offline"],
        &["auth", "status"],
        &["auth", "doctor"],
        &["sync", "daemon", "start"],
        &["doctor", "restart-daemon"],
    ] {
        let run = world.run(verb);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(text.contains(remedy), "{reason}: {verb:?} does not name {remedy}: {text}");
        // Without a server the doctors name it as a finding of its own.
        let is_other = |line: &&str| {
            let server_unset = !server_known && line.contains(LOGIN_SERVER);
            line.contains("auth login") && !line.contains(remedy) && !server_unset
        };
        let other = text.lines().filter(is_other);
        assert_eq!(other.collect::<Vec<_>>(), Vec::<&str>::new(), "{reason}: {verb:?}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let local = ["agent", "mission", "create", "two", "--local-only"];
    world.run(local).exits(0);
}
