//! Daemon owner records that are not this home's: copies of homes, links, recycled pids, empty values.
#![cfg(target_os = "linux")]

use crate::worlds::{fresh, logged_in};
use contract::OwnerRecord;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use testkit::World;
use testkit::daemon::{Daemon, ReferenceDaemon};
use testkit::owner::{agreeing, failing_names, write};
use testkit::patience::eventually;

fn is_alive(pid: u32) -> bool {
    system::process::observe_process(i64::from(pid)).is_alive()
}

/// A copy of the home and the project of `world`, made by `cp` with `options`.
fn copy(world: &World, options: &str) -> World {
    let copy = fresh();
    for (from, to) in [(world.user_home(), copy.user_home()), (world.work(), copy.work())] {
        let status = Command::new("cp").arg(options).arg(from.join(".")).arg(to).status().unwrap();
        assert!(status.success());
    }
    copy
}

/// Effect of a verb in a copied home.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    /// It looks, or refuses.
    Nothing,
    /// It removes what the copy brought along.
    Heals,
}

const VERBS: [(&[&str], Effect); 13] = [
    (&["sync", "daemon", "status"], Effect::Nothing),
    (&["sync", "status", "--check"], Effect::Nothing),
    (&["sync", "doctor", "--offline"], Effect::Nothing),
    (&["doctor", "orphan-daemons"], Effect::Nothing),
    (&["sync", "now"], Effect::Nothing),
    (&["agent", "mission", "create", "tea-timer"], Effect::Nothing),
    (&["sync", "daemon", "start"], Effect::Heals),
    (&["sync", "daemon", "stop"], Effect::Heals),
    (&["doctor", "restart-daemon"], Effect::Heals),
    (&["doctor", "restart-daemon", "--force"], Effect::Heals),
    (&["doctor", "orphan-daemons", "--fix"], Effect::Heals),
    (&["doctor", "orphan-daemons", "--fix", "--force"], Effect::Heals),
    (&["sync", "setup", "--yes"], Effect::Heals),
];

/// Runs every verb in a fresh copy of `world` each, whose daemon `original` has to survive them all.
fn leave_alone(world: &World, original: u32, verbs: &[(&[&str], Effect)]) {
    for (verb, effect) in verbs {
        let mut copy = copy(world, "-a");
        copy.allow_daemon();
        let run = copy.run(*verb);
        assert!(is_alive(original), "{verb:?}: {run:?}");
        assert_ne!(run.code, None, "{verb:?}");
        if *effect == Effect::Heals {
            assert_healed(&copy, original, &format!("{verb:?}: {run:?}"));
        } else {
            let status = copy.run(["sync", "status", "--json"]).exits(0).json();
            let names = failing_names(&status);
            let expected = names == ["orphan_daemon_record"] || names == ["stray_daemon"];
            assert!(expected, "{verb:?}: {names:?}");
        }
    }
    // In the foreground, as a service manager runs it.
    let copy = copy(world, "-a");
    let mut run = copy.command();
    let mut run = run.args(["sync", "daemon", "run"]).stderr(Stdio::null()).spawn().unwrap();
    eventually("the daemon of the copy serves", || {
        copy.run(["sync", "daemon", "status", "--json"]).json()["pid"] == run.id()
    });
    assert_healed(&copy, original, "sync daemon run");
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(is_alive(original));
}

#[track_caller]
fn assert_healed(copy: &World, original: u32, verb: &str) {
    let status = copy.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(failing_names(&status), Vec::<String>::new(), "{verb}");
    for path in [copy.home().owner_record(), copy.home().control_file(), copy.home().state_file()] {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let named = text.split(|c: char| !c.is_ascii_digit()).any(|word| word == original.to_string());
        assert!(!named, "{verb}: {} {text}", path.display());
    }
}

#[test]
fn copied_home_leaves_the_daemon_of_the_original_alone() {
    let world = logged_in();
    let daemons = Daemon::start(&world);
    let report = |world: &World| world.run(["sync", "daemon", "status", "--json"]).exits(0).json();
    let before = report(&world);
    let status = copy(&world, "-a").run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["orphan_records"][0]["kind"], "copied_home", "{status:#}");
    leave_alone(&world, daemons.pid(), &VERBS);
    // Nothing asked it anything: it has not drained, and it is the same run.
    let after = report(&world);
    for key in ["instance_id", "drains"] {
        assert_eq!(after["report"][key], before["report"][key], "{key}");
    }
    let _ = world.run(["sync", "status", "--check"]).exits(0);
}

