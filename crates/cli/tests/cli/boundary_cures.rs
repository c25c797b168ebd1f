//! Real causes of an incoherent machine, and proof that the named remedies help. The causes are daemons of another
//! account, of another copy of the program or of the reference, and files spoiled under a live daemon. The warnings
//! beside the boundary are here, too. The single names are walked by `failure_names.rs`.
#![cfg(unix)]

use crate::worlds::{fresh, with_listener};
use contract::{Field, OwnerRecord};
use identity::session::Team;
use serde_json::Value;
use std::process::Command;
use testkit::browser;
use testkit::daemon::{Daemon, ReferenceDaemon};
use testkit::listener::CountingListener;
use testkit::owner::{agreeing, failing_names, write};
use testkit::reference_queue::{PROJECT, ReferenceQueue, leave_hot_journal};
use testkit::world::{TEAM, USER, finish, session};
use testkit::{Server, World};

/// `sync now`, a producing verb and the check refuse under these names; gives the remedies.
#[track_caller]
fn refused(world: &World, names: &[&str]) -> Vec<String> {
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(failing_names(&status), names, "{status:#}");
    let capture = world.run(["agent", "mission", "create", "some-mission", "--json"]).exits(2).json();
    assert_eq!(failing_names(&capture["preflight"]), names, "{capture:#}");
    let now = world.run(["sync", "now", "--json"]).exits(2).json();
    assert_eq!(failing_names(&now["preflight"]), names, "{now:#}");
    now["remediation"].as_array().unwrap().iter().map(|hint| hint.as_str().unwrap().to_owned()).collect()
}

/// Runs a remedy as it is shown.
#[track_caller]
fn follow(world: &World, hint: &str) {
    let words = hint.strip_prefix("spec-kitty ").unwrap_or_else(|| panic!("{hint} is no command"));
    let _ = world.run(words.split(' ')).exits(0);
}

#[track_caller]
fn coherent(world: &World) {
    let _ = world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn daemon_of_another_team_is_replaced_or_joined() {
    for remedy in 0..2 {
        let (world, server) = with_listener();
        let mut both = session(&server.url(), USER, TEAM);
        both.teams.push(Team { id: "team-PRIV-02".into(), ..both.teams[0].clone() });
        world.write_session(&both);
        let _ = world.run(["auth", "switch", "team-PRIV-02"]).exits(0);
        let _daemons = Daemon::start(&world);
        let _ = world.run(["auth", "switch", TEAM]).exits(0);
        let remedies = refused(&world, &["daemon_team_or_user", "daemon_queue_db_path"]);
        assert_eq!(remedies, ["spec-kitty doctor restart-daemon", "spec-kitty auth switch team-PRIV-02"]);
        follow(&world, &remedies[remedy]);
        coherent(&world);
        assert_eq!(server.connections(), 0, "both are local");
    }
}

#[test]
fn daemon_of_another_server_is_replaced() {
    let (world, server) = with_listener();
    let _daemons = Daemon::start(&world);
    let other = CountingListener::start();
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", other.url()));
    let remedies = refused(&world, &["daemon_server_url", "daemon_queue_db_path"]);
    assert_eq!(remedies, ["spec-kitty doctor restart-daemon"]);
    follow(&world, &remedies[0]);
    coherent(&world);
    assert_eq!(server.connections() + other.connections(), 0);
}

#[test]
fn daemon_of_another_copy_of_the_program_is_replaced() {
    let (world, _server) = with_listener();
    let copy = world.user_home().join("opt/bin/spec-kitty");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    testkit::world::copy_program(env!("CARGO_BIN_EXE_spec-kitty").as_ref(), &copy);
    let mut start = Command::new(&copy);
    world.dress(&mut start);
    start.args(["sync", "daemon", "start"]);
    let _ = finish(start).exits(0);
    // Running already: this only waits for its rest, and ends it with the test.
    let _daemons = Daemon::start(&world);
    let remedies = refused(&world, &["daemon_executable_path", "daemon_source_path"]);
    assert_eq!(remedies, ["spec-kitty doctor restart-daemon"]);
    follow(&world, &remedies[0]);
    coherent(&world);
}

/// A daemon of the reference has no lock of ours; it is asked to end over its own port.
#[test]
fn daemon_of_the_reference_that_differs_is_replaced() {
    let (world, _server) = with_listener();
    let theirs = ReferenceDaemon::start(&world);
    let record = OwnerRecord {
        port: i64::from(theirs.port),
        token: theirs.token.into(),
        package_version: "3.2.0rc11".into(),
        executable_path: "/bin/sh".into(),
        source_checkout_path: "/".into(),
        server_url: "https://other.invalid".into(),
        auth_principal: Some("other@example.com".into()),
        queue_db_path: world.root().join("queues/other.db"),
        ..agreeing(&world, theirs.pid)
    };
    write(&world, &record);
    let remedies = refused(&world, &Field::ALL.map(Field::name));
    assert_eq!(remedies, ["spec-kitty doctor restart-daemon"]);
    follow(&world, &remedies[0]);
    coherent(&world);
    let _daemons = Daemon::start(&world);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["daemon_owner_record"]["status"], "present");
    assert_ne!(status["daemon_owner_record"]["pid"], theirs.pid);
}

