//! Pages of missions: what a member, and a member of a team that a project is shared with, sees of them.

use super::browser::Browser;
use super::client::Answer;
use super::databases;
use super::world::{EMAIL, PROJECT, TEAM, World, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::ServerLimits;

pub(crate) fn world() -> World {
    World::with(ServerLimits::default(), hasty())
}

/// A move of a work package of the mission `slug`, `n` seconds into the day.
pub(crate) fn moved(n: u64, slug: &str, wp: &str, from: Value, to: &str) -> Value {
    let mut event = event(n);
    event["event_type"] = "WPStatusChanged".into();
    event["aggregate_id"] = wp.into();
    event["timestamp"] = format!("2026-11-22T{:02}:{:02}:{:02}+00:00", n / 3600, n / 60 % 60, n % 60).into();
    event["payload"] = json!({
        "mission_slug": slug, "wp_id": wp, "from_lane": from, "to_lane": to, "actor": "ada", "force": false,
        "reason": null, "execution_mode": "worktree", "review_ref": null, "evidence": null
    });
    event
}

fn noted(n: u64, wp: &str, text: &str) -> Value {
    let mut event = event(n);
    event["event_type"] = "HistoryAdded".into();
    event["aggregate_id"] = wp.into();
    event["payload"] = json!({"wp_id": wp, "entry_type": "note", "entry_content": text, "author": "ada"});
    event
}

pub(crate) fn created(n: u64, slug: &str, name: &str) -> Value {
    let mut event = event(n);
    event["event_type"] = "MissionCreated".into();
    event["aggregate_id"] = slug.into();
    event["payload"] = json!({
        "mission_slug": slug, "mission_number": null, "mission_type": "software-dev", "target_branch": "main",
        "wp_count": 0, "friendly_name": name, "purpose_tldr": "To see it", "purpose_context": "A test"
    });
    event
}

pub(crate) fn ingest(world: &World, events: &[Value]) {
    let stored = statuses(&world.batch(&world.token(), TEAM, events));
    assert!(stored.iter().all(|status| status == "success"), "{stored:?}");
}

/// The mission of most tests: two work packages, a note and a document.
fn demo(world: &World) {
    let mut second = event(2);
    second["aggregate_id"] = "WP02".into();
    second["payload"]["wp_id"] = "WP02".into();
    second["payload"]["wp_title"] = "Second".into();
    ingest(
        world,
        &[
            created(1, "demo", "A demonstration"),
            event(3),
            second,
            moved(4, "demo", "WP01", Value::Null, "planned"),
            moved(5, "demo", "WP02", Value::Null, "planned"),
            moved(6, "demo", "WP01", "planned".into(), "claimed"),
            noted(7, "WP01", "Looks <good>\nso far"),
            indexed(8, "spec.md", "# Spec\n"),
        ],
    );
    assert_eq!(world.push(&world.token(), &body_of("spec.md", "# Spec\n")).status, 201);
}

pub(crate) fn ok(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

/// The path of a mission, found in the list by its name.
pub(crate) fn path(list: &str, name: &str) -> String {
    let (before, _) = list.split_once(&format!(">{name}</a>")).unwrap_or_else(|| panic!("{name} in {list}"));
    let (_, path) = before.rsplit_once("href=\"").expect("a link");
    path.trim_end_matches('"').to_owned()
}

/// The path of the next page.
fn older(page: &str) -> Option<String> {
    let (before, _) = page.split_once("\" rel=\"next\">")?;
    Some(before.rsplit_once("href=\"")?.1.replace("&#38;", "&"))
}

fn all_pages(browser: &Browser<'_>, first: &str) -> String {
    let (mut text, mut next) = (String::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let page = ok(&browser.get(&path));
        next = older(&page);
        text.push_str(&page);
    }
    text
}

/// The cards of a lane.
fn lane(board: &str, lane: &str) -> String {
    let (_, rest) =
        board.split_once(&format!("id=\"lane-{lane}\"")).unwrap_or_else(|| panic!("{lane} in {board}"));
    rest.split("</section>").next().unwrap_or_default().to_owned()
}

#[test]
fn member_sees_the_board_and_the_history() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    assert!(ok(&browser.get("/missions")).contains("No missions yet"));
    demo(&world);
    let list = ok(&browser.get("/missions"));
    assert!(list.contains(">demo</td>") && !list.contains("rel=\"next\""), "{list}");
    let mission = path(&list, "A demonstration");

    let board = ok(&browser.get(&mission));
    assert!(lane(&board, "claimed").contains("WP01 <span class=\"card-title\">First</span>"), "{board}");
    assert!(lane(&board, "planned").contains("Second") && !lane(&board, "planned").contains("First"));
    assert!(board.contains("0 of 2 work packages") && board.contains("To see it"));
    assert!(board.contains("<title id=\"plot-title\">Progress over time</title>"));
    assert!(board.contains("Last: 0 done") && board.contains("1 planned."));

    let package = ok(&browser.get(&format!("{mission}/work-package?id=WP01")));
    let order = ["Note", "Planned \u{2192} Claimed", "Added to Planned", "Created: First"];
    let places: Vec<usize> = order.iter().map(|title| package.find(title).expect("an entry")).collect();
    assert!(places.is_sorted(), "newest first: {package}");
    assert!(package.contains("Looks &#60;good&#62;\nso far") && package.contains("ada"));
    assert!(!package.contains("Second"));
    assert_eq!(browser.get(&format!("{mission}/work-package?id=WP09")).status, 404);
    assert_eq!(browser.get(&format!("{mission}/work-package")).status, 404);
    for absent in ["/missions/999", "/missions/x", "/missions/1/documents/x", "/missions?before=x"] {
        assert_eq!(browser.get(absent).status, 404, "{absent}");
    }
}

#[test]
fn missions_are_paged_newest_activity_first() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    for batch in 0..3 {
        let events: Vec<Value> = (0..40)
            .map(|n| {
                moved(batch * 100 + n, &format!("mission-{batch}-{n:02}"), "WP01", Value::Null, "planned")
            })
            .collect();
        ingest(&world, &events);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pages = all_pages(&browser, "/missions");
    for batch in 0..3 {
        for n in 0..40 {
            assert_eq!(pages.matches(&format!(">mission-{batch}-{n:02}</a>")).count(), 1, "{batch} {n}");
        }
    }
    assert_eq!(pages.matches("rel=\"next\"").count(), 2);
    let newest = pages.find(">mission-2-").expect("a mission");
    assert!(newest < pages.find(">mission-1-").expect("a mission"));
}

#[test]
fn events_of_a_mission_are_paged_and_filtered() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    // Two missions take turns, in batches of ten.
    for batch in 0..14 {
        let events: Vec<Value> = (batch * 10..batch * 10 + 10)
            .map(|n| {
                let (slug, wp) =
                    if n % 3 == 0 { ("other", "WP09") } else { ("demo", ["WP01", "WP02"][n as usize % 2]) };
                let mut event = moved(n, slug, wp, Value::Null, "planned");
                event["correlation_id"] =
                    format!("01K{:023}", 10_000 + batch * 2 + u64::from(n % 3 == 0)).into();
                if n % 7 == 1 {
                    let note = noted(n, wp, "x");
                    event["event_type"] = note["event_type"].clone();
                    event["payload"] = note["payload"].clone();
                }
                event
            })
            .collect();
        ingest(&world, &events);
    }
    let mission = path(&ok(&browser.get("/missions")), "demo");
    let rows = |query: &str| {
        all_pages(&browser, &format!("{mission}/events{query}")).matches("<td data-label=\"Event\">").count()
    };
    let own = (0..140).filter(|n| n % 3 != 0);
    assert_eq!(rows(""), own.clone().count());
    assert_eq!(rows("?type=HistoryAdded"), own.clone().filter(|n| n % 7 == 1).count());
    assert_eq!(rows("?work_package=WP01"), own.clone().filter(|n| n % 2 == 0).count());
    assert_eq!(
        rows("?work_package=WP01&type=HistoryAdded"),
        own.filter(|n| n % 2 == 0 && n % 7 == 1).count()
    );
    assert_eq!(rows("?work_package=WP09"), 0);
    let all = all_pages(&browser, &format!("{mission}/events"));
    assert!(!all.contains("WP09"), "events of the other mission");
    assert_eq!(browser.get(&format!("{mission}/events?before=x")).status, 404);
}

