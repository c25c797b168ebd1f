//! A machine with rows of 200 projects: every screen names five and counts the rest, and one decision about
//! all of them is enough.

use crate::worlds::{fresh, with_server};
use rusqlite::{Connection, params};
use std::path::Path;
use testkit::World;
use testkit::reference_queue::{PROJECT, ReferenceQueue};

const PROJECTS: usize = 200;

fn uuid(number: usize) -> String {
    format!("8a4a7da6-a97c-4bb4-893a-{number:012}")
}

/// Logged in, with one row of another program for each project.
fn world() -> World {
    let world = fresh();
    world.log_in();
    leave_rows_of_projects(&world.home().scoped_queue(&world.scope()), PROJECTS);
    world
}

/// A queue DB of the reference with one row for each project.
pub(crate) fn leave_rows_of_projects(path: &Path, projects: usize) {
    ReferenceQueue::create(path).event("01KRX0000000000000000000A1", None);
    let db = Connection::open(path).unwrap();
    let text: String = db.query_row("SELECT data FROM queue", [], |row| row.get(0)).unwrap();
    db.execute("DELETE FROM queue", []).unwrap();
    for number in 0..projects {
        let id = format!("01KRX{number:021}");
        let data = text
            .replace("01KRX0000000000000000000A1", &id)
            .replace(PROJECT, &uuid(number))
            .replace("acme/widgets", &format!("acme/widgets-{number}"));
        let insert =
            "INSERT INTO queue (event_id, event_type, data, timestamp) VALUES (?1, 'WPStatusChanged', ?2, 1)";
        db.execute(insert, params![id, data]).unwrap();
    }
}

/// The lines that name a project.
fn naming(text: &str) -> usize {
    text.lines().filter(|line| line.contains("acme/widgets-")).count()
}

#[test]
fn screens_with_200_projects_name_five_and_count_the_rest() {
    let world = world();
    let screens: [&[&str]; 4] =
        [&["sync", "status"], &["sync", "preview"], &["sync", "doctor", "--offline"], &["sync", "setup"]];
    for argv in screens {
        let run = world.run(argv);
        let lines = run.stdout.lines().count() + run.stderr.lines().count();
        assert!(lines < 110, "{argv:?}: {lines} lines\n{}", run.stdout);
        assert!(naming(&run.stdout) >= 5 && naming(&run.stdout) <= 10, "{argv:?}: {}", run.stdout);
        let first = format!("acme/widgets-0 ({})", uuid(0));
        assert!(run.stdout.contains(&first), "{argv:?}: {}", run.stdout);
        assert!(!run.stdout.contains("widgets-5 "), "{argv:?}: {}", run.stdout);
        assert!(run.stdout.contains("195 more projects"), "{argv:?}: {}", run.stdout);
        assert!(run.stdout.contains("sync opt-in --all-held --include-held --yes"), "{argv:?}");
    }
    let json = world.run(["sync", "status", "--json"]).exits(0).json();
    let held = json["held"].as_array().unwrap();
    assert_eq!(held.len(), PROJECTS, "the document has all of them");
    assert_eq!(held[7]["repo_slug"], "acme/widgets-7");
}

#[test]
fn delivery_summary_with_200_projects_names_five() {
    let (world, _server) = with_server();
    let other = self::world();
    let target = world.run(["sync", "status", "--json"]).exits(0).json()["active_queue"]["path"].take();
    let target = std::path::PathBuf::from(target.as_str().unwrap());
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    std::fs::copy(other.home().scoped_queue(&other.scope()), &target).unwrap();
    let now = world.run(["sync", "now"]).exits(0);
    assert!(now.stdout.lines().count() < 30, "{}", now.stdout);
    assert_eq!(naming(&now.stdout), 5, "{}", now.stdout);
    assert!(now.stdout.contains("195 more projects"), "{}", now.stdout);
}

#[test]
fn all_held_decides_about_every_project_after_one_preview() {
    let world = world();
    let before = std::fs::read(world.home().config_file()).unwrap();
    let preview = world.run(["sync", "opt-in", "--all-held", "--include-held"]).exits(2);
    assert!(preview.stdout.starts_with("New rows of 200 projects would leave this machine; 200 events"));
    assert!(preview.stdout.lines().count() < 10, "{}", preview.stdout);
    assert_eq!(std::fs::read(world.home().config_file()).unwrap(), before, "nothing was changed");

    // One of them is opted out by name, and keeps that.
    let _ = world.run(["sync", "opt-out", "--project", &uuid(3)]).exits(0);
    let json =
        world.run(["sync", "opt-in", "--all-held", "--include-held", "--yes", "--json"]).exits(0).json();
    assert_eq!((&json["result"], &json["opted_out"]), (&"opted_in".into(), &1.into()), "{json:#}");
    assert_eq!(json["projects"].as_array().unwrap().len(), PROJECTS - 1);
    assert_eq!(json["released"]["events"], PROJECTS - 1);
    let held = world.run(["sync", "status", "--json"]).exits(0).json()["held"].take();
    assert_eq!(held.as_array().unwrap().len(), 1, "{held:#}");
    assert_eq!(held[0]["project_uuid"], uuid(3));
    let again = world.run(["sync", "opt-in", "--all-held", "--yes", "--json"]).exits(0).json();
    assert_eq!(again["result"], "nothing_to_do");
}

#[test]
fn all_held_without_include_held_starts_from_now() {
    let world = world();
    let json = world.run(["sync", "opt-in", "--all-held", "--yes", "--json"]).exits(0).json();
    assert_eq!((&json["result"], &json["released"]), (&"opted_in".into(), &serde_json::Value::Null));
    let held = world.run(["sync", "status", "--json"]).exits(0).json()["held"].take();
    assert_eq!(held.as_array().unwrap().len(), PROJECTS, "what waits stays held");
    let both = world.run(["sync", "opt-in", "--all-held", "--project", "none", "--yes"]).exits(2);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
}
