//! `doctor orphan-daemons`: three classes, one detection, and no process signalled.
#![cfg(target_os = "linux")]

use crate::common::{Bench, eventually, is_alive, pid_of, signal};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;

fn write_state_file(bench: &Bench, port: u16, token: &str, pid: u32) {
    let text = format!("http://127.0.0.1:{port}\n{port}\n{token}\n{pid}\n");
    fs::write(bench.world.home().state_file(), text).expect("a state file");
}

/// The record that a daemon of the reference writes.
fn reference_record(bench: &Bench, port: u16, token: &str, pid: u32) -> Value {
    let home = bench.world.home();
    json!({
        "pid": pid, "port": port, "token": token, "package_version": "3.2.0rc11",
        "executable_path": "/bin/sh", "source_checkout_path": "/", "server_url": "https://example.invalid",
        "auth_principal": "dev@example.com", "auth_team": "team-priv-01", "auth_scope": null,
        "queue_db_path": home.scoped_queue(&bench.world.scope()), "started_at": "2026-05-18T12:00:00+00:00",
    })
}

/// The findings of this home; tests run side by side, and each sees the others' daemons as foreign.
fn own_findings(report: &Value) -> Vec<Value> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().filter(|finding| finding["class"] != "never_touch").cloned().collect()
}

fn with_daemon_dir() -> Bench {
    let bench = Bench::logged_in();
    fs::create_dir_all(bench.daemon_dir()).expect("a directory");
    bench
}

#[test]
fn orphan_record_fix_spares_the_recycled_pid() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    signal(pid, Signal::KILL);
    eventually("it is gone", || !is_alive(pid));
    let mut stranger = bench.stranger();
    let mut record = bench.record();
    record["pid"] = json!(stranger.pid());
    bench.write_record(&record);

    let report = bench.ok(&["doctor"]);
    assert_eq!((report["clean"].as_bool(), bench.record_path().exists()), (Some(false), true));
    let finding = &report["findings"][0];
    assert_eq!(
        (finding["kind"].as_str(), finding["class"].as_str()),
        (Some("orphan_record"), Some("safe_auto"))
    );
    let report = bench.ok(&["doctor", "--fix"]);
    assert_eq!(report["findings"][0]["action"]["action"], "record_removed");
    assert_eq!(report["clean"], true);
    assert!(!bench.record_path().exists() && !bench.world.home().control_file().exists());
    assert!(stranger.is_alive());
    assert!(own_findings(&bench.ok(&["doctor"])).is_empty());
}

#[test]
fn live_daemon_is_no_finding() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    let report = bench.ok(&["doctor", "--fix", "--force"]);
    assert!(own_findings(&report).is_empty() && report["clean"] == true, "{report}");
    assert!(is_alive(pid));
}

#[test]
fn daemon_without_its_files_is_reported_and_retires() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    let home = bench.world.home();
    for path in [home.owner_lock(), home.owner_record(), home.control_file()] {
        fs::remove_file(path).unwrap();
    }
    let findings = own_findings(&bench.ok(&["doctor", "--fix", "--force"]));
    assert_eq!((findings[0]["kind"].as_str(), &findings[0]["pid"]), (Some("superseded_daemon"), &json!(pid)));
    assert_eq!(findings[0]["action"]["action"], "none", "nothing proves it ours: it is not signalled");
    assert!(is_alive(pid));
    // The command that is printed is the one that helps.
    let command = findings[0]["end_command"].as_str().unwrap();
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
    eventually("it has gone", || !is_alive(pid));
    assert!(own_findings(&bench.ok(&["doctor"])).is_empty());
}

#[test]
fn dead_reference_daemon_leaves_an_orphan_that_fix_removes() {
    let bench = with_daemon_dir();
    let mut gone = bench.stranger();
    gone.0.kill().unwrap();
    gone.0.wait().unwrap();
    bench.write_record(&reference_record(&bench, 9400, "token", gone.pid()));
    assert_eq!(bench.ok(&["doctor", "--fix"])["findings"][0]["action"]["action"], "record_removed");
    assert!(!bench.record_path().exists());
}

