//! Sessions and the configuration.

use super::*;
use crate::worlds::fresh;

#[test]
fn session_that_others_may_read() {
    let world = world();
    chmod(&world.root().join("auth/session.json"), 0o644);
    refuses_with(&world, "session_unreadable", "session.json", "auth login");
}

#[test]
fn session_with_another_salt() {
    let world = world();
    world.write_state("auth/session.salt", &[7; 16]);
    // The session cache still matches the bytes of session.json, which cannot be decrypted any more.
    assert!(world.home().session_cache_file().exists());
    refuses_with(&world, "session_unreadable", "session.json", "auth login");
}

#[test]
fn session_of_version_1() {
    let world = world();
    world.write_state("auth/session.json", br#"{"version": 1, "email": "dev@example.com"}"#);
    chmod(&world.root().join("auth/session.json"), 0o600);
    refuses_with(&world, "session_unreadable", "session.json", "auth login");
}

#[test]
fn config_that_does_not_parse_names_line_and_column() {
    let world = world();
    world.write_config("[sync]\nserver_url = \n");
    let run = refuses_with(&world, "config_unreadable", "config.toml", "line 2");
    assert!(run.stderr.contains("line 2"), "{}", run.stderr);
    world.write_config("[other]\n\n# no table\nsync = 1\nsync = 2\n");
    refuses_with(&world, "config_unreadable", "config.toml", "line 5");
    world.write_config("# no table\nsync = 1\n");
    let run = refuses_with(&world, "config_unreadable", "config.toml", "line 2");
    assert!(run.stderr.contains("`sync` is not a table"), "{}", run.stderr);
    // It holds every opt-out: no repair moves it.
    world.run(["doctor", "repair"]).exits(1);
    assert!(world.root().join("config.toml").exists());
}

#[test]
fn session_of_another_host() {
    let world = fresh();
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", testkit::world::SERVER));
    let elsewhere = system::Machine { hostname: "another-host".into(), uid: 4242 };
    let session = testkit::world::session(testkit::world::SERVER, testkit::world::USER, testkit::world::TEAM);
    identity::SessionStore::new(&world.home(), elsewhere).write(&session).unwrap();
    let run = refuses_with(&world, "session_unreadable", "session.json", "auth login");
    assert!(run.stderr.contains("another host") || run.stderr.contains("host"), "{}", run.stderr);
}
