//! Backup under load, restore, and examination of a data directory.

use super::world::{PROJECT, TEAM, World, body_of, event, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{Lifetimes, ServerCheck, ServerError, ServerLimits, back_up, examine, restore};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[test]
fn backup_under_load_restores_to_a_prefix() {
    let mut world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup.db");
    assert_eq!(statuses(&world.batch(&token, TEAM, &[indexed(1, "spec.md", "# Spec\n")])), ["success"]);
    assert_eq!(world.push(&token, &body_of("spec.md", "# Spec\n")).status, 201);
    let (acknowledged, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let contents = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 100;
            while !stop.load(Ordering::Relaxed) && n < 20_000 {
                let events: Vec<Value> = (n..n + 20).map(event).collect();
                assert_eq!(statuses(&world.batch(&token, TEAM, &events)), ["success"; 20]);
                n += 20;
                acknowledged.store(n, Ordering::SeqCst);
            }
        });
        while acknowledged.load(Ordering::SeqCst) < 200 {
            std::thread::yield_now();
        }
        let before = acknowledged.load(Ordering::SeqCst);
        let contents = back_up(world.data.path(), &file);
        stop.store(true, Ordering::Relaxed);
        let contents = contents.unwrap();
        assert!(contents.events > before - 100, "what was acknowledged before is in it");
        contents
    });
    assert_eq!(contents.bodies, 1);
    let again = back_up(world.data.path(), &file).unwrap_err();
    assert!(matches!(again, ServerError::BackupExists(_)), "{again}");

    let busy = restore(world.data.path(), &file, true).unwrap_err();
    assert!(matches!(busy, ServerError::InUse(_)), "{busy}");
    world.stop();
    let kept = restore(world.data.path(), &file, false).unwrap_err();
    assert!(matches!(kept, ServerError::StoreExists(_)), "{kept}");
    let (restored, aside) = restore(world.data.path(), &file, true).unwrap();
    assert_eq!(restored.events, contents.events);
    assert!(aside.unwrap().exists(), "nothing is deleted");
    world.start();
    let held = world.get(&token, &format!("{}?limit=1", endpoint::INSPECT_EVENTS)).json();
    assert_eq!(held["total"], contents.events);
    // A prefix: the events of the first batches, without a gap.
    let mut ids = BTreeSet::new();
    let mut after = json!(0);
    while !after.is_null() {
        let page = world.get(&token, &format!("{}?after={after}", endpoint::INSPECT_EVENTS)).json();
        let rows = page["rows"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["event_id"].as_str().unwrap().to_owned()));
        after = page["next"].clone();
    }
    let id = |n: u64| event(n)["event_id"].as_str().unwrap().to_owned();
    let prefix: BTreeSet<String> = (100..100 + contents.events - 1).map(id).chain([id(1)]).collect();
    assert_eq!(ids, prefix);
    assert_eq!(
        world.get(&token, &format!("{}?project={PROJECT}", endpoint::INSPECT_BODIES)).json()["total"],
        1
    );
}

