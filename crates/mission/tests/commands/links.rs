//! A mission that was pulled may hold symbolic links to anywhere: none is followed.
#![cfg(unix)]

use super::emit::to;
use super::finalize::{finalize, with_tasks};
use super::world::World;
use mission::command::status::show;
use mission::command::{add_history, move_task};
use mission::{MissionError, Result};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// Moves what is at `path` of the mission out of the repository and puts a link in its place.
fn linked(world: &World, slug: &str, path: &str) -> PathBuf {
    let (inside, outside) =
        (world.root.join("kitty-specs").join(slug).join(path), world.root.with_file_name("secret"));
    std::fs::rename(&inside, &outside).unwrap();
    symlink(&outside, &inside).unwrap();
    outside
}

fn moved(world: &World, slug: &str) -> Result<move_task::Moved> {
    let project = world.project();
    let request = move_task::MoveTaskRequest {
        mission: Some(slug.into()),
        wp_id: "WP01".into(),
        to: "doing".into(),
        agent: Some("dev".into()),
        ..Default::default()
    };
    move_task::plan(&project, &request, &world.clock)?.apply(&project, None, &world.clock)
}

fn noted(world: &World, slug: &str) -> Result<add_history::Noted> {
    let project = world.project();
    let request = add_history::NoteRequest {
        mission: Some(slug.into()),
        wp_id: "WP01".into(),
        note: "n".into(),
        agent: None,
        shell_pid: None,
    };
    add_history::plan(&project, &request, &world.clock)?.apply(&project, None, &world.clock)
}

#[test]
fn no_command_reads_or_writes_through_a_link() {
    for path in ["status.events.jsonl", "tasks/WP01-first.md", "tasks"] {
        let world = World::new();
        let slug = with_tasks(&world);
        finalize(&world, &slug).unwrap();
        let outside = linked(&world, &slug, path);
        let state = || {
            let outside = if outside.is_file() { std::fs::read(&outside).unwrap() } else { Vec::new() };
            (world.state(), outside)
        };
        let before = state();
        let errors: [MissionError; 4] = [
            world.emit(&to(&slug, "claimed"), None).err(),
            moved(&world, &slug).err(),
            noted(&world, &slug).err(),
            finalize(&world, &slug).err(),
        ]
        .map(|error| error.unwrap_or(MissionError::Argument { name: path, problem: "succeeded".into() }));
        for (n, error) in errors.iter().enumerate() {
            // A lane change does not read the work package's file.
            if (n, path) != (0, "tasks/WP01-first.md") {
                assert!(error.to_string().contains("is a symbolic link"), "{path}: command {n}: {error}");
            }
        }
        if path != "tasks/WP01-first.md" {
            assert!(state() == before, "{path}");
        }
        assert_eq!(before.1, state().1, "{path}");
    }
}

#[test]
fn circles_of_links_stop_no_command() {
    let world = World::new();
    let slug = with_tasks(&world);
    finalize(&world, &slug).unwrap();
    let missions = world.root.join("kitty-specs");
    for (target, link) in [
        (".", "circle".to_owned()),
        ("itself", "itself".to_owned()),
        ("..", format!("{slug}/research/up")),
        (".", format!("{slug}/tasks/circle")),
        ("itself", format!("{slug}/checklists/itself")),
    ] {
        let link = missions.join(link);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }
    world.emit(&to(&slug, "claimed"), None).unwrap();
    moved(&world, &slug).unwrap();
    finalize(&world, &slug).unwrap();
    let board = show(&world.project(), None).unwrap();
    let shown: Vec<_> = board
        .missions
        .iter()
        .map(|board| (&*board.mission_slug, board.work_packages[0].lane.name()))
        .collect();
    assert_eq!(shown, [(&*slug, "in_progress")]);
}

#[test]
fn evidence_is_never_written_through_a_link() {
    let world = World::new();
    let slug = with_tasks(&world);
    let outside = world.root.with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, world.root.join(format!("kitty-specs/{slug}/evidence"))).unwrap();
    let error = world.project().mission(Some(&slug)).unwrap_err();
    assert!(error.to_string().contains("evidence: is a symbolic link"), "{error}");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}
