//! Queue DBs: damaged, locked, of other schemas, interrupted.

use super::*;
use crate::worlds::fresh;

#[test]
fn queue_of_zero_bytes_is_an_empty_queue() {
    let world = world();
    world.write_state("queue.db", b"");
    world.write_state(&format!("queues/{}", world.scope().queue_file_name()), b"");
    let json = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(json["faults"], serde_json::json!([]), "{json:#}");
    let counts = ["active_queue", "legacy_queue"]
        .map(|queue| ["event_count", "body_upload_count"].map(|count| json[queue][count].as_u64()));
    assert_eq!(counts, [[Some(0); 2]; 2], "{json:#}");
    assert_eq!(json["legacy_queue"]["rows_in_scope"], 0);
    // And it fills like any other.
    world.run(["sync", "migrate"]).exits(0);
    world.init_project();
    world.run(["agent", "mission", "create", "some-mission"]).exits(0);
    let json = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert!(json["active_queue"]["event_count"].as_u64() > Some(0), "{json:#}");
    assert_eq!(
        std::fs::metadata(world.root().join("queue.db")).unwrap().len(),
        0,
        "nothing was written there"
    );
}

#[test]
fn legacy_queue_of_random_bytes() {
    let world = world();
    world.write_state("queue.db", &noise(64 * 1024));
    refuses_with(&world, "legacy_queue_unreadable", "queue.db", "doctor repair");
    world.run(["doctor", "repair"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn active_queue_of_random_bytes() {
    let world = world();
    let name = world.scope().queue_file_name();
    world.write_state(&format!("queues/{name}"), &noise(64 * 1024));
    refuses_with(&world, "active_queue_unreadable", &name, "doctor repair");
}

#[test]
fn queue_locked_by_a_writer_is_busy_and_not_fine() {
    let world = world();
    let queue = ReferenceQueue::create(&world.root().join("queue.db"));
    queue.event("01KRX0000000000000000000A1", None);
    let holder = rusqlite::Connection::open(queue.path()).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    for arguments in [&["sync", "status", "--check"][..], &["sync", "status"], &["sync", "now"]] {
        let run = world.run(arguments).exits(69);
        assert!(run.stderr.contains("queue.db"), "{}", run.stderr);
    }
    let json = world.run(["sync", "status", "--check", "--json"]).exits(69).json();
    assert_eq!(json["exit_code"], 69);
    drop(holder);
    world.run(["sync", "status", "--check"]).exits(2);
}

/// A read waits a quarter of a second for a lock, not the ten seconds of a migration.
#[rstest]
#[case::parked_list(&["sync", "parked", "list"])]
#[case::parked_export(&["sync", "parked", "export"])]
#[case::migrate_dry_run(&["sync", "migrate", "--dry-run"])]
#[case::gc_dry_run(&["sync", "gc", "--dry-run"])]
fn verb_that_only_looks_does_not_wait_as_long_as_one_that_writes(#[case] argv: &[&str]) {
    let world = world();
    world.init_project();
    world.run(["agent", "mission", "create", "earlier"]).exits(0);
    let holder = rusqlite::Connection::open(world.home().scoped_queue(&world.scope())).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let run = world.run(argv).exits(69);
    let (_, waited) = run.stderr.split_once("stayed locked for ").unwrap();
    let waited: u64 = waited.split(' ').next().unwrap().parse().unwrap();
    assert!(waited < 5_000, "{}", run.stderr);
}

/// A command that may write waits for a locked queue as long as its own write would, and not only as long
/// as a look.
#[rstest]
#[case::active(true)]
#[case::legacy(false)]
fn released_queue_lock_blocks_no_command(#[case] active: bool) {
    let world = world();
    world.init_project();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    world.run(["agent", "mission", "create", "earlier"]).exits(0);
    let path = if active { world.home().scoped_queue(&world.scope()) } else { legacy.path().to_owned() };
    let holder = rusqlite::Connection::open(path).unwrap();
    // One that has changed something: what an earlier look counted holds no longer.
    holder.execute_batch("BEGIN EXCLUSIVE; CREATE TABLE another (key TEXT)").unwrap();
    world.run(["sync", "status", "--check"]).exits(69);
    let mut command = world.command();
    command.args(["agent", "mission", "create", "some-mission"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Far longer than a look waits, far shorter than a write does; there is nothing else to wait for.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(child.try_wait().unwrap(), None, "it waits");
    holder.execute_batch("COMMIT").unwrap();
    drop(holder);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn hot_journal_of_legacy_queue_is_rolled_back_by_a_cure_only() {
    let world = world();
    leave_hot_journal(&world.root().join("queue.db"));
    let before = snapshot(world.user_home());
    let json = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    let text = world.run(["sync", "status", "--check"]).exits(2);
    assert_eq!(json["faults"][0]["code"], "queue_recovery_needed", "{json:#}");
    assert_eq!(json["legacy_queue"]["event_count"], serde_json::Value::Null, "never zero");
    assert!(
        text.stdout.contains("queue_recovery_needed") && text.stdout.contains("sync migrate"),
        "{}",
        text.stdout
    );
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    world.run(["sync", "migrate"]).exits(0);
    let after = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(after["active_queue"]["event_count"], 1, "what was committed was kept: {after:#}");
}

#[test]
fn hot_journal_without_login_waits_for_login_then_cure() {
    let world = fresh();
    std::fs::create_dir_all(world.root()).unwrap();
    leave_hot_journal(&world.root().join("queue.db"));
    let before = snapshot(world.user_home());
    world.run(["sync", "status", "--check"]).exits(2);
    let refused = world.run(["sync", "migrate", "--json"]).exits(2).json();
    assert_eq!(refused["error_code"], "SAAS_SYNC_UNAUTHENTICATED");
    assert_eq!(
        refused["remediation"][0], "spec-kitty auth login --server URL",
        "the way out does not lead back here"
    );
    assert_eq!(difference(&before, &snapshot(world.user_home())), Vec::<String>::new());
    world.log_in();
    world.run(["sync", "migrate"]).exits(0);
    world.run(["sync", "status", "--check"]).exits(0);
}

#[test]
fn hot_journal_of_active_queue_allows_writing_commands() {
    let world = world();
    world.init_project();
    let queue = world.home().scoped_queue(&world.scope());
    std::fs::create_dir_all(queue.parent().unwrap()).unwrap();
    for cure in [&["agent", "mission", "create", "some-mission"][..], &["sync", "migrate"]] {
        // The file is another program's each time: nothing in this home shows that ours existed.
        let _ = std::fs::remove_file(queue.with_extension("id"));
        leave_hot_journal(&queue);
        let check = world.run(["sync", "status", "--check"]).exits(2);
        assert!(check.stdout.contains("spec-kitty sync migrate"), "{}", check.stdout);
        world.run(cure).exits(0);
        world.run(["sync", "status", "--check"]).exits(0);
    }
}

#[test]
fn older_schemas_are_counted_and_migrated_like_the_others() {
    let world = world();
    let path = world.root().join("queue.db");
    std::fs::create_dir_all(world.root()).unwrap();
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE queue (id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT UNIQUE NOT NULL, event_type TEXT NOT NULL,
           data TEXT NOT NULL, timestamp INTEGER NOT NULL, retry_count INTEGER DEFAULT 0);
         INSERT INTO queue (event_id, event_type, data, timestamp) VALUES ('e1', 'T', '{\"event_id\": \"e1\", \"event_type\": \"T\"}', 1000);
         CREATE TABLE body_upload_queue (id INTEGER PRIMARY KEY AUTOINCREMENT, project_uuid TEXT NOT NULL,
           feature_slug TEXT NOT NULL, target_branch TEXT NOT NULL, mission_key TEXT NOT NULL, manifest_version TEXT NOT NULL,
           artifact_path TEXT NOT NULL, content_hash TEXT NOT NULL, hash_algorithm TEXT NOT NULL DEFAULT 'sha256',
           content_body TEXT NOT NULL, size_bytes INTEGER NOT NULL, retry_count INTEGER NOT NULL DEFAULT 0,
           next_attempt_at REAL NOT NULL DEFAULT 0.0, created_at REAL NOT NULL, last_error TEXT,
           UNIQUE(project_uuid, feature_slug, target_branch, mission_key, manifest_version, artifact_path, content_hash));
         INSERT INTO body_upload_queue (project_uuid, feature_slug, target_branch, mission_key, manifest_version,
           artifact_path, content_hash, content_body, size_bytes, created_at)
           VALUES ('p', 'f', 'main', 'software-dev', '1', 'spec.md', 'h', '# Spec', 6, 1.0);",
    )
    .unwrap();
    drop(db);
    let before = world.run(["sync", "status", "--check", "--json"]).exits(2).json();
    assert_eq!(before["legacy_queue"]["rows_in_scope"], 2, "{before:#}");
    world.run(["sync", "migrate"]).exits(0);
    let after = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(after["active_queue"]["event_count"], 1);
    assert_eq!(after["active_queue"]["body_upload_count"], 1, "{after:#}");
}
