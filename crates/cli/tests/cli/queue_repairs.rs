//! Queue DBs that are readable and unusable. Each is a fault that names `doctor repair`, and the repair saves every
//! row. In a real process.

use crate::worlds::*;
use contract::Scope;
use serde_json::Value;
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::{SERVER, USER, session};

fn waiting(world: &World) -> Value {
    world.run(["sync", "status", "--json"]).json()["active_queue"]["event_count"].clone()
}

/// The one fault that `--check` shows.
#[track_caller]
fn fault(world: &World) -> Value {
    let status = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let faults = status["faults"].as_array().or_else(|| status["preflight"]["faults"].as_array());
    let faults = faults.unwrap_or_else(|| panic!("{status:#}"));
    assert_eq!(faults.len(), 1, "{status:#}");
    assert_eq!(faults[0]["remediation_hint"], "spec-kitty doctor repair", "{status:#}");
    faults[0].clone()
}

#[test]
fn queue_without_tables_or_schema_number_is_rebuilt_whole() {
    for spoil in [
        "DROP TABLE tallies",
        "DROP TABLE parked",
        "DROP TABLE imported",
        "DROP TABLE body_upload_queue",
        "DROP TABLE meta",
        "DROP TRIGGER bound",
        "DELETE FROM meta",
        "DELETE FROM meta WHERE key = 'schema_version'",
        "UPDATE meta SET value = 'abc' WHERE key = 'schema_version'",
        "UPDATE meta SET value = -1 WHERE key = 'schema_version'",
        "UPDATE meta SET value = x'ff00' WHERE key = 'queue_id'",
        "DROP TABLE meta; CREATE TABLE meta (other TEXT)",
        "DROP TABLE parked; CREATE VIEW parked AS SELECT * FROM queue",
        // What a drain found, which no check of pages finds.
        "INSERT INTO meta(key, value) VALUES ('damaged', 'an index disagrees with its table')",
    ] {
        let (world, slug) = with_mission();
        let before = waiting(&world);
        assert!(before.as_u64().unwrap() > 0);
        scoped(&world).execute_batch(spoil).unwrap();
        assert_eq!(fault(&world)["code"], "active_queue_unreadable", "{spoil}");
        let refused = world.run(["agent", "mission", "create", "gadgets"]).exits(2);
        assert!(refused.stderr.contains("spec-kitty doctor repair"), "{spoil}: {refused:?}");

        let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
        let action = &repaired["actions"][0];
        assert_eq!(
            (&action["action"], &action["salvaged"]["events"]),
            (&"salvaged".into(), &before),
            "{spoil}"
        );
        world.run(["sync", "status", "--check"]).exits(0);
        assert_eq!(waiting(&world), before, "{spoil}");
        assert_eq!(world.run(["doctor", "repair"]).exits(0).stdout, "nothing to repair\n", "{spoil}");
        world.run(["sync", "parked", "list"]).exits(0);
        world.run(["agent", "tasks", "list", "--mission", &slug]).exits(0);
        world.run(["agent", "mission", "create", "gadgets"]).exits(0);
        assert!(waiting(&world).as_u64() > before.as_u64(), "{spoil}");
    }
}

#[test]
fn table_that_lacks_a_column_is_found_by_the_repair() {
    let (world, _) = with_mission();
    let before = waiting(&world);
    scoped(&world).execute_batch("ALTER TABLE receipts RENAME COLUMN server TO host").unwrap();
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    assert_eq!(repaired["actions"][0]["salvaged"]["events"], before, "{repaired:#}");
    assert_eq!(world.run(["doctor", "repair"]).exits(0).stdout, "nothing to repair\n");
}

#[test]
fn legacy_table_of_another_kind_is_made_an_ordinary_one() {
    let world = logged_in();
    let path = world.root().join("queue.db");
    ReferenceQueue::create(&path).many_events(5);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(
        "ALTER TABLE queue RENAME TO old;
         CREATE TABLE queue (event_id TEXT PRIMARY KEY, event_type TEXT, data TEXT, timestamp INTEGER,
            retry_count INTEGER) WITHOUT ROWID;
         INSERT INTO queue SELECT event_id, event_type, data, timestamp, retry_count FROM old;
         DROP TABLE old",
    )
    .unwrap();
    drop(conn);
    assert_eq!(fault(&world)["code"], "legacy_queue_unreadable");
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    assert_eq!(repaired["actions"][0]["salvaged"]["events"], 5, "{repaired:#}");
    let moved = world.run(["sync", "migrate", "--json"]).exits(0).json();
    assert_eq!(moved["moved"]["event_rows"], 5, "{moved:#}");
}

