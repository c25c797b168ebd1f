//! Rows of another scope of this home are named on every screen, with the command that helps, and refuse
//! nothing (case other-scope-rows). In a real process.

use crate::worlds::*;
use contract::Scope;
use identity::session::Team;
use rusqlite::Connection;
use serde_json::Value;
use std::path::PathBuf;
use testkit::World;
use testkit::reference_queue::ReferenceQueue;
use testkit::world::{SERVER, TEAM, USER, session};

const TYPO: &str = "https://sync.example.ocm";
const BUILT_IN: &str = contract::server_url::PACKAGED_DEFAULT;

/// One mission was captured under an address with a typo; then the address was corrected.
fn corrected() -> (World, Scope) {
    let world = logged_in();
    world.log_in_at(TYPO);
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    world.log_in();
    (world, Scope::new(TYPO, USER, TEAM))
}

fn others(world: &World) -> Vec<Value> {
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    status["other_queues"].as_array().unwrap_or_else(|| panic!("{status:#}")).clone()
}

/// An empty file of another account's, as a writing command leaves it.
fn file_of(world: &World, user: &str) -> PathBuf {
    world.home().scoped_queue(&Scope::new(SERVER, user, TEAM))
}

#[test]
fn other_scope_rows_are_named_on_every_screen() {
    let (world, old) = corrected();
    let hint = format!("spec-kitty sync migrate --from-scope {}", &old.hash()[..16]);
    assert_on_every_screen(&world, &[&hint, USER, TYPO]);
    let others = others(&world);
    assert_eq!(others.len(), 1);
    let other = &others[0];
    assert!(other["events"].as_u64().unwrap() > 0 && other["bodies"].is_u64(), "{other:#}");
    assert_eq!((&other["account"], &other["server"]), (&USER.into(), &TYPO.into()), "{other:#}");
    assert_eq!(other["scope"], old.to_string(), "{other:#}");
    assert_eq!((&other["held"], &other["parked"]), (&0.into(), &0.into()), "{other:#}");
    assert_eq!(other["remediation_hint"], hint, "{other:#}");
    let check = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    assert_eq!(check["other_queues"], Value::from(others), "they refuse nothing");
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1).stdout;
    assert!(doctor.contains("rows_of_other_scope"), "{doctor}");
    let now = world.run(["sync", "now"]);
    assert!(now.stdout.contains(&hint), "{now:?}");

    // The remedy leads out of it.
    world.run(["sync", "migrate", "--from-scope", &old.hash()[..16], "--yes"]).exits(0);
    assert_eq!(self::others(&world), Vec::<Value>::new());
}

#[test]
fn migrated_rows_of_an_old_scope_never_wait_again() {
    let (mut world, old) = corrected();
    let scopes = |world: &World| -> Vec<String> {
        others(world).iter().map(|other| other["scope"].as_str().unwrap().to_owned()).collect()
    };
    world.run(["sync", "migrate", "--from-scope", &old.hash()[..16], "--yes"]).exits(0);
    // As after their delivery.
    scoped(&world).execute_batch("DELETE FROM queue; DELETE FROM body_upload_queue").unwrap();
    assert_eq!(scopes(&world), Vec::<String>::new());

    scoped(&world).execute_batch("DELETE FROM meta WHERE key = 'schema_version'").unwrap();
    world.run(["doctor", "repair"]).exits(0);
    assert_eq!(scopes(&world), Vec::<String>::new(), "after a repair");

    let copy = world.root().with_file_name("copy");
    let _ = world.run_program("cp", ["-r".as_ref(), world.root().as_os_str(), copy.as_os_str()]).exits(0);
    world.set("SPEC_KITTY_HOME", copy.to_str().unwrap());
    assert_eq!(scopes(&world), Vec::<String>::new(), "in a copied home");

    world.run(["auth", "logout", "--force"]).exits(0);
    assert_eq!(scopes(&world), Vec::<String>::new(), "logged out");
    // A row that came later waits.
    Connection::open(copy.join("queues").join(world.home().scoped_queue(&old).file_name().unwrap()))
        .unwrap()
        .execute_batch(
            "INSERT INTO queue(event_id, event_type, data, timestamp)
             VALUES ('01KRX0000000000000000000A9', 'WPStatusChanged', '{}', 1)",
        )
        .unwrap();
    let late = others(&world);
    assert_eq!((late.len(), &late[0]["events"], &late[0]["bodies"]), (1, &1.into(), &0.into()), "{late:#?}");
}

