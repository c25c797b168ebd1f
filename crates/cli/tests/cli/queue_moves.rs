//! Rows that move: captured from a mission's history, moved from the legacy queue DB or an old account's, settled
//! after an interruption, salvaged from a damaged file. In a real process.

use crate::worlds::*;
use contract::Scope;
use rusqlite::Connection;
use serde_json::Value;
use std::fmt::Write as _;
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{difference, snapshot};
use testkit::world::{SERVER, TEAM, USER, session};

/// Damages the page that contains `text`.
fn destroy_page_with(path: &std::path::Path, text: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at / 4096 * 4096..][..4096].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

/// A world with a mission that is not captured.
fn uncaptured() -> (World, String) {
    let world = logged_in();
    let created =
        world.run(["agent", "mission", "create", "widgets", "--local-only", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap().to_owned();
    (world, slug)
}

#[test]
fn history_beside_a_damaged_line_is_captured_with_a_warning() {
    let (world, slug) = uncaptured();
    let slug = slug.as_str();
    let log = world.work().join("kitty-specs").join(slug).join("status.events.jsonl");
    let mut text = std::fs::read_to_string(&log).unwrap();
    text.push_str("{\"event_id\": \"01K");
    std::fs::write(&log, &text).unwrap();
    let preview = world.run(["sync", "capture", "--history", slug]).exits(2);
    assert!(
        preview.stdout.contains("1 MissionCreated") && preview.stdout.contains("warning: "),
        "{preview:?}"
    );
    let done = world.run(["sync", "capture", "--history", slug, "--yes", "--json"]).exits(0);
    let document = done.json();
    assert!(document["warnings"][0].as_str().unwrap().contains("status.events.jsonl line "), "{document:#}");
    assert!(done.stderr.contains("doctor repair --mission") && document["events"]["MissionCreated"] == 1);
    assert_eq!(std::fs::read_to_string(&log).unwrap(), text);
}

#[test]
fn history_is_captured_after_a_preview_and_once() {
    let (world, slug) = uncaptured();
    let slug = slug.as_str();
    assert!(!world.root().join("queues").exists());
    let before = snapshot(world.user_home().parent().unwrap());
    let preview = world.run(["sync", "capture", "--history", slug, "--json"]).exits(2).json();
    assert_eq!((&preview["result"], &preview["known"]), (&"preview".into(), &0.into()), "{preview:#}");
    let facts = preview["new"].as_u64().unwrap();
    assert!(facts >= 2 && preview["events"]["MissionCreated"] == 1, "{preview:#}");
    let unknown = world.run(["sync", "capture", "--history", "coffee"]).exits(1);
    assert!(
        unknown.stderr.contains("pass --history with one of the available missions"),
        "{}",
        unknown.stderr
    );
    let text = world.run(["sync", "capture", "--history", slug]).exits(2);
    assert!(text.stdout.contains("1 MissionCreated") && text.stderr.contains("--yes"), "{text:?}");
    assert_eq!(difference(&before, &snapshot(world.user_home().parent().unwrap())), Vec::<String>::new());

    let done = world.run(["sync", "capture", "--history", slug, "--yes", "--json"]).exits(0).json();
    assert_eq!(
        (&done["result"], &done["capture"]["state"]),
        (&"captured".into(), &"captured".into()),
        "{done:#}"
    );
    let foreseen = (facts + preview["index_events"].as_u64().unwrap(), &preview["documents"]);
    let captured = (done["capture"]["events"].as_u64().unwrap(), &done["capture"]["bodies"]);
    assert_eq!(foreseen, captured, "what was foreseen is captured");
    let db = scoped(&world);
    let log =
        std::fs::read_to_string(world.work().join("kitty-specs").join(slug).join("status.events.jsonl"))
            .unwrap();
    let created: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    let waits: bool = db
        .prepare("SELECT 1 FROM queue WHERE event_id = ?1")
        .unwrap()
        .exists([created["event_id"].as_str().unwrap()])
        .unwrap();
    assert!(waits, "a fact keeps the id of its row");
    let rows = (count(&db, "queue"), count(&db, "body_upload_queue"));
    let again = world.run(["sync", "capture", "--history", slug, "--yes", "--json"]).exits(0).json();
    assert_eq!(
        (&again["capture"]["events"], &again["capture"]["already"]),
        (&0.into(), &facts.into()),
        "{again:#}"
    );
    assert_eq!((count(&db, "queue"), count(&db, "body_upload_queue")), rows);
    let preview = world.run(["sync", "capture", "--history", slug, "--json"]).exits(2).json();
    assert_eq!((&preview["new"], &preview["known"]), (&0.into(), &facts.into()));
}

/// A log of this length is captured in several transactions.
#[test]
fn long_history_is_captured_in_order_or_refused_whole() {
    const ROWS: usize = 2_500;
    let (world, slug) = uncaptured();
    let slug = slug.as_str();
    let log = world.work().join("kitty-specs").join(slug).join("status.events.jsonl");
    let mut text = std::fs::read_to_string(&log).unwrap();
    for row in 0..ROWS {
        let (from, to) = [("planned", "claimed"), ("claimed", "planned")][row % 2];
        let _ = writeln!(
            text,
            "{{\"actor\": \"dev\", \"at\": \"2026-12-01T00:00:00.{row:06}+00:00\", \"event_id\": \"01KVX{row:021}\", \
             \"evidence\": null, \"execution_mode\": \"worktree\", \"force\": true, \"from_lane\": \"{from}\", \
             \"mission_slug\": \"{slug}\", \"policy_metadata\": null, \"reason\": \"again\", \"review_ref\": null, \
             \"to_lane\": \"{to}\", \"wp_id\": \"WP01\"}}"
        );
    }
    std::fs::write(&log, &text).unwrap();
    world.write_config(&format!("[sync]\nserver_url = \"{SERVER}\"\nmax_queue_size = 2000\n"));
    let full = world.run(["sync", "capture", "--history", slug, "--yes"]).exits(1);
    assert!(full.stderr.contains("`sync.max_queue_size` is 2000"), "{}", full.stderr);
    let db = scoped(&world);
    assert_eq!((count(&db, "queue"), count(&db, "prepared")), (0, 0), "nothing is captured in part");

    world.write_config(&format!("[sync]\nserver_url = \"{SERVER}\"\nmax_queue_size = 9000\n"));
    let done = world.run(["sync", "capture", "--history", slug, "--yes", "--json"]).exits(0).json();
    assert_eq!(done["events"]["WPStatusChanged"], ROWS, "{done:#}");
    assert_eq!(done["capture"]["waiting"], count(&db, "queue") + count(&db, "body_upload_queue"), "{done:#}");
    // In the order of the log, each with a later value of the clock, all of one chain.
    let mut select = db.prepare("SELECT event_id, data FROM queue ORDER BY timestamp, id").unwrap();
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
    let rows: Vec<(String, Value)> =
        rows.map(Result::unwrap).map(|(id, data)| (id, serde_json::from_str(&data).unwrap())).collect();
    let moved: Vec<&String> = rows.iter().map(|(id, _)| id).filter(|id| id.starts_with("01KVX")).collect();
    assert!(moved.len() == ROWS && moved.is_sorted());
    assert!(rows.iter().map(|(_, event)| event["lamport_clock"].as_u64().unwrap()).is_sorted());
    assert!(rows.iter().all(|(_, event)| event["correlation_id"] == rows[0].1["correlation_id"]));
}

#[test]
fn history_that_the_contract_refuses_stays_and_is_named() {
    let (world, slug) = uncaptured();
    let slug = slug.as_str();
    let log = world.work().join("kitty-specs").join(slug).join("status.events.jsonl");
    let bad = format!(
        "{{\"actor\": \"dev\", \"at\": \"no moment\", \"event_id\": \"{EVENT}\", \"execution_mode\": \"worktree\", \
         \"force\": false, \"from_lane\": \"planned\", \"mission_slug\": \"{slug}\", \"to_lane\": \"claimed\", \
         \"wp_id\": \"WP01\"}}\n"
    );
    std::fs::write(&log, std::fs::read_to_string(&log).unwrap() + &bad).unwrap();
    let done = world.run(["sync", "capture", "--history", slug, "--yes", "--json"]).exits(0).json();
    assert_eq!(done["refused"][0]["event_id"], EVENT, "{done:#}");
    assert!(done["capture"]["events"].as_u64().unwrap() >= 2);
    assert!(
        !scoped(&world).prepare("SELECT 1 FROM queue WHERE event_id = ?1").unwrap().exists([EVENT]).unwrap()
    );
}

#[test]
fn with_the_switch_off_no_history_is_captured() {
    let mut world = logged_in();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    let run = world.run(["sync", "capture", "--history", "widgets", "--yes", "--json"]).exits(0);
    assert_eq!(run.json()["result"], "disabled");
    assert!(!world.root().join("queues").exists());
}

#[test]
fn old_scope_rows_are_copied_on_yes_and_held() {
    let world = logged_in();
    let old = Scope::new("https://gone.invalid", USER, TEAM);
    world.log_in_at("https://gone.invalid");
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    let theirs = Connection::open(world.home().scoped_queue(&old)).unwrap();
    let rows = (count(&theirs, "queue"), count(&theirs, "body_upload_queue"));
    world.log_in();
    let hash = &old.hash()[..16];
    let argv = ["sync", "migrate", "--from-scope", hash];

    // Rows that are not copied are named, with the command that takes them along.
    theirs
        .execute(
            "INSERT INTO parked(kind, key, digest, place, reason, detail, parked_at, head)
             VALUES (0, 'x', x'00', 0, 'rejected', '', 1, '{}')",
            [],
        )
        .unwrap();
    let before = snapshot(&world.root());
    let preview = world.run(argv.iter().chain(&["--json"])).exits(2).json();
    assert_eq!(
        preview["left"],
        serde_json::json!({ "parked": 1, "prepared": 0, "failure_log_rows": 0 }),
        "{preview:#}"
    );
    assert_eq!((&preview["result"], &preview["owner"]), (&"preview".into(), &USER.into()), "{preview:#}");
    assert_eq!(
        (&preview["moved"]["event_rows"], &preview["moved"]["body_upload_rows"]),
        (&rows.0.into(), &rows.1.into())
    );
    let text = world.run(argv).exits(2);
    let left = "only there, not copied: 1 parked row, 0 unfinished rows, 0 failure-log rows\n  spec-kitty sync export";
    assert!(text.stdout.contains(left), "{}", text.stdout);
    assert!(text.stdout.contains("would copy") && text.stderr.contains("--yes"), "{text:?}");
    assert_eq!(world.run(argv.iter().chain(&["--dry-run", "--json"])).exits(0).json()["result"], "planned");
    assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());

    let done = world.run(argv.iter().chain(&["--yes", "--json"])).exits(0).json();
    assert_eq!((&done["result"], &done["moved"]["event_rows"]), (&"migrated".into(), &rows.0.into()));
    let ours = scoped(&world);
    assert_eq!((count(&ours, "queue"), count(&theirs, "queue")), (rows.0, rows.0));
    let preview = world.run(["sync", "preview", "--json"]).exits(0).json();
    assert_eq!((&preview["leaving"]["events"], &preview["held"][0]["events"]), (&0.into(), &rows.0.into()));
    let again = world.run(argv.iter().chain(&["--yes", "--json"])).exits(0).json();
    assert_eq!(
        (&again["moved"]["event_rows"], &again["duplicates"]["event_rows"]),
        (&0.into(), &rows.0.into())
    );
}

#[test]
fn rows_of_another_user_are_never_copied() {
    let (world, _) = with_mission();
    let hash = world.scope().hash()[..16].to_owned();
    let own = world.run(["sync", "migrate", "--from-scope", &hash, "--yes"]).exits(1);
    let file = format!("queue-{hash}.db is the queue DB of the current scope");
    assert!(own.stderr.contains(&file) && !own.stderr.contains("row"), "{}", own.stderr);
    world.write_session(&session(SERVER, "mallory@example.com", TEAM));
    let before = snapshot(&world.root());
    let refused = world.run(["sync", "migrate", "--from-scope", &hash, "--yes"]).exits(1);
    assert!(refused.stderr.contains(&format!("belongs to {USER}")), "{}", refused.stderr);
    assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());
    let unknown = world.run(["sync", "migrate", "--from-scope", "0123456789abcdef"]).exits(1);
    assert!(unknown.stderr.contains(&format!("queue-{hash}.db")), "names what there is: {}", unknown.stderr);
    world.run(["sync", "migrate", "--from-scope", "short"]).exits(2);
    world.run(["sync", "migrate", "--yes"]).exits(2);
}

