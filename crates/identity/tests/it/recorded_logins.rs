//! Every login state that the reference was recorded in: the same scope, queue and authentication,
//! except where the contract differs on purpose. The differences are one table, here and in
//! docs/compatibility.md, and a row that no longer differs fails too.

use crate::world::{copy_of, recorded, recorded_json, recorded_machine, today};
use identity::login::read_login_at;
use identity::{AuthAbsence, BuildInfo, Config, LoginSource, SessionCacheUse, observe_foreground};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use testkit::World;

/// Variant, fact, and our value in place of the recorded one.
fn differences() -> BTreeMap<(&'static str, &'static str), Value> {
    let unauthenticated = json!(false);
    BTreeMap::from([
        (("05-session-shared-only", "is_authenticated"), unauthenticated.clone()),
        (("06-session-shared-only-plus-credentials", "is_authenticated"), unauthenticated.clone()),
        (("06-session-shared-only-plus-credentials", "auth_present"), unauthenticated.clone()),
        (("06-session-shared-only-plus-credentials", "server_url"), json!("https://Example.invalid/")),
        (("07-credentials-only", "auth_present"), unauthenticated.clone()),
        (("07-credentials-only", "server_url"), json!("https://Example.invalid/")),
        (("08-credentials-no-team-slug", "auth_present"), unauthenticated.clone()),
        (("08-credentials-no-team-slug", "server_url"), json!("https://example.invalid")),
        (("09-credentials-pipe-in-team", "server_url"), json!("https://example.invalid")),
        (("09-credentials-pipe-in-team", "team_or_user"), json!("dev@example.com/a|b")),
        (("12-session-refresh-expired", "auth_present"), unauthenticated.clone()),
        (("15-session-mode-0644", "queue_db_path"), Value::Null),
        (("16-session-salt-missing", "queue_db_path"), Value::Null),
        (("17-session-v1-plaintext", "queue_db_path"), Value::Null),
        (("19-credentials-with-different-config-server", "auth_present"), unauthenticated.clone()),
        (("19-credentials-with-different-config-server", "server_url"), json!("https://Example.invalid/")),
        (("21-full-legacy-credentials-only", "auth_present"), unauthenticated.clone()),
        (("22-credentials-after-tracker-store-rewrite", "auth_present"), unauthenticated),
        (("22-credentials-after-tracker-store-rewrite", "server_url"), json!("https://example.invalid")),
    ])
}

fn observed(world: &World) -> BTreeMap<&'static str, Value> {
    let config = Config::read(&world.home()).expect("a config");
    let login = read_login_at(&world.home(), &config, &world.environment(), &recorded_machine(), today());
    let build = BuildInfo { version: "3.3.0".to_owned(), commit: None, release: true };
    let foreground = observe_foreground(&build, &world.home(), &login);
    let queue = Some(&foreground.queue_db_path).filter(|path| !path.as_os_str().is_empty());
    let root = identity::paths::canonical_or_clean(world.user_home());
    let queue =
        queue.map(|path| path.strip_prefix(&root).expect("below the home").to_string_lossy().into_owned());
    BTreeMap::from([
        ("scope", json!(login.scope.as_ref().map(ToString::to_string))),
        ("server_url", json!(foreground.server_url)),
        ("team_or_user", json!(foreground.team_or_user)),
        ("queue_db_path", json!(queue)),
        ("is_authenticated", json!(login.authenticated)),
        ("auth_present", json!(login.authenticated)),
    ])
}

fn expected(recorded: &Value) -> BTreeMap<&'static str, Value> {
    let foreground = &recorded["foreground"];
    let queue = foreground["queue_db_path"].as_str().expect("a path");
    let queue = queue.strip_prefix("/srv/fx-disk/auth-matrix/home/").expect("below the home");
    BTreeMap::from([
        ("scope", recorded["local_only_scope"]["scope"].clone()),
        ("server_url", foreground["server_url"].clone()),
        ("team_or_user", foreground["team_or_user"].clone()),
        ("queue_db_path", json!(queue)),
        ("is_authenticated", recorded["is_authenticated"].clone()),
        ("auth_present", recorded["run_preflight(require_auth=True)"]["auth_present"].clone()),
    ])
}