/// Lock held, and the record is not its holder's: it is not compared. Both daemons end.
#[test]
fn record_of_the_reference_beside_a_live_daemon_of_ours_is_stale() {
    let (world, _server) = with_listener();
    let daemons = Daemon::start(&world);
    let theirs = ReferenceDaemon::start(&world);
    let record = OwnerRecord {
        port: i64::from(theirs.port),
        token: theirs.token.into(),
        package_version: "3.2.0rc11".into(),
        ..agreeing(&world, theirs.pid)
    };
    write(&world, &record);
    let remedies = refused(&world, &["owner_record_stale"]);
    assert_eq!(remedies, ["spec-kitty doctor restart-daemon"]);
    follow(&world, &remedies[0]);
    coherent(&world);
    for pid in [daemons.pid(), theirs.pid] {
        assert!(!system::process::observe_process(i64::from(pid)).is_alive(), "{pid}");
    }
}

/// An unrelated process has the pid of the record: the record is an orphan, and a restart removes it.
#[test]
fn restart_moves_foreign_record_aside_of_a_live_daemon() {
    let (world, _server) = with_listener();
    let _daemons = Daemon::start(&world);
    write(&world, &agreeing(&world, std::process::id()));
    let remedies = refused(&world, &["owner_record_stale"]);
    follow(&world, &remedies[0]);
    coherent(&world);
}

#[test]
fn spoiled_record_of_live_daemon_needs_a_new_daemon() {
    let (world, _server) = with_listener();
    let daemons = Daemon::start(&world);
    world.write_state("sync/daemon/owner.json", b"{");
    let remedies = refused(&world, &["owner_record_unreadable"]);
    assert_eq!(remedies, ["spec-kitty doctor restart-daemon"]);
    follow(&world, &remedies[0]);
    coherent(&world);
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_ne!(status["daemon_owner_record"]["pid"], daemons.pid());
}

/// Nothing listens at the port in its files: only `--force` removes them, and the process itself is left alone.
#[test]
fn mute_stray_daemon_lives_and_its_files_move_aside() {
    let (world, _server) = with_listener();
    let stray = ReferenceDaemon::start(&world);
    let (pid, token) = (stray.pid, stray.token);
    // A port that was just released: nothing listens there.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let state = format!("http://127.0.0.1:{port}\n{port}\n{token}\n{pid}\n");
    world.write_state("sync-daemon", state.as_bytes());
    let remedies = refused(&world, &["stray_daemon"]);
    assert_eq!(remedies, ["spec-kitty doctor orphan-daemons --fix"]);
    let tried = world.run(["doctor", "orphan-daemons", "--fix"]).exits(1);
    assert!(tried.stdout.contains("--force") && tried.stdout.contains(&format!("kill {pid}")), "{tried:?}");
    follow(&world, "spec-kitty doctor orphan-daemons --fix --force");
    coherent(&world);
    assert!(system::process::observe_process(i64::from(pid)).is_alive());
}

/// Read-only commands cannot roll it back; the migration, which may write, does.
#[test]
fn interrupted_legacy_write_is_rolled_back_by_its_remedy() {
    let (world, _server) = with_listener();
    leave_hot_journal(&world.root().join("queue.db"));
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(failing_names(&status), ["queue_recovery_needed"], "{status:#}");
    let hint = status["faults"][0]["remediation_hint"].as_str().unwrap();
    assert_eq!(hint, "spec-kitty sync migrate");
    follow(&world, hint);
    coherent(&world);
}

