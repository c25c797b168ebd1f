//! Starting, stopping and replacing daemons, as real processes.
#![cfg(unix)]

use crate::common::{Bench, contains, eventually, is_alive, mode, pid_of, signal};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use testkit::world::{SERVER, TEAM, USER, session};

#[test]
fn daemon_starts_answers_and_leaves_nothing_behind() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    let (record, control) = (bench.record(), bench.control());
    assert_eq!(pid_of(&record["pid"]), pid);
    assert_eq!(record["port"], control["port"]);
    assert_eq!(record["instance_id"], control["instance_id"]);
    let token = control["token"].as_str().unwrap();
    assert!(
        !contains(&fs::read(bench.record_path()).unwrap(), token.as_bytes()),
        "the record holds no secret"
    );
    let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!contains(&argv, token.as_bytes()), "nor does the command line");
    assert!(!contains(&fs::read(bench.world.home().daemon_log()).unwrap(), token.as_bytes()), "nor the log");

    let status = bench.ok(&["status"]);
    assert_eq!((status["state"].as_str(), pid_of(&status["pid"])), (Some("running"), pid));
    assert_eq!(status["report"]["instance_id"], record["instance_id"]);
    let again = bench.ok(&["start"]);
    assert_eq!((again["result"].as_str(), pid_of(&again["pid"])), (Some("already_running"), pid));

    let stopped = bench.ok(&["stop"]);
    assert_eq!((stopped["result"].as_str(), stopped["how"].as_str()), (Some("stopped"), Some("asked")));
    assert!(!is_alive(pid));
    assert!(!bench.record_path().exists() && !bench.world.home().control_file().exists());
    assert!(bench.world.home().owner_lock().exists(), "the lock file is never unlinked");
    assert_eq!(fs::metadata(bench.world.home().owner_lock()).unwrap().len(), 0, "nor written");
    assert_eq!(bench.ok(&["stop"])["result"], "not_running");
    assert_eq!(bench.ok(&["status"])["state"], "stopped");
    assert_eq!(bench.stop_reasons(), ["stopped"]);
}

#[test]
fn daemon_files_are_private_and_it_detaches_from_its_starter() {
    let bench = Bench::logged_in();
    // A shell waits for the end of what it captures: a daemon that kept descriptor 3 would hold it up.
    let program = env!("CARGO_BIN_EXE_daemon-bench");
    let run = bench
        .world
        .run_program("sh", ["-c", &format!("kept=$('{program}' start 3>&1); echo \"$kept\"")])
        .exits(0);
    let pid = pid_of(&run.json()["pid"]);
    let home = bench.world.home();
    for path in [home.owner_record(), home.control_file(), home.owner_lock(), home.daemon_log()] {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&home.daemon_dir()), 0o700);
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), bench.world.root());
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let words: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    assert_eq!(words[3], pid.to_string(), "it leads a session of its own");
    // It has spoken before it closes the readiness pipe, so a look may be a moment early.
    eventually("only its own descriptors are left", || {
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().all(|descriptor| {
            let number: u32 = descriptor.file_name().to_str().unwrap().parse().unwrap();
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            match number {
                0 => target == Path::new("/dev/null"),
                1 | 2 => target == home.daemon_log(),
                _ => target.starts_with(bench.world.root()) || target.to_string_lossy().contains("socket:"),
            }
        })
    });
}

#[test]
fn fifty_starters_at_once_give_one_daemon() {
    let bench = Bench::logged_in();
    let starters: Vec<_> = (0..50)
        .map(|_| {
            let mut command = bench.world.command();
            command.arg("start").stdout(Stdio::piped());
            command.spawn().expect("a starter")
        })
        .collect();
    let outcomes: Vec<serde_json::Value> = starters
        .into_iter()
        .map(|starter| {
            let output = starter.wait_with_output().expect("its output");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            serde_json::from_slice(&output.stdout).expect("one document")
        })
        .collect();
    let started: Vec<_> = outcomes.iter().filter(|outcome| outcome["result"] == "started").collect();
    assert_eq!(started.len(), 1, "{outcomes:?}");
    assert!(
        outcomes
            .iter()
            .all(|outcome| ["started", "already_running"].contains(&outcome["result"].as_str().unwrap()))
    );
    let pid = pid_of(&started[0]["pid"]);
    eventually("every loser is gone", || bench.daemons() == [pid]);
    assert_eq!(pid_of(&bench.record()["pid"]), pid);
}

