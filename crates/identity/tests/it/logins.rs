//! The active login and the state root of each kind of home, and proof that reading changes nothing.

use crate::world::{environment_with, set_mode, time, today};
use data_encoding::BASE64URL_NOPAD;
use identity::login::read_login_at;
use identity::{
    AuthAbsence, BuildInfo, Config, Environment, Home, Login, LoginSource, Session, SessionCacheUse,
    SessionStore, observe_foreground, refresh_session_cache,
};
use std::fs;
use std::path::Path;
use system::Machine;
use testkit::World;
use testkit::tree::snapshot;
use testkit::world::{HOME_VARIABLE, team};

const CREDENTIALS: &str = "[user]\nusername = \"Old@Example.com\"\n[server]\nurl = \"https://old.invalid\"\n";
const CONFIG: &str = "[sync]\nserver_url = \"https://h.invalid\"\n";

fn machine() -> Machine {
    Machine { hostname: "a-host".to_owned(), uid: 4242 }
}

fn session() -> Session {
    Session {
        teams: vec![team("shared", false), team("Mine", true), team("Other", true)],
        access_token_expires_at: time("2026-11-22T10:00:00Z"),
        generation: None,
        ..testkit::world::session("https://h.invalid", "Dev@Example.com", "shared")
    }
}

fn log_in(world: &World, session: &Session) {
    SessionStore::new(&world.home(), machine()).write(session).expect("a session");
}

fn login_with(world: &World, environment: &Environment) -> Login {
    let config = Config::read(&world.home()).unwrap_or_else(|_| Config::unreadable());
    read_login_at(&world.home(), &config, environment, &machine(), today())
}

fn login(world: &World) -> Login {
    login_with(world, &world.environment())
}

fn token(identity: &str) -> String {
    format!("skp_{}.s3cr3t", BASE64URL_NOPAD.encode(identity.as_bytes()))
}

fn scope(login: &Login) -> Option<String> {
    login.scope.as_ref().map(ToString::to_string)
}

#[test]
fn token_wins_over_the_session_and_the_session_over_credentials() {
    let world = World::of_library();
    world.write_config(CONFIG);
    world.write(&world.home().credentials_file(), CREDENTIALS);
    let found = login(&world);
    assert_eq!(scope(&found).as_deref(), Some("https://old.invalid|old@example.com|no-team"));
    assert_eq!((found.source, found.absence), (LoginSource::Credentials, Some(AuthAbsence::CredentialsOnly)));

    log_in(&world, &session());
    let found = login(&world);
    assert_eq!(scope(&found).as_deref(), Some("https://h.invalid|dev@example.com|mine"));
    assert_eq!((found.source, found.authenticated), (LoginSource::Session, true));
    assert_eq!(found.team_id.as_deref(), Some("Mine"));
    assert_eq!(found.private_teams, ["Mine", "Other"]);
    assert_eq!(found.destination.as_deref(), Some("https://h.invalid"));

    let pairs = [
        ("SPEC_KITTY_TOKEN", &*token("ci@example.com|Bots")),
        ("SPEC_KITTY_SERVER_URL", "https://ci.invalid/"),
    ];
    let found = login_with(&world, &environment_with(&world, &pairs));
    assert_eq!(scope(&found).as_deref(), Some("https://ci.invalid|ci@example.com|bots"));
    assert_eq!((found.source, found.authenticated), (LoginSource::Token, true));
    assert_eq!(found.server_url.as_deref(), Some("https://ci.invalid"));
    assert_eq!(found.destination.as_deref(), Some("https://ci.invalid"));
    assert_eq!(found.team_id.as_deref(), Some("Bots"));
}

#[test]
fn token_uses_the_configured_server_and_requires_one() {
    let world = World::of_library();
    let text = token("a|b");
    let environment =
        environment_with(&world, &[("SPEC_KITTY_TOKEN", &text), ("SPEC_KITTY_SERVER_URL", " ")]);
    let found = login_with(&world, &environment);
    let fault = found.faults.first().expect("a fault");
    assert!(fault.detail.contains("SPEC_KITTY_TOKEN"), "{}", fault.detail);
    assert!(fault.remedy.hint().contains("SPEC_KITTY_SERVER_URL"));
    world.write_config(CONFIG);
    assert_eq!(scope(&login_with(&world, &environment)).as_deref(), Some("https://h.invalid|a|b"));
}