#[test]
fn documents_are_shown_in_their_newest_text() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let texts = [
        "# One\n<script>alert(1)</script>\n",
        "# Two\n[x](javascript:alert(1)) ![i](https://x.example/i.png)\n",
    ];
    let data = "{\"a\": \"<b>\u{202e}\"}\n";
    ingest(&world, &[indexed(1, "spec.md", texts[0]), indexed(2, "contracts/data.json", data)]);
    let push = |path: &str, text: &str| {
        let answer = world.push(&world.token(), &body_of(path, text));
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
    };
    let mission = path(&ok(&browser.get("/missions")), "demo");
    assert!(ok(&browser.get(&mission)).contains("No documents yet"), "no body arrived");
    push("spec.md", texts[0]);
    push("contracts/data.json", data);
    let board = ok(&browser.get(&mission));
    let (spec, json) = (path(&board, "spec.md"), path(&board, "contracts/data.json"));
    let page = ok(&browser.get(&spec));
    assert!(
        page.contains("<h2>One</h2>") && !page.contains("<script") && page.contains("&lt;script&gt;"),
        "{page}"
    );
    push("spec.md", texts[1]);
    let page = ok(&browser.get(&spec));
    assert!(
        page.contains("<h2>Two</h2>") && !page.contains("javascript:") && !page.contains("<img"),
        "{page}"
    );
    assert!(page.contains("<a href=\"https://x.example/i.png\" rel=\"noopener noreferrer\">Image: i</a>"));
    // A document may have an earlier text again.
    push("spec.md", texts[0]);
    assert!(ok(&browser.get(&spec)).contains("<h2>One</h2>"));
    let page = ok(&browser.get(&json));
    assert!(page.contains("&#60;b&#62;\\u{202e}") && page.contains("<pre"), "{page}");
    let policy = browser.get(&spec);
    assert!(
        policy
            .header("content-security-policy")
            .is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
}