#[test]
fn record_after_kill_is_orphan_and_next_start_removes_it() {
    let bench = Bench::logged_in();
    let old = bench.start();
    signal(old, Signal::KILL);
    eventually("the old one is gone", || !is_alive(old));
    let status = bench.ok(&["status"]);
    assert_eq!((status["state"].as_str(), pid_of(&status["pid"])), (Some("orphan"), old));
    let new = bench.start();
    assert_ne!(old, new);
    assert_eq!(pid_of(&bench.record()["pid"]), new);
    assert_eq!(bench.stop_reasons(), ["killed"]);
}

#[test]
fn record_naming_a_live_stranger_kills_no_process() {
    let bench = Bench::logged_in();
    let old = bench.start();
    signal(old, Signal::KILL);
    eventually("the old one is gone", || !is_alive(old));
    let mut record = bench.record();
    // A pid is reused much later than the tick (10 ms) in which its last owner started.
    let mut stranger = bench.stranger();
    while start_ticks(stranger.pid()) == record["process_start_ticks"].as_u64() {
        stranger = bench.stranger();
    }
    record["pid"] = json!(stranger.pid());
    bench.write_record(&record);

    // The lock is free in the kernel: the pid is only an explanation.
    assert_eq!(bench.ok(&["status"])["state"], "orphan");
    assert_eq!(bench.ok(&["stop", "--force"])["result"], "not_running");
    assert!(stranger.is_alive());

    // Even a held lock proves nothing about a process with another start time.
    let lock = system::FileLock::acquire(
        &bench.world.home().owner_lock(),
        std::time::Duration::from_secs(1),
        "the owner lock",
    )
    .expect("the lock");
    let failure = bench.fails(&["stop", "--force"]);
    assert_eq!(failure["failure"], "unproven", "{failure}");
    assert_eq!(bench.fails(&["restart", "--force"])["reason"], "stop_failed");
    assert!(stranger.is_alive());
    drop(lock);

    let new = bench.ok(&["restart"]);
    assert_eq!(new["stopped"]["result"], "not_running");
    assert_ne!(pid_of(&new["started"]["pid"]), stranger.pid());
    assert!(stranger.is_alive());
}

fn start_ticks(pid: u32) -> Option<u64> {
    system::process::observe_process(i64::from(pid)).start_ticks()
}

#[test]
fn zombie_is_as_good_as_gone() {
    let bench = Bench::logged_in();
    let mut zombie = bench.world.command();
    let mut zombie = zombie.args(["sync", "daemon", "run"]).spawn().expect("a daemon");
    eventually("it is ready", || bench.ok(&["status"])["state"] == "running");
    signal(zombie.id(), Signal::KILL);
    eventually("it is a zombie", || {
        system::process::observe_process(i64::from(zombie.id())) == system::process::ProcessState::Zombie
    });
    // Its first thread can be a zombie a moment before the last one releases the lock.
    eventually("it is an orphan", || bench.ok(&["status"])["state"] == "orphan");
    bench.start();
    zombie.wait().expect("collected");
}

