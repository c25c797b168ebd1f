//! Daemons that end by themselves, and daemons that a capture starts.
#![cfg(unix)]

use crate::common::{Bench, eventually, is_alive, pid_of, signal};
use rustix::process::Signal;
use serde_json::json;
use std::fs;

/// A daemon that checks itself twenty times a second.
fn alert() -> Bench {
    let mut bench = Bench::logged_in();
    bench.set("DAEMON_BENCH_CHECK_MS", "50");
    bench
}

#[test]
fn daemon_with_replaced_lock_file_retires_with_its_record() {
    let bench = alert();
    let pid = bench.start();
    let lock = bench.world.home().owner_lock();
    fs::remove_file(&lock).unwrap();
    fs::write(&lock, "").unwrap();
    eventually("it retires", || !is_alive(pid));
    assert!(!bench.record_path().exists());
    assert_eq!(bench.stop_reasons(), ["superseded"]);
}

#[test]
fn daemon_that_lost_its_lock_leaves_the_new_files() {
    let bench = alert();
    let old = bench.start();
    // Stopped, it cannot notice before the new one is there.
    signal(old, Signal::STOP);
    fs::remove_file(bench.world.home().owner_lock()).unwrap();
    let report = bench.ok(&["doctor"]);
    assert_eq!(report["findings"][0]["kind"], "orphan_record", "the lock is free: {report}");
    // It holds no lock of this home, so the new one neither asks it nor waits for it.
    let new = bench.start();
    assert!(is_alive(old) && is_alive(new));
    signal(old, Signal::CONT);
    eventually("it retires by itself", || !is_alive(old));
    assert_eq!(pid_of(&bench.record()["pid"]), new);
    assert_eq!(bench.ok(&["status"])["state"], "running");
}

#[test]
fn daemon_retires_when_its_home_is_removed() {
    let bench = alert();
    let pid = bench.start();
    fs::remove_dir_all(bench.world.root()).unwrap();
    eventually("it retires", || !is_alive(pid));
    assert!(!bench.world.root().exists(), "and does not bring it back");
}

#[test]
fn daemon_retires_when_its_executable_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("spec-kitty");
    testkit::world::copy_program(env!("CARGO_BIN_EXE_daemon-bench").as_ref(), &program);
    let mut bench = Bench::with_program(&program);
    bench.world.log_in();
    bench.set("DAEMON_BENCH_CHECK_MS", "50");
    let pid = bench.start();
    fs::copy(&program, directory.path().join("new")).unwrap();
    fs::rename(directory.path().join("new"), &program).unwrap();
    eventually("it retires", || !is_alive(pid));
    assert_eq!(bench.stop_reasons(), ["executable_replaced"]);
}

#[test]
fn daemon_retires_when_the_scope_changes() {
    let bench = alert();
    let pid = bench.start();
    fs::write(bench.drain_file("scope"), "https://s|other@example.com|team").unwrap();
    eventually("it retires", || !is_alive(pid));
    let stops = bench.ok(&["status"])["stops"].take();
    assert_eq!(stops[0]["reason"], "scope_changed");
    assert_eq!(stops[0]["now"], "https://s|other@example.com|team");
    assert_eq!(bench.drains(), 0, "and sends nothing before it ends");
}

#[test]
fn idle_daemon_retires_unless_rows_wait() {
    let mut bench = alert();
    bench.set("DAEMON_BENCH_IDLE_MS", "200");
    let idle = bench.start();
    eventually("it retires", || !is_alive(idle));
    assert_eq!(bench.stop_reasons(), ["idle"]);
    bench.touch("pending");
    bench.touch("deaf");
    let busy = bench.start();
    eventually("the first sweep found the rows", || bench.drains() == 1);
    std::thread::sleep(std::time::Duration::from_millis(600));
    assert!(is_alive(busy), "a drain is under way for three times the idle period");
    fs::remove_file(bench.drain_file("deaf")).unwrap();
    eventually("it retires", || !is_alive(busy));
    assert!(!bench.drain_file("pending").exists());
}