/// The record is gone and the control file was copied: the way of a nudge after a capture.
#[test]
fn copied_control_file_is_not_followed_after_a_capture() {
    let world = logged_in();
    let daemons = Daemon::start(&world);
    let drains =
        || world.run(["sync", "daemon", "status", "--json"]).exits(0).json()["report"]["drains"].clone();
    let before = drains();
    for spawns in [false, true] {
        let mut copy = copy(&world, "-a");
        if spawns {
            copy.allow_daemon();
        }
        fs::remove_file(copy.home().owner_record()).unwrap();
        let created = copy.run(["agent", "mission", "create", "tea-timer", "--json"]).exits(0).json();
        assert_eq!(created["capture"]["state"], "captured", "{created:#}");
        if spawns {
            eventually("a daemon of the copy serves", || {
                let status = copy.run(["sync", "daemon", "status", "--json"]).json();
                status["state"] == "running" && status["pid"] != json!(daemons.pid())
            });
        }
    }
    assert!(is_alive(daemons.pid()));
    assert_eq!(drains(), before, "the daemon of the original was not nudged");
}

#[test]
fn copied_home_leaves_a_reference_daemon_alone() {
    let world = logged_in();
    let theirs = ReferenceDaemon::start(&world);
    let record = OwnerRecord {
        port: i64::from(theirs.port),
        token: theirs.token.into(),
        ..agreeing(&world, theirs.pid)
    };
    write(&world, &record);
    theirs.write_state_file(&world);
    let _ = world.run(["sync", "status", "--check"]).exits(0);
    let status = copy(&world, "-a").run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(status["orphan_records"][0]["kind"], "copied_home", "{status:#}");
    leave_alone(&world, theirs.pid, &VERBS);
    // The state file alone: a restart finds nothing to restart, every other verb heals.
    fs::remove_file(world.home().owner_record()).unwrap();
    let verbs: Vec<_> = VERBS.into_iter().filter(|(verb, _)| verb[1] != "restart-daemon").collect();
    leave_alone(&world, theirs.pid, &verbs);
    // In its own home the same file names a stray daemon, which is asked to end.
    let _ = world.run(["doctor", "orphan-daemons", "--fix"]).exits(0);
    eventually("it has gone", || !is_alive(theirs.pid));
}