#[test]
fn hostile_text_is_escaped_and_pages_stay_small() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let nasty = "</title><script>alert(1)</script>\u{202e}\u{1b}[2J\"'";
    let long = nasty.repeat(8_000);
    let mut package = event(1);
    package["aggregate_id"] = nasty.into();
    package["payload"]["mission_slug"] = long.clone().into();
    package["payload"]["wp_id"] = nasty.into();
    package["payload"]["wp_title"] = long.into();
    package["project_slug"] = nasty.into();
    ingest(&world, &[package]);
    let mut mission = created(2, &nasty.repeat(8_000), nasty);
    mission["payload"]["purpose_tldr"] = nasty.repeat(5_000).into();
    ingest(&world, &[mission]);
    ingest(&world, &[moved(3, &nasty.repeat(8_000), nasty, Value::Null, "planned")]);
    let list = ok(&browser.get("/missions"));
    let mission = {
        let (_, rest) = list.split_once("href=\"/missions/").expect("a mission");
        format!("/missions/{}", rest.split('"').next().expect("a key"))
    };
    let board = ok(&browser.get(&mission));
    let (_, package) = board.split_once("class=\"card\"><a href=\"").expect("a card");
    let package = package.split('"').next().expect("a path").to_owned();
    for path in ["/missions", &mission, &format!("{mission}/events"), &package] {
        let page = ok(&browser.get(path));
        assert!(
            !page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\u{1b}'),
            "{path}"
        );
        assert!(page.len() < 60_000, "{path}: {} bytes", page.len());
    }
}

