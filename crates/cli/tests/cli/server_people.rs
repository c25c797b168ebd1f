//! People, teams and projects of a server, as its administrator and its members handle them.
#![cfg(target_os = "linux")]

use serde_json::{Value, json};
use testkit::{Server, ServerStore, World, browser};

const EMAIL: &str = "dev@example.com";
const BEA: &str = "bea@example.com";

/// Runs a command on the data of the server.
fn administer(world: &World, words: &[&str], code: i32) -> Value {
    ServerStore::of(world).administer(world, words, code)
}

/// The same as people read it.
fn text(world: &World, words: &[&str]) -> String {
    world.run(words.iter().copied().chain(ServerStore::of(world).options())).exits(0).stdout
}

#[test]
fn administrator_handles_accounts_teams_and_sessions() {
    let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let server = Server::start(&world, EMAIL);
    let login = ["auth", "login", "--server", &server.url()].map(str::to_owned);
    browser::log_in(&mut world, &server, EMAIL, &login);

    let shown = administer(&world, &["server", "user", "show", "--email", "DEV@example.com"], 0);
    assert_eq!((&shown["account"]["email"], &shown["account"]["disabled_at"]), (&json!(EMAIL), &Value::Null));
    let session = shown["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(shown["tokens"].as_array().unwrap().len(), 1);
    assert!(text(&world, &["server", "session", "list"]).contains(&session));
    assert_eq!(administer(&world, &["server", "session", "revoke", &session], 0)["result"], "revoked");
    let gone = administer(&world, &["server", "session", "revoke", &session], 1);
    assert_eq!(gone["error_code"], "UNKNOWN_SESSION");
    assert_eq!(administer(&world, &["server", "session", "list", "--all"], 0)["results"][0]["id"], session);
    let ended = administer(&world, &["server", "session", "revoke", "--email", EMAIL], 0);
    assert_eq!(ended["sessions"], 0);

    let disabled = administer(&world, &["server", "user", "disable", "--email", EMAIL], 0);
    assert!(disabled["account"]["disabled_at"].is_string());
    assert!(text(&world, &["server", "user", "list"]).contains("disabled"));
    let enabled = administer(&world, &["server", "user", "enable", "--email", EMAIL], 0);
    assert_eq!(enabled["account"]["disabled_at"], Value::Null);

    administer(&world, &["server", "user", "add", "--email", BEA], 0);
    let added = administer(&world, &["server", "team", "add", "--team", "editors", "--name", "Editors"], 0);
    assert_eq!((&added["team"]["private"], &added["team"]["members"]), (&json!(false), &json!([])));
    let again = administer(&world, &["server", "team", "add", "--team", "EDITORS"], 1);
    assert!(again["remediation"][0].as_str().unwrap().contains("add-member"), "{again:#}");
    for email in [EMAIL, BEA] {
        administer(&world, &["server", "team", "add-member", "--team", "Editors", "--email", email], 0);
    }
    let renamed =
        administer(&world, &["server", "team", "rename", "--team", "editors", "--name", "Writers"], 0);
    assert_eq!(renamed["team"]["name"], "Writers");
    assert!(text(&world, &["server", "team", "list"]).contains("members: dev@example.com (member), bea@"));

    let only_member = ["server", "team", "remove-member", "--team", &server.team, "--email", EMAIL];
    let refused = administer(&world, &only_member, 1);
    assert!(refused.to_string().contains("without members"), "{refused:#}");
    let remove = ["server", "user", "remove", "--email", EMAIL];
    let preview = administer(&world, &remove, 2);
    assert_eq!(preview["result"], "preview");
    let sure: Vec<&str> = remove.into_iter().chain(["--yes"]).collect();
    let refused = administer(&world, &sure, 1);
    assert!(refused["remediation"][0].as_str().unwrap().contains("--to-team"), "{refused:#}");
    let hand_over: Vec<&str> = sure.into_iter().chain(["--to-team", "editors"]).collect();
    let removed = administer(&world, &hand_over, 0);
    assert_eq!(
        (&removed["result"], &removed["handed_over_teams"]),
        (&json!("removed"), &json!([server.team]))
    );
    let left = administer(&world, &["server", "user", "list"], 0);
    assert_eq!(left["results"].as_array().unwrap().len(), 1);
    assert_eq!(left["results"][0]["teams"].as_array().unwrap().len(), 3, "with the teamspace taken over");
}

#[test]
fn project_is_shared_unshared_and_deleted() {
    let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let server = Server::start(&world, EMAIL);
    world.init_project();
    let login = ["auth", "login", "--server", &server.url()].map(str::to_owned);
    browser::log_in(&mut world, &server, EMAIL, &login);
    administer(&world, &["server", "team", "add", "--team", "editors"], 0);
    // Its first capture gives the project a uuid.
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);

    let run =
        |words: &[&str], code: i32| world.run(words.iter().copied().chain(["--json"])).exits(code).json();
    let foreign = run(&["sync", "share", "editors"], 1);
    assert_eq!(foreign["error_code"], "SERVER_REFUSED");
    administer(&world, &["server", "team", "add-member", "--team", "editors", "--email", EMAIL], 0);
    let early = run(&["sync", "share", "editors"], 1);
    assert_eq!(early["error_code"], "PROJECT_NOT_DELIVERED");
    assert!(early["remediation"][0].as_str().unwrap().contains("spec-kitty sync now"));
    world.run(["sync", "now"]).exits(0);

    assert_eq!(run(&["sync", "routes"], 0)["shares"], json!([]));
    let shared = run(&["sync", "share", "EDITORS"], 0);
    assert_eq!(
        (&shared["result"], &shared["state"], &shared["team"]),
        (&json!("shared"), &json!("shared"), &json!("editors"))
    );
    let routes = run(&["sync", "routes"], 0);
    assert_eq!((&routes["remote"], &routes["shares"][0]["team"]["slug"]), (&json!("ok"), &json!("editors")));
    assert_eq!((&routes["team"], &routes["server"]), (&json!(server.team), &json!(server.url())));
    let text = world.run(["sync", "routes"]).exits(0).stdout;
    assert!(text.contains("shared with  editors (editors), by 1 member: shared"), "{text}");
    let project = shared["project_uuid"].as_str().unwrap();
    let listed = administer(&world, &["server", "project", "list", "--team", &server.team], 0);
    assert_eq!(listed["results"][0]["shared_with"], json!(["editors"]));

    // A server that refuses does not undo the local decision.
    let out = ["sync", "opt-out", "--delete-private-data"];
    assert_eq!(run(&out, 2)["result"], "preview");
    let sure: Vec<&str> = out.into_iter().chain(["--yes"]).collect();
    let refused = run(&sure, 0);
    assert_eq!(
        (&refused["result"], &refused["remote"]),
        (&json!("opted_out"), &json!("refused")),
        "{refused:#}"
    );
    assert!(refused["remote_detail"].as_str().unwrap().contains("sync unshare"), "{refused:#}");
    assert_eq!(run(&["sync", "unshare", "editors"], 0)["state"], "left");
    let deleted = run(&sure, 0);
    assert_eq!((&deleted["remote"], &deleted["result"]), (&json!("ok"), &json!("opted_out")), "{deleted:#}");
    assert!(deleted["remote_deleted"]["deleted_event_count"].as_u64().is_some_and(|count| count > 0));
    assert_eq!(administer(&world, &["server", "project", "list"], 0)["results"], json!([]));

    // The administrator deletes what is captured later.
    world.run(["sync", "opt-in", "--yes"]).exits(0);
    world.run(["agent", "mission", "create", "second"]).exits(0);
    // Rows of the second of the decision are held.
    world.run(["sync", "opt-in", "--include-held", "--yes"]).exits(0);
    world.run(["sync", "now"]).exits(0);
    let forget = ["server", "project", "forget", project, "--team", &server.team];
    assert_eq!(administer(&world, &forget, 2)["result"], "preview");
    let sure: Vec<&str> = forget.into_iter().chain(["--yes"]).collect();
    let forgotten = administer(&world, &sure, 0);
    assert!(
        forgotten["result"] == "forgotten" && forgotten["events"].as_u64().is_some_and(|count| count > 0)
    );
    assert_eq!(administer(&world, &sure, 1)["error_code"], "UNKNOWN_PROJECT");
}