#[test]
fn damaged_backup_replaces_nothing() {
    let mut world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    world.batch(&token, TEAM, &[event(1)]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup.db");
    back_up(world.data.path(), &file).unwrap();
    let other = testkit::gzip(json!({ "events": [event(7)] }).to_string().as_bytes());
    rusqlite::Connection::open(&file).unwrap().execute("UPDATE blocks SET packed = ?1", [other]).unwrap();
    world.stop();
    let refused = restore(world.data.path(), &file, true).unwrap_err();
    assert!(matches!(&refused, ServerError::DamagedBackup(path, _) if *path == file), "{refused}");
    let foreign = directory.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let refused = restore(world.data.path(), &foreign, true).unwrap_err();
    assert!(matches!(&refused, ServerError::NotBackup(path) if *path == foreign), "{refused}");
    let page = directory.path().join("page.html");
    std::fs::write(&page, "<!doctype html>\n".repeat(100)).unwrap();
    for other in [page.as_path(), directory.path()] {
        let refused = restore(world.data.path(), other, true).unwrap_err();
        assert_eq!(refused.to_string(), format!("{} is not a backup of this server", other.display()));
        assert!(format!("{:?}", refused.remedy()).contains("spec-kitty server backup"));
    }
    let absent = restore(world.data.path(), &directory.path().join("absent.db"), true).unwrap_err();
    assert!(matches!(absent, ServerError::NoBackup(_)), "{absent}");
    world.start();
    assert_eq!(world.held_events(&token).len(), 1);
    let names = std::fs::read_dir(world.data.path()).unwrap().flatten();
    assert!(names.map(|entry| entry.file_name()).all(|name| !name.to_string_lossy().contains("partial")));
}

#[test]
fn damaged_database_is_not_backed_up() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    world.batch(&world.token(), TEAM, &[event(1)]);
    let database = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    database.execute("UPDATE events SET digest = x'00'", []).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backup.db");
    let refused = back_up(world.data.path(), &file).unwrap_err();
    let store = world.data.path().join("server.db");
    assert!(matches!(&refused, ServerError::Damaged(path, _) if *path == store), "{refused}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn damaged_pages_are_reported_with_the_way_back() {
    let mut world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    let token = world.token();
    world.batch(&token, TEAM, &(1..200).map(event).collect::<Vec<_>>());
    let directory = tempfile::tempdir().unwrap();
    // The way of the record from another working directory needs an absolute path.
    let file = directory.path().join("the backup.db");
    back_up(world.data.path(), &file).unwrap();
    world.stop();
    let store = world.data.path().join("server.db");
    let connection = rusqlite::Connection::open(&store).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").unwrap();
    let root =
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'events'";
    let (page, size): (u32, u32) =
        connection.query_row(root, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let (page, size) = (page as usize, size as usize);
    drop(connection);
    let mut bytes = std::fs::read(&store).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xA5);
    std::fs::write(&store, &bytes).unwrap();

    let checks = examine(world.data.path()).unwrap();
    let found = checks.into_iter().find(|finding| finding.check == ServerCheck::Database).unwrap();
    assert!(!found.ok && !found.detail.contains(['\n', '*']), "{found:?}");
    let (data, from) = (world.data.path().display(), file.display());
    let way = format!("`spec-kitty server restore --data {data} --from '{from}' --replace`");
    assert!(found.remedy.as_ref().unwrap().contains(&way), "{found:?}");
    let refused = back_up(world.data.path(), &directory.path().join("second.db")).unwrap_err();
    assert!(matches!(&refused, ServerError::Damaged(path, _) if *path == store), "{refused}");
    assert!(format!("{:?}", refused.remedy()).contains(&way));
    assert_eq!(restore(world.data.path(), &file, true).unwrap().0.events, 199);
}

#[test]
fn doctor_names_what_is_wrong_and_what_to_do() {
    let world = World::in_directory(ServerLimits::default(), Lifetimes::default());
    world.batch(&world.token(), TEAM, &[event(1)]);
    let found = |check: ServerCheck| {
        let checks = examine(world.data.path()).unwrap();
        checks.into_iter().find(|finding| finding.check == check).unwrap()
    };
    let backup = found(ServerCheck::Backup);
    let remedy = format!("`spec-kitty server backup --data {} --to FILE`", world.data.path().display());
    assert!(!backup.ok && backup.remedy.unwrap().contains(&remedy));
    let directory = tempfile::tempdir().unwrap();
    back_up(world.data.path(), &directory.path().join("backup.db")).unwrap();
    assert!(examine(world.data.path()).unwrap().iter().all(|finding| finding.ok));
    assert!(found(ServerCheck::Server).detail.contains("a server uses"));
    let database = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    database.execute("UPDATE blocks SET received_at = received_at + 3600000", []).unwrap();
    assert!(!found(ServerCheck::Clock).ok);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = world.data.path().join("server.db");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let permissions = found(ServerCheck::Permissions);
        assert!(!permissions.ok && permissions.detail.contains("server.db"), "{permissions:?}");
    }
    assert!(examine(&directory.path().join("nothing")).is_err());
}