#[test]
fn queues_beside_an_unreadable_configuration_are_of_unknown_scope() {
    let (world, _) = with_mission();
    world.write_config("[sync\n");
    let path = world.home().config_file().to_str().unwrap().to_owned();
    let shown = world.run(["sync", "status"]).exits(0).stdout;
    assert!(!shown.contains("Other queue") && !shown.contains("log in as"), "{shown}");
    assert!(shown.contains("whether it is the active one is unknown") && shown.contains(&path), "{shown}");
    let others = others(&world);
    assert_eq!(others.len(), 1, "{others:#?}");
    let why = others[0]["scope_unknown"].as_str().unwrap();
    assert!(why.contains(&path), "{others:#?}");
    let status = world.run(["sync", "status", "--json"]).exits(0).json();
    assert_eq!(others[0]["remediation_hint"], status["faults"][0]["remediation_hint"], "{status:#}");
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1).stdout;
    assert!(doctor.contains("rows_of_unknown_scope") && !doctor.contains("rows_of_other_scope"), "{doctor}");

    world.log_in();
    assert_eq!(self::others(&world), Vec::<Value>::new());
}

#[test]
fn rows_of_another_user_name_the_login() {
    let (mut world, _) = with_mission();
    world.write_session(&session(SERVER, "mallory@example.com", TEAM));
    let others = others(&world);
    assert_eq!(others.len(), 1);
    let command = format!("spec-kitty auth login --server {SERVER} --force");
    let hint = format!("log in as {USER}: `{command}`");
    assert_eq!(others[0]["remediation_hint"], command, "{others:#?}");
    let switched = world.run(["auth", "login"]);
    assert!(switched.stdout.contains(&hint), "{switched:?}");

    // A login changes nothing where a CI token decides.
    world.set("SPEC_KITTY_TOKEN", "skp_YXxi.secret").set("SPEC_KITTY_SERVER_URL", SERVER);
    let others = self::others(&world);
    assert_eq!(others[0]["remediation_hint"], command, "{others:#?}");
    let shown = world.run(["sync", "status"]).exits(0).stdout;
    assert!(shown.contains(&format!("unset SPEC_KITTY_TOKEN, then {hint}")), "{shown}");
}

/// No login reaches that address: the advice names a login elsewhere and a migration, and following it works.
#[test]
fn rows_of_the_built_in_server_migrate_to_an_own_server() {
    let world = logged_in();
    world.log_in_at(BUILT_IN);
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    let hash = &Scope::new(BUILT_IN, USER, TEAM).hash()[..16];
    let hint =
        format!("log in as {USER} at your own server, then `spec-kitty sync migrate --from-scope {hash}`");

    world.log_in().write_session(&session(SERVER, "mallory@example.com", TEAM));
    let shown = world.run(["sync", "status"]).exits(0).stdout;
    assert!(shown.contains(&hint) && !shown.contains("auth login --server"), "{shown}");

    world.log_in();
    world.run(["sync", "migrate", "--from-scope", hash, "--yes"]).exits(0);
    assert_eq!(others(&world), Vec::<Value>::new());
}

#[test]
fn rows_of_another_team_of_the_session_name_auth_switch() {
    let world = logged_in();
    let mut both = session(SERVER, USER, TEAM);
    both.teams.push(Team { id: "team-PRIV-02".into(), ..both.teams[0].clone() });
    world.write_session(&both);
    world.run(["agent", "mission", "create", "widgets"]).exits(0);
    // The switch away names the rows that stay behind; the way back is the remedy.
    let switched = world.run(["auth", "switch", "team-PRIV-02"]).exits(0);
    let hint = format!("spec-kitty auth switch {TEAM}");
    assert!(switched.stdout.lines().any(|line| line.trim() == hint), "{switched:?}");
    let others = others(&world);
    assert_eq!((others.len(), &others[0]["remediation_hint"]), (1, &hint.as_str().into()), "{others:#?}");
    world.run(["auth", "switch", TEAM]).exits(0);
    assert_eq!(self::others(&world), Vec::<Value>::new());
}