#[test]
fn suspended_daemon_is_reported_and_ends_only_by_force() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    signal(pid, Signal::STOP);
    let status = bench.ok(&["status"]);
    assert_eq!((status["state"].as_str(), pid_of(&status["pid"])), (Some("suspended"), pid));
    assert!(status["remedy"].as_str().unwrap().contains("kill -CONT"), "{status}");
    assert_eq!(bench.fails(&["stop"]), json!({ "failure": "suspended", "pid": pid }));
    let failure = bench.fails(&["restart"]);
    assert_eq!((&failure["reason"], &failure["remedy"]), (&json!("stop_failed"), &status["remedy"]));
    let failure = bench.fails(&["start"]);
    assert_eq!(failure["reason"], "holder_unfit", "one that does nothing is no start: {failure}");
    assert_eq!(failure["remediation_hint"], status["remedy"]);
    let report = bench.ok(&["doctor"]);
    assert_eq!(report["findings"][0]["kind"], "wedged_daemon");
    assert_eq!(report["findings"][0]["class"], "operator_required");
    assert_eq!(bench.ok(&["doctor", "--fix"])["findings"][0]["action"]["action"], "needs_force");
    assert!(is_alive(pid), "nothing so far was forced");

    let replaced = bench.ok(&["restart", "--force"]);
    assert_eq!(replaced["stopped"]["how"], "killed");
    assert!(!is_alive(pid));
    assert_eq!(bench.ok(&["status"])["state"], "running");

    let second = pid_of(&replaced["started"]["pid"]);
    signal(second, Signal::STOP);
    let report = bench.ok(&["doctor", "--fix", "--force"]);
    assert_eq!(report["findings"][0]["action"]["action"], "stopped", "{report}");
    assert_eq!(report["clean"], true);
    assert!(!is_alive(second) && !bench.record_path().exists());
}

/// Holds the owner lock as a daemon does that has no record and no control file yet.
#[cfg(target_os = "linux")]
fn nameless(bench: &Bench, script: &str) -> crate::common::Stranger {
    fs::create_dir_all(bench.daemon_dir()).unwrap();
    let ready = bench.world.work().join("nameless");
    let mut command = std::process::Command::new("flock");
    command.arg("--no-fork").arg(bench.world.home().owner_lock());
    command.args(["sh", "-c", script, "sh"]).arg(&ready).stdin(Stdio::piped());
    let child = command.spawn().expect("flock");
    eventually("it holds the lock", || ready.exists());
    crate::common::Stranger(child)
}

#[cfg(target_os = "linux")]
#[test]
fn holder_without_record_is_starting_and_no_end_is_advised() {
    let bench = Bench::logged_in();
    let mut holder = nameless(&bench, "touch \"$1\"; read -r _");
    assert_eq!(bench.fails(&["stop"]), json!({ "failure": "starting" }));
    let failure = bench.fails(&["restart"]);
    assert_eq!(failure["reason"], "stop_failed", "{failure}");
    assert_eq!(
        failure["remedy"],
        "wait until `spec-kitty sync daemon status` shows running or stopped, then try again",
        "{failure}"
    );
    assert!(holder.is_alive());
}

#[cfg(target_os = "linux")]
#[test]
fn holder_that_releases_without_record_was_no_daemon() {
    let bench = Bench::logged_in();
    let _holder = nameless(&bench, "touch \"$1\"; sleep 0.3");
    assert_eq!(bench.ok(&["stop"])["result"], "not_running");
}

#[test]
fn stop_while_a_daemon_starts_ends_it_or_finds_none() {
    let bench = Bench::logged_in();
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let starter = scope.spawn(|| bench.run(&["start"]));
            let stopped = bench.ok(&["stop"]);
            let result = stopped["result"].as_str().unwrap();
            assert!(["stopped", "not_running"].contains(&result), "{stopped}");
            starter.join().unwrap();
        });
        bench.ok(&["stop"]);
    }
}

#[test]
fn twelve_restarts_at_once_all_end_well_and_leave_one_daemon() {
    let bench = Bench::logged_in();
    bench.start();
    std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..12).map(|_| scope.spawn(|| bench.ok(&["restart"]))).collect();
        for outcome in crowd {
            assert!(outcome.join().unwrap()["started"]["pid"].is_u64());
        }
    });
    assert_eq!(bench.ok(&["status"])["state"], "running");
    assert_eq!(bench.daemons().len(), 1);
}