#[test]
fn home_copied_with_hard_links_refuses_until_the_lock_is_its_own() {
    let world = logged_in();
    let _ = world.run(["agent", "mission", "create", "gadgets"]).exits(0);
    let daemons = Daemon::start(&world);
    let copy = copy(&world, "-al");
    for home in [&world, &copy] {
        let status = home.run(["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(failing_names(&status), ["owner_record_stale"], "{status:#}");
        let hint = status["faults"][0]["remediation_hint"].as_str().unwrap();
        assert!(hint.contains("without hard links"), "{hint}");
        let text = home.run(["sync", "status", "--check"]).exits(2).stdout;
        let headline = text.lines().find(|line| line.starts_with("Sync boundary refused: "));
        assert!(headline.is_some_and(|line| line.ends_with("; 1 fault(s).")), "{text}");
        for (verb, _) in VERBS {
            let run = home.run(verb);
            assert!(is_alive(daemons.pid()), "{verb:?}: {run:?}");
            assert!(run.code != Some(0), "{verb:?}: {run:?}");
        }
    }
    // The advice, followed in the copy.
    let root = copy.root();
    let root = root.to_str().unwrap();
    let advice = format!("mv {root} {root}.linked && cp -a {root}.linked {root} && rm -r {root}.linked");
    let status = copy.run(["sync", "status", "--json"]).exits(0).json();
    assert!(status["faults"][0]["remediation_hint"].as_str().unwrap().contains(&advice), "{status:#}");
    let _ = copy.run_program("sh", ["-c", &advice]).exits(0);
    let queues = std::fs::read_dir(copy.home().queues_dir()).unwrap();
    let links: Vec<u64> = queues.map(|file| file.unwrap().metadata().unwrap().nlink()).collect();
    assert!(!links.is_empty() && links.iter().all(|links| *links == 1), "no database is shared: {links:?}");
    let _ = world.run(["sync", "status", "--check"]).exits(0);
    let status = copy.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(status["orphan_records"][0]["kind"], "copied_home");
    let _ = copy.run(["doctor", "orphan-daemons", "--fix"]).exits(0);
    let _ = copy.run(["sync", "status", "--check"]).exits(0);
    assert!(is_alive(daemons.pid()));
    assert!(world.run(["sync", "daemon", "stop"]).exits(0).stdout.starts_with("daemon stopped"));
}

/// Gate, `--check` and both doctors agree about a record without our keys, for every kind.
#[test]
fn every_screen_agrees_on_the_kind_of_an_orphan() {
    let world = logged_in();
    let base = agreeing(&world, testkit::owner::stand_in());
    let cases = [
        ("dead", OwnerRecord { pid: i64::from(u32::MAX), ..base.clone() }),
        ("other_program", OwnerRecord { pid: i64::from(std::process::id()), ..base.clone() }),
        ("executable_missing", OwnerRecord { executable_path: "/no/such/python".into(), ..base.clone() }),
        ("copied_home", OwnerRecord { queue_db_path: "/other/.spec-kitty/q.db".into(), ..base.clone() }),
    ];
    for (kind, record) in cases {
        write(&world, &record);
        let refused = world.run(["agent", "mission", "create", "tea-timer", "--json"]).exits(2).json();
        assert_eq!(refused["preflight"]["orphan_records"][0]["kind"], kind);
        let check = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(check["orphan_records"][0]["kind"], kind);
        let daemon = world.run(["sync", "daemon", "status", "--json"]).exits(1).json();
        assert_eq!((&daemon["state"], &daemon["orphan_kind"]), (&json!("orphan"), &json!(kind)));
        for doctor in [&["sync", "doctor", "--offline"][..], &["doctor", "orphan-daemons"]] {
            let text = world.run(doctor).exits(1).stdout;
            assert!(text.contains(kind), "{kind}: {text}");
        }
        let findings = world.run(["doctor", "orphan-daemons", "--json"]).exits(1).json();
        assert_eq!(findings["findings"][0]["orphan_kind"], kind);
        let _ = world.run(["doctor", "orphan-daemons", "--fix"]).exits(0);
        let _ = world.run(["sync", "status", "--check"]).exits(0);
    }
    assert!(is_alive(testkit::owner::stand_in()));
}

#[test]
fn empty_strings_of_a_record_are_shown_as_unset() {
    let world = logged_in();
    let mut record: Value =
        serde_json::from_str(&agreeing(&world, testkit::owner::stand_in()).render()).unwrap();
    for key in ["package_version", "executable_path", "source_checkout_path", "server_url", "queue_db_path"] {
        record[key] = json!("");
    }
    record["auth_principal"] = json!("");
    world.write_state("sync/daemon/owner.json", record.to_string().as_bytes());
    let check = world.run(["sync", "status", "--check"]).exits(2);
    let block =
        check.stdout.split("Active queue").next().unwrap().split("Daemon owner record").nth(1).unwrap();
    assert_eq!(block.matches("<unset>").count(), 6, "{block}");
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    let mismatches = status["mismatches"].as_array().unwrap();
    assert_eq!(mismatches.len(), 6, "{status:#}");
    assert!(mismatches.iter().all(|mismatch| mismatch["daemon_value"] == "<unset>"), "{status:#}");
    for key in ["package_version", "executable_path", "source_path", "server_url", "queue_db_path"] {
        assert_eq!(status["daemon_owner_record"][key], Value::Null, "{key}");
    }
    for verb in [&["sync", "daemon", "status"][..], &["sync", "doctor", "--offline"]] {
        let text = world.run(verb).stdout;
        assert!(!text.lines().any(|line| line.ends_with(": .") || line.contains(" . in the")), "{text}");
    }
}
