//! Missions whose lane rows are on a coordination branch, through the binary.
#![cfg(unix)]

use crate::worlds::{self, offline};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use testkit::World;
use testkit::mission::Mission;

/// A mission in its final form whose branch nothing has checked out.
fn coordinated() -> (World, Mission, String) {
    let world = offline();
    let (mission, branch) = worlds::coordinated(&world);
    (world, mission, branch)
}

fn emit(world: &World, to: &str) -> testkit::Run {
    world.run([
        "agent",
        "status",
        "emit",
        "WP01",
        "--to",
        to,
        "--actor",
        "me",
        "--mission",
        "sample",
        "--json",
    ])
}

#[test]
fn lost_race_for_the_branch_is_planned_again() {
    let (mut world, _, branch) = coordinated();
    // A program without our lock: it moves the branch while our commit is made, once.
    let path = std::env::var("PATH").unwrap();
    let (bin, raced) = (world.work().with_file_name("bin"), world.work().with_file_name("raced"));
    std::fs::create_dir_all(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nPATH='{path}'\ncase \" $* \" in *' commit-tree '*) if [ ! -e '{raced}' ]; then : > '{raced}'; \
         git update-ref 'refs/heads/{branch}' \"$(git commit-tree -p '{branch}' -m theirs '{branch}^{{tree}}')\"; fi;; esac\n\
         exec git \"$@\"\n",
        raced = raced.display(),
    );
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("PATH", &format!("{}:{path}", bin.display()));
    let emitted = emit(&world, "claimed").exits(0).json();
    assert!(raced.exists());
    let log = world.git(["log", "--format=%s", "-2", &branch]);
    assert_eq!(log, "chore(spec-kitty): status transition WP01\ntheirs\n");
    assert_eq!(emitted["coordination_commit"], world.git(["rev-parse", &branch]).trim());
    let rows = world.git(["show", &format!("{branch}:kitty-specs/{}/status.events.jsonl", slug(&world))]);
    assert_eq!(rows.matches("\"to_lane\": \"claimed\"").count(), 1, "{rows}");
}

#[test]
fn branch_that_moves_while_it_is_read_is_read_at_one_commit() {
    let (mut world, _, branch) = coordinated();
    let slug = slug(&world);
    emit(&world, "claimed").exits(0);
    // Between the list of branches and the first object the branch moves back to its first commit.
    let path = std::env::var("PATH").unwrap();
    let (bin, moved) = (world.work().with_file_name("bin"), world.work().with_file_name("moved"));
    std::fs::create_dir_all(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\nPATH='{path}'\ncase \" $* \" in *' cat-file '*) if [ ! -e '{moved}' ]; then : > '{moved}'; \
         git update-ref 'refs/heads/{branch}' 'refs/heads/{branch}~1'; fi;; esac\nexec git \"$@\"\n",
        moved = moved.display(),
    );
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), std::fs::Permissions::from_mode(0o755)).unwrap();
    world.set("PATH", &format!("{}:{path}", bin.display()));
    let lane = |world: &World| {
        let shown = world.run(["agent", "tasks", "status", "--mission", &slug, "--json"]).exits(0).json();
        assert_eq!(shown.get("warnings"), None, "{shown}");
        shown["work_packages"][0]["lane"].clone()
    };
    assert_eq!((lane(&world), moved.exists()), (json!("claimed"), true));
    assert_eq!(lane(&world), "planned", "the next command reads where the branch is now");
}

fn slug(world: &World) -> String {
    let shown = world.run(["agent", "status", "show", "--mission", "sample", "--json"]).exits(0).json();
    shown["missions"][0]["mission_slug"].as_str().unwrap().to_owned()
}