#[test]
fn unreadable_login_source_is_not_passed_over() {
    let world = World::of_library();
    world.write_config(CONFIG);
    log_in(&world, &session());
    world.write(&world.home().credentials_file(), CREDENTIALS);

    let found = login_with(&world, &environment_with(&world, &[("SPEC_KITTY_TOKEN", "not a token")]));
    assert_eq!((found.source, found.faults.len(), scope(&found)), (LoginSource::Token, 1, None));

    fs::write(world.home().session_file(), "{").expect("damaged");
    let found = login(&world);
    assert_eq!((found.source, found.faults.len(), scope(&found)), (LoginSource::Session, 1, None));
    assert_eq!(found.absence, Some(AuthAbsence::Unreadable));
    assert_eq!(found.active_queue(&world.home()), None);
    assert_eq!(found.faults[0].path.as_deref(), Some(&*world.home().session_file()));
    assert_eq!(found.faults[0].remedy, contract::Remedy::Login);

    fs::remove_file(world.home().session_file()).expect("removed");
    fs::remove_file(world.home().credentials_file()).expect("removed");
    fs::create_dir(world.home().credentials_file()).expect("an obstacle");
    let found = login(&world);
    assert_eq!((found.source, found.faults.len(), scope(&found)), (LoginSource::Credentials, 1, None));
    assert_eq!(found.active_queue(&world.home()), None);
}

#[test]
fn without_login_the_legacy_queue_is_active() {
    let world = World::of_library();
    let found = login(&world);
    assert_eq!((found.source, found.absence), (LoginSource::None, Some(AuthAbsence::LoggedOut)));
    assert_eq!(found.active_queue(&world.home()), Some(world.home().legacy_queue()));
}

#[test]
fn unreadable_config_leaves_session_authenticated_without_scope() {
    let world = World::of_library();
    log_in(&world, &session());
    world.write_config("[sync");
    let found = login(&world);
    assert_eq!((scope(&found), found.authenticated, found.faults.len()), (None, true, 0));
    assert_eq!((found.active_queue(&world.home()), found.server_url), (None, None));
    fs::remove_file(world.home().session_file()).expect("removed");
    assert_eq!(login(&world).active_queue(&world.home()), None, "an unreadable file names no account");
}

#[test]
fn without_server_the_old_scope_is_found_and_may_not_send() {
    let world = World::of_library();
    log_in(&world, &session());
    for config in ["", "[sync]\nserver_url = \"https://SPEC-kitty-dev.fly.dev/\"\n"] {
        world.write_config(config);
        let found = login(&world);
        assert_eq!(scope(&found).as_deref(), Some("https://spec-kitty-dev.fly.dev|dev@example.com|mine"));
        assert!(found.authenticated && found.server_url.is_some());
        assert_eq!(found.destination, None, "{config:?}");
    }
}

#[test]
fn expired_login_keeps_its_scope_and_its_server() {
    let world = World::of_library();
    world.write_config(CONFIG);
    log_in(&world, &Session { refresh_token_expires_at: Some(today()), ..session() });
    let found = login(&world);
    assert_eq!(scope(&found).as_deref(), Some("https://h.invalid|dev@example.com|mine"));
    assert!(!found.authenticated);
    assert!(matches!(found.absence, Some(AuthAbsence::Expired { .. })), "{:?}", found.absence);
    assert_eq!(found.server_url.as_deref(), Some("https://h.invalid"));
    // An unknown expiry and an expired access token are no obstacle.
    log_in(&world, &Session { refresh_token_expires_at: None, ..session() });
    assert!(login(&world).authenticated);
}

#[test]
fn session_without_a_private_team_may_not_send() {
    let world = World::of_library();
    world.write_config(CONFIG);
    let mut shared = session();
    shared.teams.retain(|team| !team.private);
    log_in(&world, &shared);
    let found = login(&world);
    assert_eq!((scope(&found), found.authenticated), (None, false));
    assert_eq!(found.absence, Some(AuthAbsence::NoPrivateTeam));
    assert_eq!(found.principal.as_deref(), Some("Dev@Example.com"));
    assert_eq!(found.active_queue(&world.home()), Some(world.home().legacy_queue()));
}

