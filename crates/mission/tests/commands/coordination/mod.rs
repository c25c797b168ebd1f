//! Missions that keep their lane rows on a coordination branch.

mod branches;
mod damage;
mod writing;

use super::emit::to;
use super::finalize::{finalize, with_tasks};
use super::world::World;
use mission::command::repair_log::repair_log;
use mission::command::status::{Board, list, materialize, show};
use mission::command::validate_log::validate;
use mission::command::{capture_history, mark_status, move_task};
use mission::mission_log::read_elsewhere;
use mission::{ErrorCode, MissionError, Project};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::world::git;

/// A finalized mission whose lane rows are on its coordination branch, which nothing has checked out.
struct Coordinated {
    world: World,
    slug: String,
    branch: String,
}

impl Coordinated {
    fn new() -> Self {
        let world = World::new();
        let slug = with_tasks(&world);
        let mission = Self { branch: format!("kitty/mission-{slug}"), slug, world };
        mission.world.git(["branch", &mission.branch, "HEAD~1"]);
        mission.set_meta("coordination_branch", json!(mission.branch));
        mission.set_meta("topology", json!("coord"));
        mission.world.git(["add", "--all"]);
        mission.world.git(["commit", "--quiet", "-m", "documents"]);
        finalize(&mission.world, &mission.slug).unwrap();
        mission
    }

    fn set_meta(&self, key: &str, value: Value) {
        set_meta(&self.directory(), key, value);
    }

    fn directory(&self) -> PathBuf {
        self.world.root.join("kitty-specs").join(&self.slug)
    }

    /// Checks the branch out, as 3.2.7 does.
    fn worktree(&self) -> PathBuf {
        let path = self.world.root.join(format!(".worktrees/{}-coord", self.slug));
        self.world.git(["worktree", "add", "--quiet", path.to_str().unwrap(), &self.branch]);
        path
    }

    fn on_branch(&self, name: &str) -> String {
        self.world.git(["show", &format!("{}:kitty-specs/{}/{name}", self.branch, self.slug)])
    }

    fn subjects(&self) -> Vec<String> {
        self.world.git(["log", "--format=%s", &self.branch]).lines().map(str::to_owned).collect()
    }

    fn tip(&self) -> String {
        self.world.git(["rev-parse", &self.branch]).trim().to_owned()
    }

    fn lanes(&self) -> String {
        lanes(&board(&self.world.root, &self.slug))
    }

    /// A clone that has its own remote-tracking branches.
    fn clone_to(&self, name: &str) -> PathBuf {
        let path = self.world.root.with_file_name(name);
        git(&self.world.root, &["clone", "--quiet", ".", path.to_str().unwrap()]);
        configure(&path);
        path
    }

    /// An error of `emit`, and proof that it changed nothing.
    fn refused(&self) -> MissionError {
        let before = (self.world.state(), self.world.git(["for-each-ref"]));
        let error = self.world.emit(&to(&self.slug, "claimed"), None).unwrap_err();
        assert!(before == (self.world.state(), self.world.git(["for-each-ref"])));
        error
    }
}

fn set_meta(directory: &Path, key: &str, value: Value) {
    let path = directory.join("meta.json");
    let mut meta: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    match value {
        Value::Null => drop(meta.as_object_mut().unwrap().remove(key)),
        value => meta[key] = value,
    }
    std::fs::write(path, serde_json::to_string_pretty(&meta).unwrap()).unwrap();
}

fn configure(directory: &Path) {
    git(directory, &["config", "user.name", "Dev"]);
    git(directory, &["config", "user.email", "dev@example.com"]);
}

fn board(root: &Path, slug: &str) -> Board {
    show(&Project::read(root).unwrap(), Some(slug)).unwrap().missions.remove(0)
}

fn lanes(board: &Board) -> String {
    board.work_packages.iter().map(|card| card.lane.name()).collect::<Vec<_>>().join(" ")
}

fn emit_in(
    world: &World,
    root: &Path,
    slug: &str,
    lane: &str,
) -> Result<mission::command::emit::Emitted, MissionError> {
    let project = Project::read(root).unwrap();
    mission::command::emit::plan(&project, &to(slug, lane), &world.clock)?.apply(&project, None, &world.clock)
}

fn event_types(text: &str) -> Vec<bool> {
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap().get("event_type").is_some())
        .collect()
}
