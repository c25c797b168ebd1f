//! Every file that is read may be damaged, huge, or not a regular file. Each reader returns in bounded time and
//! memory, and leaves the file unchanged.

use crate::world::{set_mode, time, today};
use identity::credentials::read_credentials;
use identity::lamport::draw;
use identity::login::read_login_at;
use identity::{Config, Environment, ProjectIdentity, Session, SessionStore};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;
use system::Machine;
use testkit::World;
use testkit::tree::snapshot;

fn machine() -> Machine {
    Machine { hostname: "a-host".to_owned(), uid: 4242 }
}

fn files(world: &World) -> [PathBuf; 6] {
    [
        world.home().config_file(),
        world.home().session_file(),
        world.home().session_salt(),
        world.home().session_cache_file(),
        world.home().credentials_file(),
        world.home().clock_file(),
    ]
}

/// A home in which every file is there and good.
fn full_world() -> World {
    let world = World::of_library();
    world.write_config("[sync]\nserver_url = \"https://h.invalid\"\n[sync.projects.none]\nenabled = false\n");
    let session = Session {
        access_token_expires_at: time("2026-11-22T10:00:00Z"),
        refresh_token_expires_at: None,
        generation: None,
        issuer: None,
        ..testkit::world::session("", "dev@example.com", "T")
    };
    SessionStore::new(&world.home(), machine()).write(&session).expect("a session");
    world.write(
        &world.home().credentials_file(),
        "[user]\nusername = \"u\"\nteam_slug = \"t\"\n[server]\nurl = \"https://s.invalid\"\n",
    );
    draw(&world.home(), 1, 0, "node").expect("a clock");
    world
}

/// Asks everything there is to ask; answers are judged elsewhere.
fn read_everything(world: &World) {
    let config = Config::read(&world.home()).unwrap_or_else(|_| Config::unreadable());
    let login = read_login_at(&world.home(), &config, &world.environment(), &machine(), today());
    assert!(login.faults.is_empty() || login.scope.is_none(), "a fault beside a scope");
    assert!(!login.authenticated || login.absence.is_none());
    let _ = read_credentials(&world.home().credentials_file());
    let _ = login.active_queue(&world.home());
}

#[test]
fn huge_files_and_directories_are_answered_and_left_alone() {
    for index in 0..6 {
        for huge in [true, false] {
            let world = full_world();
            let path = &files(&world)[index];
            fs::remove_file(path).expect("removed");
            if huge {
                fs::File::create(path).and_then(|file| file.set_len(100 << 20)).expect("a hundred megabytes");
                set_mode(path, 0o600);
            } else {
                fs::create_dir(path).expect("an obstacle");
            }
            read_everything(&world);
            if path == &world.home().config_file() {
                let fault = Config::read(&world.home()).expect_err("a fault");
                assert!(fault.remedy.hint().contains("config.toml"), "{}", fault.remedy.hint());
            }
            assert!(path.symlink_metadata().is_ok());
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_do_not_block() {
    for index in 0..6 {
        let world = full_world();
        let path = &files(&world)[index];
        fs::remove_file(path).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success());
        set_mode(path, 0o600);
        read_everything(&world);
    }
}

/// A good file with a piece cut out, turned around or replaced.
fn damage(good: &[u8], at: usize, length: usize, by: &[u8]) -> Vec<u8> {
    let start = at % (good.len() + 1);
    let end = (start + length).min(good.len());
    [&good[..start], by, &good[end..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_are_answered_and_left_alone(
        index in 0_usize..6,
        at in any::<usize>(),
        length in 0_usize..40,
        by in proptest::collection::vec(any::<u8>(), 0..12),
    ) {
        let world = full_world();
        let path = &files(&world)[index];
        let bytes = damage(&fs::read(path).expect("a file"), at, length, &by);
        fs::write(path, &bytes).expect("damaged");
        let before = snapshot(world.user_home());
        read_everything(&world);
        prop_assert_eq!(snapshot(world.user_home()), before);
    }

    #[test]
    fn damaged_project_files_are_completed_or_refused_but_never_lost(
        at in any::<usize>(),
        length in 0_usize..30,
        by in "[ \n:#'\"a-z{}\\[\\]|-]{0,8}",
    ) {
        let root = tempfile::tempdir().expect("a directory");
        let path = identity::project::config_file(root.path());
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let good = "# top\nvcs:\n  type: git\nproject:\n  uuid: 8a4a7da6-a97c-4bb4-893a-b31664abfee4\n  slug: x\n\
                    \u{20}\u{20}custom: [1, 2]  # mine\nmerge:\n  note: |\n    text\n    # more\n";
        let before = damage(good.as_bytes(), at, length, by.as_bytes());
        fs::write(&path, &before).expect("damaged");
        let environment = Environment::from_pairs([("USER", "u")]);
        let result = ProjectIdentity::ensure(root.path(), None, &machine(), &environment);
        let after = fs::read(&path).expect("a file");
        match result {
            Err(error) => {
                prop_assert!(error.to_string().contains("config.yaml"), "{error}");
                prop_assert_eq!(after, before);
            }
            Ok(identity) => {
                prop_assert_eq!(ProjectIdentity::read(root.path()).expect("readable").uuid, Some(identity.uuid));
                // Every line that was there still is, but for an empty value that was filled.
                let after = String::from_utf8(after).expect("text");
                let mut lines = after.lines();
                for line in String::from_utf8_lossy(&before).lines() {
                    let key = line.split(':').next().unwrap_or(line);
                    prop_assert!(lines.any(|kept| kept == line || kept.starts_with(key)), "lost {line:?}\n{after}");
                }
            }
        }
    }
}
