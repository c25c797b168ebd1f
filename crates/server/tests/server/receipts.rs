//! Receipts: the server answers the asking team which rows it still has.

use super::client::Answer;
use super::world::{TEAM, World, body_key, body_of, event, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};

fn ask(world: &World, token: &str, team: Option<&str>, question: &Value) -> Answer {
    let team = team.map(|team| (endpoint::TEAM_HEADER, team));
    world.post(token, endpoint::RECEIPTS, team.as_slice(), question.to_string().as_bytes())
}

fn id(n: u64) -> Value {
    event(n)["event_id"].clone()
}

#[test]
fn row_of_another_team_is_missing() {
    let world = World::new();
    let (ours, (theirs, _)) = (world.token(), world.neighbour());
    let push = body_of("spec.md", "# Spec\n");
    assert_eq!(
        statuses(&world.batch(&ours, TEAM, &[event(1), indexed(2, "spec.md", "# Spec\n")])),
        ["success"; 2]
    );
    assert_eq!(world.push(&ours, &push).status, 201);
    let mut their_event = event(3);
    their_event["team_slug"] = "Team-2".into();
    assert_eq!(statuses(&world.batch(&theirs, "Team-2", &[their_event])), ["success"]);

    let question = json!({ "events": [id(1), id(3), id(9)], "bodies": [body_key(&push)] });
    let answered = |token: &str, team: &str| ask(&world, token, Some(team), &question).json();
    assert_eq!(
        answered(&ours, TEAM),
        json!({ "events": ["held", "missing", "missing"], "bodies": ["held"] })
    );
    assert_eq!(
        answered(&theirs, "Team-2"),
        json!({ "events": ["missing", "held", "missing"], "bodies": ["missing"] })
    );
}

#[test]
fn receipts_are_for_members_of_the_team() {
    let world = World::new();
    let (ours, (theirs, _)) = (world.token(), world.neighbour());
    assert_eq!(statuses(&world.batch(&ours, TEAM, &[event(1)])), ["success"]);
    let question = json!({ "events": [id(1)] });
    for (token, team, status) in [
        (ours.as_str(), Some(TEAM), 200),
        (theirs.as_str(), Some(TEAM), 403),
        (ours.as_str(), None, 403),
        ("no-such-token", Some(TEAM), 401),
    ] {
        let answer = ask(&world, token, team, &question);
        assert_eq!(answer.status, status, "{team:?}: {}", answer.text());
        assert_eq!(answer.text().contains("held"), status == 200, "{}", answer.text());
    }
    let many: Vec<Value> = (0..501).map(id).collect();
    assert_eq!(ask(&world, &ours, Some(TEAM), &json!({ "events": many })).status, 400);
    assert_eq!(ask(&world, &ours, Some(TEAM), &json!([])).status, 400);
}
