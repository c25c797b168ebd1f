//! `sync`: state, delivery, doctor and setup.

use super::{
    damaged_config, damaged_session, fresh, held, legacy_rows, logged_in, orphan_record, parked, prints,
    switched_off, waiting,
};
use crate::worlds::with_server;
use serde_json::{Value, json};
use testkit::project_store::{OPTED_IN, ProjectStoreFile};
use testkit::reference_queue::PROJECT;
use testkit::scripted::{Reply, ScriptedServer};
use testkit::world::{TEAM, USER, session};
use testkit::{Server, World};

/// Logged in at a running server, with the rows of a mission.
fn undelivered() -> (World, Server) {
    let (world, server) = with_server();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    (world, server)
}

/// The same after a delivery.
fn delivered() -> (World, Server) {
    let (world, server) = undelivered();
    world.run(["sync", "now"]).exits(0);
    (world, server)
}

/// The server has stopped.
fn server_stopped() -> (World, Server) {
    let (world, mut server) = undelivered();
    server.stop();
    (world, server)
}

/// The server does not know the login.
fn login_ended() -> (World, Server) {
    let (mut world, server) = with_server();
    world.unset("SPEC_KITTY_TOKEN").unset("SPEC_KITTY_SERVER_URL");
    world.write_session(&session(&server.url(), USER, TEAM));
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    (world, server)
}

/// The server has an older state than the receipts: it was restored from a backup.
fn server_restored() -> (World, Server) {
    let (world, mut server) = with_server();
    let backup = world.user_home().join("backup");
    server.back_up(&world, &backup);
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    server.restore(&world, &backup);
    (world, server)
}

/// The server answers every request with `reply`.
fn answering(reply: Reply) -> (World, ScriptedServer) {
    let world = fresh();
    let server = ScriptedServer::start(move |_, _| reply.clone());
    world.log_in_at(&server.url());
    world.init_project();
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    (world, server)
}

/// A row of release 3.2.7 waits in the store of its project.
fn project_store() -> World {
    let world = logged_in();
    ProjectStoreFile::create(&world.root(), PROJECT).opt_in().event(OPTED_IN, "01M8J4R97HXS28FC1JXZTEF001");
    world
}

/// The server lost rows, and this machine knows it.
fn rewound() -> (World, Server) {
    let (world, server) = server_restored();
    let _ = world.run(["sync", "now"]);
    (world, server)
}

#[test]
fn sync_status() {
    prints("sync/status_project_store", project_store, "sync status");
    prints("sync/migrate_project_store", project_store, "sync migrate");
    prints("sync/status_rewound", rewound, "sync status");
    prints("sync/status_fresh", fresh, "sync status");
    prints("sync/status_switched_off", switched_off, "sync status");
    prints("sync/status_logged_in", logged_in, "sync status");
    prints("sync/status_waiting", waiting, "sync status");
    prints("sync/status_held", held, "sync status");
    prints("sync/status_parked", parked, "sync status");
    prints("sync/status_legacy_rows", legacy_rows, "sync status");
    prints("sync/status_orphan_record", orphan_record, "sync status");
    prints("sync/status_damaged_config", damaged_config, "sync status");
    prints("sync/status_damaged_session", damaged_session, "sync status");
}

#[test]
fn sync_status_check() {
    prints("sync/check_coherent", waiting, "sync status --check");
    prints("sync/check_held", held, "sync status --check");
    prints("sync/check_switched_off", switched_off, "sync status --check");
}

#[test]
fn sync_now() {
    prints("sync/now_switched_off", switched_off, "sync now");
    prints("sync/now_nothing", with_server, "sync now");
    prints("sync/now_delivered", undelivered, "sync now");
    prints("sync/now_delivered_before", delivered, "sync now");
    prints("sync/now_server_stopped", server_stopped, "sync now");
    prints("sync/now_login_ended", login_ended, "sync now");
    prints("sync/now_server_restored", server_restored, "sync now");
}

#[test]
fn sync_now_with_unusual_answers() {
    let json = |status, body: Value| move || answering(Reply::json(status, body.clone()));
    prints("sync/now_server_error", json(500, json!({ "error": "down" })), "sync now");
    prints("sync/now_forbidden", json(403, json!({ "error": "forbidden" })), "sync now");
    prints("sync/now_not_found", json(404, json!({ "error": "Not found" })), "sync now");
    prints("sync/now_sign_in_page", || answering(Reply::text(200, "<h1>Sign in</h1>")), "sync now");
}

#[test]
fn sync_doctor() {
    prints("sync/doctor_fresh", fresh, "sync doctor --offline");
    prints("sync/doctor_healthy", waiting, "sync doctor --offline");
    prints("sync/doctor_switched_off", switched_off, "sync doctor --offline");
    prints("sync/doctor_held", held, "sync doctor --offline");
    prints("sync/doctor_parked", parked, "sync doctor --offline");
    prints("sync/doctor_legacy_rows", legacy_rows, "sync doctor --offline");
    prints("sync/doctor_damaged_config", damaged_config, "sync doctor --offline");
    prints("sync/doctor_server_stopped", server_stopped, "sync doctor");
}

#[test]
fn sync_setup() {
    prints("sync/setup_fresh", fresh, "sync setup");
    prints("sync/setup_switched_off", switched_off, "sync setup");
    prints("sync/setup_logged_in", logged_in, "sync setup");
    prints("sync/setup_legacy_rows", legacy_rows, "sync setup");
    prints("sync/setup_legacy_rows_yes", legacy_rows, "sync setup --yes");
    prints("sync/setup_orphan_record", orphan_record, "sync setup");
    prints("sync/setup_damaged_config", damaged_config, "sync setup --yes");
}

#[test]
fn sync_resend() {
    prints("sync/resend_missing_preview", server_restored, "sync resend --missing");
    prints("sync/resend_missing", server_restored, "sync resend --missing --yes");
    prints("sync/resend_nothing", delivered, "sync resend --missing --yes");
    prints("sync/resend_since", delivered, "sync resend --since 2026-01-01T00:00:00Z --yes");
}

#[test]
fn sync_capture() {
    prints("sync/capture_nothing", waiting, "sync capture --history tea-timer --yes");
    prints("sync/capture_preview", waiting, "sync capture --history tea-timer");
    prints("sync/capture_unknown_mission", logged_in, "sync capture --history tea-timer");
}