#[test]
fn copied_queue_rows_are_hidden_and_left_behind() {
    let (world, _) = with_mission();
    let ours = world.home().scoped_queue(&world.scope());
    let theirs = Scope::new(SERVER, "mallory@example.com", "team-other-02");
    // The rows of this account under the name of the other one, and the other one logs in.
    let copied = world.home().scoped_queue(&theirs);
    std::fs::copy(&ours, &copied).unwrap();
    world.write_session(&session(SERVER, "mallory@example.com", "team-other-02"));
    let found = fault(&world);
    assert_eq!(
        (&found["code"], &found["detail"]),
        (&"active_queue_unreadable".into(), &"holds the rows of another scope".into())
    );
    assert!(found["path"].as_str().unwrap().ends_with(copied.file_name().unwrap().to_str().unwrap()));
    for verb in [&["sync", "preview"][..], &["sync", "parked", "list"], &["sync", "now"]] {
        let run = world.run(verb.iter().copied());
        assert_eq!(run.code, Some(2), "{verb:?}: {run:?}");
        assert!(!run.stdout.contains("MissionCreated"), "{verb:?}: {run:?}");
    }
    let refused = world.run(["agent", "mission", "create", "gadgets"]).exits(2);
    assert!(refused.stderr.contains("active_queue_unreadable"), "{refused:?}");

    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    let action = &repaired["actions"][0];
    assert_eq!((&action["action"], action.get("salvaged")), (&"moved_aside".into(), None), "{repaired:#}");
    world.run(["sync", "status", "--check"]).exits(0);
    assert_eq!(waiting(&world), 0);
}

#[test]
fn foreign_claims_table_is_a_fault_that_repair_fixes() {
    for spoil in [
        "CREATE TABLE claims (id INTEGER PRIMARY KEY, amount REAL); INSERT INTO claims VALUES (1, 2.5)",
        "CREATE VIEW claims AS SELECT * FROM queue",
        "CREATE TABLE claims (\"table\" TEXT, key TEXT, scope TEXT, note TEXT NOT NULL)",
    ] {
        let world = logged_in();
        let path = world.root().join("queue.db");
        ReferenceQueue::create(&path).many_events(5);
        rusqlite::Connection::open(&path).unwrap().execute_batch(spoil).unwrap();
        let found = fault(&world);
        assert_eq!(found["code"], "legacy_queue_unreadable", "{spoil}");
        assert!(found["detail"].as_str().unwrap().contains("`claims`"), "{spoil}: {found:#}");
        for verb in [&["sync", "migrate", "--dry-run"][..], &["sync", "migrate"]] {
            let refused = world.run(verb.iter().copied()).exits(2);
            assert!(refused.stderr.contains("spec-kitty doctor repair"), "{spoil}: {refused:?}");
        }
        let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
        let action = &repaired["actions"][0];
        assert_eq!(action["salvaged"]["events"], 5, "{spoil}: {repaired:#}");
        assert_eq!(action["salvaged"]["left"], u64::from(spoil.contains("INSERT")), "{spoil}: {repaired:#}");
        let moved = world.run(["sync", "migrate", "--json"]).exits(0).json();
        assert_eq!(moved["moved"]["event_rows"], 5, "{spoil}: {moved:#}");
    }
}

