//! An opt-in starts from now: what waits already stays held, in whatever queue of the machine it waits,
//! until `--include-held` releases it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use serde_json::Value;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::{Server, World};

const EVENT: &str = "01KRX0000000000000000000A1";

/// A world whose commands act as the account of a running server, with one event and one body of another
/// program's in the legacy queue.
fn world() -> (World, Server, ReferenceQueue) {
    let (world, server) = testkit::host::with_server(env!("CARGO_BIN_EXE_spec-kitty"));
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event(EVENT, None).body("spec.md", "# Spec\n");
    (world, server, legacy)
}

/// Logs out for the time of `work`.
fn logged_out(world: &mut World, server: &Server, work: impl FnOnce(&World)) {
    world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
    work(world);
    world.set("SPEC_KITTY_TOKEN", &server.token).set("SPEC_KITTY_SERVER_URL", &server.url());
}

fn held(world: &World) -> Value {
    world.run(["sync", "status", "--json"]).exits(0).json()["held"].take()
}

/// Both rows are held, and nothing of them reaches the server.
#[track_caller]
fn stays_here(world: &World, server: &Server) {
    world.run(["sync", "now"]).exits(0);
    let held = held(world);
    assert_eq!((&held[0]["events"], &held[0]["bodies"]), (&1.into(), &1.into()), "{held:#}");
    assert_eq!((server.event_ids().len(), server.body_hashes().len()), (0, 0));
}

#[track_caller]
fn leaves_after_a_release(world: &World, server: &Server) {
    world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    assert_eq!(held(world).as_array().unwrap().len(), 0);
    // The server takes no body of a document that no event has announced: asked for, it is kept.
    let now = world.run(["sync", "now", "--json"]).exits(1).json();
    assert_eq!(now["bodies"]["kept"], 1, "{now:#}");
    assert_eq!(server.event_ids(), [EVENT]);
}

#[test]
fn rows_of_this_accounts_queue_stay() {
    let (world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    stays_here(&world, &server);
    leaves_after_a_release(&world, &server);
}

#[test]
fn legacy_rows_that_are_migrated_later_stay_and_the_preview_counts_them() {
    let (world, server, _legacy) = world();
    let preview = world.run(["sync", "opt-in", "--project", &PROJECT.to_uppercase()]).exits(2);
    assert!(preview.stdout.contains("1 event and 1 body would stay held"), "{}", preview.stdout);
    world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    stays_here(&world, &server);
    leaves_after_a_release(&world, &server);
}

#[test]
fn rows_of_an_account_that_is_logged_out_stay() {
    let (mut world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    logged_out(&mut world, &server, |world| {
        world.run(["sync", "opt-in", "--project", PROJECT, "--yes"]).exits(0);
    });
    stays_here(&world, &server);
    leaves_after_a_release(&world, &server);
}

#[test]
fn a_release_of_a_machine_where_nobody_is_logged_in_says_what_it_cannot_reach() {
    let (mut world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    logged_out(&mut world, &server, |world| {
        let run = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
        assert!(run.stderr.contains("nobody is logged in"), "{}", run.stderr);
    });
    world.run(["sync", "now", "--json"]).exits(1);
    assert_eq!(server.event_ids(), [EVENT]);
}

#[test]
fn what_this_program_captured_before_the_first_decision_leaves_and_what_waited_out_an_opt_out_stays() {
    let (mut world, server, _legacy) = world();
    world.run(["sync", "migrate"]).exits(0);
    let uuid = || {
        let yaml = std::fs::read_to_string(world_config(&world)).unwrap();
        let line = yaml.lines().find(|line| line.trim().starts_with("uuid:")).unwrap().to_owned();
        line.split(':').nth(1).unwrap().trim().to_owned()
    };
    world.run(["agent", "mission", "create", "one"]).exits(0);
    let project = uuid();
    world.run(["sync", "opt-in", "--project", &project, "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let first = server.event_ids().len();
    assert!(first > 0, "captured before anybody decided: it may leave");

    world.run(["agent", "mission", "create", "two"]).exits(0);
    world.run(["sync", "opt-out", "--project", &project]).exits(0);
    logged_out(&mut world, &server, |world| {
        world.run(["sync", "opt-in", "--project", &project, "--yes"]).exits(0);
    });
    world.run(["sync", "now"]).exits(0);
    assert_eq!(server.event_ids().len(), first, "what waited when it was off stays held");
    assert!(held(&world).as_array().unwrap().iter().any(|held| held["project_uuid"] == project.as_str()));
    world.run(["sync", "opt-in", "--project", &project, "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    assert!(server.event_ids().len() > first);
}

fn world_config(world: &World) -> std::path::PathBuf {
    world.work().join(".kittify/config.yaml")
}
