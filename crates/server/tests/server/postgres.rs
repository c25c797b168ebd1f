//! PostgreSQL: what only a database of several servers has. `.ci/postgres` starts a cluster for these tests.

use super::browser::Browser;
use super::client::send;
use super::databases::{DATABASE, TLS_DATABASE, address, new_database_text, run, with_name};
use super::missions::{created, ingest, moved, ok, path};
use super::world::{EMAIL, TEAM, World, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{Admin, DatabaseUrl, ServerError, ServerLimits, copy_store};
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A cluster needs this to distribute the tables by team. A table that is not listed belongs to teams.
#[test]
#[ignore = "needs PostgreSQL"]
fn unique_keys_begin_with_the_team() {
    const GLOBAL: [&str; 11] = [
        "accounts",
        "teams",
        "memberships",
        "ci_tokens",
        "sessions",
        "access_tokens",
        "refresh_tokens",
        "devices",
        "codes",
        "guesses",
        "migrations",
    ];
    let url = new_database_text(DATABASE);
    drop(Admin::open(url.parse::<DatabaseUrl>().expect("an address")).expect("a store"));
    let tables = run(&url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'");
    let of_teams: Vec<&String> = tables.iter().filter(|table| !GLOBAL.contains(&table.as_str())).collect();
    let known: BTreeSet<&str> = tables.iter().map(String::as_str).collect();
    assert!(GLOBAL.iter().all(|table| known.contains(table)), "{known:?}");
    assert!(of_teams.len() >= 6, "{of_teams:?}");
    for table in of_teams {
        let keys = run(
            &url,
            &format!(
                "SELECT (SELECT attname FROM pg_attribute WHERE attrelid = indrelid AND attnum = indkey[0])
                 FROM pg_index WHERE indrelid = '{table}'::regclass AND indisunique"
            ),
        );
        assert!(!keys.is_empty(), "{table} has no key");
        assert!(keys.iter().all(|first| first == "team"), "{table}: {keys:?}");
    }
}

/// The name of the database at an address without parameters.
fn name_of(url: &str) -> &str {
    url.rsplit_once('/').map_or(url, |(_, name)| name)
}

/// The planner does not know how few events a span has; in a plain join it can read all events of the team.
#[test]
#[ignore = "needs PostgreSQL"]
fn page_of_a_mission_reads_its_own_events() {
    let url = new_database_text(DATABASE);
    let mut world = World::on_database(url.parse().expect("an address"));
    ingest(
        &world,
        &[created(1, "demo", "A demonstration"), moved(2, "demo", "WP01", Value::Null, "planned")],
    );
    let others = "INSERT INTO events (team, event_id, event_type, aggregate_id, project, deviations, digest,
            content_digest, block, \"offset\", length)
        SELECT team, 'other-' || n, event_type, aggregate_id, project, deviations, digest, content_digest,
            block + 1 + n / 1000, \"offset\", length
        FROM (SELECT * FROM events LIMIT 1) AS one, generate_series(1, 200000) AS n";
    run(&url, others);
    run(&url, "VACUUM ANALYZE");
    // These settings make an index scan look as expensive as on ten million rows.
    for setting in ["cpu_index_tuple_cost = 0.05", "random_page_cost = 10"] {
        run(&address(DATABASE), &format!("ALTER DATABASE {} SET {setting}", name_of(&url)));
    }
    world.stop();
    world.start();
    let read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'events'";
    let read = || run(&url, read)[0].parse::<u64>().expect("a number");
    let before = read();
    let browser = Browser::sign_in(&world, EMAIL, &world.secret);
    let mission = path(&ok(&browser.get("/missions")), "A demonstration");
    for page in ["", "/work-package?id=WP01", "/events"] {
        ok(&browser.get(&format!("{mission}{page}")));
    }
    world.stop();
    wait_for_statistics(&url);
    assert!(read() - before < 100, "{} rows were read", read() - before);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn two_servers_share_logins_guesses_and_events() {
    let one = World::on_postgres(ServerLimits { wrong_secrets: 4, ..ServerLimits::default() }, hasty());
    let other = one.beside();
    // A device asks one server, a person approves at the other.
    let device = one.start_device();
    assert_eq!(other.answer_device(&device, &one.secret, "approve").status, 200);
    let grant = one.poll(device["device_code"].as_str().expect("a code"));
    assert_eq!(grant.status, 200, "{}", grant.text());
    let grant = grant.json();
    let access = grant["access_token"].as_str().expect("a token");
    assert_eq!(statuses(&one.batch(access, TEAM, &[event(1)])), ["success"]);
    assert_eq!(statuses(&other.batch(access, TEAM, &[event(1), event(2)])), ["duplicate", "success"]);
    // A session that ends at one ends at the other.
    let token = grant["refresh_token"].as_str().expect("a token");
    let fields = [("token", token)];
    assert_eq!(super::client::post_form(one.address(), endpoint::OAUTH_REVOKE, &[], &fields).status, 200);
    assert_eq!(other.get(access, endpoint::ME).status, 401);
    let browser = Browser::sign_in(&one, EMAIL, &one.secret);
    let there = Browser::with_cookie(&other, browser.cookie.clone());
    let page = there.get("/account");
    assert_eq!(page.status, 200);
    assert_eq!(browser.post(&page, "/sign-out", &[]).status, 303);
    assert_eq!(there.get("/account").status, 303);
    // Four wrong secrets, two at each, use up the allowance of both.
    let device = one.start_device();
    let guess = |world: &World| world.answer_device(&device, "wrong", "approve").status;
    let right_away: Vec<u16> = [&one, &other, &one, &other].into_iter().map(guess).collect();
    assert!(right_away.iter().all(|status| *status != 429), "{right_away:?}");
    assert_eq!([guess(&one), guess(&other)], [429, 429]);
}

/// Batches with the same events in opposite order, at two servers, while connections are cut.
#[test]
#[ignore = "needs PostgreSQL"]
fn cut_connections_store_each_event_once() {
    let url = new_database_text(DATABASE);
    let one = World::on_database(url.parse().expect("an address"));
    let other = one.beside();
    let token = one.token();
    let authorization = format!("Bearer {token}");
    let (next, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    let (acknowledged, refused) = std::thread::scope(|scope| {
        let senders: Vec<_> = [&one, &other, &one, &other]
            .into_iter()
            .enumerate()
            .map(|(number, world)| {
                let (next, ended, authorization) = (&next, &ended, &authorization);
                scope.spawn(move || {
                    let (mut done, mut refused) = (Vec::new(), 0);
                    while !ended.load(Ordering::Relaxed) {
                        // Two senders share each range of events.
                        let first = next.fetch_add(1, Ordering::Relaxed) / 2 * 40;
                        let mut events: Vec<_> = (first..first + 40).map(event).collect();
                        if number % 2 == 1 {
                            events.reverse();
                        }
                        let body = json!({ "events": events }).to_string();
                        let headers = [("Authorization", authorization.as_str()), ("X-Team-Slug", TEAM)];
                        let path = endpoint::EVENTS_BATCH;
                        let answer = send(world.address(), "POST", path, &headers, body.as_bytes());
                        if answer.status != 200 {
                            assert_eq!(answer.status, 503, "{}", answer.text());
                            refused += 1;
                            continue;
                        }
                        assert!(statuses(&answer).iter().all(|status| status != "rejected"));
                        done.extend(
                            events
                                .iter()
                                .map(|event| event["event_id"].as_str().unwrap_or_default().to_owned()),
                        );
                    }
                    (done, refused)
                })
            })
            .collect();
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(100));
            run(
                &url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
        }
        ended.store(true, Ordering::Relaxed);
        let (mut acknowledged, mut refused) = (Vec::new(), 0);
        for sender in senders {
            let (done, not) = sender.join().expect("a sender");
            acknowledged.extend(done);
            refused += not;
        }
        (acknowledged, refused)
    });
    let stored = run(&url, "SELECT event_id FROM events");
    let distinct: HashSet<&String> = stored.iter().collect();
    assert_eq!(stored.len(), distinct.len());
    let lost = acknowledged.iter().filter(|id| !distinct.contains(id)).count();
    assert!(lost == 0 && !acknowledged.is_empty(), "{lost} of {} are lost", acknowledged.len());
    let counted = run(&url, "SELECT sum(events) FROM counts");
    assert_eq!(counted, [stored.len().to_string()], "kept counts");
    println!("{} acknowledged, {} stored, {refused} requests refused", acknowledged.len(), stored.len());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn commit_is_confirmed_where_the_database_turned_that_off() {
    const NOTE: &str = "CREATE TABLE noted (setting text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO noted VALUES (current_setting(''synchronous_commit'')); RETURN NULL; END';
        CREATE TRIGGER note AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION note()";
    for whose in ["DATABASE", "ROLE CURRENT_USER IN DATABASE"] {
        let url = new_database_text(DATABASE);
        let off = format!("ALTER {whose} {} SET synchronous_commit = off", name_of(&url));
        run(&address(DATABASE), &off);
        assert_eq!(run(&url, "SHOW synchronous_commit"), ["off"], "{off}");
        let world = World::on_database(url.parse().expect("an address"));
        run(&url, NOTE);
        // A small batch and one that is copied.
        for batch in [0..1, 1..100] {
            let events: Vec<_> = batch.map(event).collect();
            assert!(statuses(&world.batch(&world.token(), TEAM, &events)).iter().all(|one| one == "success"));
        }
        let noted = run(&url, "SELECT DISTINCT setting FROM noted");
        assert_eq!(noted, ["on"], "{off}");
    }
}

/// A batch of this size is copied; that of the second request has stored events between new ones.
#[test]
#[ignore = "needs PostgreSQL"]
fn partly_stored_batch_stores_the_rest_once() {
    let url = new_database_text(DATABASE);
    let world = World::on_database(url.parse().expect("an address"));
    let token = world.token();
    let status = |events: &[serde_json::Value]| statuses(&world.batch(&token, TEAM, events));
    let first: Vec<_> = (0..100).map(|n| event(2 * n)).collect();
    assert!(status(&first).iter().all(|status| status == "success"));
    assert!(status(&first).iter().all(|status| status == "duplicate"), "the same again");

    // One stored event that no sample meets, one that is there twice, and one that differs.
    let mut mixed: Vec<_> = (0..100).map(|n| event(2 * n + 1)).collect();
    mixed[1] = event(2);
    mixed[50] = mixed[49].clone();
    let answers = status(&mixed);
    let duplicates: Vec<usize> = (0..100).filter(|at| answers[*at] == "duplicate").collect();
    assert_eq!(duplicates, [1, 50], "{answers:?}");
    mixed[0]["payload"]["wp_title"] = "Other".into();
    let answer = world.batch(&token, TEAM, &mixed).json();
    assert_eq!(answer["results"][0]["content_differs"], true, "{}", answer["results"][0]);
    assert_eq!(answer["results"][1].get("content_differs"), None);
    let mut expected: Vec<String> = first.iter().chain(&mixed).map(id_of).collect();
    // Positions follow the order of the batch.
    let stored = run(&url, "SELECT event_id FROM events ORDER BY seq");
    expected.remove(150);
    expected.remove(101);
    assert_eq!(stored, expected);
}

fn id_of(event: &serde_json::Value) -> String {
    event["event_id"].as_str().expect("an id").to_owned()
}

/// Senders name projects and missions, and have events rejected, in opposite orders.
#[test]
#[ignore = "needs PostgreSQL"]
fn names_in_opposite_orders_are_no_deadlock() {
    let url = new_database_text(DATABASE);
    let world = World::on_database(url.parse().expect("an address"));
    let token = world.token();
    std::thread::scope(|scope| {
        for sender in 0..4_u64 {
            let (world, token) = (&world, &token);
            scope.spawn(move || {
                for round in 0..15_u64 {
                    let mut events: Vec<_> = (0..6_u64)
                        .map(|n| {
                            let number = 10_000 * sender + 10 * round + n;
                            let mut event =
                                super::missions::created(number, &format!("m{n}"), &number.to_string());
                            event["project_uuid"] =
                                format!("4a9c9a6e-5d3c-4b52-8f0e-6f4c3a2b1d0{}", n % 3).into();
                            event["project_slug"] = number.to_string().into();
                            event
                        })
                        .collect();
                    events.push(json!({"event_id": format!("rejected{}", round % 2)}));
                    events.push(json!({"event_id": format!("rejected{}", 1 - round % 2)}));
                    if sender % 2 == 1 {
                        events.reverse();
                    }
                    let answer = world.batch(token, TEAM, &events);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
    });
    drop(world);
    wait_for_statistics(&url);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(run(&url, deadlocks), ["0"]);
}

/// The statistics of a connection are there when it has ended. The database's own workers do not count.
fn wait_for_statistics(url: &str) {
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
    for _ in 0..600 {
        if run(url, others) == ["0"] {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("connections do not end: {:?}", run(url, others));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn connection_by_tls_verifies_the_certificate() {
    let url = new_database_text(TLS_DATABASE);
    let with_tls = format!("{url}&sslmode=require");
    let admin = Admin::open(with_tls.parse::<DatabaseUrl>().expect("an address")).expect("a store");
    admin.create_account(EMAIL, None, Some(TEAM)).expect("an account");
    let (address, _) = url.split_once('?').expect("a certificate");
    let unknown = format!("{address}?sslmode=require").parse::<DatabaseUrl>().expect("an address");
    let error = Admin::open(unknown).err().expect("an unknown issuer").to_string();
    assert!(error.contains("certificate"), "{error}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn newer_or_latin1_database_is_refused() {
    let url = new_database_text(DATABASE);
    let open = |url: &str| Admin::open(url.parse::<DatabaseUrl>().expect("an address"));
    drop(open(&url).expect("a store"));
    run(&url, "INSERT INTO migrations VALUES (99, now())");
    let error = open(&url).err().expect("a newer schema").to_string();
    assert!(error.contains("schema 99"), "{error}");
    run(&address(DATABASE), "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
    let latin = with_name(&address(DATABASE), "latin");
    let error = open(&latin).err().expect("another encoding").to_string();
    assert!(error.contains("LATIN1"), "{error}");
    assert!(run(&latin, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'").is_empty());
    run(&address(DATABASE), "DROP DATABASE latin");
    let nowhere = with_name(&address(DATABASE), "no_such_database");
    let error = open(&nowhere).err().expect("no database").to_string();
    assert!(error.contains("no_such_database"), "{error}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn copied_store_continues_the_directory() {
    let mut world = World::in_directory(ServerLimits::default(), hasty());
    let grant = world.login();
    let access = grant["access_token"].as_str().expect("a token").to_owned();
    let mut odd = event(2);
    odd["aggregate_id"] = "a\u{0}b".into();
    let content = "a body\n\u{0}";
    let events = [event(1), odd.clone(), indexed(3, "spec.md", content)];
    assert_eq!(statuses(&world.batch(&access, TEAM, &events)), ["success"; 3]);
    assert_eq!(world.push(&access, &body_of("spec.md", content)).status, 201);
    let listing = format!("{}?content=1", endpoint::INSPECT_EVENTS);
    let before = [world.get(&access, &listing), world.get(&access, endpoint::INSPECT_BODIES)];

    let url = new_database_text(DATABASE);
    let target: DatabaseUrl = url.parse().expect("an address");
    let cookie = Browser::sign_in(&world, EMAIL, &world.secret).cookie;
    let in_use = copy_store(world.data.path(), &target).unwrap_err();
    assert!(matches!(in_use, ServerError::InUse(_)), "{in_use}");
    world.stop();
    let copied = copy_store(world.data.path(), &target).expect("a copy");
    assert!(copied.iter().any(|table| table.name == "machines" && table.rows == 1), "{copied:?}");
    let rows = |name: &str| copied.iter().find(|table| table.name == name).map(|table| table.rows);
    assert_eq!((rows("events"), rows("bodies"), rows("accounts")), (Some(3), Some(1), Some(1)));
    assert_eq!((rows("missions"), rows("mission_spans"), rows("rejections")), (Some(1), Some(1), Some(0)));
    let again = copy_store(world.data.path(), &target).unwrap_err();
    assert!(matches!(again, ServerError::NotEmpty(..)), "{again}");

    // The same tokens, events and bodies; what is sent again is known, and what is new gets a new place.
    world.store = target.into();
    world.start();
    assert!(Browser::with_cookie(&world, cookie).get("/machines").text().contains("0123456789ab"));
    let now = world.get(&access, &listing).json();
    let aggregate = &now["rows"][1]["aggregate_id"];
    assert_eq!(aggregate, "a\u{fffd}b", "a listing has no NUL");
    let contents = |page: &serde_json::Value| -> Vec<serde_json::Value> {
        page["rows"].as_array().expect("rows").iter().map(|row| row["content"].clone()).collect()
    };
    assert_eq!(contents(&now), contents(&before[0].json()));
    assert_eq!(world.get(&access, endpoint::INSPECT_BODIES).json(), before[1].json());
    assert_eq!(statuses(&world.batch(&access, TEAM, &[odd, event(4)])), ["duplicate", "success"]);
    assert_eq!(world.held_events(&access).len(), 4);
    assert_eq!(world.refresh(grant["refresh_token"].as_str().expect("a token")).status, 200);
}
