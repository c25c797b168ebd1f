//! People, teams, sharing and forgetting: who sees what, and what ends with an account or a membership.

use super::client::Answer;
use super::world::{EMAIL, PROJECT, TEAM, World, body_key, body_of, event, hasty, indexed, statuses};
use contract::wire::endpoint;
use serde_json::{Value, json};
use server::{ServerError, ServerLimits, SoleTeams, StoreError, StoreLocation};

const BEA: &str = "bea@example.com";
const GUILD: &str = "guild";

fn world() -> World {
    World::with(ServerLimits::default(), hasty())
}

/// A second account; with its approval secret.
fn bea(world: &World, team: Option<&str>) -> String {
    let created = world.admin().create_account(BEA, Some("Bea"), team).expect("an account");
    created.approval_secret.expose().to_owned()
}

fn share(world: &World, token: &str, path: &str, team: &str) -> Answer {
    let body = json!({"source_project_uuid": PROJECT, "destination_team_slug": team}).to_string();
    world.post(token, path, &[], body.as_bytes())
}

fn shares(world: &World, token: &str) -> Value {
    let path = format!("{}?source_project_uuid={PROJECT}", endpoint::REPOSITORY_SHARES);
    world.get(token, &path).json()["results"].clone()
}

fn forget(world: &World, token: &str) -> Answer {
    let path = endpoint::FORGET_PROJECT.replace("{project_uuid}", PROJECT);
    world.post(token, &path, &[], b"{}")
}

/// Events and bodies that a token sees.
fn seen(world: &World, token: &str) -> (Value, Value) {
    let total = |path: &str| world.get(token, path).json()["total"].clone();
    (total(endpoint::INSPECT_EVENTS), total(endpoint::INSPECT_BODIES))
}

fn is_store_error(error: &ServerError, expected: fn(&StoreError) -> bool) -> bool {
    matches!(error, ServerError::Store(error) if expected(error))
}

#[test]
fn enabling_an_account_revives_no_login() {
    let world = world();
    let (access, machine) = (world.access(EMAIL, &world.secret), world.token());
    // Approved, and not yet fetched.
    let device = world.start_device();
    assert_eq!(world.answer_device(&device, &world.secret, "approve").status, 200);
    let (disabled, ended) = world.admin().disable_account("DEV@example.com").unwrap();
    assert!(disabled.disabled_at.is_some());
    assert_eq!((ended.sessions, ended.tokens), (1, 1));
    let status = |token: &str| world.get(token, endpoint::ME).status;
    assert_eq!((status(&access), status(&machine)), (401, 401));
    assert_ne!(world.poll(device["device_code"].as_str().unwrap()).status, 200);
    assert_eq!(world.admin().enable_account(EMAIL).unwrap().disabled_at, None);
    assert_eq!((status(&access), status(&machine)), (401, 401));
    assert_ne!(world.poll(device["device_code"].as_str().unwrap()).status, 200);
    assert_eq!(status(&world.access(EMAIL, &world.secret)), 200);
}

#[test]
fn new_secret_ends_sessions_and_machine_tokens() {
    let world = world();
    let grant = world.login();
    let (access, machine) = (grant["access_token"].as_str().unwrap(), world.token());
    let replaced = world.admin().replace_secret(EMAIL).unwrap();
    assert_eq!((replaced.ended.sessions, replaced.ended.tokens), (1, 1));
    assert_eq!(world.get(access, endpoint::ME).status, 401);
    assert_eq!(world.get(&machine, endpoint::ME).status, 401);
    let refreshed = world.refresh(grant["refresh_token"].as_str().unwrap());
    assert_eq!((refreshed.status, &refreshed.json()["error"]), (400, &json!("session_invalid")));
}

