//! The verbs about the rows themselves: preview, diagnose, export, capture, parked, gc, and a migration
//! from another account's queue DB. Each as text and as JSON, in a real process.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use contract::Scope;
use rusqlite::Connection;
use serde_json::Value;
use testkit::World;
use testkit::reference_queue::{PROJECT, ReferenceQueue};
use testkit::tree::{difference, snapshot};
use testkit::world::{SERVER, TEAM, USER, session};

const EVENT: &str = "01KRX0000000000000000000A1";
const ANOTHER: &str = "01KRX0000000000000000000A2";

/// A logged-in world with a project.
fn world() -> World {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    world.log_in().init_project();
    world
}

/// A world whose queue holds the facts of one new mission.
fn with_mission() -> (World, String) {
    let world = world();
    let created = world.run(["agent", "mission", "create", "widgets", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap().to_owned();
    (world, slug)
}

fn scoped(world: &World) -> Connection {
    Connection::open(world.home().scoped_queue(&world.scope())).unwrap()
}

fn count(db: &Connection, table: &str) -> u64 {
    db.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A world with one parked row: a legacy event whose data is no JSON.
fn with_parked_row() -> (World, i64) {
    let world = world();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event(EVENT, Some(TEAM));
    drop(legacy);
    let db = Connection::open(world.root().join("queue.db")).unwrap();
    db.execute("UPDATE queue SET data = 'not\u{1b}[31m json'", []).unwrap();
    let moved = world.run(["sync", "migrate", "--json"]).exits(0).json();
    assert_eq!(moved["unreadable"]["event_rows"], 1, "{moved:#}");
    let id = scoped(&world).query_row("SELECT id FROM parked", [], |row| row.get(0)).unwrap();
    (world, id)
}

#[test]
fn a_preview_names_what_would_leave_and_to_whom() {
    let (world, _) = with_mission();
    let preview = world.run(["sync", "preview", "--json"]).exits(0).json();
    let db = scoped(&world);
    assert_eq!(preview["leaving"]["events"], count(&db, "queue"), "{preview:#}");
    assert_eq!(preview["leaving"]["bodies"], count(&db, "body_upload_queue"));
    assert_eq!((&preview["destination"], &preview["coherent"]), (&SERVER.into(), &true.into()));
    assert!(preview["rows"][0]["payload"].is_null());
    let text = world.run(["sync", "preview", "--limit", "1", "--payload"]).exits(0).stdout;
    assert!(text.contains(&format!("would leave for {SERVER} as {USER}")), "{text}");
    assert!(text.contains("MissionCreated") && text.contains("and "), "{text}");

    world.run(["sync", "opt-out"]).exits(0);
    let preview = world.run(["sync", "preview", "--json"]).exits(0).json();
    assert_eq!(preview["leaving"], serde_json::json!({ "events": 0, "bodies": 0 }));
    assert_eq!(preview["rows"], serde_json::json!([]));
    assert_eq!(preview["held"][0]["events"], count(&db, "queue"));
}

#[test]
fn a_diagnosis_judges_every_waiting_row_and_changes_nothing() {
    let (world, _) = with_mission();
    let path = world.home().scoped_queue(&world.scope());
    let queue = Connection::open(&path).unwrap();
    let insert = "INSERT INTO queue (event_id, event_type, data, timestamp) VALUES (?1, 'WPCreated', ?2, 1)";
    queue.execute(insert, [EVENT, "no json"]).unwrap();
    queue
        .execute(
            insert,
            [ANOTHER, &format!("{{\"event_id\": \"{ANOTHER}\", \"event_type\": \"WPCreated\"}}")],
        )
        .unwrap();
    let total = count(&queue, "queue") + count(&queue, "body_upload_queue");
    let before = snapshot(&world.root());
    let diagnosis = world.run(["sync", "diagnose", "--json"]).exits(0).json();
    assert_eq!((&diagnosis["total"], &diagnosis["invalid"]), (&total.into(), &2.into()), "{diagnosis:#}");
    let categories: Vec<_> = diagnosis["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["error_category"].as_str().unwrap())
        .collect();
    assert_eq!(categories, ["UNREADABLE_ROW", "ENVELOPE_SHAPE_INVALID"]);
    let all = world.run(["sync", "diagnose", "--all", "--json"]).exits(0).json();
    assert_eq!(all["results"].as_array().unwrap().len() as u64, total);
    let text = world.run(["sync", "diagnose"]).exits(0).stdout;
    assert!(text.contains("2 not") && text.contains(EVENT), "{text}");
    assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());
}

#[test]
fn an_export_holds_every_row_of_any_scope_as_it_is_stored() {
    let (world, _) = with_mission();
    let db = scoped(&world);
    let run = world.run(["sync", "export"]).exits(0);
    let rows = lines(&run.stdout);
    let of = |table: &str| rows.iter().filter(|row| row["table"] == table).count() as u64;
    assert_eq!(
        (of("queue"), of("body_upload_queue")),
        (count(&db, "queue"), count(&db, "body_upload_queue"))
    );
    let data: String = db.query_row("SELECT data FROM queue ORDER BY id", [], |row| row.get(0)).unwrap();
    let first = rows.iter().find(|row| row["table"] == "queue").unwrap();
    assert_eq!(first["data"], data);
    assert!(run.stderr.contains(&format!("exported {} rows", rows.len())), "{}", run.stderr);

    // Another account's queue, and the legacy one: whoever owns the home may take the rows along.
    let other = Scope::new("https://gone.invalid", USER, TEAM);
    ReferenceQueue::create(&world.home().scoped_queue(&other)).event(ANOTHER, None);
    ReferenceQueue::create(&world.root().join("queue.db")).event(EVENT, Some("team-other"));
    let hash = &other.hash()[..16];
    assert_eq!(
        lines(&world.run(["sync", "export", "--scope", hash]).exits(0).stdout)[0]["event_id"],
        ANOTHER
    );
    assert_eq!(
        lines(&world.run(["sync", "export", "--scope", "legacy"]).exits(0).stdout)[0]["event_id"],
        EVENT
    );
    let unknown = world.run(["sync", "export", "--scope", "0123456789abcdef"]).exits(1);
    assert!(unknown.stderr.contains("queue-0123456789abcdef.db"), "{}", unknown.stderr);
    world.run(["sync", "export", "--scope", "../x"]).exits(2);
}

#[test]
fn an_export_to_a_file_is_private_and_overwrites_nothing() {
    let (world, _) = with_mission();
    let file = world.work().join("rows.jsonl");
    let name = file.to_str().unwrap();
    let done = world.run(["sync", "export", "--output", name, "--json"]).exits(0).json();
    assert_eq!(done["result"], "exported");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(done["rows"], lines(&text).len());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = world.run(["sync", "export", "--output", name, "--json"]).exits(1).json();
    assert_eq!(again["error_code"], "EXPORT_NOT_WRITTEN");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    world.run(["sync", "export", "--json"]).exits(2);
}

#[test]
fn history_is_captured_after_a_preview_and_once() {
    let world = world();
    let created =
        world.run(["agent", "mission", "create", "widgets", "--local-only", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap();
    assert!(!world.root().join("queues").exists());
    let before = snapshot(world.user_home().parent().unwrap());
    let preview = world.run(["sync", "capture", "--history", slug, "--json"]).exits(2).json();
    assert_eq!((&preview["result"], &preview["known"]), (&"preview".into(), &0.into()), "{preview:#}");
    let facts = preview["new"].as_u64().unwrap();
    assert!(facts >= 2 && preview["events"]["MissionCreated"] == 1, "{preview:#}");
    let text = world.run(["sync", "capture", "--history", slug]).exits(2);
    assert!(text.stdout.contains("1 MissionCreated") && text.stderr.contains("--yes"), "{text:?}");
    assert_eq!(difference(&before, &snapshot(world.user_home().parent().unwrap())), Vec::<String>::new());

    let done = world.run(["sync", "capture", "--history", slug, "--yes", "--json"]).exits(0).json();
    assert_eq!(
        (&done["result"], &done["capture"]["state"]),
        (&"captured".into(), &"captured".into()),
        "{done:#}"
    );
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

#[test]
fn history_that_the_contract_refuses_stays_and_is_named() {
    let world = world();
    let created =
        world.run(["agent", "mission", "create", "widgets", "--local-only", "--json"]).exits(0).json();
    let slug = created["mission_slug"].as_str().unwrap();
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
    let mut world = world();
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    let run = world.run(["sync", "capture", "--history", "widgets", "--yes", "--json"]).exits(0);
    assert_eq!(run.json()["result"], "disabled");
    assert!(!world.root().join("queues").exists());
}

#[test]
fn a_parked_row_is_listed_shown_and_exported_with_its_payload() {
    let (world, id) = with_parked_row();
    let before = snapshot(&world.root());
    let list = world.run(["sync", "parked", "list", "--json"]).exits(0).json();
    assert_eq!((&list["total"], &list["reasons"]["unreadable_row"]), (&1.into(), &1.into()), "{list:#}");
    assert_eq!((&list["rows"][0]["id"], &list["rows"][0]["key"]), (&id.into(), &EVENT.into()));
    let text = world.run(["sync", "parked", "list"]).exits(0).stdout;
    assert!(text.contains(EVENT) && text.contains("unreadable_row"), "{text}");
    assert_eq!(
        world.run(["sync", "parked", "list", "--reason", "rejected", "--json"]).exits(0).json()["total"],
        0
    );

    let shown = world.run(["sync", "parked", "show", &id.to_string(), "--json"]).exits(0).json();
    assert_eq!(shown["payload"], "not\u{1b}[31m json");
    assert_eq!(shown["columns"]["event_type"], "WPStatusChanged");
    let text = world.run(["sync", "parked", "show", &id.to_string()]).exits(0).stdout;
    assert!(text.contains("not\\u{1b}[31m json") && !text.contains('\u{1b}'), "{text:?}");

    let exported = lines(&world.run(["sync", "parked", "export"]).exits(0).stdout);
    assert_eq!((exported.len(), &exported[0]["payload"]), (1, &"not\u{1b}[31m json".into()));
    assert_eq!(difference(&before, &snapshot(&world.root())), Vec::<String>::new());
    let unknown = world.run(["sync", "parked", "show", "999", "--json"]).exits(1).json();
    assert_eq!(unknown["error_code"], "PARKED_ROW_UNKNOWN");
}

#[test]
fn a_parked_row_is_put_back_when_it_can_be_and_stays_when_it_cannot() {
    let (world, id) = with_parked_row();
    let kept = world.run(["sync", "parked", "retry", &id.to_string(), "--json"]).exits(1).json();
    assert!(kept["kept"][0]["why"].as_str().unwrap().contains("no event"), "{kept:#}");
    let db = scoped(&world);
    let data = format!("{{\"event_id\": \"{EVENT}\", \"event_type\": \"WPStatusChanged\"}}");
    db.execute("UPDATE parked SET payload = ?1", [&data]).unwrap();
    let text = world.run(["sync", "parked", "retry", "--all"]).exits(0).stdout;
    assert_eq!(text, "1 row waits again\n");
    assert_eq!((count(&db, "queue"), count(&db, "parked")), (1, 0));
    assert_eq!(world.run(["sync", "parked", "retry", "--all"]).exits(0).stdout, "no parked rows\n");
    world.run(["sync", "parked", "retry"]).exits(2);
}

#[test]
fn a_drop_names_ids_and_a_reason_and_leaves_a_receipt() {
    let (world, id) = with_parked_row();
    let id = id.to_string();
    world.run(["sync", "parked", "drop", &id]).exits(2);
    world.run(["sync", "parked", "drop", &id, "--reason", " "]).exits(2);
    world.run(["sync", "parked", "drop", "--reason", "noise"]).exits(2);
    let db = scoped(&world);
    // All or none.
    world.run(["sync", "parked", "drop", &id, "999", "--reason", "noise"]).exits(1);
    assert_eq!((count(&db, "parked"), count(&db, "receipts")), (1, 0));
    let done = world.run(["sync", "parked", "drop", &id, "--reason", "noise", "--json"]).exits(0).json();
    assert_eq!(done["result"], "dropped");
    let (outcome, reason): (String, String) = db
        .query_row("SELECT outcome, reason FROM receipts WHERE key = ?1", [EVENT], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((outcome.as_str(), reason.as_str(), count(&db, "parked")), ("dropped", "noise", 0));
}

#[test]
fn only_old_receipts_are_collected_and_only_on_request() {
    let (world, _) = with_mission();
    let db = scoped(&world);
    let rows = (count(&db, "queue"), count(&db, "body_upload_queue"));
    for (key, age_days) in [("old", 100), ("new", 10)] {
        db.execute(
            "INSERT INTO receipts(kind, key, digest, server, at, outcome)
             VALUES (0, ?1, x'00', 's', CAST(strftime('%s') AS INTEGER) - ?2 * 86400, 'delivered')",
            (key, age_days),
        )
        .unwrap();
    }
    let plan = world.run(["sync", "gc", "--dry-run", "--json"]).exits(0).json();
    assert_eq!((&plan["result"], &plan["receipts"]), (&"planned".into(), &1.into()));
    assert_eq!(count(&db, "receipts"), 2);
    let done = world.run(["sync", "gc"]).exits(0).stdout;
    assert!(done.starts_with("removed 1 receipt from before "), "{done}");
    let left: String = db.query_row("SELECT key FROM receipts", [], |row| row.get(0)).unwrap();
    assert_eq!(left, "new");
    assert_eq!(world.run(["sync", "gc", "--json"]).exits(0).json()["result"], "nothing_to_do");
    assert_eq!(world.run(["sync", "gc", "--older-than", "5", "--json"]).exits(0).json()["receipts"], 1);
    world.run(["sync", "gc", "--older-than", "0"]).exits(2);
    assert_eq!((count(&db, "queue"), count(&db, "body_upload_queue")), rows);
}

#[test]
fn without_an_account_curing_verbs_have_nothing_to_do_unless_rows_wait_for_one() {
    let world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let verbs: [&[&str]; 6] = [
        &["sync", "migrate", "--json"],
        &["sync", "parked", "list", "--json"],
        &["sync", "parked", "retry", "--all", "--json"],
        &["sync", "gc", "--json"],
        &["sync", "parked", "export"],
        &["sync", "gc", "--dry-run", "--json"],
    ];
    for verb in verbs {
        world.run(verb).exits(0);
    }
    assert!(!world.root().exists(), "nothing is created");
    ReferenceQueue::create(&world.root().join("queue.db")).event(EVENT, None);
    for verb in verbs {
        let run = world.run(verb).exits(2);
        assert!(run.stdout.contains("SAAS_SYNC_UNAUTHENTICATED") || verb[2] == "export", "{verb:?}: {run:?}");
        assert!(run.stderr.contains("nobody is logged in"), "{verb:?}: {run:?}");
    }
}

#[test]
fn rows_of_the_same_users_old_scope_are_copied_after_a_yes_and_arrive_held() {
    let world = world();
    let old = Scope::new("https://gone.invalid", USER, TEAM);
    world.write_config("[sync]\nserver_url = \"https://gone.invalid\"\n");
    world.write_session(&session("https://gone.invalid", USER, TEAM));
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    let theirs = Connection::open(world.home().scoped_queue(&old)).unwrap();
    let rows = (count(&theirs, "queue"), count(&theirs, "body_upload_queue"));
    world.log_in();
    let hash = &old.hash()[..16];
    let argv = ["sync", "migrate", "--from-scope", hash];

    let before = snapshot(&world.root());
    let preview = world.run(argv.iter().chain(&["--json"])).exits(2).json();
    assert_eq!((&preview["result"], &preview["owner"]), (&"preview".into(), &USER.into()), "{preview:#}");
    assert_eq!(
        (&preview["moved"]["event_rows"], &preview["moved"]["body_upload_rows"]),
        (&rows.0.into(), &rows.1.into())
    );
    let text = world.run(argv).exits(2);
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
    assert!(own.stderr.contains("is the queue DB of the current scope"), "{}", own.stderr);
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
fn the_failure_log_moves_with_the_rest() {
    let world = world();
    let legacy = ReferenceQueue::create(&world.root().join("queue.db"));
    legacy.event(EVENT, Some(TEAM)).body("spec.md", "# Spec\n");
    drop(legacy);
    Connection::open(world.root().join("queue.db"))
        .unwrap()
        .execute(
            "INSERT INTO body_upload_failure_log (project_uuid, mission_slug, target_branch, mission_type,
                manifest_version, artifact_path, content_hash, size_bytes, failure_reason, first_failed_at, last_failed_at)
             VALUES (?1, 'm', 'main', 'software-dev', '1', 'spec.md', 'h', 4, 'bad_request', 1.5, 2.5)",
            [PROJECT],
        )
        .unwrap();
    let plan = world.run(["sync", "migrate", "--dry-run"]).exits(0).stdout;
    assert!(plan.contains("would move 1 event, 1 body, 1 failure-log row"), "{plan}");
    let done = world.run(["sync", "migrate"]).exits(0).stdout;
    assert!(done.contains("moved 1 event, 1 body, 1 failure-log row"), "{done}");
    assert_eq!(count(&scoped(&world), "body_upload_failure_log"), 1);
}

/// Damages the page on which `text` stands.
fn destroy_page_with(path: &std::path::Path, text: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at / 4096 * 4096..][..4096].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_repair_keeps_every_row_of_a_damaged_queue_that_can_be_read() {
    let world = world();
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
fn a_damaged_legacy_queue_is_salvaged_and_then_migrates() {
    let world = world();
    let path = world.root().join("queue.db");
    ReferenceQueue::create(&path).many_events(2_000);
    destroy_page_with(&path, "{\"event_id\": \"01KRX000000000000000001000\"");
    let refused = world.run(["sync", "migrate", "--json"]).exits(2).json();
    assert_eq!(refused["error_code"], "legacy_queue_unreadable", "{refused:#}");
    let text = world.run(["doctor", "repair"]).exits(0).stdout;
    assert!(text.contains("salvaged 19") && text.contains("only in the old file"), "{text}");
    let moved = world.run(["sync", "migrate", "--json"]).exits(0).json();
    assert!(moved["moved"]["event_rows"].as_u64().unwrap() > 1_900, "{moved:#}");
}

#[test]
fn what_an_interrupted_command_left_is_settled_by_any_other_that_may_write() {
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
        drop(held);
        world.run(["sync", "migrate"]).exits(0);
        assert_eq!(count(&db, "prepared"), 0, "{curing:?}");
        assert!(db.prepare("SELECT 1 FROM queue WHERE event_id = ?1").unwrap().exists([&id]).unwrap());
    }
}

#[test]
fn a_queue_that_was_copied_from_another_account_is_moved_aside_with_its_rows() {
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
