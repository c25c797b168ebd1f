//! Pruning: the oldest rows are deleted, the others stay, and clients are told.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::browser::Browser;
use super::databases;
use super::missions::{created, ingest, moved, ok, path, world};
use super::world::{EMAIL, PROJECT, TEAM, World, body_key, body_of, event, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{Retention, StoreLocation, StoredRows, back_up};
use std::time::{Duration, Instant};

/// Between what is old and what is new.
const PAUSE: Duration = Duration::from_millis(60);

fn rows(events: u64, bodies: u64) -> impl Fn(&StoredRows) -> bool {
    move |rows| (rows.events, rows.bodies) == (events, bodies)
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
}

/// A point in time with nothing stored around it.
fn quiet_moment() -> Instant {
    std::thread::sleep(PAUSE);
    let moment = Instant::now();
    std::thread::sleep(PAUSE);
    moment
}

#[test]
fn pruned_rows_are_answered_as_forgotten() {
    let world = World::new();
    let (ours, (theirs, _)) = (world.token(), world.neighbour());
    let mut foreign = event(50);
    foreign["team_slug"] = "Team-2".into();
    assert_eq!(statuses(&world.batch(&theirs, "Team-2", &[foreign])), ["success"]);
    // Two blocks: one as it was sent, and one of a batch with a rejected event.
    let old = [event(1), indexed(2, "spec.md", "# Spec\n"), event(3)];
    assert_eq!(statuses(&world.batch(&ours, TEAM, &old[..2])), ["success"; 2]);
    assert_eq!(statuses(&world.batch(&ours, TEAM, &[event(3), Value::Null])), ["success", "rejected"]);
    let push = body_of("spec.md", "# Spec\n");
    assert_eq!(world.push(&ours, &push).status, 201);
    let moment = quiet_moment();
    let new = [event(7), indexed(8, "plan.md", "# Plan\n")];
    assert_eq!(statuses(&world.batch(&ours, TEAM, &new)), ["success"; 2]);
    let kept_push = body_of("plan.md", "# Plan\n");
    assert_eq!(world.push(&ours, &kept_push).status, 201);

    let admin = world.admin();
    let plan = admin.plan_pruning(Retention::Age(moment.elapsed()), Some(TEAM)).unwrap();
    assert!(rows(3, 1)(&plan.deleted) && rows(2, 1)(&plan.kept), "{plan:?}");
    let deleted = admin.prune(&plan).unwrap();
    assert_eq!(deleted, plan.deleted);
    assert_eq!(world.held_events(&ours), ids(&new));
    assert_eq!(world.held_events(&theirs).len(), 1, "another team's rows stay");
    let project = &admin.projects(Some(TEAM)).unwrap()[0];
    assert_eq!((project.project_uuid.as_str(), project.events, project.bodies), (PROJECT, 2, 1));

    let question = json!({
        "events": [old[0]["event_id"], old[2]["event_id"], new[0]["event_id"], event(9)["event_id"]],
        "bodies": [body_key(&push), body_key(&kept_push)]
    });
    let headers = [(endpoint::TEAM_HEADER, TEAM)];
    let answer = world.post(&ours, endpoint::RECEIPTS, &headers, question.to_string().as_bytes()).json();
    assert_eq!(
        answer,
        json!({ "events": ["forgotten", "forgotten", "held", "missing"], "bodies": ["forgotten", "held"] })
    );
    assert_eq!(statuses(&world.batch(&ours, TEAM, &old)), ["duplicate"; 3]);
    assert_eq!(world.held_events(&ours), ids(&new), "a copy that is sent again is not stored");
    assert_eq!(world.push(&ours, &push).status, 201, "a path that is still announced takes its body");
    if let StoreLocation::Directory(directory) = &world.store {
        let contents = back_up(directory, &directory.join("after-pruning.db")).unwrap();
        assert_eq!((contents.events, contents.bodies), (3, 2), "all that is left is whole");
    }
    let again = admin.plan_pruning(Retention::Age(moment.elapsed()), Some(TEAM)).unwrap();
    assert!(rows(0, 0)(&again.deleted), "{again:?}");
}

#[test]
fn oldest_rows_are_deleted_until_the_rest_fits() {
    let world = World::new();
    let token = world.token();
    let admin = world.admin();
    assert!(rows(0, 0)(&admin.plan_pruning(Retention::Size(0), None).unwrap().deleted));
    let batches: Vec<Vec<Value>> =
        (0..3).map(|batch| (0..20).map(|n| event(batch * 20 + n)).collect()).collect();
    for batch in &batches {
        assert_eq!(statuses(&world.batch(&token, TEAM, batch)), ["success"; 20]);
        quiet_moment();
    }
    let all = admin.plan_pruning(Retention::Size(u64::MAX), None).unwrap();
    assert!(rows(0, 0)(&all.deleted) && rows(60, 0)(&all.kept), "{all:?}");
    let half = all.kept.bytes / 2;
    let plan = admin.plan_pruning(Retention::Size(half), None).unwrap();
    assert!(rows(40, 0)(&plan.deleted) && rows(20, 0)(&plan.kept), "{plan:?}");
    assert!(plan.kept.bytes <= half && plan.kept.bytes + plan.deleted.bytes == all.kept.bytes);
    assert_eq!(admin.prune(&plan).unwrap(), plan.deleted);
    assert_eq!(world.held_events(&token), ids(&batches[2]));
    let again = admin.plan_pruning(Retention::Size(half), None).unwrap();
    assert!(rows(0, 0)(&again.deleted), "what fits is not pruned again: {again:?}");
    let unknown = admin.plan_pruning(Retention::Size(0), Some("no-such-team")).unwrap_err();
    assert!(unknown.to_string().contains("no team"), "{unknown}");
}

fn push(world: &World, path: &str, text: &str) {
    let answer = world.push(&world.token(), &body_of(path, text));
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
}

fn prune_before(world: &World, moment: Instant) -> StoredRows {
    let admin = world.admin();
    admin.prune(&admin.plan_pruning(Retention::Age(moment.elapsed()), None).unwrap()).unwrap()
}

/// Spans, and those whose mission or block is gone; of SQLite, whose file can be read.
fn spans(world: &World) -> Option<(i64, i64)> {
    let StoreLocation::Directory(directory) = &world.store else { return None };
    let database = rusqlite::Connection::open(directory.join("server.db")).unwrap();
    let select = "SELECT count(*), count(*) FILTER (WHERE mission NOT IN (SELECT key FROM missions)
        OR block NOT IN (SELECT key FROM blocks)) FROM mission_spans";
    Some(database.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap())
}

