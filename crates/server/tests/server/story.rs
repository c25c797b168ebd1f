//! One story of a team, run on each store.

use super::browser::Browser;
use super::world::{EMAIL, PROJECT, TEAM, World, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::ServerLimits;

#[test]
fn story_on_sqlite() {
    tell(World::in_directory(ServerLimits::default(), hasty()));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn story_on_postgres() {
    tell(World::on_postgres(ServerLimits::default(), hasty()));
}

const OTHER_PROJECT: &str = "11111111-2222-4333-8444-555555555555";

fn page(world: &World, token: &str, query: &str) -> Value {
    let answer = world.get(token, &format!("{}?{query}", endpoint::INSPECT_EVENTS));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn ids(page: &Value) -> Vec<&str> {
    let rows = page["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["event_id"].as_str().unwrap_or_default()).collect()
}

fn tell(mut world: World) {
    // People: a login, a machine, a neighbour with a teamspace of its own.
    let grant = world.login();
    let access = grant["access_token"].as_str().expect("a token").to_owned();
    let machine = world.token();
    let (neighbour, _) = world.neighbour();

    // Events: new, repeated in another order of keys, changed, and twice in one batch.
    let mut elsewhere = event(2);
    elsewhere["project_uuid"] = OTHER_PROJECT.into();
    let mut odd = event(3);
    odd["aggregate_id"] = "a\u{0}b".into();
    let first = [event(1), elsewhere.clone(), odd.clone()];
    assert_eq!(statuses(&world.batch(&access, TEAM, &first)), ["success"; 3]);
    let mut changed = event(1);
    changed["payload"]["wp_title"] = "Second".into();
    let answer = world.batch(&machine, TEAM, &[event(5), changed, event(4), event(5), elsewhere]);
    assert_eq!(statuses(&answer), ["success", "duplicate", "success", "duplicate", "duplicate"]);
    let differs: Vec<bool> = answer.json()["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|result| result["content_differs"] == true)
        .collect();
    assert_eq!(differs, [false, true, false, false, false]);

    // The same id in another team is another event.
    let mut theirs = event(1);
    theirs["team_slug"] = "Team-2".into();
    assert_eq!(statuses(&world.batch(&neighbour, "Team-2", &[theirs])), ["success"]);
    assert_eq!(world.held_events(&neighbour).len(), 1);

    // A body after its index event; content may have any character.
    let (path, content) = ("spec.md", "a body\n\u{0}");
    assert_eq!(world.push(&access, &body_of(path, content)).status, 404);
    assert_eq!(statuses(&world.batch(&access, TEAM, &[indexed(6, path, content)])), ["success"]);
    assert_eq!(world.push(&access, &body_of(path, content)).status, 201);
    assert_eq!(world.push(&access, &body_of(path, content)).status, 200);
    assert_eq!(world.push(&neighbour, &body_of(path, content)).status, 404);

    // Pages, in the order of arrival; totals of the filter.
    let order = [event(1), event(2), event(3), event(5), event(4), event(6)];
    let order: Vec<&str> = order.iter().map(|event| event["event_id"].as_str().unwrap_or_default()).collect();
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = page(&world, &access, &format!("limit=2&after={after}"));
        assert_eq!(page["total"], 6);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => break,
        }
    }
    // A batch of several projects is stored by project.
    seen.sort_by_key(|id| order.iter().position(|known| known == id));
    assert_eq!(seen, order);
    let of_project = page(&world, &access, &format!("project={PROJECT}&content=1"));
    assert_eq!((&of_project["total"], ids(&of_project).len()), (&json!(5), 5));
    let content_of = |id: &str| {
        let rows = of_project["rows"].as_array().expect("rows");
        let row = rows.iter().find(|row| row["event_id"] == id).expect("the event");
        serde_json::from_str::<Value>(row["content"].as_str().unwrap_or_default()).expect("an event")
    };
    assert_eq!(content_of(order[0]), event(1), "the first copy stays");
    assert_eq!(content_of(order[2]), odd);
    let one = page(&world, &access, &format!("event_id={}", order[1]));
    assert_eq!((&one["total"], ids(&one)), (&json!(1), vec![order[1]]));
    let bodies = world.get(&access, &format!("{}?content=1", endpoint::INSPECT_BODIES)).json();
    assert_eq!((&bodies["total"], &bodies["rows"][0]["content"]), (&json!(1), &json!(content)));

    // Receipts.
    let question = json!({ "events": [order[0], "01K00000000000000000000999", "no id"], "bodies": [] });
    let team = [(endpoint::TEAM_HEADER, TEAM)];
    let receipts = world.post(&access, endpoint::RECEIPTS, &team, question.to_string().as_bytes());
    assert_eq!(receipts.json()["events"], json!(["held", "missing", "missing"]));

    // All of it after a restart, the browser's session too; then the client's session rotates, and ends.
    let mut broken = event(7);
    broken["payload"] = 7.into();
    let broken_id = broken["event_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(statuses(&world.batch(&machine, TEAM, &[broken])), ["rejected"]);
    let cookie = Browser::sign_in(&world, EMAIL, &world.secret).cookie;
    world.stop();
    world.start();
    let browser = Browser::with_cookie(&world, cookie);
    for (path, part) in [("/machines", "0123456789ab"), ("/rejected", &*broken_id), ("/account", EMAIL)] {
        let page = browser.get(path);
        assert!(page.status == 200 && page.text().contains(part), "{path}: {}", page.text());
    }
    assert_eq!(world.held_events(&access).len(), 6);
    let next = world.refresh(grant["refresh_token"].as_str().expect("a token"));
    assert_eq!(next.status, 200, "{}", next.text());
    let again = world.refresh(grant["refresh_token"].as_str().expect("a token"));
    assert_eq!(again.status, 409, "{}", again.text());
    let overview = super::client::send(world.address(), "GET", "/", &[], &[]).text();
    for (name, number) in [("Events", 7), ("Artifact bodies", 1), ("Projects", 3), ("Accounts", 2)] {
        let row = format!("<th scope=\"row\">{name}</th><td>{number}</td>");
        assert!(overview.contains(&row), "{row} in {overview}");
    }
    assert!(
        world.admin().revoke_ci_token(&world.admin().ci_tokens().expect("tokens")[0].id).expect("a store")
    );
    let wrong = world
        .admin()
        .create_account(&EMAIL.to_uppercase(), None, None)
        .expect_err("an account with this address");
    assert!(wrong.to_string().contains("exists"), "{wrong}");
}