#[test]
fn removed_record_is_written_again_and_altered_one_stays() {
    let bench = alert();
    bench.start();
    let record = bench.record();
    fs::remove_file(bench.record_path()).unwrap();
    eventually("it is back", || bench.record_path().exists());
    assert_eq!(bench.record(), record);
    let mut altered = record;
    altered["package_version"] = json!("1.0.0");
    bench.write_record(&altered);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(bench.record(), altered, "the gate reports it; the daemon does not hide it");
    bench.ok(&["restart"]);
    assert_eq!(bench.record()["package_version"], "3.3.0");
}

#[test]
fn daemon_without_control_file_runs_and_is_named_by_pid() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    let control = fs::read(bench.world.home().control_file()).unwrap();
    fs::remove_file(bench.world.home().control_file()).unwrap();
    let status = bench.ok(&["status"]);
    assert_eq!((&status["state"], pid_of(&status["pid"])), (&json!("running"), pid));
    assert!(status["detail"].as_str().unwrap().contains("control file is missing"), "{status}");
    fs::write(bench.world.home().control_file(), control).unwrap();

    let mut altered = bench.record();
    altered["pid"] = json!(1);
    bench.write_record(&altered);
    assert_eq!(pid_of(&bench.ok(&["restart"])["stopped"]["pid"]), pid);
}

#[test]
fn capture_nudges_the_daemon_that_runs() {
    let bench = Bench::logged_in();
    bench.start();
    bench.touch("pending");
    assert_eq!(bench.ok(&["follow-up"]), json!({ "daemon": "nudged" }));
    eventually("the rows are gone", || !bench.drain_file("pending").exists());
    let answer = bench.ok(&["drain"]);
    assert_eq!(
        (answer["finished"].as_bool(), answer["outcome"]["result"].as_str()),
        (Some(true), Some("drained"))
    );
    let report = bench.ok(&["status"])["report"].take();
    assert_eq!(report["drains"].as_u64(), Some(bench.drains()));
}

#[test]
fn capture_starts_a_daemon_unless_disabled() {
    let mut bench = Bench::logged_in();
    let spawned = bench.ok(&["follow-up"]);
    assert_eq!(spawned["daemon"], "spawned");
    eventually("it runs", || bench.ok(&["status"])["state"] == "running");
    bench.ok(&["stop"]);
    for (variable, why) in [("CI", "continuous_integration"), ("SPEC_KITTY_NO_DAEMON", "no_daemon")] {
        bench.set(variable, "true");
        assert_eq!(bench.ok(&["follow-up"]), json!({ "daemon": "left_alone", "why": { "why": why } }));
        bench.world.unset(variable);
    }
    let config = fs::read_to_string(bench.world.home().config_file()).unwrap();
    bench.world.write_config(&format!("{config}background_daemon = \"manual\"\n"));
    assert_eq!(bench.ok(&["follow-up"]), json!({ "daemon": "left_alone", "why": { "why": "manual" } }));
    assert!(bench.daemons().is_empty());
}

#[test]
fn daemon_that_dies_at_once_is_started_five_times_and_not_more() {
    let bench = Bench::logged_in();
    for _ in 0..5 {
        assert_eq!(bench.ok(&["follow-up"])["daemon"], "spawned");
        eventually("it runs", || bench.ok(&["status"])["state"] == "running");
        let pid = pid_of(&bench.record()["pid"]);
        signal(pid, Signal::KILL);
        eventually("it is gone", || !is_alive(pid));
    }
    assert_eq!(bench.ok(&["follow-up"]), json!({ "daemon": "left_alone", "why": { "why": "budget_spent" } }));
    assert!(bench.daemons().is_empty());
    bench.start();
}

#[test]
fn newer_release_replaces_older_daemon_and_never_reverse() {
    let mut bench = Bench::logged_in();
    let old = bench.start();
    bench.set("DAEMON_BENCH_VERSION", "3.2.9");
    assert_eq!(bench.ok(&["follow-up"]), json!({ "daemon": "nudged" }));
    assert!(is_alive(old));
    bench.set("DAEMON_BENCH_VERSION", "3.4.0");
    let replaced = bench.ok(&["follow-up"]);
    assert_eq!(
        (replaced["daemon"].as_str(), replaced["old_version"].as_str()),
        (Some("replaced"), Some("3.3.0"))
    );
    eventually("the new one runs", || {
        bench.record_path().exists() && bench.ok(&["status"])["package_version"] == "3.4.0"
    });
    assert!(!is_alive(old));
    assert_eq!(bench.stop_reasons(), ["newer_version"]);
}