#[test]
fn failure_log_moves_with_the_rest() {
    let world = logged_in();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event(EVENT, Some(TEAM)).body("spec.md", "# Spec\n").failure();
    drop(legacy);
    let plan = world.run(["sync", "migrate", "--dry-run"]).exits(0).stdout;
    assert!(plan.contains("would move 1 event, 1 body, 1 failure-log row"), "{plan}");
    let done = world.run(["sync", "migrate"]).exits(0).stdout;
    assert!(done.contains("moved 1 event, 1 body, 1 failure-log row"), "{done}");
    assert_eq!(count(&scoped(&world), "body_upload_failure_log"), 1);
}

#[test]
fn repair_keeps_every_row_of_a_damaged_queue_that_can_be_read() {
    let world = logged_in();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.many_events(2_000);
    drop(legacy);
    world.run(["sync", "migrate"]).exits(0);
    let path = world.home().scoped_queue(&world.scope());
    let id = |db: &Connection| -> String {
        db.query_row("SELECT value FROM meta WHERE key = 'queue_id'", [], |row| row.get(0)).unwrap()
    };
    let before = id(&scoped(&world));
    assert_eq!(world.run(["doctor", "repair"]).exits(0).stdout, "nothing to repair\n");
    destroy_page_with(&path, "{\"event_id\": \"01KRX000000000000000001000\"");
    // The gate looks at no row, and so sees nothing; the repair reads everything.
    world.run(["sync", "status", "--check"]).exits(0);
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    let action = &repaired["actions"][0];
    assert_eq!((&action["code"], &action["action"]), (&"active_queue_unreadable".into(), &"salvaged".into()));
    let kept = action["salvaged"]["events"].as_u64().unwrap();
    assert!((1_900..2_000).contains(&kept) && action["salvaged"]["gaps"] == true, "{repaired:#}");
    assert!(std::path::Path::new(action["moved_to"][0].as_str().unwrap()).is_file());
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(status["active_queue"]["event_count"], kept);
    assert_eq!(id(&scoped(&world)), before);
    assert_eq!(world.run(["doctor", "repair"]).exits(0).stdout, "nothing to repair\n");
}

