//! Many processes on one mission, one repository, at the same moment: each either does what it reports, or names
//! that it did not.

use crate::worlds::fresh;
use std::process::{Child, Stdio};
use testkit::World;
use testkit::mission::Mission;

/// Number of concurrent commands.
const MANY: usize = 8;

/// A world with a mission whose work packages are final. Nothing is captured: it is the repository that counts.
fn scene() -> (World, Mission) {
    let world = fresh();
    world.init_project();
    let mission = Mission::create(&world, "crowd");
    mission.specified(&world);
    mission.planned().with_tasks();
    let rows: String = (1..=MANY).map(|n| format!("- [ ] T{:03} step\n", 100 + n)).collect();
    let tasks = mission.read("tasks.md").replace("- [ ] T001", &format!("{rows}- [ ] T001"));
    mission.write("tasks.md", &tasks);
    let _ = world.run(["tasks", "--mission", &mission.slug, "--local-only"]).exits(0);
    (world, mission)
}

/// Starts them all, waits for them all, and gives back what they wrote as JSON.
#[track_caller]
fn all_succeed(world: &World, commands: impl IntoIterator<Item = Vec<String>>) -> Vec<serde_json::Value> {
    let start = |argv: Vec<String>| -> Child {
        let mut command = world.command();
        command.args(argv).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<Child> = commands.into_iter().map(start).collect();
    let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    let answer = |output: &std::process::Output| {
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap()
    };
    outputs.iter().map(answer).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn reported_ticks_are_in_the_file_and_the_last_commit() {
    let (world, mission) = scene();
    let ids: Vec<String> = (1..=MANY).map(|n| format!("T{:03}", 100 + n)).collect();
    let tick = |id: &String| {
        words(&format!("agent tasks mark-status {id} --status done --local-only --mission {}", mission.slug))
    };
    all_succeed(&world, ids.iter().map(tick));
    let committed = world.git(["show", &format!("HEAD:kitty-specs/{}/tasks.md", mission.slug)]);
    for text in [mission.read("tasks.md"), committed] {
        for id in &ids {
            assert!(text.contains(&format!("- [x] {id}")), "{id}: {text}");
        }
    }
}

#[test]
fn every_note_that_is_reported_is_in_the_file() {
    let (world, mission) = scene();
    let note = |n| {
        let slug = &mission.slug;
        words(&format!("agent tasks add-history WP01 --note number-{n} --local-only --mission {slug}"))
    };
    all_succeed(&world, (0..MANY).map(note));
    let text = mission.read("tasks/WP01-count-down.md");
    for n in 0..MANY {
        assert!(text.contains(&format!("number-{n}\n")), "{n}: {text}");
    }
}

#[test]
fn missions_that_are_created_at_once_are_all_in_the_last_commit() {
    let (world, _) = scene();
    let create = |n| words(&format!("specify many-{n} --local-only"));
    let created = all_succeed(&world, (0..MANY).map(create));
    let subjects = world.git(["log", "--format=%H %s"]);
    for mission in created {
        let (slug, commit) = (mission["mission_slug"].as_str().unwrap(), &mission["commit_hash"]);
        world.git(["cat-file", "-e", &format!("HEAD:kitty-specs/{slug}/meta.json")]);
        let line = format!("{} Add meta for feature {slug}", commit.as_str().unwrap());
        assert!(subjects.lines().any(|subject| subject == line), "{line}\n{subjects}");
    }
    assert_eq!(world.git(["diff", "--cached", "--name-only"]), "");
}

#[test]
fn questions_that_are_asked_at_once_are_all_in_the_ledger() {
    let (world, mission) = scene();
    let ask = |n| {
        let slug = &mission.slug;
        words(&format!(
            "agent decision open --flow plan --step-id s --input-key k{n} --question q --mission {slug}"
        ))
    };
    let opened = all_succeed(&world, (0..MANY).map(ask));
    let ledger = mission.read("decisions/index.json");
    for decision in opened {
        assert!(ledger.contains(decision["decision_id"].as_str().unwrap()), "{ledger}");
    }
}

#[test]
fn commit_that_a_person_makes_meanwhile_is_never_reverted() {
    let (world, mission) = scene();
    for (round, lane) in
        ["claimed", "in_progress", "blocked", "in_progress", "blocked"].into_iter().enumerate()
    {
        let name = format!("mine-{round}.txt");
        std::fs::write(world.work().join(&name), "mine").unwrap();
        let mut command = world.command();
        let argv =
            format!("agent tasks move-task WP01 --to {lane} --local-only --force --mission {}", mission.slug);
        let moving =
            command.args(words(&argv)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mine = [["add", &name, "-f"].to_vec(), ["commit", "-q", "-m", &name].to_vec()]
            .iter()
            .all(|argv| world.run_program("git", argv).code == Some(0));
        let moved = moving.wait_with_output().unwrap();
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
        // Git may have refused mine, aloud, because the index was locked. What it made is there to stay.
        if mine {
            assert_eq!(world.git(["show", &format!("HEAD:{name}")]), "mine", "round {round}");
        }
    }
}
