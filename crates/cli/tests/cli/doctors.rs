//! The doctors, the gate and `sync status --check` are one judgement: whatever the owner record holds,
//! they call it by the same names. The recorded files of the reference are read from `../shared` when it
//! is beside this checkout.
#![cfg(unix)]

use crate::worlds::{fresh, logged_in};
use contract::{FailureName, OwnerRecord};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use testkit::World;
use testkit::daemon::Daemon;
use testkit::listener::CountingListener;
use testkit::owner::{agreeing, failing_names, stand_in, write};
use testkit::reference_queue::ReferenceQueue;
use testkit::world::TEAM;

/// The recorded disk states.
fn recorded() -> PathBuf {
    testkit::shared().join("fixtures/disk")
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Every surface calls what is wrong by the same names; gives the names.
#[track_caller]
fn agreed(world: &World, about: &str) -> Vec<String> {
    let check = world.run(["sync", "status", "--check", "--json"]);
    let status = check.json();
    let names = failing_names(&status);
    assert_eq!(check.code, Some(if names.is_empty() { 0 } else { 2 }), "{about}: {status:#}");

    let gate = world.run(["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "dev", "--json"]);
    let gate = gate.json();
    let refused: Vec<String> =
        if gate["result"] == "refused" { failing_names(&gate["preflight"]) } else { Vec::new() };
    assert_eq!(refused, names, "{about}: the gate: {gate:#}");

    let doctor = world.run(["sync", "doctor", "--offline", "--json"]).json();
    let known: Vec<&str> = FailureName::all().map(FailureName::name).collect();
    let mut found: Vec<String> = findings(&doctor).filter(|code| known.contains(&code.as_str())).collect();
    found.sort_by_key(|code| known.iter().position(|name| name == code));
    let mut sorted = names.clone();
    sorted.sort_by_key(|code| known.iter().position(|name| name == code));
    assert_eq!(found, sorted, "{about}: sync doctor: {doctor:#}");

    let run = world.run(["doctor", "orphan-daemons", "--json"]);
    let orphans = run.json();
    assert_eq!(run.code, Some(i32::from(orphans["clean"] == false)), "{about}: {orphans:#}");
    let of_owner = |name: &str| name.starts_with("owner_record_");
    let faults = orphans["faults"].as_array().unwrap();
    let theirs = status["faults"].as_array().unwrap().iter();
    let expected: Vec<&Value> = theirs.filter(|fault| of_owner(fault["code"].as_str().unwrap())).collect();
    assert_eq!(faults.iter().collect::<Vec<_>>(), expected, "{about}: {orphans:#}");
    assert!(faults.is_empty() || orphans["clean"] == false, "{about}: {orphans:#}");

    let daemon = world.run(["sync", "daemon", "status", "--json"]);
    let has_fault = names.iter().any(|name| of_owner(name));
    if has_fault {
        let shown = daemon.json();
        assert_eq!(daemon.code, Some(1), "{about}: {shown:#}");
        assert!(
            shown["detail"].is_string() && shown["remedy"] == faults[0]["remediation_hint"],
            "{about}: {shown:#}"
        );
    }
    for (kind, name) in [("orphan_record", "orphan_daemon_record"), ("stray_daemon", "stray_daemon")] {
        let seen = orphans["findings"].as_array().unwrap().iter().any(|finding| finding["kind"] == kind);
        assert_eq!(seen, names.iter().any(|failing| failing == name), "{about}: {orphans:#}");
    }
    names
}

/// The codes of every finding of an examination, in order.
fn findings(examination: &Value) -> impl Iterator<Item = String> {
    let checks = examination["checks"].as_array().unwrap().iter();
    checks
        .flat_map(|check| check["findings"].as_array().unwrap())
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .into_iter()
}

/// No daemon runs, or one does: a screen that shows no orphans has read the record and its lock.
#[test]
fn every_screen_names_an_unusable_record_or_lock() {
    let noise: fn(&Path) = |path| fs::write(path, b"\xff{").unwrap();
    let directory: fn(&Path) = |path| fs::create_dir(path).unwrap();
    let link: fn(&Path) = |path| std::os::unix::fs::symlink("nowhere", path).unwrap();
    let twice: fn(&Path) = |path| {
        fs::write(path, "").unwrap();
        fs::hard_link(path, path.with_extension("second")).unwrap();
    };
    let unreadable = "owner_record_unreadable";
    for (file, about, spoil, name) in [
        ("owner.json", "noise", noise, unreadable),
        ("owner.json", "a directory", directory, unreadable),
        ("owner.json", "a dangling link", link, unreadable),
        ("owner.lock", "a directory", directory, unreadable),
        ("owner.lock", "a dangling link", link, unreadable),
        ("owner.lock", "two hard links", twice, "owner_record_stale"),
    ] {
        let world = logged_in();
        let path = world.home().owner_lock().with_file_name(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        spoil(&path);
        let about = format!("{file}: {about}");
        assert_eq!(agreed(&world, &about), [name], "{about}");
        for verb in [&["doctor", "orphan-daemons"][..], &["doctor", "orphan-daemons", "--fix"]] {
            let text = world.run(verb).exits(1).stdout;
            assert!(text.contains(name) && !text.contains("no orphan"), "{about}: {text}");
        }
        if name == unreadable {
            let _ = world.run(["doctor", "repair"]).exits(0);
            let _ = world.run(["doctor", "orphan-daemons"]).exits(0);
            let _ = world.run(["sync", "daemon", "status"]).exits(0);
            assert_eq!(agreed(&world, &about), Vec::<String>::new(), "{about}");
        }
    }
}

/// The daemon writes a missing record again within a minute, and leaves an altered one to the gate.
#[test]
fn every_screen_names_the_record_that_a_live_daemon_lacks() {
    let noise: fn(&Path) = |path| fs::write(path, "{").unwrap();
    let none: fn(&Path) = |path| fs::remove_file(path).unwrap();
    for (spoil, name) in [(noise, "owner_record_unreadable"), (none, "owner_record_stale")] {
        let world = logged_in();
        let _daemon = Daemon::start(&world);
        let control = world.home().control_file();
        let aside = control.with_extension("aside");
        spoil(&world.home().owner_record());
        for (state, from, to) in [("starting", &control, &aside), ("running", &aside, &control)] {
            fs::rename(from, to).unwrap();
            assert_eq!(agreed(&world, name), [name]);
            let text = world.run(["sync", "daemon", "status"]).exits(1).stdout;
            assert!(text.contains(&format!("Daemon        : {state}\n")), "{text}");
            assert!(text.contains("Remedy        : spec-kitty doctor restart-daemon\n"), "{text}");
        }
        let _ = world.run(["doctor", "restart-daemon"]).exits(0);
        assert_eq!(agreed(&world, name), Vec::<String>::new());
        let _ = world.run(["sync", "daemon", "status"]).exits(0);
        let _ = world.run(["sync", "daemon", "stop"]).exits(0);
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn they_agree_on_every_recorded_file_whatever_its_bytes() {
    let recorded = recorded();
    let world = logged_in();
    let mut files: Vec<PathBuf> = fs::read_dir(recorded.join("owner-vectors/read"))
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.extend(
        ["live", "crashed"].map(|state| recorded.join("owner-daemon").join(state).join("owner.json")),
    );
    assert!(files.len() >= 17, "{files:?}");
    let mut unreadable = 0;
    for file in files {
        world.write_state("sync/daemon/owner.json", &fs::read(&file).unwrap());
        let names = agreed(&world, &file.display().to_string());
        assert!(!names.is_empty(), "{}: not one of them is of this machine", file.display());
        unreadable += usize::from(names == ["owner_record_unreadable"]);
    }
    assert!(unreadable >= 10, "{unreadable}");
    // The state file beside the record of the live daemon names a process that is no daemon here.
    fs::copy(recorded.join("owner-daemon/live/sync-daemon"), world.home().state_file()).unwrap();
    agreed(&world, "a state file");
}

/// The pairs of the recorded comparison: where both sides were equal they are equal here, where the daemon
/// had another text, that text is here.
#[test]
#[ignore = "needs the recorded data"]
fn they_agree_on_every_recorded_difference() {
    let recorded = recorded();
    let world = logged_in();
    let agreeing: Value = serde_json::from_str(&agreeing(&world, stand_in()).render()).unwrap();
    let vectors = read_json(&recorded.join("owner-vectors/mismatch-vectors.json"));
    let vectors = vectors.as_array().unwrap();
    assert!(vectors.len() >= 28);
    for vector in vectors {
        let (foreground, theirs) = (&vector["foreground"], &vector["record"]);
        let mut record = agreeing.clone();
        for (ours, key) in [
            ("package_version", "package_version"),
            ("executable_path", "executable_path"),
            ("source_path", "source_checkout_path"),
            ("server_url", "server_url"),
            ("queue_db_path", "queue_db_path"),
        ] {
            if foreground[ours] != theirs[key] {
                record[key] = theirs[key].clone();
            }
        }
        for key in ["auth_principal", "auth_team"] {
            record[key] = theirs[key].clone();
        }
        world.write_state("sync/daemon/owner.json", record.to_string().as_bytes());
        agreed(&world, &vector["name"].to_string());
    }
}

#[test]
#[ignore = "needs the recorded data"]
fn doctors_agree_on_orphans() {
    let recorded = recorded();
    let world = logged_in();
    let record = agreeing(&world, stand_in());
    let vectors = read_json(&recorded.join("owner-vectors/orphan-vectors.json"));
    for vector in vectors.as_array().unwrap() {
        let kind = vector["pid_kind"].as_str().unwrap();
        let mut record: Value = serde_json::from_str(&record.render()).unwrap();
        if !kind.contains("alive") {
            record["pid"] = json!(i64::from(u32::MAX));
        }
        if kind.contains("missing") {
            record["executable_path"] = vector["executable_path"].clone();
        }
        world.write_state("sync/daemon/owner.json", record.to_string().as_bytes());
        agreed(&world, &vector["name"].to_string());
    }
}

/// The same without any fixture, for the states that have names of their own.
#[test]
fn they_agree_on_every_state_of_this_machine() {
    let world = logged_in();
    assert_eq!(agreed(&world, "nothing there"), [""; 0]);
    let live = agreeing(&world, stand_in());
    write(&world, &live);
    assert_eq!(agreed(&world, "a daemon of this identity"), [""; 0]);
    write(&world, &OwnerRecord { auth_team: Some("team-other".into()), ..live.clone() });
    assert_eq!(agreed(&world, "another team"), ["daemon_team_or_user"]);
    write(&world, &OwnerRecord { pid: i64::from(u32::MAX), ..live.clone() });
    assert_eq!(agreed(&world, "a dead one"), ["orphan_daemon_record"]);
    fs::remove_file(world.home().owner_record()).unwrap();

    ReferenceQueue::create(&world.root().join("queue.db")).event("01KRX0000000000000000000A1", Some(TEAM));
    assert_eq!(agreed(&world, "legacy rows"), ["legacy_rows_in_scope"]);
    fs::write(world.root().join("queue.db"), "no database at all, and not empty").unwrap();
    assert_eq!(agreed(&world, "a broken legacy queue"), ["legacy_queue_unreadable"]);
    fs::remove_file(world.root().join("queue.db")).unwrap();

    fs::write(world.home().session_file(), "{").unwrap();
    assert_eq!(agreed(&world, "a broken session"), ["auth_absent", "session_unreadable"]);
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1);
    assert!(!doctor.stdout.contains("logged out"), "{}", doctor.stdout);
    fs::remove_file(world.home().session_file()).unwrap();
    assert_eq!(agreed(&world, "logged out"), ["auth_absent"]);
    fs::write(world.home().config_file(), "[sync\n").unwrap();
    assert!(agreed(&world, "a broken config").contains(&"config_unreadable".to_owned()));
}

#[test]
fn unreadable_config_leaves_switch_and_delivery_unknown() {
    let mut world = logged_in();
    world.unset("SPEC_KITTY_ENABLE_SAAS_SYNC");
    fs::write(world.home().config_file(), "[sync\n").unwrap();
    let status = world.run(["sync", "status"]).exits(0).stdout;
    for label in ["Hosted sync   ", "Last delivery "] {
        assert!(status.contains(&format!("{label}: <unreadable>\n")), "{label}: {status}");
    }
}

#[test]
fn offline_doctors_send_nothing_and_online_ones_ask_once() {
    let world = fresh();
    let listener = CountingListener::start();
    world.log_in_at(&listener.url());
    for argv in [&["sync", "doctor", "--offline"][..], &["auth", "doctor"], &["sync", "setup", "--yes"]] {
        let run = world.run(argv);
        assert!(matches!(run.code, Some(0 | 1)), "{argv:?}: {run:?}");
        assert_eq!(listener.connections(), 0, "{argv:?}");
    }
    // It closes every connection: the server exists and does not answer.
    for argv in [&["sync", "doctor", "--json"][..], &["auth", "doctor", "--server", "--json"]] {
        let examination = world.run(argv).exits(1).json();
        let codes: Vec<String> = findings(&examination).collect();
        assert_eq!(codes, ["server_unreachable"], "{examination:#}");
    }
    assert!(listener.connections() >= 2);
}

#[test]
fn unchecked_parts_are_never_reported_healthy() {
    let mut world = logged_in();
    let examination = world.run(["sync", "doctor", "--offline", "--json"]).exits(0).json();
    assert_eq!(examination["result"], "incomplete", "{examination:#}");
    let text = world.run(["sync", "doctor", "--offline"]).exits(0);
    assert!(text.stdout.starts_with("no findings; "), "{}", text.stdout);
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    let text = world.run(["sync", "doctor"]).exits(0);
    assert!(text.stdout.contains("switched off: switch"), "{}", text.stdout);
}

#[test]
fn doctors_print_no_secret() {
    let world = logged_in();
    write(&world, &agreeing(&world, stand_in()));
    for argv in [
        &["sync", "doctor", "--offline"][..],
        &["auth", "doctor"],
        &["doctor", "orphan-daemons"],
        &["sync", "setup"],
        &["sync", "daemon", "status"],
    ] {
        for json in [&[][..], &["--json"]] {
            let run = world.run(argv.iter().chain(json));
            let said = format!("{run:?}");
            for secret in ["access-secret", "refresh-secret", "control-secret"] {
                assert!(!said.contains(secret), "{argv:?}: {said}");
            }
        }
    }
}
