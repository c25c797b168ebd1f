//! Homes: absent, ambiguous, awkward names, files in place of directories.

use super::*;
use crate::worlds::fresh;

/// A file in the place of a directory of the home: nothing below it can be read, and no
/// login could be stored there.
#[rstest]
#[case::root("")]
#[case::auth("auth")]
#[case::queues("queues")]
#[case::sync("sync")]
fn file_in_the_place_of_a_directory_is_moved_aside(#[case] place: &str) {
    let world = world();
    let path = if place.is_empty() { world.root() } else { world.root().join(place) };
    let _ = std::fs::remove_dir_all(&path);
    std::fs::write(&path, "kept").unwrap();
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let faults = json["faults"].as_array().unwrap();
    assert!(faults.iter().any(|fault| fault["remediation_hint"] == "spec-kitty doctor repair"), "{json:#}");
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    let aside = repaired["actions"][0]["moved_to"][0].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(aside).unwrap(), "kept", "{repaired:#}");
    world.log_in();
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn unrepairable_home_is_named_with_an_advice() {
    let mut world = world();
    let file = world.user_home().join("a file");
    std::fs::write(&file, "").unwrap();
    world.set("SPEC_KITTY_HOME", file.join("below").to_str().unwrap());
    let run = world.run(["doctor", "repair", "--json"]).exits(1);
    let document = run.json();
    assert_eq!(
        (&document["result"], &document["actions"]),
        (&"nothing_repaired".into(), &serde_json::json!([]))
    );
    for left in document["left"].as_array().unwrap() {
        assert!(!left["remediation_hint"].as_str().unwrap().contains("doctor repair"), "{left}");
    }
}

#[test]
fn home_that_does_not_exist_is_an_empty_one() {
    let mut world = fresh();
    world.set(
        "SPEC_KITTY_HOME",
        world.user_home().join("no/such/place").to_str().unwrap().to_owned().as_str(),
    );
    world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC");
    world.run(["sync", "status", "--check"]).exits(0);
    assert!(!world.user_home().join("no").exists(), "looking creates nothing");
}

#[test]
fn empty_home_beside_a_used_one_is_ambiguous() {
    let mut world = world();
    let own = world.user_home().join("elsewhere");
    world.set("SPEC_KITTY_HOME", own.to_str().unwrap());
    world.set("SPEC_KITTY_TOKEN", "skp_YXxi.secret").set("SPEC_KITTY_SERVER_URL", "https://example.invalid");
    refuses_with(&world, "home_ambiguous", "elsewhere", "unset SPEC_KITTY_HOME, or move");
    world.run(["sync", "migrate"]).exits(0);
    world.run(["doctor", "repair"]).exits(1);
    refuses_with(&world, "home_ambiguous", "elsewhere", "unset SPEC_KITTY_HOME, or move");
    std::fs::rename(world.root(), &own).unwrap();
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn missing_home_names_the_variable() {
    let world = world();
    let mut command = world.command();
    command.args(["sync", "status", "--check"]).env_remove("HOME").env_remove("USERPROFILE");
    let run = testkit::world::finish(command).exits(1);
    assert!(run.stderr.contains("HOME"), "{}", run.stderr);
}

#[rstest]
#[case::spaces("a home with spaces")]
#[case::quotes("a 'quoted' \"home\"")]
#[case::newline("line\nbreak")]
#[case::unicode("größe-家-🐱")]
fn awkward_home_works(#[case] name: &str) {
    let world = World::named(env!("CARGO_BIN_EXE_spec-kitty"), name);
    world.log_in();
    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", None);
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(json["legacy_queue"]["rows_in_scope"], 1);
    assert_eq!(json["root"]["path"].as_str().unwrap(), world.root().to_str().unwrap());
    world.run(["sync", "migrate"]).exits(0);
    let text = world.run(["sync", "status", "--check"]).exits(0);
    assert!(!text.stdout.contains("line\nbreak"), "a newline in a path must not break the block");
}

#[cfg(unix)]
#[test]
fn home_behind_a_symlink_works() {
    let world = world();
    let real = world.user_home().join("elsewhere");
    std::fs::rename(world.root(), &real).unwrap();
    std::os::unix::fs::symlink(&real, world.root()).unwrap();
    world.run(["sync", "status", "--check"]).exits(0);
}