#[test]
fn logged_out_home_names_every_queue_with_rows() {
    let (world, _) = with_mission();
    let out = world.run(["auth", "logout", "--force"]);
    assert!(out.stdout.contains(USER), "{out:?}");
    let json = world.run(["auth", "logout", "--force", "--json"]).json();
    assert_eq!(json["other_queues"].as_array().map(Vec::len), Some(1), "{json:#}");
    let others = others(&world);
    assert_eq!((others.len(), &others[0]["account"]), (1, &USER.into()), "{others:#?}");
}

#[test]
fn parked_and_prepared_rows_alone_are_enough() {
    for (table, key) in [("parked", "parked"), ("prepared", "prepared")] {
        let (world, old) = corrected();
        let db = Connection::open(world.home().scoped_queue(&old)).unwrap();
        db.execute_batch("DELETE FROM queue; DELETE FROM body_upload_queue; DELETE FROM prepared").unwrap();
        assert_eq!(others(&world), Vec::<Value>::new(), "no row, no entry");
        let row = match table {
            "parked" => {
                "INSERT INTO parked(kind, key, digest, place, reason, detail, parked_at, head)
                 VALUES (0, 'x', x'00', 0, 'rejected', '', 1, '{}')"
            }
            _ => {
                "INSERT INTO prepared(command, mission_slug, kind, key, place, witness, witness_path,
                    witness_value, prepared_at, head, payload)
                 VALUES ('c', 'm', 0, 'x', 0, 'log', x'00', 'x', 1.0, '{}', '')"
            }
        };
        db.execute_batch(row).unwrap();
        let others = others(&world);
        assert_eq!((others.len(), &others[0][key]), (1, &1.into()), "{others:#?}");
        assert_eq!(others[0]["remediation_hint"], format!("spec-kitty auth login --server {TYPO}"));
        let shown = world.run(["sync", "status"]).exits(0).stdout;
        assert!(shown.contains("auth login") && shown.contains("sync export --scope"), "{shown}");
    }
}

#[test]
fn queue_of_an_earlier_release_is_shown_by_its_hash() {
    let world = logged_in();
    let path = file_of(&world, "someone@example.com");
    ReferenceQueue::create(&path).many_events(3);
    let others = others(&world);
    let hash = &Scope::new(SERVER, "someone@example.com", TEAM).hash()[..16];
    assert_eq!((&others[0]["scope"], &others[0]["events"]), (&hash.into(), &3.into()), "{others:#?}");
    assert_eq!((&others[0]["held"], &others[0]["account"]), (&3.into(), &Value::Null), "{others:#?}");
}

#[test]
fn busy_and_unreadable_queues_are_entries_and_refuse_nothing() {
    let (world, _) = with_mission();
    let busy = file_of(&world, "busy@example.com");
    let reference = ReferenceQueue::create(&busy);
    reference.many_events(1);
    drop(reference);
    let lock = Connection::open(&busy).unwrap();
    lock.execute_batch("BEGIN EXCLUSIVE").unwrap();
    std::fs::write(file_of(&world, "damaged@example.com"), "no database").unwrap();
    let status = world.run(["sync", "status", "--check", "--json"]).exits(0).json();
    let mut states: Vec<&str> = status["other_queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| other["state"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    assert_eq!(states, ["busy", "unreadable"], "{status:#}");
    assert!(status["other_queues"][0]["events"].is_null(), "never zero: {status:#}");
    world.run(["agent", "mission", "create", "gadgets"]).exits(0);
}

#[test]
fn text_shows_five_other_queues_and_counts_the_rest() {
    let world = logged_in();
    for number in 0..7 {
        ReferenceQueue::create(&file_of(&world, &format!("user{number}@example.com"))).many_events(1);
    }
    let text = world.run(["sync", "status"]).exits(0).stdout;
    assert_eq!(text.matches("Other queue   : scope ").count(), 5, "{text}");
    assert!(text.contains("and 2 more"), "{text}");
    assert_eq!(others(&world).len(), 7);
}
