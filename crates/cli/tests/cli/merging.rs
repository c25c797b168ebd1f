//! `init`, and merges of missions by git with the drivers that it sets up.

use std::path::{Path, PathBuf};
use testkit::mission::Mission;
use testkit::world::finish;
use testkit::{Run, World};

const BINARY: &str = env!("CARGO_BIN_EXE_spec-kitty");

/// A project with a finalized mission, and a clone of it; git finds this program on the PATH.
fn clones() -> (World, Mission, PathBuf) {
    let mut world = testkit::host::logged_in(BINARY);
    let directory = Path::new(BINARY).parent().unwrap();
    let path = std::env::join_paths(
        std::iter::once(directory.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    world.set("PATH", path.unwrap().to_str().unwrap());
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    let _ = world.run(["tasks", "--local-only", "--mission", "tea-timer"]).exits(0);
    let done = world.run(["init", "--json"]).exits(0).json();
    assert_eq!(done["result"], "repaired", "{done:#}");
    save(&world, world.work(), "mission");
    let clone = world.user_home().join("clone");
    git(&world, world.work(), &["clone", "--quiet", ".", clone.to_str().unwrap()], 0);
    // The files of the project came with the clone; the configuration of git did not.
    let done = at(&world, &clone, &["init", "--json"], 0).json();
    assert_eq!((&done["result"], &done["attributes_added"]), (&"repaired".into(), &serde_json::json!([])));
    assert_eq!(done["drivers_set"].as_array().unwrap().len(), 14);
    assert_eq!(at(&world, &clone, &["init", "--json"], 0).json()["result"], "nothing_to_do");
    (world, mission, clone)
}

#[track_caller]
fn at(world: &World, directory: &Path, argv: &[&str], exit: i32) -> Run {
    let mut command = world.command();
    command.args(argv).current_dir(directory);
    finish(command).exits(exit)
}

#[track_caller]
fn git(world: &World, directory: &Path, argv: &[&str], exit: i32) -> Run {
    let mut command = std::process::Command::new("git");
    world.dress(&mut command);
    command.args(argv).current_dir(directory);
    finish(command).exits(exit)
}

fn save(world: &World, directory: &Path, message: &str) {
    git(world, directory, &["add", "--all"], 0);
    git(world, directory, &["commit", "--quiet", "-m", message], 0);
}

/// Moves a work package in a checkout; the command commits.
fn move_in(world: &World, directory: &Path, package: &str, lane: &str, agent: &str) {
    let argv = [
        "agent",
        "tasks",
        "move-task",
        package,
        "--to",
        lane,
        "--agent",
        agent,
        "--mission",
        "tea-timer",
        "--local-only",
    ];
    at(world, directory, &argv, 0);
}

#[test]
fn packages_moved_in_two_clones_merge_into_one_board() {
    let (world, mission, clone) = clones();
    move_in(&world, world.work(), "WP01", "claimed", "one");
    move_in(&world, &clone, "WP02", "claimed", "other");
    move_in(&world, &clone, "WP02", "in_progress", "other");
    git(&world, world.work(), &["pull", "--quiet", "--no-rebase", clone.to_str().unwrap(), "main"], 0);
    let board = world.run(["agent", "status", "show", "--mission", "tea-timer", "--json"]).exits(0).json();
    let lane =
        |index: usize| board["missions"][0]["work_packages"][index]["lane"].as_str().unwrap().to_owned();
    assert_eq!((lane(0), lane(1)), ("claimed".to_owned(), "in_progress".to_owned()));
    let merged = mission.read("status.json");
    let _ = world.run(["agent", "status", "materialize", "--mission", "tea-timer"]).exits(0);
    assert_eq!(mission.read("status.json"), merged, "status.json is what the merged log gives");
}

#[test]
fn package_moved_in_both_clones_keeps_every_row() {
    let (world, mission, clone) = clones();
    move_in(&world, world.work(), "WP01", "claimed", "one");
    move_in(&world, &clone, "WP01", "claimed", "other");
    let pull =
        git(&world, world.work(), &["pull", "--quiet", "--no-rebase", clone.to_str().unwrap(), "main"], 1);
    assert!(pull.stderr.contains("both sides changed the same work packages: WP01"), "{pull:?}");
    assert!(pull.stderr.contains("agent status materialize"), "{pull:?}");
    // The log is merged; only what is derived from it waits for the command that the message names.
    let log = mission.read("status.events.jsonl");
    assert!(log.contains("\"one\"") && log.contains("\"other\"") && !log.contains("<<<<"), "{log}");
    let _ = world.run(["agent", "status", "materialize", "--mission", "tea-timer"]).exits(0);
    let unmerged = || git(&world, world.work(), &["diff", "--name-only", "--diff-filter=U"], 0).stdout;
    for path in unmerged().lines().map(str::to_owned).collect::<Vec<_>>() {
        let text = std::fs::read_to_string(world.work().join(&path)).unwrap();
        assert!(path.ends_with(".md") || !text.contains("<<<<"), "{path}: {text}");
    }
}

#[test]
fn row_changed_on_one_side_is_a_conflict_that_shows_both() {
    let (world, mission, clone) = clones();
    let log = mission.read("status.events.jsonl");
    let forged = log.replacen("finalize-tasks", "intruder", 1);
    assert_ne!(log, forged);
    mission.write("status.events.jsonl", &forged);
    save(&world, world.work(), "forged");
    move_in(&world, &clone, "WP02", "claimed", "other");
    let pull =
        git(&world, world.work(), &["pull", "--quiet", "--no-rebase", clone.to_str().unwrap(), "main"], 1);
    assert!(pull.stderr.contains("unequal rows with one event_id"), "{pull:?}");
    let merged = mission.read("status.events.jsonl");
    let both =
        merged.contains("intruder\"") && merged.contains("finalize-tasks\"") && merged.contains("\"other\"");
    assert!(both && merged.contains("<<<<<<< "), "{merged}");
}

#[test]
fn init_makes_a_project_and_keeps_what_people_wrote() {
    let world = World::new(BINARY);
    let path = |name: &str| world.work().join(name);
    std::fs::write(path(".gitignore"), "target").unwrap();
    std::fs::write(path(".gitattributes"), "kitty-specs/**/meta.json merge=spec-kitty-meta -diff\n").unwrap();
    let done = world.run(["init", "--json"]).exits(0);
    assert!(done.stderr.contains("git init"), "{done:?}");
    let done = done.json();
    assert_eq!((&done["result"], &done["drivers_set"]), (&"created".into(), &serde_json::Value::Null));
    let ignored = std::fs::read_to_string(path(".gitignore")).unwrap();
    assert!(ignored.starts_with("target\n") && ignored.contains("\n.worktrees/\n"), "{ignored}");
    let attributes = std::fs::read_to_string(path(".gitattributes")).unwrap();
    assert_eq!(attributes.matches("/meta.json").count(), 1, "{attributes}");
    assert!(path(".kittify/config.yaml").is_file());

    world.git(["init", "--quiet"]);
    let driver = "merge.spec-kitty-meta.driver";
    let own = "/opt/spec-kitty merge-driver-meta %O %A %B";
    world.git(["config", driver, own]);
    let again = world.run(["init", "--json"]).exits(0).json();
    assert_eq!((&again["result"], &again["project_uuid"]), (&"repaired".into(), &done["project_uuid"]));
    assert_eq!(world.git(["config", driver]).trim(), own);
}

/// Whatever a command leaves on this machine, `git add --all` takes only what a team shares.
#[test]
fn git_status_shows_no_file_of_one_machine_after_init() {
    let world = testkit::host::logged_in(BINARY);
    let status = || -> Vec<String> {
        let argv = ["status", "--porcelain", "--untracked-files=all"];
        let out = git(&world, world.work(), &argv, 0).stdout;
        out.lines().map(|line| line[3..].to_owned()).collect()
    };
    let _ = world.run(["init"]).exits(0);
    save(&world, world.work(), "init");
    let mission = Mission::create(&world, "tea-timer");
    mission.specified(&world).planned().with_tasks();
    let run = |argv: &[&str]| {
        let named = argv.iter().copied().chain(["--mission", &mission.slug, "--json"]);
        world.run(named).exits(0).json()
    };
    run(&["agent", "mission", "finalize-tasks"]);
    run(&["agent", "status", "emit", "WP01", "--to", "claimed", "--actor", "ada"]);
    run(&["agent", "tasks", "add-history", "WP01", "--note", "n"]);
    run(&["agent", "tasks", "mark-status", "T001", "--status", "done"]);
    let question = ["--flow", "plan", "--step-id", "s", "--input-key", "k", "--question", "Which tea?"];
    run(&[&["agent", "decision", "open"][..], &question].concat());
    let torn = format!("{}{{\"actor\": ", mission.read("status.events.jsonl"));
    mission.write("status.events.jsonl", &torn);
    let aside = run(&["doctor", "repair"])["moved_to"].as_str().unwrap().to_owned();
    run(&["agent", "status", "materialize"]);
    assert!(Path::new(&aside).is_file());

    let slug = &mission.slug;
    let shown = status();
    assert!(shown.contains(&format!("kitty-specs/{slug}/status.events.jsonl")), "{shown:?}");
    let shared = |path: &String| path.starts_with("kitty-specs/") && !path.contains(".aside-");
    assert!(shown.iter().all(shared), "{shown:?}");
    save(&world, world.work(), "mission");

    // A killed process leaves its temporary file beside what it was writing.
    let mut private = vec![".spec-kitty-a1.tmp".to_owned(), ".kittify/.spec-kitty-a1.tmp".to_owned()];
    private
        .extend(["", "tasks/", "decisions/"].map(|at| format!("kitty-specs/{slug}/{at}.spec-kitty-a1.tmp")));
    let machine = ["derived/d", "dossiers/d", "events/e", "logs/l", "runtime/r", "workspaces/w"];
    let files = [".dashboard", "merge-state.json", "sync-state.json"];
    private.extend(machine.into_iter().chain(files).map(|name| format!(".kittify/{name}")));
    private.push(".worktrees/lane-a/file".to_owned());
    for name in private {
        world.write(&world.work().join(name), "x");
    }
    assert_eq!(status(), Vec::<String>::new());
    assert_eq!(world.run(["init", "--json"]).exits(0).json()["result"], "nothing_to_do");
}

#[test]
fn init_below_a_home_with_kittify_makes_its_own_project() {
    let world = World::new(BINARY);
    std::fs::create_dir_all(world.user_home().join(".kittify")).unwrap();
    let directory = world.user_home().join("code");
    std::fs::create_dir_all(&directory).unwrap();
    git(&world, &directory, &["init", "--quiet"], 0);
    at(&world, &directory, &["init"], 0);
    assert!(directory.join(".kittify/config.yaml").is_file());
    assert!(!world.user_home().join(".kittify/config.yaml").exists());
    let below = directory.join("src");
    std::fs::create_dir_all(&below).unwrap();
    assert_eq!(at(&world, &below, &["init", "--json"], 0).json()["result"], "nothing_to_do");
}

/// Git names three files always; a missing one is a misspelt name, not a side whose rows were removed.
#[test]
fn driver_with_a_missing_file_writes_nothing() {
    let world = testkit::host::logged_in(BINARY);
    let drivers = world.run(["doctor", "paths", "--json"]).exits(0).json();
    let drivers: Vec<String> = drivers["paths"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|path| path["verb"].as_str())
        .filter(|verb| verb.starts_with("merge-driver-"))
        .map(str::to_owned)
        .collect();
    assert_eq!(drivers.len(), 7, "{drivers:?}");
    for driver in &drivers {
        for missing in ["base", "ours", "theirs"] {
            for name in ["base", "ours", "theirs"] {
                let path = world.work().join(name);
                let _ = std::fs::remove_file(&path);
                if name != missing {
                    std::fs::write(path, "").unwrap();
                }
            }
            let run = world.run([driver.as_str(), "base", "ours", "theirs"]).exits(1);
            assert!(run.stderr.contains(missing), "{driver} without {missing}: {run:?}");
            assert!(!world.work().join(missing).exists(), "{driver} without {missing}");
        }
    }
}
