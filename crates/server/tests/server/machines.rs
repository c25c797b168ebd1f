//! Machines and rejected events, as the pages show them.

use super::browser::Browser;
use super::world::{EMAIL, PROJECT, TEAM, World, body_of, event, hasty, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::ServerLimits;
use testkit::gzip;

fn world() -> World {
    World::with(ServerLimits::default(), hasty())
}

fn send_as(world: &World, token: &str, program: &str, events: &[Value]) -> Vec<String> {
    let headers = [("Content-Encoding", "gzip"), (endpoint::TEAM_HEADER, TEAM), ("User-Agent", program)];
    let body = gzip(json!({ "events": events }).to_string().as_bytes());
    statuses(&world.post(token, endpoint::EVENTS_BATCH, &headers, &body))
}

fn broken(n: u64) -> Value {
    let mut event = event(n);
    event["payload"]["wp_title"] = json!({ "secret": "s3cret-content" });
    event
}

#[test]
fn machine_is_shown_with_its_newest_delivery() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    assert!(browser.get("/machines").text().contains("No machine has delivered events yet."));
    let token = world.token();
    assert_eq!(send_as(&world, &token, "spec-kitty/3.3.0", &[event(1)]), ["success"]);
    let page = browser.get("/machines").text();
    for part in ["<code>0123456789ab</code>", "spec-kitty/3.3.0", EMAIL, TEAM, "test<br>"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    // A new release is seen at once; another node is another machine.
    let mut elsewhere = event(3);
    elsewhere["node_id"] = "ba9876543210".into();
    assert_eq!(send_as(&world, &token, "spec-kitty/3.4.0", &[event(2)]), ["success"]);
    assert_eq!(send_as(&world, &token, "", &[elsewhere]), ["success"]);
    let page = browser.get("/machines").text();
    assert!(page.contains("spec-kitty/3.4.0") && !page.contains("spec-kitty/3.3.0"), "{page}");
    assert!(page.contains("<code>ba9876543210</code>") && page.contains("unknown"), "{page}");
    assert_eq!(page.matches("<tr>").count(), 3, "{page}");
}

#[test]
fn batch_that_was_not_stored_is_no_delivery() {
    let world = World::in_directory(ServerLimits::default(), hasty());
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let token = world.token();
    let connection = rusqlite::Connection::open(world.data.path().join("server.db")).expect("a database");
    let fault =
        "CREATE TRIGGER fault BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'a fault of the test'); END";
    connection.execute_batch(fault).expect("a change");
    assert_eq!(world.batch(&token, TEAM, &[event(1)]).status, 503);
    assert!(browser.get("/machines").text().contains("No machine has delivered events yet."));
    connection.execute_batch("DROP TRIGGER fault").expect("a change");
    assert_eq!(statuses(&world.batch(&token, TEAM, &[event(1)])), ["success"]);
    assert!(!browser.get("/machines").text().contains("No machine has delivered events yet."));
}

#[test]
fn rejected_event_is_shown_without_its_content() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    assert!(browser.get("/rejected").text().contains("Nothing was rejected."));
    let token = world.token();
    let events = [event(1), broken(2), json!("no event")];
    assert_eq!(send_as(&world, &token, "spec-kitty/3.3.0", &events), ["success", "rejected", "rejected"]);
    assert_eq!(send_as(&world, &token, "spec-kitty/3.3.0", &[broken(2)]), ["rejected"]);
    let page = browser.get("/rejected").text();
    let id = broken(2)["event_id"].as_str().expect("an id").to_owned();
    for part in [
        &*id,
        "PAYLOAD_SCHEMA_FAIL",
        "payload.wp_title",
        "WPCreated",
        "test, spec-kitty/3.3.0",
        "no id",
        "class=\"number\">2</td>",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("s3cret") && !page.contains(&token), "{page}");
    // A preflight stores nothing.
    let body = json!({ "events": [broken(9)] }).to_string();
    world.post(&token, endpoint::EVENTS_PREFLIGHT, &[(endpoint::TEAM_HEADER, TEAM)], body.as_bytes());
    assert_eq!(browser.get("/rejected").text().matches("<tr>").count(), 3);
    // A body that can never be stored.
    let mut body = body_of("spec.md", "s3cret-content");
    body["content_hash"] = "0".repeat(64).into();
    assert_eq!(world.push(&token, &body).status, 400);
    let page = browser.get("/rejected").text();
    assert!(page.contains("artifact body") && page.contains("<code>spec.md</code>"), "{page}");
    assert!(!page.contains("s3cret"), "{page}");
    // With the project they are forgotten.
    let path = endpoint::FORGET_PROJECT.replace("{project_uuid}", PROJECT);
    let access = world.access(EMAIL, &world.secret);
    assert_eq!(world.post(&access, &path, &[], b"{}").status, 200);
    assert!(!browser.get("/rejected").text().contains(&id));
}

#[test]
fn rejected_events_are_bounded_and_paged() {
    let world = world();
    let token = world.token();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    // Of a batch with more, the first 50 are kept.
    for batch in 0..21 {
        let events: Vec<Value> = (batch * 60..batch * 60 + 60).map(broken).collect();
        send_as(&world, &token, "spec-kitty/3.3.0", &events);
    }
    let rows = |path: &str| browser.get(path).text().matches("<td data-label=\"Item\">").count();
    assert_eq!((rows("/rejected"), rows("/rejected?skip=950"), rows("/rejected?skip=1000")), (50, 50, 0));
    let first = browser.get("/rejected").text();
    assert!(first.contains("href=\"/rejected?skip=50\" rel=\"next\"") && !first.contains("rel=\"prev\""));
    let last = browser.get("/rejected?skip=950").text();
    assert!(last.contains("href=\"/rejected?skip=900\" rel=\"prev\"") && !last.contains("rel=\"next\""));
    let newest = broken(20 * 60)["event_id"].as_str().expect("an id").to_owned();
    let oldest = broken(0)["event_id"].as_str().expect("an id").to_owned();
    let pages: String =
        (0..20).map(|page| browser.get(&format!("/rejected?skip={}", page * 50)).text()).collect();
    assert!(pages.contains(&newest) && !pages.contains(&oldest));
}

#[test]
fn removed_person_leaves_no_machine() {
    let world = world();
    let admin = world.admin();
    let bea = admin.create_account("bea@example.com", None, Some(TEAM)).expect("an account");
    let token = world.access("bea@example.com", bea.approval_secret.expose());
    assert_eq!(send_as(&world, &token, "spec-kitty/3.3.0", &[event(1), broken(2)]), ["success", "rejected"]);
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let seen = |path: &str| browser.get(path).text().contains("bea@example.com");
    assert!(seen("/machines") && seen("/rejected"));
    admin.remove_account("bea@example.com", &server::SoleTeams::Refuse).expect("an account");
    assert!(!seen("/machines") && !seen("/rejected"));
}