/// A process that holds the owner lock, has a correct record, and answers no request.
#[cfg(target_os = "linux")]
fn wedged(bench: &Bench, script: &str) -> crate::common::Stranger {
    let pid = bench.start();
    let mut record = bench.record();
    let mut control = bench.control();
    signal(pid, Signal::KILL);
    eventually("the real one is gone", || !is_alive(pid));
    let lock = bench.world.home().owner_lock();
    let ready = bench.world.work().join("ready");
    let mut command = std::process::Command::new("flock");
    command.arg("--no-fork").arg(&lock).args(["sh", "-c", script, "sh"]).arg(&ready).stdin(Stdio::null());
    let child = command.spawn().expect("flock");
    let holder = crate::common::Stranger(child);
    eventually("it holds the lock", || ready.exists());
    // Nothing listens at the port of the daemon that died.
    let ticks = system::process::observe_process(i64::from(holder.pid())).start_ticks();
    record["pid"] = json!(holder.pid());
    record["process_start_ticks"] = json!(ticks);
    control["pid"] = json!(holder.pid());
    bench.write_record(&record);
    fs::write(bench.world.home().control_file(), control.to_string()).unwrap();
    holder
}

#[cfg(target_os = "linux")]
#[test]
fn wedged_daemon_that_is_proven_ours_gets_a_signal_and_ends() {
    let bench = Bench::logged_in();
    let mut holder = wedged(&bench, "touch \"$1\"; exec sleep 300");
    let status = bench.ok(&["status"]);
    assert_eq!((status["state"].as_str(), pid_of(&status["pid"])), (Some("wedged"), holder.pid()));
    assert_eq!(status["remedy"], "spec-kitty doctor restart-daemon");
    let outcome = bench.ok(&["restart"]);
    assert_eq!(outcome["stopped"]["how"], "signalled", "{outcome}");
    assert!(!holder.is_alive());
    assert_eq!(bench.ok(&["status"])["state"], "running");
}

#[cfg(target_os = "linux")]
#[test]
fn wedged_daemon_that_ignores_signals_ends_only_by_force() {
    let bench = Bench::logged_in();
    let deaf = "trap '' TERM; touch \"$1\"; while :; do sleep 0.05; done";
    let mut holder = wedged(&bench, deaf);
    let failure = bench.fails(&["restart"]);
    assert_eq!(failure["reason"], "stop_failed", "{failure}");
    assert_eq!(failure["remedy"], "spec-kitty doctor orphan-daemons --fix --force");
    assert_eq!(bench.ok(&["doctor", "--fix"])["findings"][0]["action"]["action"], "needs_force");
    assert!(holder.is_alive(), "nothing so far was forced");
    let report = bench.ok(&["doctor", "--fix", "--force"]);
    assert_eq!(report["findings"][0]["action"]["action"], "stopped", "{report}");
    assert!(!holder.is_alive() && !bench.record_path().exists());
}

/// The same process, and the start time of another: a recycled pid under a held lock.
#[cfg(target_os = "linux")]
#[test]
fn holder_with_another_start_time_is_never_signalled() {
    let bench = Bench::logged_in();
    let mut holder = wedged(&bench, "touch \"$1\"; exec sleep 300");
    let mut record = bench.record();
    record["process_start_ticks"] = json!(1);
    bench.write_record(&record);
    assert_eq!(bench.fails(&["stop", "--force"])["failure"], "unproven");
    assert_eq!(bench.fails(&["restart", "--force"])["reason"], "stop_failed");
    assert_ne!(bench.ok(&["doctor", "--fix", "--force"])["clean"], true);
    assert!(holder.is_alive());
}

#[test]
fn replacement_waits_for_the_shutdown_of_the_old_one() {
    let bench = Bench::logged_in();
    let old = bench.start();
    bench.touch("slow");
    bench.ok(&["follow-up"]);
    eventually("a drain is under way", || bench.ok(&["status"])["report"]["phase"] == "draining");
    let outcome = bench.ok(&["restart"]);
    assert_eq!(outcome["stopped"]["how"], "asked");
    assert!(!is_alive(old) && is_alive(pid_of(&outcome["started"]["pid"])));
    assert_eq!(bench.stop_reasons(), ["restarted"]);
}

