//! Homes that cannot be written: no remedy that would have to write there. Issue 8, item 15.
#![cfg(unix)]

use crate::worlds::logged_in;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use testkit::World;

/// The command, by a user whom modes bind: root may write everywhere, so it gives the home away and becomes
/// its owner.
fn as_another_than_root(world: &World) -> Command {
    const USER: &str = "12345";
    let arguments = ["sync", "daemon", "start"];
    let mut command = world.command();
    if std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        let home = world.user_home().parent().unwrap();
        assert!(Command::new("chown").args(["-R", USER]).arg(home).status().unwrap().success());
        command = Command::new("setpriv");
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(world.binary());
        world.dress(&mut command);
    }
    command.args(arguments);
    command
}

#[test]
fn daemon_start_in_unwritable_home_does_not_offer_repair() {
    let mut world = logged_in();
    // A session can be read by its own user alone; this is base64url of ci@example.com|team.
    world.set("SPEC_KITTY_TOKEN", "skp_Y2lAZXhhbXBsZS5jb218dGVhbQ.secret");
    world.set("SPEC_KITTY_SERVER_URL", testkit::world::SERVER);
    let daemon = world.root().join("sync");
    let _ = std::fs::remove_dir_all(&daemon);
    std::fs::set_permissions(world.root(), std::fs::Permissions::from_mode(0o500)).unwrap();
    let run = testkit::world::finish(as_another_than_root(&world));
    std::fs::set_permissions(world.root(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let run = run.exits(1);
    assert!(!run.stderr.contains("doctor repair"), "{}", run.stderr);
    assert!(run.stderr.contains("writable for this user"), "{}", run.stderr);
}