#[test]
fn damaged_legacy_queue_is_salvaged_and_then_migrates() {
    let world = logged_in();
    let path = world.root().join("queue.db");
    ReferenceQueue::create(&path).many_events(2_000);
    destroy_page_with(&path, "{\"event_id\": \"01KRX000000000000000001000\"");
    let refused = world.run(["sync", "migrate", "--json"]).exits(2).json();
    assert_eq!(refused["error_code"], "legacy_queue_unreadable", "{refused:#}");
    let text = world.run(["doctor", "repair"]).exits(0).stdout;
    assert!(text.contains("saved 19") && text.contains("only in the old file"), "{text}");
    let moved = world.run(["sync", "migrate", "--json"]).exits(0).json();
    assert!(moved["moved"]["event_rows"].as_u64().unwrap() > 1_900, "{moved:#}");
}

#[test]
fn interrupted_command_is_settled_by_the_next_writer() {
    for curing in [&["sync", "migrate"][..], &["agent", "mission", "create", "gadgets"]] {
        let (world, slug) = with_mission();
        let db = scoped(&world);
        // As a kill between the log and the confirmation leaves it: prepared, and proven by the log.
        let (id, data): (String, String) = db
            .query_row("SELECT event_id, data FROM queue WHERE event_type = 'MissionCreated'", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        let place: i64 = db
            .query_row("SELECT place FROM bindings AS b JOIN queue AS q ON b.row = q.id AND b.kind = 0 WHERE q.event_id = ?1", [&id], |row| row.get(0))
            .unwrap();
        db.execute("DELETE FROM queue WHERE event_id = ?1", [&id]).unwrap();
        let log = world.work().join("kitty-specs").join(&slug).join("status.events.jsonl");
        let head =
            serde_json::json!({ "event_id": id, "event_type": "MissionCreated", "coalesce_key": null });
        db.execute(
            "INSERT INTO prepared(command, mission_slug, kind, key, place, witness, witness_path, witness_value,
                prepared_at, head, payload) VALUES ('c', ?1, 0, ?2, ?3, 'log', CAST(?4 AS BLOB), ?2, 1, ?5, ?6)",
            (&slug, &id, place, log.to_str().unwrap(), head.to_string(), &data),
        )
        .unwrap();
        let status = world.run(["sync", "status", "--json"]).json();
        assert_eq!(status["prepared"]["events"], 1, "{status:#}");
        // Not while a command holds the mission's lock.
        let lock = world.work().join(".git").join("spec-kitty-locks").join(format!("{slug}.status.lock"));
        let held = std::fs::File::options().create(true).append(true).open(&lock).unwrap();
        held.lock().unwrap();
        world.run(curing).exits(0);
        assert_eq!(count(&db, "prepared"), 1, "{curing:?}");
        // Closing would leave the lock to a child that another test is starting, until its exec.
        held.unlock().unwrap();
        world.run(["sync", "migrate"]).exits(0);
        assert_eq!(count(&db, "prepared"), 0, "{curing:?}");
        assert!(db.prepare("SELECT 1 FROM queue WHERE event_id = ?1").unwrap().exists([&id]).unwrap());
    }
}

#[test]
fn queue_copied_from_another_account_is_moved_aside() {
    let (world, _) = with_mission();
    let theirs = Scope::new(SERVER, "mallory@example.com", TEAM);
    let path = world.home().scoped_queue(&theirs);
    std::fs::copy(world.home().scoped_queue(&world.scope()), &path).unwrap();
    world.write_session(&session(SERVER, "mallory@example.com", TEAM));
    let refused = world.run(["agent", "mission", "create", "gadgets", "--json"]).exits(2).json();
    assert!(refused.to_string().contains("holds the rows of another scope"), "{refused:#}");
    assert_eq!(refused["remediation"], serde_json::json!(["spec-kitty doctor repair"]), "{refused:#}");
    let repaired = world.run(["doctor", "repair", "--json"]).exits(0).json();
    assert_eq!(repaired["actions"][0]["action"], "moved_aside", "{repaired:#}");
    let aside = Connection::open(repaired["actions"][0]["moved_to"][0].as_str().unwrap()).unwrap();
    assert!(count(&aside, "queue") > 0, "nothing is lost, and nothing changes its owner");
    world.run(["agent", "mission", "create", "gadgets"]).exits(0);
}
