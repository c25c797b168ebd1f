//! The quickstart, run as a newcomer runs it.

use testkit::World;
use testkit::tree::{difference, snapshot};

#[test]
fn quickstart_succeeds_inside_its_own_directory() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    // git refuses to commit without a name; the story sets its own.
    let before = snapshot(world.user_home());
    let run = world.run(["quickstart"]).exits(0);
    assert_eq!(run.stderr, "");
    for claim in [
        "verified: the refusal names the field and its remedy",
        "captured events arrived, each once",
        "captured bodies arrived, each once",
        "verified: spec.md arrived byte for byte, once",
        "$ spec-kitty doctor restart-daemon",
        "Every step was verified.",
    ] {
        assert!(run.stdout.contains(claim), "{claim}:\n{}", run.stdout);
    }
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    let entries: Vec<_> =
        std::fs::read_dir(world.work()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(entries, ["quickstart-world"]);
    // Nothing that was started is left: the owner lock is free and the server does not answer.
    let record = world.work().join("quickstart-world/home/.spec-kitty/sync/daemon/owner.json");
    assert!(!record.exists(), "the daemon removed its record");

    // A second run leaves the first scene alone.
    let second = world.run(["quickstart", "--dir", "quickstart-world"]).exits(0);
    assert!(second.stdout.contains("quickstart-world-2"), "{}", second.stdout);
    let taken = world.run(["quickstart", "--dir", "quickstart-world/repo"]).exits(1);
    assert!(taken.stderr.contains("not empty"), "{}", taken.stderr);
}
