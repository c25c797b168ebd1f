//! Damaged, hostile and very large logs and repositories.

use super::*;

#[cfg(unix)]
#[test]
fn links_on_the_branch_and_in_the_worktree_are_not_followed() {
    use std::os::unix::fs::symlink;
    let mission = Coordinated::new();
    let worktree = mission.worktree();
    let directory = worktree.join("kitty-specs").join(&mission.slug);
    let log = directory.join("status.events.jsonl");
    std::fs::remove_file(&log).unwrap();
    symlink("status.events.jsonl", &log).unwrap();
    assert!(mission.refused().to_string().contains("is a symbolic link"));
    git(&worktree, &["commit", "--quiet", "--all", "-m", "a link to itself"]);
    mission.world.git(["worktree", "remove", "--force", worktree.to_str().unwrap()]);
    assert!(mission.refused().to_string().contains("is a symbolic link there"));
    assert!(board(&mission.world.root, &mission.slug).warnings[0].contains("symbolic link"));
    // A directory that links to itself.
    let worktree = mission.worktree();
    std::fs::remove_dir_all(&directory).unwrap();
    symlink(&directory, &directory).unwrap();
    assert!(mission.refused().to_string().contains("is a symbolic link"));
    git(&worktree, &["add", "--all"]);
    git(&worktree, &["commit", "--quiet", "-m", "a directory that is a link"]);
    mission.world.git(["worktree", "remove", "--force", worktree.to_str().unwrap()]);
    assert_eq!(mission.lanes(), "unknown unknown");
    assert!(mission.refused().to_string().contains("which is a symbolic link or a file, not a directory"));
}

#[test]
fn repository_without_a_commit_is_read() {
    let world = World::new();
    let root = world.root.with_file_name("empty");
    let directory = root.join("kitty-specs/m");
    std::fs::create_dir_all(root.join(".kittify")).unwrap();
    std::fs::create_dir_all(directory.join("tasks")).unwrap();
    git(&root, &["init", "--quiet"]);
    std::fs::write(directory.join("meta.json"), "{\"coordination_branch\": \"kitty/m\"}").unwrap();
    std::fs::write(directory.join("tasks/WP01-a.md"), "---\nwork_package_id: WP01\ntitle: A\n---\n").unwrap();
    assert_eq!(lanes(&board(&root, "m")), "unknown");
    let error = emit_in(&world, &root, "m", "claimed").unwrap_err();
    assert_eq!(error.code(), ErrorCode::CoordinationBranchMissing);
}

#[test]
fn differing_rows_of_one_id_are_reported() {
    let mission = Coordinated::new();
    let row = mission
        .on_branch("status.events.jsonl")
        .lines()
        .next()
        .unwrap()
        .replace("finalize-tasks", "intruder");
    let log = format!("kitty-specs/{}/status.events.jsonl", mission.slug);
    let facts = mission.world.read(&log);
    mission.world.write(&log, &format!("{facts}{row}\n"));
    let shown = board(&mission.world.root, &mission.slug);
    assert!(shown.warnings[0].contains("1 rows of the same id that differ"), "{:?}", shown.warnings);
    assert_eq!(shown.work_packages[0].actor.as_deref(), Some("finalize-tasks"));
}

