//! State files of a home that something else took the place of: `sync doctor` names each, `doctor repair`
//! moves it aside, and no row is lost silently. In a real process.
#![cfg(unix)]

use crate::worlds::*;
use identity::{StateFile, StateKind};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use testkit::World;

/// Replacement of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Instead {
    Directory,
    DanglingLink,
    File,
    Unreadable,
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

fn put(path: &Path, instead: Instead) {
    remove(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match instead {
        Instead::Directory => fs::create_dir(path).unwrap(),
        Instead::DanglingLink => symlink("/no/such/place", path).unwrap(),
        Instead::File => fs::write(path, "no directory").unwrap(),
        Instead::Unreadable => {
            fs::write(path, "{}").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }
    }
}

/// Every member of the table, with what may take its place.
fn members(world: &World) -> Vec<(PathBuf, StateKind, Instead)> {
    let home = world.home();
    let mut files = home.state_files();
    for path in [home.drain_lock(&world.scope()), home.scoped_queue(&world.scope())] {
        if !files.iter().any(|file| file.path == path) {
            files.push(StateFile { path, kind: StateKind::File });
        }
    }
    let cases = files.into_iter().flat_map(|StateFile { path, kind }| {
        let instead = match kind {
            StateKind::Directory => &[Instead::File, Instead::DanglingLink][..],
            StateKind::File | StateKind::Decisions => {
                &[Instead::Directory, Instead::DanglingLink, Instead::Unreadable]
            }
        };
        instead.iter().map(move |instead| (path.clone(), kind, *instead))
    });
    cases.collect()
}

fn doctor(world: &World) -> String {
    world.run(["sync", "doctor", "--offline"]).stdout
}

#[test]
fn replaced_state_file_is_found_and_repaired() {
    let (template, _) = with_mission();
    let all = members(&template);
    assert!(all.len() > 50, "{all:?}");
    for (path, kind, instead) in all {
        let relative = path.strip_prefix(template.root()).unwrap();
        let (world, _) = with_mission();
        let path = world.root().join(relative);
        // The name of the queue DB is that of the account, which is the same in every world.
        put(&path, instead);
        let case = format!("{} {instead:?}", relative.display());
        if instead == Instead::Unreadable && fs::read(&path).is_ok() {
            continue;
        }
        let seen = world.run(["sync", "doctor", "--offline"]).exits(1).stdout;
        let name = path.to_str().unwrap();
        assert!(seen.contains(name), "{case} is not found:\n{seen}");
        let repaired = world.run(["doctor", "repair"]);
        if kind == StateKind::Decisions && instead != Instead::Unreadable {
            assert_eq!(repaired.code, Some(1), "{case}: {repaired:?}");
            assert!(repaired.stdout.contains("left: "), "{case}: {repaired:?}");
            assert!(path.symlink_metadata().is_ok(), "{case}: the decisions were moved");
            continue;
        }
        // Without its salt a session is lost, and only a login makes another.
        let login = path == world.home().session_salt() && instead != Instead::Unreadable;
        assert_eq!(repaired.code, Some(i32::from(login)), "{case}: {repaired:?}");
        assert!(!login || repaired.stdout.contains("spec-kitty auth login"), "{case}: {repaired:?}");
        assert!(repaired.stdout.contains(name), "{case}: {repaired:?}");
        if instead != Instead::Unreadable {
            let directory = path.parent().unwrap();
            let aside = format!("{}.aside-", path.file_name().unwrap().to_str().unwrap());
            let kept = fs::read_dir(directory).unwrap().flatten();
            assert!(
                kept.into_iter().any(|entry| entry.file_name().to_str().unwrap().starts_with(&aside)),
                "{case}: nothing was kept"
            );
        }
        let again = world.run(["doctor", "repair"]).stdout;
        assert!(
            again.starts_with(if login { "nothing was repaired" } else { "nothing to repair" }),
            "{case}: {again}"
        );
        let after = doctor(&world);
        assert!(!after.contains("state_file_unusable"), "{case}:\n{after}");
    }
}

#[test]
fn emptied_queue_db_is_unreadable_and_never_an_empty_queue() {
    type Spoil = fn(&Path);
    let spoils: [(&str, Spoil); 4] = [
        ("zero bytes", |path| fs::write(path, b"").unwrap()),
        ("dangling link", |path| put(path, Instead::DanglingLink)),
        ("no tables", |path| {
            fs::remove_file(path).unwrap();
            let db = rusqlite::Connection::open(path).unwrap();
            db.execute_batch("CREATE TABLE other (x); DROP TABLE other").unwrap();
        }),
        ("tables of an earlier release only", |path| {
            fs::remove_file(path).unwrap();
            testkit::reference_queue::ReferenceQueue::create(path).many_events(2);
        }),
    ];
    for (case, spoil) in spoils {
        let (world, _) = with_mission();
        let path = world.home().scoped_queue(&world.scope());
        spoil(&path);
        let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
        assert_eq!(status["faults"][0]["code"], "active_queue_unreadable", "{case}: {status:#}");
        assert!(status["active_queue"]["event_count"].is_null(), "{case}: {status:#}");
        let refused = world.run(["agent", "mission", "create", "gadgets"]).exits(2);
        assert!(refused.stderr.contains("active_queue_unreadable"), "{case}: {refused:?}");
        for verb in [&["sync", "now"][..], &["sync", "parked", "list"], &["sync", "preview"], &["sync", "gc"]]
        {
            let run = world.run(verb.iter().copied());
            assert_ne!(run.code, Some(0), "{case} {verb:?}: {run:?}");
        }
        assert!(doctor(&world).contains("active_queue_unreadable"), "{case}");
        let repaired = world.run(["doctor", "repair"]).exits(0).stdout;
        assert!(
            repaired.contains("sync capture --history") || case.starts_with("tables"),
            "{case}: {repaired}"
        );
        world.run(["sync", "status", "--check"]).exits(0);
        world.run(["agent", "mission", "create", "gadgets"]).exits(0);
        assert_eq!(world.run(["doctor", "repair"]).exits(0).stdout, "nothing to repair\n", "{case}");
    }
}

#[test]
fn queue_db_of_zero_bytes_without_history_is_a_new_queue() {
    let world = logged_in();
    let path = world.home().scoped_queue(&world.scope());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"").unwrap();
    world.run(["sync", "status", "--check"]).exits(0);
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
}

#[test]
fn removed_queue_db_is_created_and_recorded_again() {
    let (world, _) = with_mission();
    let path = world.home().scoped_queue(&world.scope());
    fs::remove_file(&path).unwrap();
    world.run(["sync", "status", "--check"]).exits(0);
    world.run(["agent", "mission", "create", "gadgets"]).exits(0);
    fs::write(&path, b"").unwrap();
    world.run(["sync", "status", "--check"]).exits(2);
}

#[test]
fn home_without_a_birth_record_gets_one_from_the_next_write() {
    let (world, _) = with_mission();
    let path = world.home().scoped_queue(&world.scope());
    let record = queue::birth_record(&path).unwrap();
    fs::remove_file(&record).unwrap();
    world.run(["agent", "mission", "create", "gadgets"]).exits(0);
    assert!(record.is_file());
}