#[test]
fn rows_behind_damage_are_reported_in_the_old_file() {
    let world = logged_in();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.many_events(200);
    drop(legacy);
    world.run(["sync", "migrate"]).exits(0);
    let path = world.home().scoped_queue(&world.scope());
    let root: i64 = scoped(&world)
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'queue'", [], |row| row.get(0))
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[(root as usize - 1) * 4096..][..8].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let text = world.run(["doctor", "repair"]).exits(0).stdout;
    for said in [
        "saved 0 of 200 events",
        "or reached only through them, are only in the old file",
        ".recover",
        "spec-kitty sync capture --history",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let aside = text.lines().find_map(|line| line.split_once(" aside: ")).unwrap().1;
    assert_eq!(std::fs::read(aside.trim_end_matches("-journal")).unwrap(), bytes, "as it was");
    world.run(["sync", "status", "--check"]).exits(0);
}

/// The first page of a table is overwritten.
fn spoil_table(path: &std::path::Path, table: &str) {
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let conn = rusqlite::Connection::open(path).unwrap();
    let root: i64 = conn.query_row(sql, [table], |row| row.get(0)).unwrap();
    drop(conn);
    let mut bytes = std::fs::read(path).unwrap();
    bytes[(root as usize - 1) * 4096..][..8].fill(0xa5);
    std::fs::write(path, &bytes).unwrap();
}

#[test]
fn lost_bytes_of_delivered_rows_are_reported_by_the_repair() {
    let unknown = "it is not known how many kept bytes of delivered rows are lost";
    for (spoiled, lost) in [
        (&["queue"][..], Some(false)),
        (&["sent"], Some(true)),
        (&["receipts"], None),
        (&["sent", "meta"], None),
        (&[], None),
    ] {
        let (world, server) = with_server();
        world.run(["agent", "mission", "create", "sample"]).exits(0);
        world.run(["sync", "now"]).exits(0);
        world.run(["agent", "mission", "create", "another"]).exits(0);
        let path = world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team));
        let total = "SELECT SUM(bytes) FROM sent";
        let conn = rusqlite::Connection::open(&path).unwrap();
        let total: i64 = conn.query_row(total, [], |row| row.get(0)).unwrap();
        drop(conn);
        spoiled.iter().for_each(|table| spoil_table(&path, table));
        if spoiled.is_empty() {
            std::fs::write(&path, "no database at all").unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
        std::fs::write(&path, bytes).unwrap();
        let text = world.run(["doctor", "repair"]).exits(0).stdout;
        let action = &repaired["actions"][0];
        let said = match lost {
            Some(false) => {
                assert!(action.get("sent_lost").is_none(), "{spoiled:?}: {repaired:#}");
                assert!(!text.contains("kept byte"), "{spoiled:?}: {text}");
                continue;
            }
            Some(true) => {
                assert_eq!(action["sent_lost"]["bytes"], total, "{spoiled:?}: {repaired:#}");
                format!("{total} kept bytes of delivered rows are lost")
            }
            None => {
                assert_eq!(action["sent_lost"]["bytes"], Value::Null, "{spoiled:?}: {repaired:#}");
                unknown.to_owned()
            }
        };
        let said =
            format!("{said}: these rows cannot be sent again to a server that is restored from a backup");
        assert_eq!(action["sent_lost"]["text"], said, "{spoiled:?}: {repaired:#}");
        assert!(text.contains(&format!("  {said}\n")), "{spoiled:?}: {text}");
    }
}

/// Damage of a table that the gate does not read.
#[test]
fn delivery_from_a_damaged_queue_is_refused_and_named() {
    for table in ["queue", "bindings", "tallies"] {
        let (world, server) = with_server();
        world.run(["agent", "mission", "create", "sample"]).exits(0);
        let path = world.home().scoped_queue(&Scope::new(&server.url(), USER, &server.team));
        spoil_table(&path, table);
        for argv in
            [&["sync", "now"][..], &["sync", "now", "--json"], &["sync", "now", "--no-strict", "--json"]]
        {
            let now = world.run(argv.iter().copied()).exits(2);
            assert!(format!("{now:?}").contains("spec-kitty doctor repair"), "{table}: {now:?}");
        }
        world.run(["doctor", "repair"]).exits(0);
        world.run(["sync", "status", "--check"]).exits(0);
    }
}

#[cfg(unix)]
#[test]
fn repair_leaves_private_files_and_no_debris() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for salvaged in [true, false] {
        let (world, _) = with_mission();
        let path = world.home().scoped_queue(&world.scope());
        let queues = path.parent().unwrap();
        if salvaged {
            scoped(&world).execute_batch("DROP TABLE parked").unwrap();
        } else {
            std::fs::write(&path, "no database at all").unwrap();
        }
        open(&path, 0o644);
        open(queues, 0o755);
        open(&world.root(), 0o755);
        let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
        let moved = repaired["actions"][0]["moved_to"].as_array().unwrap();
        let moved: Vec<_> = moved.iter().map(|path| Path::new(path.as_str().unwrap())).collect();
        assert!(moved.iter().all(|path| mode(path) == 0o600), "{repaired:#}");
        assert_eq!((mode(queues), mode(&world.root())), (0o700, 0o700), "{repaired:#}");
        let mut names: Vec<_> =
            std::fs::read_dir(queues).unwrap().map(|entry| entry.unwrap().path()).collect();
        let record = queue::birth_record(&path).unwrap();
        names.retain(|name| ![&path, &record].contains(&name) && !moved.contains(&name.as_path()));
        assert_eq!(names, Vec::<std::path::PathBuf>::new(), "the queue, and the old one beside it");
        assert!(!salvaged || mode(&path) == 0o600);
    }
}
