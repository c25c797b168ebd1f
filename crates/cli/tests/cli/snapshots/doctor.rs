//! `doctor`: what is found on this machine, and what is repaired.

use super::{damaged_config, fresh, logged_in, orphan_record, prints, waiting};
use testkit::World;
use testkit::mission::Mission;

/// The queue DB is not a database.
fn damaged_queue() -> World {
    let world = waiting();
    let path = world.home().scoped_queue(&world.scope());
    std::fs::write(path, "not a database, and not empty").unwrap();
    world
}

/// The owner record is not JSON.
fn damaged_record() -> World {
    let world = logged_in();
    world.write_state("sync/daemon/owner.json", b"{");
    world
}

/// The last line of a status log is torn.
fn torn_log() -> World {
    let world = logged_in();
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world);
    let log = mission.read("status.events.jsonl");
    mission.write("status.events.jsonl", &format!("{log}{{torn"));
    world
}

/// The last row of a log is torn, and the last commit has it.
fn torn_row() -> World {
    let world = logged_in();
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    world.run(["tasks", "--mission", "tea-timer"]).exits(0);
    let log = mission.read("status.events.jsonl");
    mission.write("status.events.jsonl", &log[..log.trim_end().len() - 30]);
    world
}

/// The coordination branch of a mission is gone.
fn branch_is_missing() -> World {
    let world = logged_in();
    let mission = Mission::create(&world, "tea-timer");
    let meta = mission.read("meta.json");
    mission.write("meta.json", &meta.replacen('{', "{\"coordination_branch\": \"kitty/tea-timer\",", 1));
    world
}

#[test]
fn doctor_paths() {
    prints("doctor/paths", fresh, "doctor paths");
}

#[test]
fn doctor_repair() {
    prints("doctor/repair_fresh", fresh, "doctor repair");
    prints("doctor/repair_healthy", waiting, "doctor repair");
    prints("doctor/repair_damaged_queue", damaged_queue, "doctor repair");
    prints("doctor/repair_damaged_record", damaged_record, "doctor repair");
    prints("doctor/repair_damaged_config", damaged_config, "doctor repair");
    prints("doctor/repair_torn_log", torn_log, "doctor repair --mission tea-timer");
    prints("doctor/repair_torn_row", torn_row, "doctor repair --mission tea-timer");
    prints("doctor/repair_missing_branch", branch_is_missing, "doctor repair --mission tea-timer");
    prints("doctor/repair_unknown_mission", logged_in, "doctor repair --mission tea-timer");
}

/// Scenes with a finding of their own: daemons of other homes on this machine are left out of the snapshots.
#[test]
fn doctor_orphan_daemons() {
    prints("doctor/orphan_daemons_record", orphan_record, "doctor orphan-daemons");
    prints("doctor/orphan_daemons_fix", orphan_record, "doctor orphan-daemons --fix");
    prints("doctor/orphan_daemons_damaged_record", damaged_record, "doctor orphan-daemons --fix");
    prints("doctor/daemon_status_damaged_record", damaged_record, "sync daemon status");
}

#[test]
fn doctor_restart_daemon() {
    prints("doctor/restart_daemon_none", logged_in, "doctor restart-daemon");
    prints("doctor/restart_daemon_orphan", orphan_record, "doctor restart-daemon");
}