#[test]
fn missing_branch_is_refused_with_both_remedies() {
    let (world, mission, branch) = coordinated();
    world.git(["branch", "-D", &branch]);
    let show = world.run(["agent", "status", "show", "--mission", "sample"]).exits(0);
    assert!(show.stdout.contains("unknown (2)"), "{}", show.stdout);
    let list = world.run(["agent", "tasks", "list", "--mission", "sample"]).exits(0);
    assert!(list.stdout.contains("WP01  unknown"), "{}", list.stdout);
    let overview = world.run(["agent", "status", "show"]).exits(0);
    assert!(overview.stdout.contains("2 unknown"), "{}", overview.stdout);
    let check = world.run(["agent", "mission", "check-prerequisites", "--mission", "sample"]).exits(0);
    let refused = emit(&world, "claimed").exits(1);
    let validate = world.run(["agent", "status", "validate", "--mission", "sample"]).exits(1);
    let repair = world.run(["doctor", "repair", "--mission", &mission.slug]).exits(1);
    let doctor = world.run(["sync", "doctor", "--offline"]).exits(1);
    for text in [&show, &list, &check, &refused, &validate, &repair, &doctor]
        .map(|run| format!("{}{}", run.stdout, run.stderr))
    {
        assert!(text.contains(&format!("coordination branch `{branch}` is missing")), "{text}");
        assert!(text.contains(&format!("`git branch {branch}`")), "{text}");
        assert!(text.contains("remove the key `coordination_branch` from "), "{text}");
    }
    let document = refused.json();
    assert_eq!(document["error_code"], "COORDINATION_BRANCH_MISSING");
    assert_eq!(document["coordination_branch"], branch.as_str());
    assert!(repair.stdout.contains("nothing was repaired"), "{}", repair.stdout);
    let repair = world.run(["doctor", "repair", "--mission", &mission.slug, "--json"]).exits(1).json();
    assert_eq!(repair["result"], "nothing_repaired");
    let validate =
        world.run(["agent", "status", "validate", "--mission", "sample", "--json"]).exits(1).json();
    assert_eq!(validate["passed"], false);

    // The remedy, run: git still has the last commit of the branch.
    let lost = world.git(["fsck", "--no-reflogs", "--lost-found"]);
    let lost = lost.lines().find_map(|line| line.strip_prefix("dangling commit ")).unwrap();
    world.git(["branch", &branch, lost]);
    for argv in [
        &["agent", "status", "validate", "--mission", "sample"][..],
        &["doctor", "repair", "--mission", "sample"],
    ] {
        world.run(argv).exits(0);
    }
    let check = missions_check(&world);
    assert_eq!((&check["state"], &check["findings"]), (&json!("ok"), &json!([])), "{check:#}");
}

fn missions_check(world: &World) -> Value {
    let doctor = world.run(["sync", "doctor", "--offline", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "missions").unwrap().clone()
}

#[test]
fn row_damaged_on_the_branch_is_restored_from_its_older_commit() {
    let (world, mission, branch) = coordinated();
    emit(&world, "claimed").exits(0);
    // A commit with a torn row, made without a worktree.
    let path = format!("kitty-specs/{}/status.events.jsonl", mission.slug);
    let rows = world.git(["show", &format!("{branch}:{path}")]);
    let torn = world.work().with_file_name("torn");
    std::fs::write(&torn, &rows[..rows.trim_end().len() - 30]).unwrap();
    let script = format!(
        "export GIT_INDEX_FILE=.git/torn-index && git read-tree '{branch}' && git update-index --cacheinfo \
         100644,$(git hash-object -w '{}'),'{path}' && git update-ref 'refs/heads/{branch}' \
         $(git commit-tree -p '{branch}' -m torn $(git write-tree))",
        torn.display()
    );
    world.run_program("sh", ["-c", &script]).exits(0);
    let finding = missions_check(&world);
    assert_eq!(finding["findings"][0]["code"], "log_damaged", "{finding:#}");

    let repair = world.run(["doctor", "repair", "--mission", "sample", "--json"]).exits(0).json();
    let in_git = &repair["in_git"][0];
    assert_eq!(in_git["commit"], world.git(["rev-parse", &format!("{branch}~2")]).trim(), "{repair:#}");
    world.run_program("sh", ["-c", in_git["restore"].as_str().unwrap()]).exits(0);
    let shown = world.run(["agent", "status", "show", "--mission", "sample"]).exits(0);
    assert!(shown.stdout.contains("claimed (1)"), "{}", shown.stdout);
    emit(&world, "in_progress").exits(0);
    let validate = world.run(["agent", "status", "validate", "--mission", "sample"]).exits(0);
    assert!(validate.stdout.contains("in order"), "{}", validate.stdout);
}