fn has_spans(world: &World, number: i64) {
    assert!(spans(world).is_none_or(|spans| spans == (number, 0)), "{:?}", spans(world));
}

/// Rows of the page of a mission's events.
fn events_of(browser: &Browser<'_>, mission: &str) -> usize {
    ok(&browser.get(&format!("{mission}/events"))).matches("<td data-label=\"Event\">").count()
}

#[test]
fn pruned_missions_and_documents_leave_the_pages() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let texts = ["# One\n", "# Two\n", "# Three\n"];
    ingest(
        &world,
        &[
            created(1, "gone", "Gone"),
            moved(2, "gone", "WP01", Value::Null, "planned"),
            created(3, "busy", "Busy"),
            created(4, "demo", "Documented"),
            indexed(5, "spec.md", texts[0]),
            indexed(6, "plan.md", texts[0]),
            indexed(7, "tasks.md", texts[0]),
        ],
    );
    push(&world, "spec.md", texts[0]);
    push(&world, "plan.md", texts[0]);
    let moment = quiet_moment();
    ingest(&world, &[moved(10, "busy", "WP01", Value::Null, "planned")]);
    push(&world, "spec.md", texts[1]);
    push(&world, "spec.md", texts[2]);
    // An earlier content again.
    push(&world, "spec.md", texts[0]);
    push(&world, "tasks.md", texts[1]);
    let list = ok(&browser.get("/missions"));
    let [gone, busy, documented] = ["Gone", "Busy", "Documented"].map(|name| path(&list, name));
    let board = ok(&browser.get(&documented));
    let [spec, plan, tasks] = ["spec.md", "plan.md", "tasks.md"].map(|name| path(&board, name));
    assert!(ok(&browser.get(&spec)).contains("<h2>One</h2>"));
    has_spans(&world, 4);

    assert!(rows(7, 2)(&prune_before(&world, moment)));
    let list = ok(&browser.get("/missions"));
    assert!(!list.contains(">Gone</a>"), "{list}");
    assert_eq!(browser.get(&gone).status, 404);
    assert_eq!(path(&list, "Busy"), busy);
    assert_eq!(events_of(&browser, &busy), 1);
    assert_eq!(path(&list, "Documented"), documented, "a mission with documents stays");
    assert_eq!(events_of(&browser, &documented), 0);
    let board = ok(&browser.get(&documented));
    assert!(!board.contains("plan.md") && board.contains("spec.md") && board.contains("tasks.md"), "{board}");
    assert_eq!(browser.get(&plan).status, 404);
    assert!(ok(&browser.get(&spec)).contains("<h2>Three</h2>"), "its newest body that is left");
    assert!(ok(&browser.get(&tasks)).contains("<h2>Two</h2>"));
    has_spans(&world, 1);

    // A mission that begins again has its new events alone.
    ingest(&world, &[created(20, "gone", "Gone again")]);
    assert_eq!(events_of(&browser, &path(&ok(&browser.get("/missions")), "Gone again")), 1);
    prune_before(&world, quiet_moment());
    assert!(ok(&browser.get("/missions")).contains("No missions yet"));
    has_spans(&world, 0);
}

