//! The verbs about the rows themselves: preview, diagnose, export, parked, gc. Each as text and as JSON, in
//! a real process.

use crate::worlds::*;
use contract::Scope;
use rusqlite::Connection;
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::tree::{difference, snapshot};
use testkit::world::{SERVER, TEAM, USER};

/// A world with one parked row: a legacy event whose data is no JSON.
fn with_parked_row() -> (World, i64) {
    let world = logged_in();
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
fn preview_names_what_would_leave_and_to_whom() {
    let (world, _) = with_mission();
    let preview = world.run(["sync", "preview", "--json"]).exits(0).json();
    let db = scoped(&world);
    assert_eq!(preview["leaving"]["events"], count(&db, "queue"), "{preview:#}");
    assert_eq!(preview["leaving"]["bodies"], count(&db, "body_upload_queue"));
    assert_eq!((&preview["destination"], &preview["coherent"]), (&SERVER.into(), &true.into()));
    assert!(preview["rows"][0]["payload"].is_null());
    let text = world.run(["sync", "preview", "--limit", "1", "--payload"]).exits(0).stdout;
    assert!(text.contains(&format!("would be sent to {SERVER} as {USER}")), "{text}");
    assert!(text.contains("MissionCreated") && text.contains("and "), "{text}");

    world.run(["sync", "opt-out"]).exits(0);
    let preview = world.run(["sync", "preview", "--json"]).exits(0).json();
    assert_eq!(preview["leaving"], serde_json::json!({ "events": 0, "bodies": 0 }));
    assert_eq!(preview["rows"], serde_json::json!([]));
    assert_eq!(preview["held"][0]["events"], count(&db, "queue"));
}

#[test]
fn diagnosis_judges_every_waiting_row_and_changes_nothing() {
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
fn export_holds_every_row_of_any_scope_as_it_is_stored() {
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

    // Another account's queue, and the legacy one: the owner of the home may export the rows.
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
fn export_to_a_file_is_private_and_overwrites_nothing() {
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

/// Damages the database page that contains `text`.
fn spoil_page_with(path: &std::path::Path, text: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let start = at / 4096 * 4096;
    bytes[start..start + 4096].fill(0xa5);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn export_reads_around_a_damaged_table_and_reports_gaps() {
    let (world, _) = with_mission();
    let path = world.home().scoped_queue(&world.scope());
    let queue = scoped(&world);
    let insert = "INSERT INTO queue (event_id, event_type, data, timestamp) VALUES (?1, 'T', ?2, 1)";
    for number in 0..100 {
        queue
            .execute(insert, (format!("ROW{number}"), format!("filler {number} {}", "x".repeat(1_000))))
            .unwrap();
    }
    let bodies = count(&queue, "body_upload_queue");
    drop(queue);
    for number in [20, 30, 40] {
        spoil_page_with(&path, &format!("filler {number} "));
    }
    let run = world.run(["sync", "export"]).exits(1);
    let rows = lines(&run.stdout);
    for number in [10, 25, 35, 49] {
        let id = format!("ROW{number}");
        assert!(rows.iter().any(|row| row["event_id"] == *id), "{id}: before, between and behind the damage");
    }
    assert_eq!(rows.iter().filter(|row| row["table"] == "body_upload_queue").count() as u64, bodies);
    assert!(run.stderr.contains("left out: is damaged in `queue` behind row "), "{}", run.stderr);
    assert!(run.stderr.contains(" and in 2 more places: "), "{}", run.stderr);
    assert!(run.stderr.ends_with("\nhint: spec-kitty doctor repair\n"), "{}", run.stderr);

    let file = world.work().join("rows.jsonl");
    let argv = ["sync", "export", "--output", file.to_str().unwrap(), "--json"];
    let done = world.run(argv).exits(1).json();
    assert_eq!(
        (&done["result"], &done["rows"]),
        (&"exported_in_part".into(), &rows.len().into()),
        "{done:#}"
    );
    assert!(done["damage"][0].as_str().unwrap().contains("`queue`"), "{done:#}");

    let judged = world.run(["sync", "diagnose", "--json"]).exits(1).json();
    assert_eq!(judged["damage"], done["damage"], "{judged:#}");
    for document in [&done, &judged] {
        assert_eq!(document["remediation"], serde_json::json!(["spec-kitty doctor repair"]), "{document:#}");
    }
    let text = world.run(["sync", "diagnose", "--all"]).exits(1).stdout;
    assert!(text.starts_with(&format!("{} readable rows wait: ", judged["total"])), "{text}");
    let [.., more, damage, hint] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(more.starts_with("and ") && more.ends_with(" more, which --json names"), "{text}");
    assert!(damage.starts_with("left out: is damaged in `queue` "), "{text}");
    assert_eq!(*hint, "hint: spec-kitty doctor repair", "{text}");
    let waiting = |row: &&serde_json::Value| row["table"] == "queue" || row["table"] == "body_upload_queue";
    assert_eq!(judged["total"], rows.iter().filter(waiting).count(), "{judged:#}");
    assert_eq!(lines(&std::fs::read_to_string(&file).unwrap()).len(), rows.len());

    let _ = world.run(["doctor", "repair"]).exits(0);
    let _ = world.run(["sync", "diagnose"]).exits(0);
    let _ = world.run(["sync", "export"]).exits(0);
}

#[test]
fn rows_without_a_list_of_tables_are_refused_with_the_repair() {
    let (world, _) = with_mission();
    let path = world.home().scoped_queue(&world.scope());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100..4096].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    for verb in ["export", "diagnose"] {
        let run = world.run(["sync", verb]).exits(2);
        assert_eq!(run.stdout, "");
        assert!(run.stderr.contains("is damaged in its list of tables"), "{}", run.stderr);
        assert!(run.stderr.contains("spec-kitty doctor repair"), "{}", run.stderr);
    }
    let _ = world.run(["doctor", "repair"]).exits(0);
    let _ = world.run(["sync", "export"]).exits(0);
}

#[test]
fn export_that_fails_leaves_no_file_and_can_be_repeated() {
    let world = logged_in();
    let legacy = world.root().join("queue.db");
    std::fs::create_dir_all(world.root()).unwrap();
    std::fs::write(&legacy, "no database").unwrap();
    let file = world.work().join("rows.jsonl");
    let name = file.to_str().unwrap();
    let argv = ["sync", "export", "--scope", "legacy", "--output", name, "--json"];
    let entries = || std::fs::read_dir(world.work()).unwrap().count();
    let before = entries();
    for _ in 0..2 {
        assert_eq!(world.run(argv).exits(2).json()["error_code"], "legacy_queue_unreadable");
        assert_eq!(entries(), before, "no file, and none with another name");
    }
    std::fs::remove_file(&legacy).unwrap();
    ReferenceQueue::create(&legacy).event(EVENT, None);
    assert_eq!(world.run(argv).exits(0).json()["rows"], 1);
    let again = world.run(argv).exits(1).json();
    let error = again["error"].as_str().unwrap();
    assert_eq!(error.matches(name).count(), 1, "{error}");
}

#[test]
fn parked_row_is_listed_shown_and_exported_with_its_payload() {
    let (world, id) = with_parked_row();
    let before = snapshot(&world.root());
    let status = world.run(["sync", "status"]).exits(0).stdout;
    assert!(status.contains("1 event, 0 bodies\n  why         : spec-kitty sync parked list\n"), "{status}");
    let list = world.run(["sync", "parked", "list", "--json"]).exits(0).json();
    assert_eq!((&list["total"], &list["reasons"]["unreadable_row"]), (&1.into(), &1.into()), "{list:#}");
    assert_eq!((&list["rows"][0]["id"], &list["rows"][0]["key"]), (&id.into(), &EVENT.into()));
    let text = world.run(["sync", "parked", "list"]).exits(0).stdout;
    assert!(text.contains(EVENT) && text.contains("unreadable_row"), "{text}");
    assert!(
        list["rows"][0]["parked_at"].as_str().unwrap().ends_with('Z'),
        "an instant, as everywhere: {list:#}"
    );
    let rejected = ["sync", "parked", "list", "--reason", "rejected"];
    let json = world.run(rejected.iter().chain(&["--json"])).exits(0).json();
    assert_eq!((&json["total"], &json["others"]), (&0.into(), &1.into()), "{json:#}");
    assert_eq!(
        world.run(rejected).exits(0).stdout,
        "no parked rows of reason `rejected`; 1 parked row has another\n"
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
fn parked_row_is_put_back_when_it_can_be_and_stays_when_it_cannot() {
    let (world, id) = with_parked_row();
    let kept = world.run(["sync", "parked", "retry", &id.to_string(), "--json"]).exits(1).json();
    assert!(kept["kept"][0]["why"].as_str().unwrap().contains("not a valid event"), "{kept:#}");
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
fn drop_names_ids_and_a_reason_and_leaves_a_receipt() {
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
    let ages = world.run(["sync", "gc", "--older-than", "4294967295"]).exits(0).stdout;
    assert!(ages.starts_with("no receipts from before -"), "a date all the same: {ages}");
    assert_eq!((count(&db, "queue"), count(&db, "body_upload_queue")), rows);
}

#[test]
fn curing_verbs_without_account_act_only_on_waiting_rows() {
    let world = fresh();
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
    let nowhere = world.run(["sync", "migrate", "--json"]).exits(0).json();
    assert!(nowhere["to"].is_null(), "{nowhere:#}");
    assert!(!world.root().exists(), "nothing is created");
    ReferenceQueue::create(&world.root().join("queue.db")).event(EVENT, None);
    for verb in verbs {
        let run = world.run(verb).exits(2);
        assert!(run.stdout.contains("SAAS_SYNC_UNAUTHENTICATED") || verb[2] == "export", "{verb:?}: {run:?}");
        assert!(run.stderr.contains("not logged in"), "{verb:?}: {run:?}");
    }
}