#[test]
fn without_a_server_the_login_that_is_named_names_one() {
    let mut world = fresh();
    let server = Server::start(&world, USER);
    world.init_project();
    let remedies = refused(&world, &["auth_absent"]);
    assert_eq!(remedies, ["spec-kitty auth login --server URL"]);
    let argv = ["auth", "login", "--server", &server.url()].map(str::to_owned);
    browser::log_in(&mut world, &server, USER, &argv);
    coherent(&world);
    let _ = world.run(["agent", "mission", "create", "some-mission"]).exits(0);
    let _ = world.run(["sync", "now"]).exits(0);
    assert!(!server.event_ids().is_empty());
}

/// The warning of that code, text and JSON alike, on a machine that is coherent all the same.
#[track_caller]
fn warned(world: &World, code: &str) -> String {
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    let warning = status["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == code);
    let hint = warning.unwrap_or_else(|| panic!("no {code}: {status:#}"))["remediation_hint"].clone();
    let hint = hint.as_str().unwrap().to_owned();
    let text = world.run(["sync", "status", "--check"]).exits(0);
    assert!(text.stdout.contains("warning: ") && text.stdout.contains(&hint), "{}", text.stdout);
    let plain = world.run(["sync", "status"]).exits(0);
    assert!(plain.stderr.contains("warning: ") && plain.stderr.contains(&hint), "{}", plain.stderr);
    hint
}

#[track_caller]
fn no_warnings(world: &World) {
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(status["warnings"], Value::Array(Vec::new()), "{status:#}");
}

#[test]
fn old_rows_without_daemon_warn_until_delivered() {
    let mut world = fresh();
    let server = Server::start(&world, USER);
    server.welcome(&mut world);
    ReferenceQueue::create(&world.root().join("queue.db"))
        .event("01KRX0000000000000000000A1", Some(&server.team));
    let _ = world.run(["sync", "migrate"]).exits(0);
    // Held rows wait for a decision and for no daemon.
    no_warnings(&world);
    let _ = world.run(["sync", "opt-in", "--project", PROJECT, "--include-held", "--yes"]).exits(0);
    assert_eq!(warned(&world, "backlog_without_daemon"), "spec-kitty sync now");
    follow(&world, "spec-kitty sync now");
    no_warnings(&world);
    assert_eq!(server.event_ids(), ["01KRX0000000000000000000A1"]);
}

#[test]
fn token_of_another_host_warns_and_sends_nothing() {
    let (mut world, elsewhere) = with_listener();
    let server = Server::start(&world, USER);
    world.write_config(&format!("[sync]\nserver_url = \"{}\"\n", server.url()));
    assert_eq!(warned(&world, "SYNC_TOKEN_HOST"), "spec-kitty auth login --server URL");
    let _ = world.run(["agent", "mission", "create", "some-mission"]).exits(0);
    let requests = server.requests();
    let now = world.run(["sync", "now", "--json"]).exits(2).json();
    assert_eq!((&now["error_code"], &now["exit_code"]), (&"SYNC_TOKEN_HOST".into(), &2.into()), "{now:#}");
    assert_eq!(now["remediation"][0], "spec-kitty auth login --server URL");
    assert_eq!((server.requests(), elsewhere.connections()), (requests, 0), "before any request");
    let argv = ["auth", "login", "--server", &server.url()].map(str::to_owned);
    browser::log_in(&mut world, &server, USER, &argv);
    no_warnings(&world);
    let _ = world.run(["agent", "mission", "create", "another"]).exits(0);
    let _ = world.run(["sync", "now"]).exits(0);
    assert!(!server.event_ids().is_empty());
}

#[test]
fn login_of_unconfigured_server_warns_and_sends_nothing() {
    let (world, _) = with_listener();
    world.write_config("");
    assert_eq!(warned(&world, "SYNC_SERVER_UNSET"), "spec-kitty auth login --server URL");
    let now = world.run(["sync", "now", "--json"]).exits(2).json();
    assert_eq!((&now["error_code"], &now["exit_code"]), (&"SYNC_SERVER_UNSET".into(), &2.into()), "{now:#}");
    assert_eq!(now["remediation"][0], "spec-kitty auth login --server URL");
}