/// Ids fall where positions grow, and some events of the second batch are not stored.
#[test]
fn mixed_batches_stay_in_their_missions() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let add = |n, slug, wp| moved(n, slug, wp, Value::Null, "planned");
    ingest(&world, &[add(9, "demo", "WP01"), add(8, "demo", "WP02"), add(7, "other", "WP03")]);
    let mixed = [
        add(6, "other", "WP04"),
        add(9, "demo", "WP01"),
        add(5, "demo", "WP05"),
        add(6, "other", "WP04"),
        add(4, "other", "WP06"),
    ];
    let answer = world.batch(&world.token(), TEAM, &mixed);
    assert_eq!(statuses(&answer), ["success", "duplicate", "success", "duplicate", "success"]);
    let list = ok(&browser.get("/missions"));
    for (slug, packages) in [("demo", ["WP01", "WP02", "WP05"]), ("other", ["WP03", "WP04", "WP06"])] {
        let board = ok(&browser.get(&path(&list, slug)));
        for wp in ["WP01", "WP02", "WP03", "WP04", "WP05", "WP06"] {
            assert_eq!(
                lane(&board, "planned").contains(wp),
                packages.contains(&wp),
                "{wp} of {slug}: {board}"
            );
        }
    }
}

#[test]
fn large_mission_is_read_in_bounded_steps() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let steps = ["claimed", "in_progress", "for_review", "in_review"];
    let mut before: std::collections::HashMap<String, &str> = std::collections::HashMap::new();
    for batch in 0..4_u64 {
        let events: Vec<Value> = (0..600_u64)
            .map(|n| {
                let wp = format!("WP{n:03}");
                let from = before.get(&wp).map_or(Value::from("planned"), |lane| (*lane).into());
                before.insert(wp.clone(), steps[batch as usize]);
                moved(batch * 600 + n, "demo", &wp, from, steps[batch as usize])
            })
            .collect();
        ingest(&world, &events);
    }
    let mission = path(&ok(&browser.get("/missions")), "demo");
    let board = ok(&browser.get(&mission));
    assert!(
        board.contains("0 of 600 work packages") && board.contains("and 400 more"),
        "every package is counted"
    );
    assert_eq!(board.matches("class=\"card\"").count(), 200);
    let package = ok(&browser.get(&format!("{mission}/work-package?id=WP599")));
    assert_eq!(package.matches("\u{2192}").count(), 4);
}

#[test]
fn pages_of_many_accounts_wait_for_each_other() {
    let world = world();
    demo(&world);
    let admin = world.admin();
    let secrets: Vec<(String, String)> = (0..4)
        .map(|n| {
            let email = format!("member{n}@example.com");
            let created = admin.create_account(&email, None, Some(TEAM)).expect("an account");
            (email, created.approval_secret.expose().to_owned())
        })
        .collect();
    let browsers: Vec<Browser<'_>> =
        secrets.iter().map(|(email, secret)| Browser::sign_in(&world, email, secret)).collect();
    let mission = path(&ok(&browsers[0].get("/missions")), "A demonstration");
    std::thread::scope(|scope| {
        let (pages, mission) = (browsers.iter().chain(&browsers), &mission);
        let threads: Vec<_> = pages.map(|browser| scope.spawn(|| browser.get(mission).status)).collect();
        let statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().expect("a page")).collect();
        assert_eq!(statuses, [200; 8]);
    });
}

#[test]
fn damaged_block_hides_its_own_events_only() {
    let world = World::in_directory(ServerLimits::default(), hasty());
    ingest(
        &world,
        &[created(1, "demo", "A demonstration"), moved(2, "demo", "WP01", Value::Null, "planned")],
    );
    ingest(&world, &[moved(3, "demo", "WP02", Value::Null, "planned")]);
    ingest(&world, &[moved(4, "demo", "WP03", Value::Null, "planned")]);
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let mission = path(&ok(&browser.get("/missions")), "A demonstration");
    let notice = "Some events of this mission cannot be read";
    assert!(!ok(&browser.get(&mission)).contains(notice));
    let connection = rusqlite::Connection::open(world.data.path().join("server.db")).expect("a database");
    let middle =
        "UPDATE blocks SET packed = ?1 WHERE key = (SELECT key FROM blocks ORDER BY key LIMIT 1 OFFSET 1)";
    assert_eq!(connection.execute(middle, [b"damaged".to_vec()]).expect("a change"), 1);
    let board = ok(&browser.get(&mission));
    assert!(board.contains(notice) && board.contains("2 work packages"), "{board}");
    let planned = lane(&board, "planned");
    assert!(planned.contains("WP01") && planned.contains("WP03") && !planned.contains("WP02"), "{planned}");
    let events = ok(&browser.get(&format!("{mission}/events")));
    assert!(events.contains(notice) && events.matches("<td data-label=\"Event\">").count() == 3, "{events}");
    let package = ok(&browser.get(&format!("{mission}/work-package?id=WP02")));
    assert!(package.contains(notice));
    assert!(!ok(&browser.get(&format!("{mission}/work-package?id=WP01"))).contains(notice));
}

