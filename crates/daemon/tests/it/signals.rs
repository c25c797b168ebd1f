//! Signals reach the process that holds the owner lock, or no process: records that name another process.
#![cfg(target_os = "linux")]

use crate::common::{Bench, Stranger, eventually, is_alive, pid_of, signal};
use rustix::process::Signal;
use serde_json::json;
use std::fs;

/// Makes the record of the bench name `stranger`, right in everything but that it holds no lock.
fn forge_record(bench: &Bench, stranger: &Stranger) {
    let mut record = bench.record();
    let state = system::process::observe_process(i64::from(stranger.pid()));
    record["pid"] = json!(stranger.pid());
    record["process_start_ticks"] = json!(state.start_ticks());
    bench.write_record(&record);
}

#[test]
fn forged_record_of_a_live_daemon_stops_the_daemon_alone() {
    let bench = Bench::logged_in();
    let daemon = bench.start();
    let mut stranger = bench.stranger();
    forge_record(&bench, &stranger);
    // Suspended, it is not taken for the daemon either.
    signal(stranger.pid(), Signal::STOP);
    assert_eq!(bench.ok(&["status"])["state"], "running");
    let stopped = bench.ok(&["stop"]);
    assert_eq!((stopped["how"].as_str(), pid_of(&stopped["pid"])), (Some("asked"), daemon));
    assert!(!is_alive(daemon) && stranger.is_alive());
}

#[test]
fn forged_record_without_a_way_to_ask_makes_a_stop_fail() {
    let bench = Bench::logged_in();
    let daemon = bench.start();
    let mut stranger = bench.stranger();
    forge_record(&bench, &stranger);
    fs::remove_file(bench.world.home().control_file()).unwrap();
    for words in [&["stop"][..], &["stop", "--force"]] {
        let failure = bench.fails(words);
        assert_eq!(failure["failure"], "unproven", "{failure}");
        assert_eq!(pid_of(&failure["pid"]), daemon, "the process that holds the lock is named: {failure}");
    }
    for words in [&["restart"][..], &["restart", "--force"]] {
        let failure = bench.fails(words);
        assert_eq!(failure["reason"], "stop_failed", "{failure}");
        assert!(failure["remedy"].as_str().unwrap().contains(&format!("`kill {daemon}`")), "{failure}");
    }
    assert!(is_alive(daemon) && stranger.is_alive(), "no process is signalled without proof");
}

#[test]
fn forged_record_with_free_lock_is_removed_without_signal() {
    let bench = Bench::logged_in();
    let mut stranger = bench.stranger();
    for remedy in [&["doctor", "--fix"][..], &["doctor", "--fix", "--force"], &["restart"], &["start"]] {
        let daemon = bench.start();
        signal(daemon, Signal::KILL);
        eventually("it is gone", || !is_alive(daemon));
        forge_record(&bench, &stranger);
        let status = bench.ok(&["status"]);
        assert_eq!(
            (status["state"].as_str(), status["orphan_kind"].as_str()),
            (Some("orphan"), Some("other_program"))
        );
        assert_eq!(bench.ok(&["stop"])["result"], "not_running");
        assert!(bench.record_path().exists(), "nothing was stopped, and nothing is claimed");
        bench.ok(remedy);
        assert!(stranger.is_alive(), "{remedy:?}");
        let left = fs::read_to_string(bench.record_path()).unwrap_or_default();
        assert!(!left.contains(&format!("\"pid\": {},", stranger.pid())), "{remedy:?}: {left}");
        bench.ok(&["stop"]);
    }
}

#[test]
fn stop_fails_while_a_child_of_the_killed_holder_keeps_the_lock() {
    let bench = Bench::logged_in();
    let daemon = bench.start();
    let (mut record, mut control) = (bench.record(), bench.control());
    signal(daemon, Signal::KILL);
    eventually("it is gone", || !is_alive(daemon));
    // A holder whose child has inherited the lock.
    let ready = bench.world.work().join("ready");
    let mut command = std::process::Command::new("flock");
    command.arg("--no-fork").arg(bench.world.home().owner_lock());
    command
        .args(["sh", "-c", "sleep 300 & echo $! > \"$1.new\"; mv \"$1.new\" \"$1\"; wait", "sh"])
        .arg(&ready);
    let holder = Stranger(command.spawn().expect("util-linux flock"));
    eventually("it holds the lock", || ready.exists());
    let child: u32 = fs::read_to_string(&ready).unwrap().trim().parse().unwrap();
    let ticks = system::process::observe_process(i64::from(holder.pid())).start_ticks();
    for document in [&mut record, &mut control] {
        document["pid"] = json!(holder.pid());
    }
    record["process_start_ticks"] = json!(ticks);
    bench.write_record(&record);
    fs::write(bench.world.home().control_file(), control.to_string()).unwrap();
    let failure = bench.fails(&["stop", "--force"]);
    assert_eq!(
        (failure["failure"].as_str(), pid_of(&failure["pid"])),
        (Some("unproven"), child),
        "{failure}"
    );
    signal(child, Signal::KILL);
    eventually("the lock is free", || bench.ok(&["status"])["state"] == "orphan");
    assert_eq!(bench.ok(&["stop"])["result"], "not_running");
}

#[test]
fn daemon_log_that_is_a_link_leaves_its_target_alone() {
    let bench = Bench::logged_in();
    let precious = bench.world.work().join("precious");
    fs::write(&precious, "precious\n").unwrap();
    fs::create_dir_all(bench.daemon_dir()).unwrap();
    let home = bench.world.home();
    // Every file that a daemon opens for writing or replaces, and the target of its rotation.
    let previous = bench.daemon_dir().join("daemon.log.previous");
    let files = [home.daemon_log(), previous, home.owner_record(), home.control_file()];
    for path in
        files.iter().chain([&bench.daemon_dir().join("stops.json"), &bench.daemon_dir().join("starts")])
    {
        std::os::unix::fs::symlink(&precious, path).unwrap();
    }
    bench.start();
    bench.ok(&["stop"]);
    bench.start();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious\n");
    assert!(!home.daemon_log().is_symlink() && !home.owner_record().is_symlink());
    bench.ok(&["stop"]);
    // The lock is a link: refused, and nothing is created at its target.
    let target = bench.world.work().join("target");
    fs::remove_file(home.owner_lock()).unwrap();
    std::os::unix::fs::symlink(&target, home.owner_lock()).unwrap();
    let failure = bench.fails(&["start"]);
    assert_eq!(failure["reason"], "home_unusable", "{failure}");
    assert!(failure["detail"].as_str().unwrap().contains("symbolic link"), "{failure}");
    assert!(!target.exists());
}