#[test]
fn session_without_issuer_uses_the_reference_variable() {
    let world = World::of_library();
    log_in(&world, &Session { issuer: None, ..session() });
    assert_eq!(login(&world).issuer, None);
    let environment = environment_with(&world, &[("SPEC_KITTY_SAAS_URL", "https://saas.invalid/")]);
    assert_eq!(login_with(&world, &environment).issuer.as_deref(), Some("https://saas.invalid/"));
    log_in(&world, &session());
    assert_eq!(login_with(&world, &environment).issuer.as_deref(), Some("https://h.invalid"));
}

#[test]
fn card_is_believed_only_for_its_session_and_when_it_is_private() {
    let world = World::of_library();
    world.write_config(CONFIG);
    log_in(&world, &session());
    let cache = world.home().session_cache_file();
    let good = fs::read_to_string(&cache).expect("a cache");
    assert_eq!(login(&world).session_cache, SessionCacheUse::Used);

    let damaged = [
        String::new(),
        "[".repeat(100_000),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("Dev@Example.com", "Evil@Example.com")
            .replace("\"session_sha256\":\"", "\"session_sha256\":\"0"),
        good[..good.len() / 2].to_owned(),
    ];
    for text in damaged {
        assert_ne!(text, good);
        fs::write(&cache, text).expect("damaged");
        set_mode(&cache, 0o600);
        let found = login(&world);
        assert_eq!((found.session_cache, found.faults.len()), (SessionCacheUse::Derived, 0));
        assert_eq!(scope(&found).as_deref(), Some("https://h.invalid|dev@example.com|mine"));
    }
    fs::write(&cache, &good).expect("restored");
    set_mode(&cache, 0o644);
    assert_eq!(
        login(&world).session_cache,
        if cfg!(unix) { SessionCacheUse::Derived } else { SessionCacheUse::Used }
    );

    // The other program refreshed the session: same account, another file.
    set_mode(&cache, 0o600);
    log_in(&world, &Session { email: "new@example.com".to_owned(), ..session() });
    fs::write(&cache, &good).expect("the old cache");
    let found = login(&world);
    assert_eq!(
        (found.session_cache, found.principal.as_deref()),
        (SessionCacheUse::Derived, Some("new@example.com"))
    );
    assert!(refresh_session_cache(&world.home(), &found).expect("a cache"));
    assert_eq!(login(&world).session_cache, SessionCacheUse::Used);
}

/// Issue 8, item 24.
#[test]
fn refresh_by_another_program_keeps_the_issuer() {
    let issued = Session { issuer: Some("https://h.invalid".to_owned()), ..session() };
    for (id, expected) in [("sess-0001", Some("https://h.invalid")), ("sess-0002", None)] {
        let world = World::of_library();
        world.write_config(CONFIG);
        log_in(&world, &Session { session_id: "sess-0001".to_owned(), ..issued.clone() });
        let cache = fs::read(world.home().session_cache_file()).expect("a cache");
        // The other program writes the session without an issuer, and no cache.
        log_in(
            &world,
            &Session {
                session_id: id.to_owned(),
                email: "new@example.com".to_owned(),
                issuer: None,
                ..session()
            },
        );
        fs::write(world.home().session_cache_file(), &cache).expect("the stale cache");
        set_mode(&world.home().session_cache_file(), 0o600);

        let found = login(&world);
        assert_eq!(
            (found.session_cache, found.issuer.as_deref()),
            (SessionCacheUse::Derived, expected),
            "{id}"
        );
        assert_eq!(found.principal.as_deref(), Some("new@example.com"), "nothing else is stale");
        identity::refresh_session_cache(&world.home(), &found).expect("a cache");
        let again = login(&world);
        assert_eq!((again.session_cache, again.issuer.as_deref()), (SessionCacheUse::Used, expected), "{id}");
        // A write of our own, without an issuer, keeps it.
        log_in(&world, &Session { session_id: id.to_owned(), issuer: None, ..session() });
        assert_eq!(login(&world).issuer.as_deref(), expected, "{id}");
    }
}