#[test]
fn stray_that_proves_itself_is_stopped_over_its_own_port() {
    let bench = with_daemon_dir();
    let (mut stray, port) = bench.stand_in("0123456789abcdef", false);
    write_state_file(&bench, port, "0123456789abcdef", stray.pid());
    let finding = bench.ok(&["doctor"])["findings"][0].take();
    assert_eq!(
        (finding["kind"].as_str(), finding["class"].as_str()),
        (Some("stray_daemon"), Some("safe_auto"))
    );
    assert!(stray.is_alive());
    let report = bench.ok(&["doctor", "--fix"]);
    assert_eq!(report["findings"][0]["action"]["action"], "stopped", "{report}");
    assert!(stray.0.wait().unwrap().success(), "it ended by itself");
    assert!(!bench.world.home().state_file().exists());
}

#[test]
fn unproven_stray_lives_and_force_moves_its_files() {
    let bench = with_daemon_dir();
    let (mut other, port) = bench.stand_in("another-token", false);
    write_state_file(&bench, port, "0123456789abcdef", other.pid());
    let finding = bench.ok(&["doctor", "--fix"])["findings"][0].take();
    assert_eq!(finding["class"], "operator_required");
    assert_eq!(finding["action"]["action"], "needs_force");
    assert_eq!(finding["end_command"], format!("kill {}", other.pid()));
    assert!(bench.world.home().state_file().exists());
    let report = bench.ok(&["doctor", "--fix", "--force"]);
    assert_eq!(report["findings"][0]["action"]["action"], "files_moved_aside");
    assert!(!bench.world.home().state_file().exists());
    let kept = fs::read_dir(bench.world.root())
        .unwrap()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("sync-daemon.aside-"));
    assert!(kept && other.is_alive());
}

#[test]
fn restart_stops_recorded_reference_daemon_by_port() {
    let bench = with_daemon_dir();
    let (mut theirs, port) = bench.stand_in("feedfacefeedface", false);
    bench.write_record(&reference_record(&bench, port, "feedfacefeedface", theirs.pid()));
    assert_eq!(bench.ok(&["status"])["state"], "reference");
    assert_eq!(bench.fails(&["start"]), json!({ "reason": "reference_alive", "pid": theirs.pid() }));
    assert!(theirs.is_alive());
    let outcome = bench.ok(&["restart"]);
    assert_eq!(outcome["stopped"]["how"], "reference");
    assert!(theirs.0.wait().unwrap().success());
    assert_eq!(bench.ok(&["status"])["state"], "running");
}

/// Neither its record nor its process tells, and its own health answer does.
#[test]
fn reference_daemon_that_names_another_root_is_left_alone() {
    let bench = with_daemon_dir();
    let (mut theirs, port) = bench.stand_in_with("feedfacefeedface", &["elsewhere"]);
    for remedy in [&["doctor", "--fix"][..], &["restart"]] {
        bench.write_record(&reference_record(&bench, port, "feedfacefeedface", theirs.pid()));
        write_state_file(&bench, port, "feedfacefeedface", theirs.pid());
        let finding = bench.ok(&["doctor"])["findings"][0].take();
        assert_eq!(
            (finding["kind"].as_str(), finding["orphan_kind"].as_str(), finding["class"].as_str()),
            (Some("orphan_record"), Some("copied_home"), Some("safe_auto"))
        );
        bench.ok(remedy);
        assert!(theirs.is_alive(), "{remedy:?}");
        assert!(!bench.world.home().state_file().exists(), "{remedy:?}");
    }
    assert_eq!(bench.ok(&["status"])["state"], "running");
}

#[test]
fn mute_reference_daemon_lives_and_force_moves_its_files() {
    let bench = with_daemon_dir();
    let (mut theirs, port) = bench.stand_in("feedfacefeedface", true);
    bench.write_record(&reference_record(&bench, port, "feedfacefeedface", theirs.pid()));
    write_state_file(&bench, port, "feedfacefeedface", theirs.pid());
    let failure = bench.fails(&["restart"]);
    assert_eq!(failure["reason"], "stop_failed");
    assert_eq!(failure["remedy"], "spec-kitty doctor orphan-daemons --fix --force");
    let report = bench.ok(&["doctor", "--fix", "--force"]);
    assert_eq!(report["findings"][0]["kind"], "mute_reference_daemon", "{report}");
    assert_eq!(report["findings"][0]["action"]["action"], "files_moved_aside");
    assert!(!bench.record_path().exists() && !bench.world.home().state_file().exists());
    assert!(theirs.is_alive());
    bench.start();
}

