//! Pruning: the oldest rows are deleted, the others stay, and clients are told.
#![allow(clippy::unwrap_used, reason = "a test")]

use super::world::{BODY_FIELDS, PROJECT, TEAM, World, body_of, event, indexed, statuses};
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
fn rows_older_than_the_age_are_deleted_and_answered_forgotten() {
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

    let key = |push: &Value| -> Value { BODY_FIELDS[..7].iter().map(|name| push[name].clone()).collect() };
    let question = json!({
        "events": [old[0]["event_id"], old[2]["event_id"], new[0]["event_id"], event(9)["event_id"]],
        "bodies": [key(&push), key(&kept_push)]
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