#[test]
fn sessions_are_listed_and_ended() {
    let world = world();
    let (one, two) = (world.login(), world.login());
    let token = |grant: &Value| grant["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&token(&one), endpoint::ME).status, 200);
    let listed = world.admin().sessions(Some(EMAIL), false).unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|session| session.email == EMAIL && session.flow == "device_code"));
    let id = one["session_id"].as_str().unwrap();
    assert!(world.admin().end_session(id).unwrap());
    assert!(!world.admin().end_session(id).unwrap());
    assert_eq!(world.get(&token(&one), endpoint::ME).status, 401);
    assert_eq!(world.get(&token(&two), endpoint::ME).status, 200);
    assert_eq!(world.admin().end_sessions_of(EMAIL).unwrap(), 1);
    assert_eq!(world.get(&token(&two), endpoint::ME).status, 401);
    assert_eq!(world.admin().sessions(None, false).unwrap(), []);
    assert_eq!(world.admin().sessions(None, true).unwrap().len(), 2);
}

#[test]
fn team_names_have_no_case_and_keep_the_id() {
    let world = world();
    let admin = world.admin();
    let guild = admin.add_team(GUILD, Some("The guild"), false).unwrap();
    assert!(!guild.is_private && guild.members.is_empty());
    let again = admin.add_team("GUILD", None, false).unwrap_err();
    assert!(is_store_error(&again, |error| matches!(error, StoreError::TeamExists)), "{again}");
    let joined = admin.add_member("Guild", EMAIL, false).unwrap();
    assert_eq!(joined.members, [(EMAIL.to_owned(), "member".to_owned())]);
    assert_eq!(admin.add_member(GUILD, EMAIL, true).unwrap().members[0].1, "owner");
    let renamed = admin.rename_team("gUILD", "Old guild").unwrap();
    assert_eq!((renamed.team_id.as_str(), renamed.name.as_str()), (GUILD, "Old guild"));
    let me = world.get(&world.access(EMAIL, &world.secret), endpoint::ME).json();
    let teams: Vec<&str> = me["teams"].as_array().unwrap().iter().filter_map(|t| t["id"].as_str()).collect();
    assert_eq!(teams, [TEAM, GUILD], "the private teamspace is first");
    for (error, expected) in [
        (admin.rename_team("none", "x").unwrap_err(), "no team"),
        (admin.add_member("none", EMAIL, false).unwrap_err(), "no team"),
        (admin.add_member(GUILD, "x@example.com", false).unwrap_err(), "no account"),
        (admin.remove_member(TEAM, EMAIL).unwrap_err(), "without members"),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(admin.remove_member(GUILD, EMAIL).unwrap().team.members.is_empty());
    let gone = admin.remove_member(GUILD, EMAIL).unwrap_err();
    assert!(is_store_error(&gone, |error| matches!(error, StoreError::NoMembership)), "{gone}");
}

#[test]
fn teams_keep_the_order_of_joining() {
    let world = world();
    let admin = world.admin();
    // Older than the account's own teamspace.
    admin.add_team("pt-b", None, true).unwrap();
    let secret = bea(&world, Some("pt-c"));
    admin.add_member("pt-b", BEA, false).unwrap();
    admin.add_member("pt-c", BEA, true).unwrap();
    let token = world.access(BEA, &secret);
    let me = world.get(&token, endpoint::ME).json();
    let teams: Vec<&str> = me["teams"].as_array().unwrap().iter().filter_map(|t| t["id"].as_str()).collect();
    assert_eq!(teams, ["pt-c", "pt-b"]);
    // A batch without a team is stored for the team of its events, else for the first.
    let sent = |n: u64, team: Value| {
        let mut event = event(n);
        event["team_slug"] = team;
        world.post(&token, endpoint::EVENTS_BATCH, &[], json!({ "events": [event] }).to_string().as_bytes())
    };
    assert_eq!(statuses(&sent(1, Value::Null)), ["success"]);
    assert_eq!(statuses(&sent(2, "PT-B".into())), ["success"]);
    let teams_of = |team: &str| world.get(&token, &format!("/api/v1/inspect/events?team={team}")).json();
    assert_eq!(teams_of("pt-c")["total"], 1);
    assert_eq!(teams_of("pt-b")["total"], 1);
}

#[test]
fn member_who_left_sees_and_sends_nothing() {
    let world = world();
    let secret = bea(&world, Some(TEAM));
    world.admin().add_team("pt-bea", None, true).unwrap();
    world.admin().add_member("pt-bea", BEA, true).unwrap();
    let (access, machine) = (world.access(BEA, &secret), world.token_of(BEA, TEAM));
    assert_eq!(statuses(&world.batch(&machine, TEAM, &[event(1)])), ["success"]);
    assert_eq!(seen(&world, &access).0, 1);
    let ended = world.admin().remove_member(TEAM, BEA).unwrap();
    assert!(ended.team.members.iter().all(|(email, _)| email != BEA));
    assert_eq!(world.get(&machine, endpoint::ME).status, 401, "its machine token ended");
    assert_eq!(seen(&world, &access).0, 0);
    assert_eq!(world.batch(&access, TEAM, &[event(2)]).status, 403);
    assert_eq!(world.held_events(&world.token()).len(), 1, "the events stay");
}

#[test]
fn only_member_of_a_team_is_not_removed() {
    let world = world();
    let token = world.token();
    let bodies = [event(1), indexed(2, "spec.md", "# Spec\n")];
    assert_eq!(statuses(&world.batch(&token, TEAM, &bodies)), ["success"; 2]);
    assert_eq!(world.push(&token, &body_of("spec.md", "# Spec\n")).status, 201);
    let admin = world.admin();
    let refused = admin.remove_account(EMAIL, &SoleTeams::Refuse).unwrap_err();
    assert!(refused.to_string().contains(TEAM), "{refused}");
    assert_eq!(world.get(&token, endpoint::ME).status, 200, "nothing changed");
    let refused = admin.remove_account(EMAIL, &SoleTeams::HandOver(TEAM.to_owned())).unwrap_err();
    assert!(is_store_error(&refused, |error| matches!(error, StoreError::NoHeirs)), "{refused}");

    let removed = admin.remove_account(EMAIL, &SoleTeams::Delete).unwrap();
    assert_eq!(removed.deleted_teams, [TEAM]);
    assert_eq!((removed.forgotten.events, removed.forgotten.bodies), (2, 1));
    assert_eq!((admin.accounts().unwrap().len(), admin.teams().unwrap().len()), (0, 0));
    if let StoreLocation::Directory(directory) = &world.store {
        let database = rusqlite::Connection::open(directory.join("server.db")).unwrap();
        let tables =
            "SELECT sqlite_schema.name FROM sqlite_schema JOIN pragma_table_info(sqlite_schema.name) AS part
            WHERE sqlite_schema.type = 'table' AND part.name = 'team'";
        let mut tables = database.prepare(tables).unwrap();
        let tables: Vec<String> =
            tables.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(tables.iter().any(|table| table == "mission_spans"), "{tables:?}");
        for table in tables {
            let left = format!("SELECT count(*) FROM {table}");
            let left: i64 = database.query_row(&left, [], |row| row.get(0)).unwrap();
            assert_eq!(left, 0, "rows of {table} are left");
        }
    }
    assert_eq!(world.get(&token, endpoint::ME).status, 401);
    let gone = admin.remove_account(EMAIL, &SoleTeams::Delete).unwrap_err();
    assert!(is_store_error(&gone, |error| matches!(error, StoreError::NoAccount)), "{gone}");
    world.admin().create_account(EMAIL, None, Some(TEAM)).unwrap();
    assert_eq!(seen(&world, &world.token()), (json!(0), json!(0)), "nothing of it is left");
}

#[test]
fn handed_over_teamspace_erases_the_person() {
    let world = World::in_directory(ServerLimits::default(), hasty());
    let access = world.access(EMAIL, &world.secret);
    assert_eq!(statuses(&world.batch(&access, TEAM, &[event(1)])), ["success"]);
    let secret = bea(&world, None);
    world.admin().add_team(GUILD, None, false).unwrap();
    world.admin().add_member(GUILD, BEA, false).unwrap();
    assert_eq!(world.answer_device(&world.start_device(), "a wrong guess", "approve").status, 401);
    let removed = world.admin().remove_account(EMAIL, &SoleTeams::HandOver(GUILD.to_owned())).unwrap();
    assert_eq!((removed.handed_over_teams.as_slice(), removed.forgotten.events), (&[TEAM.to_owned()][..], 0));
    assert_eq!(world.get(&access, endpoint::ME).status, 401);
    let theirs = world.access(BEA, &secret);
    let page = world.get(&theirs, &format!("/api/v1/inspect/events?team={TEAM}")).json();
    assert_eq!(page["total"], 1, "the events stay");
    let teams = world.admin().teams().unwrap();
    let handed_over = teams.iter().find(|team| team.team_id == TEAM).unwrap();
    assert_eq!(handed_over.name, TEAM, "its name named the person");
    let database = rusqlite::Connection::open(world.data.path().join("server.db")).unwrap();
    let text = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(text("SELECT count(*) FROM guesses WHERE subject LIKE '%dev@example.com'"), 0);
    assert_eq!(text("SELECT count(*) FROM accounts WHERE email LIKE 'dev%'"), 0);
}

#[test]
fn shared_project_is_seen_by_the_team_alone() {
    let world = world();
    let (access, secret) = (world.access(EMAIL, &world.secret), bea(&world, None));
    let theirs = world.access(BEA, &secret);
    let mut elsewhere = event(9);
    elsewhere["project_uuid"] = "11111111-2222-4333-8444-555555555555".into();
    let events = [event(1), indexed(2, "spec.md", "# Spec\n"), elsewhere];
    assert_eq!(statuses(&world.batch(&access, TEAM, &events)), ["success"; 3]);
    assert_eq!(world.push(&access, &body_of("spec.md", "# Spec\n")).status, 201);

    let share_with = |token: &str, team: &str| share(&world, token, endpoint::REPOSITORY_SHARES, team);
    world.admin().add_team(GUILD, Some("Guild"), false).unwrap();
    // A team of others answers as one that does not exist.
    let (foreign, unknown) = (share_with(&access, GUILD), share_with(&access, "guilt"));
    assert_eq!((foreign.status, unknown.status), (403, 403));
    assert_eq!(foreign.text().replace(GUILD, "guilt"), unknown.text());
    world.admin().add_member(GUILD, EMAIL, false).unwrap();
    world.admin().add_member(GUILD, BEA, false).unwrap();
    assert_eq!(share_with(&access, TEAM).status, 400, "it has the project already");
    assert_eq!(share_with(&theirs, GUILD).status, 404, "no project of this account");
    assert_eq!(share_with(&world.token(), GUILD).status, 403, "a machine token does not share");
    assert_eq!(seen(&world, &theirs), (json!(0), json!(0)));

    let shared = share_with(&access, "Guild");
    assert_eq!((shared.status, &shared.json()["auto_approved"]), (201, &json!(true)));
    let expected = json!({
        "team": {"name": "Guild", "slug": GUILD}, "state": "shared", "active_sharer_count": 1,
        "shared_project": {"project_slug": PROJECT, "project_uuid": PROJECT}
    });
    assert_eq!(shared.json()["share"], expected);
    assert_eq!(shares(&world, &access), json!([expected]));
    assert_eq!(shares(&world, &theirs), json!([]), "they share nothing");
    assert_eq!(share_with(&access, GUILD).status, 201, "again changes nothing");
    assert_eq!(seen(&world, &theirs), (json!(2), json!(1)), "the project, and no other");
    let page = world.get(&theirs, &format!("/api/v1/inspect/events?team={GUILD}&content=1")).json();
    assert!(page["rows"][0]["content"].as_str().unwrap().contains(PROJECT));
    assert_eq!(seen(&world, &access), (json!(3), json!(1)), "nothing twice for its owner");
    assert_eq!(seen(&world, &world.token_of(BEA, &pt(&world))), (json!(0), json!(0)));
    // Seeing is not sending.
    assert_eq!(world.batch(&theirs, TEAM, &[event(3)]).status, 403);

    assert_eq!(forget(&world, &access).status, 409, "it is shared");
    let left = share(&world, &access, endpoint::LEAVE_SHARE, GUILD);
    assert_eq!(
        (left.status, &left.json()["status"], &left.json()["state"]),
        (200, &json!("left"), &json!("left"))
    );
    assert_eq!((seen(&world, &theirs), shares(&world, &access)), ((json!(0), json!(0)), json!([])));
    assert_eq!(share(&world, &access, endpoint::LEAVE_SHARE, GUILD).status, 200);
}

/// The id of the second account's own teamspace.
fn pt(world: &World) -> String {
    world.admin().account(BEA).expect("the account").teams[0].team_id.clone()
}

#[test]
fn share_ends_with_the_last_sharer() {
    let world = world();
    let secret = bea(&world, Some(TEAM));
    world.admin().add_team("pt-bea", None, true).unwrap();
    world.admin().add_member("pt-bea", BEA, true).unwrap();
    world.admin().add_team(GUILD, None, false).unwrap();
    let reader = world.admin().create_account("cy@example.com", None, None).unwrap();
    for email in [EMAIL, BEA, "cy@example.com"] {
        world.admin().add_member(GUILD, email, false).unwrap();
    }
    let (one, two) = (world.access(EMAIL, &world.secret), world.access(BEA, &secret));
    let reading = world.access("cy@example.com", reader.approval_secret.expose());
    world.batch(&one, TEAM, &[event(1)]);
    for token in [&one, &two] {
        assert_eq!(share(&world, token, endpoint::REPOSITORY_SHARES, GUILD).status, 201);
    }
    assert_eq!(shares(&world, &one)[0]["active_sharer_count"], 2);
    let left = share(&world, &one, endpoint::LEAVE_SHARE, GUILD).json();
    assert_eq!((&left["status"], &left["state"]), (&json!("left"), &json!("shared")));
    assert_eq!(seen(&world, &reading).0, 1, "the other member still shares it");
    let ended = world.admin().remove_member(TEAM, BEA).unwrap();
    assert_eq!((ended.tokens, ended.shares), (0, 1));
    assert_eq!(seen(&world, &reading).0, 0);
    assert_eq!(share(&world, &one, endpoint::REPOSITORY_SHARES, GUILD).status, 201);
    assert_eq!(seen(&world, &reading).0, 1);
    world.admin().remove_member(GUILD, "cy@example.com").unwrap();
    assert_eq!(seen(&world, &reading).0, 0, "who left the team sees nothing");
}

#[test]
fn rows_of_a_forgotten_project_are_duplicates() {
    let world = world();
    let access = world.access(EMAIL, &world.secret);
    let push = body_of("spec.md", "# Spec\n");
    let mut build = event(3);
    build["event_type"] = "BuildRegistered".into();
    build["payload"] = json!({"build_id": "b", "node_id": "n", "project_uuid": PROJECT, "extra": 1});
    let events = [event(1), indexed(2, "spec.md", "# Spec\n"), build];
    let results = statuses(&world.batch(&access, TEAM, &events));
    let stored = results.iter().filter(|status| *status == "success").count();
    assert_eq!(world.push(&access, &push).status, 201);

    let forgotten = forget(&world, &access);
    assert_eq!(forgotten.status, 200, "{}", forgotten.text());
    assert_eq!(forgotten.json()["deleted_event_count"], stored);
    assert_eq!(forgotten.json()["deleted_body_count"], 1);
    assert_eq!(forget(&world, &access).json()["deleted_event_count"], 0, "again finds nothing");
    assert_eq!(seen(&world, &access), (json!(0), json!(0)));

    let question =
        json!({"events": [event(1)["event_id"], event(8)["event_id"]], "bodies": [body_key(&push)]});
    let team = [(endpoint::TEAM_HEADER, TEAM)];
    let states = world.post(&access, endpoint::RECEIPTS, &team, question.to_string().as_bytes()).json();
    assert_eq!(states, json!({"events": ["forgotten", "missing"], "bodies": ["forgotten"]}));
    assert_eq!(statuses(&world.batch(&access, TEAM, &events[..2])), ["duplicate"; 2]);
    assert_eq!(world.push(&access, &push).json()["status"], "already_exists");
    assert_eq!(seen(&world, &access), (json!(0), json!(0)));
    // What is captured again is stored.
    let later = [event(4), indexed(5, "spec.md", "# Spec\n")];
    assert_eq!(statuses(&world.batch(&access, TEAM, &later)), ["success"; 2]);
    assert_eq!(world.push(&access, &push).json()["status"], "stored");
    let mut preflight = event(1);
    preflight["team_slug"] = Value::Null;
    let asked = json!({ "events": [preflight] }).to_string();
    assert_eq!(
        statuses(&world.post(&access, endpoint::EVENTS_PREFLIGHT, &[], asked.as_bytes())),
        ["duplicate"]
    );
}

#[test]
fn forgotten_bytes_are_not_in_the_database_file() {
    let mut world = World::in_directory(ServerLimits::default(), hasty());
    let access = world.access(EMAIL, &world.secret);
    let marker = "a-secret-of-this-project-0123456789";
    world.batch(&access, TEAM, &[event(1), indexed(2, "spec.md", marker)]);
    assert_eq!(world.push(&access, &body_of("spec.md", marker)).status, 201);
    let files = |world: &World| -> Vec<u8> {
        let entries = std::fs::read_dir(world.data.path()).unwrap().flatten();
        entries.flat_map(|entry| std::fs::read(entry.path()).unwrap_or_default()).collect()
    };
    let contains = |bytes: &[u8]| bytes.windows(marker.len()).any(|window| window == marker.as_bytes());
    assert!(contains(&files(&world)));
    assert_eq!(forget(&world, &access).status, 200);
    world.stop();
    assert!(!contains(&files(&world)));
    world.start();
}

#[test]
fn project_is_deleted_by_owner_or_administrator() {
    let world = world();
    let secret = bea(&world, Some(TEAM));
    let (access, member) = (world.access(EMAIL, &world.secret), world.access(BEA, &secret));
    world.batch(&access, TEAM, &[event(1)]);
    assert_eq!(forget(&world, &member).status, 403);
    assert_eq!(forget(&world, &world.token()).status, 403, "a machine token deletes nothing");
    assert_eq!(seen(&world, &member).0, 1);
    let listed = world.admin().projects(Some(TEAM)).unwrap();
    assert_eq!((listed.len(), listed[0].events, listed[0].project_uuid.as_str()), (1, 1, PROJECT));
    assert!(listed[0].last_received_at.is_some());
    assert_eq!(world.admin().forget_project(TEAM, "another").unwrap(), None);
    let forgotten = world.admin().forget_project("team-1", &PROJECT.to_uppercase()).unwrap();
    assert_eq!(forgotten.map(|rows| rows.events), Some(1));
    assert_eq!(world.admin().projects(None).unwrap(), []);
}

#[test]
fn large_project_is_forgotten_in_steps() {
    let world = world();
    let access = world.access(EMAIL, &world.secret);
    for start in [0, 900, 1800] {
        let events: Vec<Value> = (start..start + 900).map(event).collect();
        assert_eq!(statuses(&world.batch(&access, TEAM, &events)).len(), 900);
    }
    assert_eq!(forget(&world, &access).json()["deleted_event_count"], 2700);
    assert_eq!(seen(&world, &access).0, 0);
    let again: Vec<Value> = (1000..1900).map(event).collect();
    let all = statuses(&world.batch(&access, TEAM, &again));
    assert!(all.iter().all(|status| status == "duplicate"));
}