#[test]
fn pruned_events_are_not_shown_again() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    // More missions than one step looks at.
    for batch in 0..3 {
        let slug = |n: u64| format!("old-{batch}-{n}");
        let events: Vec<Value> =
            (0..250).map(|n| moved(batch * 250 + n, &slug(n), "WP01", Value::Null, "planned")).collect();
        ingest(&world, &events);
    }
    ingest(&world, &[created(800, "demo", "Documented"), indexed(801, "spec.md", "# Spec\n")]);
    let moment = quiet_moment();
    push(&world, "spec.md", "# Spec\n");
    assert!(rows(752, 0)(&prune_before(&world, moment)));
    let list = ok(&browser.get("/missions"));
    assert!(!list.contains(">old-"), "{list}");
    let documented = path(&list, "Documented");
    has_spans(&world, 0);
    // SQLite gives the positions of the deleted events and blocks again.
    ingest(&world, &[created(900, "new", "New"), moved(901, "new", "WP01", Value::Null, "planned")]);
    assert_eq!(events_of(&browser, &documented), 0);
    assert_eq!(events_of(&browser, &path(&ok(&browser.get("/missions")), "New")), 2);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn mission_deleted_during_a_batch_on_postgres_is_added_again() {
    let url = databases::new_database_text(databases::DATABASE);
    let world = World::on_database(url.parse().unwrap());
    ingest(&world, &[created(1, "demo", "Demo"), created(2, "other", "Other")]);
    databases::run(&url, "UPDATE missions SET active_at = 0");
    let deleting = std::thread::spawn(move || {
        let delete = "BEGIN; DELETE FROM missions WHERE slug = 'demo'; SELECT pg_sleep(1); COMMIT";
        databases::run(&url, delete);
    });
    quiet_moment();
    ingest(&world, &[created(3, "demo", "Demo"), created(4, "other", "Other")]);
    deleting.join().unwrap();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let list = ok(&browser.get("/missions"));
    assert_eq!(events_of(&browser, &path(&list, "Demo")), 1);
    assert_eq!(events_of(&browser, &path(&list, "Other")), 2);
}
