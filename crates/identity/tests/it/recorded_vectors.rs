//! The pure vectors that the reference's own functions computed.

use crate::world::{recorded, recorded_json, recorded_machine};
use identity::git::{project_slug, repo_slug};
use identity::lamport::draw;
use identity::{BackgroundDaemon, Config, Consent, Environment, SessionStore};
use serde_json::Value;
use std::path::Path;
use system::Machine;
use testkit::World;

#[test]
#[ignore = "needs the recorded data"]
fn scopes_and_their_files() {
    let vectors = recorded_json("vectors/scope-vectors.json");
    let vectors = vectors.as_array().expect("vectors");
    assert!(vectors.len() >= 8);
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().expect(key);
        let scope = contract::Scope::new(text("server_url"), text("username"), text("team_slug"));
        assert_eq!(scope.to_string(), text("scope"));
        assert_eq!(scope.hash(), text("sha256"));
        let home = World::of_library().home();
        assert_eq!(home.scoped_queue(&scope), home.queues_dir().join(text("file")));
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn repository_slugs() {
    let vectors = recorded_json("vectors/repo-slug-vectors.json");
    for vector in vectors.as_array().expect("vectors") {
        let url = vector["url"].as_str().expect("a url");
        assert_eq!(repo_slug(url).as_deref(), vector["repo_slug"].as_str(), "{url}");
    }
}

/// Compatibility table, Identity, row "trailing slash".
const PROJECT_SLUG_DIFFERENCE: (&str, &str) = ("https://github.com/acme/repo/", "repo");

#[test]
#[ignore = "needs the recorded data"]
fn project_slugs() {
    let vectors = recorded_json("vectors/project-slug-vectors.json");
    for vector in vectors.as_array().expect("vectors") {
        let expected = vector["project_slug"].as_str().expect("a slug");
        let Some(origin) = vector["origin"].as_str() else {
            assert_eq!(identity::git::slug(vector["dirname"].as_str().expect("a directory")), expected);
            continue;
        };
        let expected = if origin == PROJECT_SLUG_DIFFERENCE.0 {
            assert_eq!(expected, "", "the recorded defect");
            PROJECT_SLUG_DIFFERENCE.1
        } else {
            expected
        };
        assert_eq!(project_slug(origin), expected, "{origin}");
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn the_node_id() {
    let vector = recorded_json("vectors/node-id.json");
    let text = |key: &str| vector[key].as_str().expect(key);
    let machine = Machine { hostname: text("hostname").to_owned(), uid: 7 };
    let environment = Environment::from_pairs([("LOGNAME", text("username"))]);
    assert_eq!(identity::project::node_id(&machine, &environment), text("node_id"));
}

#[test]
#[ignore = "needs the recorded data"]
fn session_of_the_reference_decrypts_and_other_keys_do_not() {
    let vector = recorded_json("vectors/session-crypto-vector.json");
    let files = recorded("vectors/session-store");
    let world = World::of_library();
    testkit::tree::copy(&files, &world.home().auth_dir()).unwrap();
    crate::world::set_mode(&world.home().session_file(), 0o600);
    let session =
        SessionStore::new(&world.home(), recorded_machine()).read().expect("readable").expect("a session");
    let plain: Value =
        serde_json::from_str(vector["plaintext_utf8"].as_str().expect("a plaintext")).expect("JSON");
    assert_eq!(session.user_id, plain["user_id"]);
    assert_eq!(session.email, plain["email"]);
    assert_eq!(session.access_token.expose(), plain["access_token"]);
    assert_eq!(session.refresh_token.expose(), plain["refresh_token"]);
    assert_eq!(session.teams.len(), 2);
    assert_eq!(session.private_team().map(|team| team.id.as_str()), plain["default_team_id"].as_str());
    assert_eq!(session.issuer, None);

    for other in
        [Machine { uid: 1001, ..recorded_machine() }, Machine { hostname: "renamed".into(), uid: 1000 }]
    {
        let problem = SessionStore::new(&world.home(), other).read().expect_err("another key").to_string();
        assert!(problem.contains("cannot be decrypted") && problem.contains("another host"), "{problem}");
    }
}

/// Compatibility table, Identity, row "clock files": the reference raises, or counts in fractions.
const CLOCK_DIFFERENCES: [(&str, u64); 4] =
    [("array", 1), ("null", 1), ("value-string", 8), ("value-float", 8)];

#[test]
#[ignore = "needs the recorded data"]
fn clock_files() {
    let vectors = recorded_json("vectors/clock-read-vectors.json");
    for vector in vectors.as_array().expect("vectors") {
        let file = vector["file"].as_str().expect("a name");
        let world = World::of_library();
        world.write(&world.home().clock_file(), vector["raw"].as_str().expect("content"));
        let drawn = draw(&world.home(), 1, 0, "a68cb90bc34b").expect("a value");
        let expected = match CLOCK_DIFFERENCES.iter().find(|(name, _)| *name == file) {
            Some((_, ours)) => {
                assert!(!vector["then_tick"].is_u64(), "{file} is no difference");
                *ours
            }
            None => {
                assert_eq!(vector["load"]["node_id"], drawn.node_id, "{file}");
                vector["then_tick"].as_u64().expect("a tick")
            }
        };
        assert_eq!(drawn.value, expected, "{file}");
        let stored = draw(&world.home(), 0, 0, "another").expect("the stored value");
        assert_eq!(stored, drawn, "{file}");
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn configuration_that_the_reference_writes() {
    let file = recorded("vectors/config.toml");
    let world = World::of_library();
    world.write(&world.home().config_file(), std::fs::read(file).expect("a config"));
    let config = Config::read(&world.home()).expect("a config");
    assert_eq!(config.server_url.as_deref(), Some("https://example.invalid"));
    assert_eq!(config.max_queue_size, 5000);
    assert_eq!(config.background_daemon, BackgroundDaemon::Manual);
    assert_eq!(config.consent(None, Some("acme/Widget_Shop"), None), Consent::OptedOut);
    assert_eq!(config.consent(None, None, Some(Path::new("/srv/some checkout"))), Consent::ALWAYS);
}