#[test]
fn long_id_of_a_work_package_has_a_page() {
    let world = world();
    let id = format!("WP-{}", "x".repeat(300));
    ingest(&world, &[created(1, "demo", "Long"), moved(2, "demo", &id, Value::Null, "planned")]);
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let mission = path(&ok(&browser.get("/missions")), "Long");
    let link = format!("{mission}/work-package?id={id}");
    for from in [mission.clone(), format!("{mission}/events")] {
        let page = ok(&browser.get(&from));
        assert!(page.contains(&link) && page.contains("x\u{2026}"), "{page}");
    }
    assert!(ok(&browser.get(&link)).contains("Planned"));
}

#[test]
fn shared_mission_is_seen_while_it_is_shared() {
    let world = world();
    demo(&world);
    let admin = world.admin();
    let bea = admin.create_account("bea@example.com", Some("Bea"), None).expect("an account");
    admin.add_team("guild", Some("Guild"), false).expect("a team");
    for email in [EMAIL, "bea@example.com"] {
        admin.add_member("guild", email, false).expect("a member");
    }
    let owner = Browser::sign_in(&world, EMAIL, &world.secret);
    let guest = Browser::sign_in(&world, "bea@example.com", bea.approval_secret.expose());
    let mission = path(&ok(&owner.get("/missions")), "A demonstration");
    let document = path(&ok(&owner.get(&mission)), "spec.md");
    let pages =
        [mission.clone(), format!("{mission}/events"), format!("{mission}/work-package?id=WP01"), document];
    let access = world.access(EMAIL, &world.secret);
    let share = |path: &str| {
        let body = json!({"source_project_uuid": PROJECT, "destination_team_slug": "guild"}).to_string();
        assert!(world.post(&access, path, &[], body.as_bytes()).status < 300);
    };
    let is_seen = |expected: u16| {
        for page in &pages {
            assert_eq!(guest.get(page).status, expected, "{page}");
        }
    };
    is_seen(404);
    assert!(ok(&guest.get("/missions")).contains("No missions yet"));
    share(endpoint::REPOSITORY_SHARES);
    is_seen(200);
    assert!(ok(&guest.get("/missions")).contains("shared with your team"));
    assert!(ok(&guest.get(&mission)).contains("shared with your team"));
    assert!(!ok(&owner.get("/missions")).contains("shared with your team"));
    share(endpoint::LEAVE_SHARE);
    is_seen(404);
}

#[test]
fn forgotten_project_has_no_missions() {
    let world = world();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    demo(&world);
    let mission = path(&ok(&browser.get("/missions")), "A demonstration");
    assert!(world.admin().forget_project(TEAM, PROJECT).expect("a store").is_some());
    assert!(ok(&browser.get("/missions")).contains("No missions yet"));
    assert_eq!(browser.get(&mission).status, 404);
    ingest(&world, &[created(50, "demo", "Again")]);
    assert!(ok(&browser.get("/missions")).contains("Again"));
}

/// Events without spans, as an earlier release stored them.
const AS_BEFORE: &str = "DELETE FROM mission_spans; DELETE FROM missions; UPDATE projects SET name = '';
    UPDATE blocks SET spans_known = 0";