/// A world with the file modes of the recording.
fn world_of(variant: &str, root: &Path) -> World {
    let world = copy_of(&root.join("variants").join(variant).join(".spec-kitty"));
    if variant == "15-session-mode-0644" {
        crate::world::set_mode(&world.home().session_file(), 0o644);
    }
    world
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_logins_give_recorded_facts_or_listed_differences() {
    let (root, document) = (recorded("auth-matrix"), recorded_json("auth-matrix/expected.json"));
    let mut differences = differences();
    let variants = document.as_object().expect("variants");
    assert_eq!(variants.len(), 22);
    for (variant, recorded) in variants {
        let world = world_of(variant, &root);
        let observed = observed(&world);
        for (fact, expected) in expected(recorded) {
            let ours = &observed[fact];
            match differences.remove(&(variant.as_str(), fact)) {
                Some(listed) => {
                    assert_eq!(*ours, listed, "{variant}, {fact}");
                    assert_ne!(*ours, expected, "{variant}, {fact}: listed, but no difference");
                }
                None => assert_eq!(*ours, expected, "{variant}, {fact}"),
            }
        }
    }
    assert!(differences.is_empty(), "listed for no variant: {differences:?}");
}

#[test]
fn every_difference_is_in_the_compatibility_table() {
    let table = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compatibility.md"));
    let table = fs::read_to_string(table).expect("docs/compatibility.md");
    for (variant, fact) in differences().keys() {
        let number = variant.split('-').next().expect("a number");
        let fact = if *fact == "queue_db_path" { "queue path" } else { fact };
        let row = table.lines().filter_map(|line| line.strip_prefix("| auth-matrix ")).find(|row| {
            let case = row.split('|').next().unwrap_or_default();
            case.contains(number) && case.contains(fact)
        });
        let section = row.and_then(|row| row.trim_end_matches('|').rsplit('|').next()).map(str::trim);
        let named = section.is_some_and(|section| section.starts_with(|c: char| c.is_ascii_digit()));
        assert!(named, "{variant}, {fact}: no row that names a section");
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn unreadable_sessions_are_faults_that_say_why() {
    let root = recorded("auth-matrix");
    let cases = [
        ("15-session-mode-0644", "mode 0644"),
        ("16-session-salt-missing", "session.salt, is missing"),
        ("17-session-v1-plaintext", "version 1"),
    ];
    for (variant, reason) in cases {
        if cfg!(not(unix)) && variant == "15-session-mode-0644" {
            continue;
        }
        let world = world_of(variant, &root);
        let config = Config::read(&world.home()).expect("a config");
        let login = read_login_at(&world.home(), &config, &world.environment(), &recorded_machine(), today());
        assert_eq!((login.source, login.absence), (LoginSource::Session, Some(AuthAbsence::Unreadable)));
        let fault = login.faults.first().expect("a fault");
        assert_eq!(fault.code, contract::FaultCode::SessionUnreadable);
        assert!(fault.detail.contains(reason), "{}", fault.detail);
        assert!(!fault.detail.contains("fake-access-token"), "{}", fault.detail);
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn malformed_credentials_file_is_ignored_with_a_note() {
    let root = recorded("auth-matrix");
    let world = world_of("11-credentials-malformed", &root);
    let login =
        read_login_at(&world.home(), &Config::default(), &world.environment(), &recorded_machine(), today());
    assert!(login.faults.is_empty() && login.scope.is_none());
    assert_eq!(login.ignored, [(world.home().credentials_file(), "is not TOML".to_owned())]);
}

#[test]
#[ignore = "needs the recorded data"]
fn recorded_home_with_a_scope_has_its_clock_queue_and_card() {
    let root = recorded("scoped-clean/home/.spec-kitty");
    let world = copy_of(&root);
    let config = Config::read(&world.home()).expect("a config");
    let read = || read_login_at(&world.home(), &config, &world.environment(), &recorded_machine(), today());
    let login = read();
    assert_eq!(login.session_cache, SessionCacheUse::Derived);
    let queue = login.active_queue(&world.home()).expect("a queue");
    assert!(queue.ends_with("queues/queue-19633c16212dbbbb.db") && queue.exists());

    assert!(identity::refresh_session_cache(&world.home(), &login).expect("a cache"));
    let again = read();
    assert_eq!(again.session_cache, SessionCacheUse::Used);
    assert_eq!(
        (&again.scope, &again.team_id, &again.principal),
        (&login.scope, &login.team_id, &login.principal)
    );
    assert_eq!(again.refresh_expires_at, login.refresh_expires_at);
    assert!(!identity::refresh_session_cache(&world.home(), &again).expect("nothing to store"));
}