#[test]
fn routes_without_a_server_is_a_fact_and_no_failure() {
    let mut world = testkit::host::logged_in(env!("CARGO_BIN_EXE_spec-kitty"));
    world.run(["agent", "mission", "create", "tea-timer"]).exits(0);
    let routes = world.run(["sync", "routes", "--json"]).exits(0).json();
    assert_eq!(routes["remote"], "failed", "{routes:#}");
    assert!(routes["remote_detail"].is_string());
    world.set("SPEC_KITTY_ENABLE_SAAS_SYNC", "0");
    let routes = world.run(["sync", "routes", "--json"]).exits(0).json();
    assert_eq!((&routes["remote"], &routes["sync_enabled"]), (&json!("off"), &json!(false)));
    for verb in ["share", "unshare"] {
        assert_eq!(world.run(["sync", verb, "editors", "--json"]).exits(0).json()["result"], "disabled");
    }
}

/// The remedy of one finding of `server doctor`, or nothing where that check passed.
fn remedy_of(world: &World, data: &str, check: &str) -> Option<String> {
    let document: Value =
        serde_json::from_str(&world.run(["server", "doctor", "--data", data, "--json"]).stdout).unwrap();
    let findings = document["checks"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    let finding = findings.iter().find(|finding| finding["check"] == check).unwrap();
    finding["remedy"].as_str().map(str::to_owned)
}

#[test]
fn doctor_remedies_run_as_printed_in_an_awkward_directory() {
    let mut world = World::new(env!("CARGO_BIN_EXE_spec-kitty"));
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_spec-kitty")).parent().unwrap();
    world.set("PATH", &format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default()));
    let directory = world.user_home().join("data of ada's; touch p");
    let data = directory.to_str().unwrap();
    world.run(["server", "user", "add", "--data", data, "--email", EMAIL]).exits(0);
    let database = directory.join("server.db");
    world.run_program("chmod", ["644", database.to_str().unwrap()]).exits(0);

    let narrow = remedy_of(&world, data, "permissions").unwrap();
    world.run_program("sh", ["-c", &narrow]).exits(0);
    assert_eq!(remedy_of(&world, data, "permissions"), None);

    let back_up = remedy_of(&world, data, "backup").unwrap();
    let command = back_up.split('`').nth(1).unwrap().replace("FILE", "'a copy.db'");
    world.run_program("sh", ["-c", &command]).exits(0);
    assert_eq!(remedy_of(&world, data, "backup"), None);

    std::fs::write(&database, "damaged").unwrap();
    let restore = remedy_of(&world, data, "database").unwrap();
    let command = restore.split('`').nth(1).unwrap();
    world.run_program("sh", ["-c", command]).exits(0);
    assert_eq!(remedy_of(&world, data, "database"), None);
    assert!(!world.work().join("p").exists());
}