#[test]
fn recycled_pid_of_a_reference_record_is_not_signalled() {
    let bench = with_daemon_dir();
    let mut stranger = bench.stranger();
    bench.write_record(&reference_record(&bench, 9400, "feedfacefeedface", stranger.pid()));
    let report = bench.ok(&["doctor"]);
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["kind"], &finding["orphan_kind"], &finding["class"]),
        (&json!("orphan_record"), &json!("other_program"), &json!("safe_auto")),
        "{report}"
    );
    assert_eq!(finding["end_command"], Value::Null, "no command that ends a stranger: {report}");
    assert_eq!(bench.ok(&["doctor", "--fix"])["findings"][0]["action"]["action"], "record_removed");
    assert!(!bench.record_path().exists() && stranger.is_alive());
}

#[test]
fn restart_replaces_reference_record_of_live_daemon() {
    let bench = Bench::logged_in();
    let old = bench.start();
    let mut stranger = bench.stranger();
    bench.write_record(&reference_record(&bench, 9400, "feedfacefeedface", stranger.pid()));
    let report = bench.ok(&["doctor", "--fix"]);
    assert!(own_findings(&report).iter().all(|finding| finding["kind"] != "orphan_record"), "{report}");
    // Nor is the daemon itself reported gone, whose own pid is in a record without our keys.
    bench.write_record(&reference_record(&bench, 9400, "feedfacefeedface", old));
    let report = bench.ok(&["doctor", "--fix"]);
    assert!(own_findings(&report).iter().all(|finding| finding["kind"] != "orphan_record"), "{report}");
    assert!(bench.record_path().exists());
    let outcome = bench.ok(&["restart"]);
    assert_ne!(pid_of(&outcome["started"]["pid"]), old);
    assert!(!is_alive(old) && stranger.is_alive());
    assert_eq!(bench.ok(&["status"])["state"], "running");
}

#[test]
fn mute_reference_daemon_leaves_the_serving_daemon() {
    let bench = Bench::logged_in();
    let old = bench.start();
    let (mut theirs, port) = bench.stand_in("feedfacefeedface", true);
    bench.write_record(&reference_record(&bench, port, "feedfacefeedface", theirs.pid()));
    let failure = bench.fails(&["restart"]);
    assert_eq!(failure["reason"], "stop_failed");
    assert!(is_alive(old) && theirs.is_alive(), "nothing was taken away for nothing");
}

#[test]
fn daemon_of_another_home_is_shown_and_never_touched() {
    let (ours, other) = (with_daemon_dir(), with_daemon_dir());
    let (mut theirs, _) = other.stand_in("elsewhere", false);
    let report = ours.ok(&["doctor", "--fix", "--force"]);
    let finding = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|finding| finding["pid"] == theirs.pid())
        .expect("it is seen");
    assert_eq!(
        (finding["kind"].as_str(), finding["class"].as_str()),
        (Some("foreign_daemon"), Some("never_touch"))
    );
    assert_eq!(finding["action"]["action"], "none");
    assert_eq!(report["clean"], true, "it is none of ours: {report}");
    assert!(theirs.is_alive());
    // Without a file that names it, a daemon of this very home is an operator's business.
    let report = other.ok(&["doctor", "--fix", "--force"]);
    let finding =
        report["findings"].as_array().unwrap().iter().find(|finding| finding["pid"] == theirs.pid());
    assert_eq!(finding.expect("it is seen")["kind"], "unnamed_daemon");
    assert!(theirs.is_alive());
}

#[test]
fn unproven_port_receives_no_secret() {
    let bench = with_daemon_dir();
    let (theirs, _) = bench.stand_in("right-token", false);
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let eavesdropper = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = vec![0; 4096];
        let length = stream.read(&mut heard).unwrap();
        heard.truncate(length);
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"status\":\"ok\",\"token\":\"guess\"}").unwrap();
        drop(stream);
        listener.set_nonblocking(true).unwrap();
        (heard, listener)
    });
    write_state_file(&bench, port, "right-token", theirs.pid());
    let report = bench.ok(&["doctor", "--fix"]);
    assert_eq!(report["findings"][0]["action"]["action"], "needs_force", "{report}");
    let (heard, listener) = eavesdropper.join().unwrap();
    assert!(!crate::common::contains(&heard, b"right-token"));
    assert!(listener.accept().is_err(), "and no further connection was made");
}