/// Pages of missions are the same after the missions of stored events were found again.
fn missions_are_found_again(mut world: World, run: impl Fn(&str)) {
    demo(&world);
    // A batch of two projects is packed again, and one with duplicates has more text than events.
    let mut elsewhere = moved(20, "far", "WP01", Value::Null, "planned");
    elsewhere["project_uuid"] = "11111111-2222-4333-8444-555555555555".into();
    ingest(&world, &[elsewhere, moved(21, "demo", "WP02", "planned".into(), "claimed")]);
    let duplicates = [moved(21, "demo", "WP02", "planned".into(), "claimed"), noted(22, "WP02", "late")];
    assert_eq!(statuses(&world.batch(&world.token(), TEAM, &duplicates)), ["duplicate", "success"]);
    let pages = |world: &World| {
        let browser = Browser::sign_in(world, EMAIL, &world.secret);
        let list = ok(&browser.get("/missions"));
        let mission = path(&list, "A demonstration");
        let far = path(&list, "far");
        let shown = [
            format!("{mission}/events"),
            format!("{mission}/work-package?id=WP02"),
            mission,
            format!("{far}/events"),
        ];
        let text = |path: &String| {
            let page = ok(&browser.get(path));
            let (_, content) = page.split_once("<main").expect("content");
            // Keys and form keys differ.
            content
                .split("/missions/")
                .map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit()))
                .collect()
        };
        shown.iter().map(text).collect::<Vec<String>>()
    };
    let before = pages(&world);
    assert!(before[0].contains("late"), "a note whose move was a duplicate");
    world.stop();
    run(AS_BEFORE);
    world.start();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let is_found = || {
        let list = ok(&browser.get("/missions"));
        list.contains(">A demonstration</a>")
            && list.contains(">far</a>")
            && ok(&browser.get(&format!("{}/events", path(&list, "A demonstration")))).contains("late")
    };
    for _ in 0..300 {
        if is_found() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(pages(&world), before);
}

#[test]
fn missions_of_an_earlier_sqlite_store_are_found() {
    let world = World::in_directory(ServerLimits::default(), hasty());
    let file = world.data.path().join("server.db");
    missions_are_found_again(world, |sql| {
        rusqlite::Connection::open(&file).expect("the store").execute_batch(sql).expect("a change");
    });
}

#[test]
#[ignore = "needs PostgreSQL"]
fn missions_of_an_earlier_postgres_are_found() {
    let url = databases::new_database_text(databases::DATABASE);
    let world = World::on_database(url.parse().expect("an address"));
    missions_are_found_again(world, |sql| drop(databases::run(&url, sql)));
}

#[test]
fn events_without_a_mission_have_a_page() {
    let world = world();
    ingest(&world, &[noted(1, "WP01", "Of no mission")]);
    ingest(&world, &[moved(2, "demo", "WP01", Value::Null, "planned"), noted(3, "WP01", "Of the mission")]);
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let list = ok(&browser.get("/missions"));
    assert_eq!(list.matches(">Events without a mission</a>").count(), 1, "{list}");
    let path = path(&list, "Events without a mission");
    let page = ok(&browser.get(&path));
    assert!(page.contains("Of no mission") && !page.contains("Of the mission"), "{page}");
    let board = browser.get(path.trim_end_matches("/events"));
    assert_eq!((board.status, board.header("location")), (303, Some(path.as_str())));
}

#[test]
fn mission_with_a_long_slug_has_documents() {
    let world = world();
    let slug = "long-".repeat(51);
    let mut index = indexed(1, "spec.md", "# Long");
    index["payload"]["namespace"]["mission_slug"] = slug.as_str().into();
    ingest(&world, &[index]);
    let mut body = body_of("spec.md", "# Long");
    body["mission_slug"] = slug.as_str().into();
    let pushed = world.push(&world.token(), &body);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let list = ok(&browser.get("/missions"));
    let (_, rest) = list.split_once("href=\"/missions/").expect("a mission");
    let mission = format!("/missions/{}", rest.split('"').next().expect("a key"));
    assert!(ok(&browser.get(&mission)).contains("spec.md</a>"));
}