#[test]
fn first_signal_finishes_the_batch_and_second_does_not_wait() {
    let bench = Bench::logged_in();
    let polite = bench.start();
    bench.touch("slow");
    bench.ok(&["follow-up"]);
    eventually("a drain is under way", || bench.drains() == 1);
    signal(polite, Signal::TERM);
    eventually("it has gone", || !is_alive(polite));
    assert!(!bench.record_path().exists());

    fs::remove_file(bench.drain_file("slow")).unwrap();
    bench.touch("deaf");
    let hasty = bench.start();
    bench.ok(&["follow-up"]);
    eventually("a drain is under way", || bench.drains() == 2);
    signal(hasty, Signal::INT);
    eventually("its phase is stopping", || bench.ok(&["status"])["report"]["phase"] == "stopping");
    assert!(is_alive(hasty), "it waits for its batch");
    signal(hasty, Signal::INT);
    eventually("it has gone", || !is_alive(hasty));
    assert!(!bench.record_path().exists());
    assert_eq!(bench.stop_reasons(), ["signal", "signal"]);
}

#[test]
fn logged_out_nothing_is_started_and_nothing_is_created() {
    let bench = Bench::logged_out();
    let login = "spec-kitty auth login --server URL";
    assert_eq!(bench.fails(&["start"]), json!({ "reason": "no_login", "remediation_hint": login }));
    assert_eq!(bench.fails(&["restart"])["reason"], "nothing_to_restart");
    assert!(!bench.world.root().exists(), "a home without state stays without state");
}

type Change = fn(&Bench);

#[test]
fn login_that_may_not_send_starts_no_daemon() {
    let expired: Change = |bench| {
        let mut session = session(SERVER, USER, TEAM);
        session.refresh_token_expires_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
        bench.world.write_session(&session);
    };
    let shared_only: Change = |bench| {
        let mut session = session(SERVER, USER, TEAM);
        session.teams[0].private = false;
        bench.world.write_session(&session);
    };
    let credentials_only: Change = |bench| {
        fs::remove_file(bench.world.home().session_file()).unwrap();
        let text = "[user]\nusername = \"old@example.com\"\n[server]\nurl = \"https://old.invalid\"\n";
        fs::write(bench.world.home().credentials_file(), text).unwrap();
    };
    let logins: [(&str, &str, Change); 3] = [
        ("login_expired", "spec-kitty auth login", expired),
        ("no_private_team", "administrator", shared_only),
        ("credentials_only", "spec-kitty auth login", credentials_only),
    ];
    for (reason, helps, log_in) in logins {
        let bench = Bench::logged_in();
        let pid = bench.start();
        log_in(&bench);
        let outcome = bench.ok(&["restart"]);
        assert_eq!((&outcome["idle"], &outcome["started"]), (&json!(reason), &json!(null)));
        assert!(!is_alive(pid));
        let start = bench.fails(&["start"]);
        assert_eq!(start["reason"], reason, "{start}");
        assert!(start["remediation_hint"].as_str().unwrap().contains(helps), "{start}");
        let failure = bench.fails(&["restart"]);
        assert_eq!(failure["reason"], "nothing_to_restart", "{failure}");
        assert!(failure["remedy"].as_str().unwrap().contains(helps), "{failure}");
    }
}

#[test]
fn restart_of_nothing_names_what_keeps_a_daemon_from_starting() {
    let remedy = |bench: &Bench| {
        let failure = bench.fails(&["restart"]);
        assert_eq!(failure["reason"], "nothing_to_restart", "{failure}");
        failure["remedy"].as_str().unwrap().to_owned()
    };
    assert_eq!(remedy(&Bench::logged_out()), "spec-kitty auth login --server URL");
    let mut bench = Bench::logged_in();
    assert_eq!(remedy(&bench), "spec-kitty sync daemon start");
    fs::write(bench.world.home().config_file(), "[sync\n").unwrap();
    assert!(remedy(&bench).contains("line 1"), "{}", remedy(&bench));
    bench.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    assert!(remedy(&bench).contains("SPEC_KITTY_ENABLE_SAAS_SYNC=1"));
}

