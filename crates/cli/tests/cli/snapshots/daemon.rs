//! `sync daemon`: start, state and stop.

use super::{fresh, logged_in, orphan_record, prints};
use testkit::World;
use testkit::daemon::Daemon;

/// The daemon runs and is idle.
fn running() -> (World, Daemon) {
    let world = logged_in();
    let daemon = Daemon::start(&world);
    (world, daemon)
}

/// The daemon was killed.
fn crashed() -> (World, Daemon) {
    let (world, daemon) = running();
    daemon.crash();
    (world, daemon)
}

#[test]
fn daemon_status() {
    prints("daemon/status_fresh", fresh, "sync daemon status");
    prints("daemon/status_running", running, "sync daemon status");
    prints("daemon/status_crashed", crashed, "sync daemon status");
    prints("daemon/status_orphan_record", orphan_record, "sync daemon status");
}

#[test]
fn daemon_start() {
    prints("daemon/start", logged_in, "sync daemon start");
    prints("daemon/start_running", running, "sync daemon start");
    prints("daemon/run_running", running, "sync daemon run");
}

#[test]
fn daemon_stop() {
    prints("daemon/stop_stopped", logged_in, "sync daemon stop");
    prints("daemon/stop_running", running, "sync daemon stop");
}

#[test]
fn restart_and_status_with_a_daemon() {
    prints("daemon/restart_running", running, "doctor restart-daemon");
    prints("daemon/sync_status_running", running, "sync status");
    prints("daemon/sync_status_crashed", crashed, "sync status");
    prints("daemon/orphan_daemons_crashed", crashed, "doctor orphan-daemons");
}
