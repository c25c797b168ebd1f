//! Homes that cannot be written: no remedy that would have to write there. Issue 8, item 15.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

#[test]
fn daemon_start_in_unwritable_home_does_not_offer_repair() {
    let world = testkit::host::logged_in(env!("CARGO_BIN_EXE_spec-kitty"));
    let daemon = world.root().join("sync");
    let _ = std::fs::remove_dir_all(&daemon);
    let mode = |mode| std::fs::set_permissions(world.root(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    let probe = world.root().join("probe");
    if std::fs::write(&probe, "").is_ok() {
        std::fs::remove_file(probe).unwrap();
        mode(0o700);
        println!("skipped: this user may write everywhere");
        return;
    }
    let run = world.run(["sync", "daemon", "start"]);
    mode(0o700);
    let run = run.exits(1);
    assert!(!run.stderr.contains("doctor repair"), "{}", run.stderr);
    assert!(run.stderr.contains("writable for this user"), "{}", run.stderr);
}