#[test]
fn logged_out_a_restart_only_stops() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    fs::remove_file(bench.world.home().session_file()).unwrap();
    let outcome = bench.ok(&["restart"]);
    assert_eq!((outcome["stopped"]["how"].as_str(), &outcome["started"]), (Some("asked"), &json!(null)));
    assert!(!is_alive(pid));
}

#[test]
fn with_the_switch_off_nothing_is_started() {
    let mut bench = Bench::logged_in();
    bench.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    assert_eq!(bench.fails(&["start"]), json!({ "reason": "switch_off" }));
    assert!(!bench.daemon_dir().exists());
}

#[test]
fn true_reason_of_a_failed_start_reaches_the_starter() {
    let bench = Bench::logged_in();
    fs::write(bench.world.root().join("sync"), "a file where a directory belongs").unwrap();
    let failure = bench.fails(&["start"]);
    assert_eq!(failure["reason"], "home_unusable", "{failure}");
    assert!(failure["detail"].as_str().unwrap().contains("sync"), "{failure}");

    fs::remove_file(bench.world.root().join("sync")).unwrap();
    fs::create_dir_all(bench.world.home().control_file()).unwrap();
    let failure = bench.fails(&["start"]);
    assert_eq!(failure["reason"], "record_not_written", "{failure}");
    assert!(failure["detail"].as_str().unwrap().contains("control.json"), "{failure}");
    assert!(!bench.record_path().exists() && bench.daemons().is_empty());

    fs::write(bench.world.home().config_file(), "[sync\n").unwrap();
    let failure = bench.fails(&["start"]);
    assert_eq!(failure["reason"], "identity_unreadable", "{failure}");
}

#[test]
fn unreadable_login_keeps_the_daemon_that_runs() {
    let bench = Bench::logged_in();
    let pid = bench.start();
    fs::write(bench.world.home().session_file(), "{").unwrap();
    let failure = bench.fails(&["restart"]);
    assert_eq!(failure["reason"], "respawn_failed", "{failure}");
    assert!(is_alive(pid));
}

#[test]
fn unreadable_record_is_moved_aside_by_the_next_daemon() {
    let bench = Bench::logged_in();
    let old = bench.start();
    fs::write(bench.record_path(), b"\xff{").unwrap();
    let outcome = bench.ok(&["restart"]);
    assert_eq!(outcome["stopped"]["how"], "asked", "the control file leads to the holder of the lock");
    assert!(!is_alive(old));
    let aside = fs::read_dir(bench.daemon_dir())
        .unwrap()
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with("owner.json.aside-"));
    assert_eq!(fs::read(aside.expect("kept").path()).unwrap(), b"\xff{");
}

#[test]
fn explicit_restart_replaces_down_as_well_as_up() {
    let mut bench = Bench::logged_in();
    bench.set("DAEMON_BENCH_VERSION", "4.0.0");
    bench.start();
    bench.set("DAEMON_BENCH_VERSION", "3.3.0");
    let outcome = bench.ok(&["restart"]);
    assert_eq!(outcome["started"]["package_version"], "3.3.0");
    assert_eq!(bench.record()["package_version"], "3.3.0");
}

#[test]
fn daemon_starts_no_daemon() {
    let mut bench = Bench::logged_in();
    bench.set("SPEC_KITTY_DAEMON", "1");
    assert_eq!(bench.fails(&["start"]), json!({ "reason": "nested" }));
    assert_eq!(bench.fails(&["restart"])["reason"], "respawn_failed");
    assert_eq!(bench.ok(&["follow-up"]), json!({ "daemon": "left_alone", "why": { "why": "nested" } }));
    assert!(bench.daemons().is_empty());
}