#[test]
fn damaged_log_of_the_branch_is_shown_refused_and_repaired() {
    for checked_out in [false, true] {
        let mission = Coordinated::new();
        let worktree = mission.worktree();
        let log = worktree.join(format!("kitty-specs/{}/status.events.jsonl", mission.slug));
        let rows = std::fs::read_to_string(&log).unwrap();
        std::fs::write(&log, format!("{rows}<<<<<<< HEAD\n")).unwrap();
        git(&worktree, &["commit", "--quiet", "--all", "-m", "damage"]);
        if !checked_out {
            mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
        }
        let shown = board(&mission.world.root, &mission.slug);
        assert_eq!(lanes(&shown), "planned planned");
        assert!(shown.warnings[0].contains("line 3: is a conflict marker"), "{:?}", shown.warnings);
        assert_eq!(mission.refused().code(), ErrorCode::LogDamaged);
        let before = mission.tip();
        let done = materialize(&mission.world.project(), Some(&mission.slug), &mission.world.clock).unwrap();
        assert_eq!(
            (done.is_written, &done.document["work_packages"]["WP01"]["lane"]),
            (false, &json!("planned"))
        );
        assert_eq!(mission.tip(), before, "nothing is written on top of damage");
        let (project, clock) = (mission.world.project(), &mission.world.clock);
        let repaired = repair_log(&project, Some(&mission.slug), clock).unwrap();
        assert_eq!(repaired.result, "nothing_to_repair", "the checkout's log is whole");
        let repaired = repaired.coordination.unwrap();
        assert_eq!((repaired.result, repaired.kept, repaired.moved.len()), ("repaired", 2, 1));
        assert_eq!(mission.on_branch("status.events.jsonl"), rows);
        let aside = repaired.moved_to.unwrap();
        let name = aside.rsplit('/').next().unwrap();
        assert_eq!(mission.on_branch(name), "<<<<<<< HEAD\n");
        assert_eq!(mission.subjects()[0], "chore(spec-kitty): status log repaired");
        mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    }
}

#[test]
fn log_of_200_000_rows_is_read_from_the_branch() {
    let mission = Coordinated::new();
    let worktree = mission.worktree();
    let log = worktree.join(format!("kitty-specs/{}/status.events.jsonl", mission.slug));
    let first = std::fs::read_to_string(&log).unwrap().lines().next().unwrap().to_owned();
    let id = serde_json::from_str::<Value>(&first).unwrap()["event_id"].as_str().unwrap().to_owned();
    let mut text = String::with_capacity(200_000 * (first.len() + 1));
    for row in 0..200_000 {
        text.push_str(&first.replace(&id, &format!("01KZ{row:022}")));
        text.push('\n');
    }
    std::fs::write(&log, text).unwrap();
    git(&worktree, &["commit", "--quiet", "--all", "-m", "long"]);
    mission.world.git(["worktree", "remove", worktree.to_str().unwrap()]);
    let done = materialize(&mission.world.project(), Some(&mission.slug), &mission.world.clock).unwrap();
    assert_eq!(done.document["event_count"], 200_000);
}

#[test]
fn listing_of_many_missions_reads_each_branch() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let root = &mission.world.root;
    for name in ["b", "c"] {
        let directory = root.join("kitty-specs").join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("meta.json"), format!("{{\"coordination_branch\": \"kitty/{name}\"}}"))
            .unwrap();
    }
    mission.world.git(["branch", "kitty/b", &mission.branch]);
    let boards = show(&mission.world.project(), None).unwrap();
    let names: Vec<_> = boards
        .missions
        .iter()
        .map(|board| (board.mission_slug.as_str(), lanes(board), board.warnings.len()))
        .collect();
    assert_eq!(
        names,
        [("b", String::new(), 0), ("c", String::new(), 1), (&*mission.slug, "claimed planned".into(), 0)]
    );
}

#[test]
fn listing_by_several_threads_keeps_the_order_and_every_mission() {
    let mission = Coordinated::new();
    mission.world.emit(&to(&mission.slug, "claimed"), None).unwrap();
    let missions = mission.world.root.join("kitty-specs");
    for number in 0..150 {
        let directory = missions.join(format!("m{number:03}"));
        std::fs::create_dir_all(&directory).unwrap();
        let meta = match number % 3 {
            0 => "{}".to_owned(),
            1 => format!("{{\"coordination_branch\": \"{}\"}}", mission.branch),
            _ => "{".to_owned(),
        };
        std::fs::write(directory.join("meta.json"), meta).unwrap();
    }
    let boards = show(&mission.world.project(), None).unwrap();
    let names: Vec<_> = boards.missions.iter().map(|board| board.mission_slug.clone()).collect();
    assert_eq!(names.len(), 151);
    assert!(names.is_sorted(), "{names:?}");
    let board = boards.missions.iter().find(|board| board.mission_slug == mission.slug).unwrap();
    assert_eq!(lanes(board), "claimed planned");
    assert!(boards.missions.iter().all(|board| (board.warnings.len() == 1) == {
        let number = board.mission_slug.strip_prefix('m').and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number % 3 == 2)
    }));
}