#[test]
fn card_follows_the_configured_server() {
    let world = World::of_library();
    world.write_config(CONFIG);
    log_in(&world, &session());
    world.write_config("[sync]\nserver_url = \"https://moved.invalid\"\n");
    let found = login(&world);
    assert_eq!(found.session_cache, SessionCacheUse::Used);
    assert_eq!(scope(&found).as_deref(), Some("https://moved.invalid|dev@example.com|mine"));
}

#[test]
fn asking_leaves_every_home_byte_identical() {
    let damages: [fn(&World); 8] = [
        |_| {},
        |world| fs::remove_file(world.home().session_cache_file()).expect("removed"),
        |world| fs::write(world.home().session_file(), "{").expect("damaged"),
        |world| fs::remove_file(world.home().session_salt()).expect("removed"),
        |world| fs::remove_file(world.home().session_file()).expect("removed"),
        |world| {
            world.write_config("[sync");
        },
        |world| set_mode(&world.home().session_file(), 0o644),
        |world| fs::write(world.home().clock_file(), "{oops").expect("damaged"),
    ];
    for (index, damage) in damages.iter().enumerate() {
        let world = World::of_library();
        world.write_config(CONFIG);
        log_in(&world, &session());
        damage(&world);
        let before = snapshot(world.user_home());
        let found = login(&world);
        let build =
            BuildInfo { version: "3.3.0".to_owned(), commit: Some("abc1234".to_owned()), release: false };
        let foreground = observe_foreground(&build, &world.home(), &found);
        assert_eq!(foreground.package_version, "3.3.0+abc1234");
        assert_eq!(foreground.server_url.is_some(), foreground.team_or_user.is_some());
        let _ = world.home().ambiguity();
        assert_eq!(snapshot(world.user_home()), before, "damage {index}");
    }
}

fn a_login_in(user_home: &Path) -> Option<String> {
    let environment = Environment::from_pairs([(HOME_VARIABLE, user_home)]);
    let home = Home::resolve(&environment).expect("a home");
    fs::create_dir_all(home.root()).expect("a directory");
    fs::write(home.config_file(), CONFIG).expect("a config");
    let store = SessionStore::new(&home, machine());
    store.write(&session()).expect("a session");
    let config = Config::read(&home).expect("a config");
    let found = read_login_at(&home, &config, &environment, &machine(), today());
    assert_eq!(found.session_cache, SessionCacheUse::Used);
    assert!(found.active_queue(&home).is_some_and(|queue| queue.starts_with(user_home)));
    scope(&found)
}

#[test]
fn homes_with_strange_names_work() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut names: Vec<std::ffi::OsString> = vec!["with space".into(), "ünï 'cödé'".into()];
    #[cfg(unix)]
    names.extend(["quote\"s".into(), "new\nline".into()]);
    #[cfg(target_os = "linux")]
    names.push(std::os::unix::ffi::OsStringExt::from_vec(b"not\xffutf8".to_vec()));
    for name in names {
        let home = directory.path().join(name);
        assert_eq!(a_login_in(&home).as_deref(), Some("https://h.invalid|dev@example.com|mine"));
    }
}

#[cfg(unix)]
#[test]
fn linked_home_has_the_queue_of_the_real_one() {
    let world = World::of_library();
    world.write_config(CONFIG);
    log_in(&world, &session());
    let link = world.user_home().join("link");
    std::os::unix::fs::symlink(world.user_home(), &link).expect("a link");
    let linked = Home::resolve(&Environment::from_pairs([(HOME_VARIABLE, &link)])).expect("a home");
    let build = BuildInfo { version: "3.3.0".to_owned(), commit: None, release: true };
    let queue = |home: &Home| {
        let config = Config::read(home).expect("a config");
        let login = read_login_at(home, &config, &world.environment(), &machine(), today());
        observe_foreground(&build, home, &login).queue_db_path
    };
    assert_eq!(queue(&linked), queue(&world.home()));
}
