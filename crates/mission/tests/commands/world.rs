//! A temporary repository with a project in it, a home, and a login that needs no server.

use gate::CapturePermit;
use identity::{BuildInfo, Config, Environment, Home};
use mission::command::{create, emit, setup_plan};
use mission::{Clock, Outgoing, Project, Result};
use preflight::Boundary;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The world of one test.
pub(crate) struct World {
    base: testkit::World,
    pub(crate) root: PathBuf,
    pub(crate) home: Home,
    pub(crate) environment: Environment,
    pub(crate) clock: Clock,
}

/// A plan that is no placeholder.
pub(crate) const PLAN: &str =
    "## Technical Context\n\n**Language/Version**: Rust 1.95\n**Storage**: SQLite\n";
/// A spec that is no placeholder.
pub(crate) const SPEC: &str =
    "| ID | Title | Requirement |\n|---|---|---|\n| FR-001 | Log in | Ask for a name. |\n";

impl World {
    pub(crate) fn new() -> Self {
        let mut base = testkit::World::of_library();
        let identity = data_encoding::BASE64URL_NOPAD.encode(b"dev@example.com|team-PRIV-01");
        base.set("SPEC_KITTY_TOKEN", &format!("skp_{identity}.secret"));
        base.set("SPEC_KITTY_SERVER_URL", testkit::world::SERVER).set("USER", "dev");
        let (root, home, environment) = (base.work().to_owned(), base.home(), base.environment());
        std::fs::create_dir_all(root.join(".kittify")).unwrap();
        let world = Self { base, root, home, environment, clock: Clock::system() };
        world.git(["init", "-q", "-b", "main"]);
        world.git(["config", "user.name", "Dev"]);
        world.git(["config", "user.email", "dev@example.com"]);
        std::fs::write(world.root.join("README.md"), "# repo\n").unwrap();
        std::fs::write(world.root.join(".kittify/.gitkeep"), "").unwrap();
        world.git(["add", "-A"]);
        world.git(["commit", "-q", "-m", "base"]);
        world
    }

    pub(crate) fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        self.base.git(arguments)
    }

    pub(crate) fn project(&self) -> Project {
        Project::read(&self.root).unwrap()
    }

    pub(crate) fn permit(&self) -> CapturePermit {
        let build = BuildInfo { version: "3.3.0".into(), commit: None, release: true };
        Boundary::new(&self.environment, &self.home, build).capture_permit().unwrap()
    }

    /// Runs `work` with what a producing command gets when the boundary is coherent.
    pub(crate) fn captured<T>(&self, work: impl FnOnce(&Outgoing<'_>) -> T) -> T {
        let (permit, config) = (self.permit(), Config::read(&self.home).unwrap());
        work(&Outgoing { permit: &permit, home: &self.home, config: &config, environment: &self.environment })
    }

    pub(crate) fn create(&self, slug: &str) -> create::Created {
        let request = create::CreateRequest { slug: slug.into(), ..Default::default() };
        let project = self.project();
        let plan = create::plan(&project, &request, &self.root, &self.clock).unwrap();
        plan.apply(None, &self.clock).unwrap()
    }

    pub(crate) fn setup_plan(
        &self,
        mission: &str,
        outgoing: Option<&Outgoing<'_>>,
    ) -> Result<setup_plan::PlanSetUp> {
        let project = self.project();
        let request = setup_plan::SetupPlanRequest { mission: Some(mission.into()) };
        setup_plan::plan(&project, &request, &self.clock)?.apply(&project, outgoing, &self.clock)
    }

    pub(crate) fn emit(
        &self,
        request: &emit::EmitRequest,
        outgoing: Option<&Outgoing<'_>>,
    ) -> Result<emit::Emitted> {
        let project = self.project();
        emit::plan(&project, request, &self.clock)?.apply(&project, outgoing, &self.clock)
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    /// The rows of a mission's log.
    pub(crate) fn log(&self, mission: &str) -> Vec<Value> {
        let text = self.read(format!("kitty-specs/{mission}/status.events.jsonl"));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Every file below the root but git's own, with its bytes, and `git status`.
    pub(crate) fn state(&self) -> (BTreeMap<PathBuf, Vec<u8>>, String) {
        let mut files = BTreeMap::new();
        let mut pending = vec![self.root.clone()];
        while let Some(directory) = pending.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with(".git") {
                    files.insert(path.clone(), Vec::new());
                    pending.push(path);
                } else if path.is_file() {
                    files.insert(path.clone(), std::fs::read(&path).unwrap());
                }
            }
        }
        let git =
            [self.git(["status", "--porcelain", "-uall"]), self.git(["log", "--format=%H %s"])].concat();
        (files, git)
    }

    /// The events that wait in the scoped queue DB, oldest first.
    pub(crate) fn events(&self) -> Vec<Value> {
        let rows = self.query("SELECT data FROM queue ORDER BY id");
        rows.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// The documents whose text waits in the scoped queue DB.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.query("SELECT artifact_path FROM body_upload_queue ORDER BY id")
    }

    /// Number of rows in a table of the scoped queue DB.
    pub(crate) fn count(&self, table: &str) -> usize {
        self.query(&format!("SELECT key FROM {table}")).len()
    }

    fn query(&self, sql: &str) -> Vec<String> {
        let path = self.permit().queue_path().to_owned();
        let queue = Connection::open(path).unwrap();
        let mut statement = queue.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|row| row.unwrap()).collect()
    }
}

/// A work package file that covers the spec's requirement and owns one file.
pub(crate) fn wp_file(id: &str, title: &str, owned: &str) -> String {
    let surface = owned.rsplit_once('/').map_or(owned, |(directory, _)| directory);
    format!(
        "---\nwork_package_id: {id}\ntitle: {title}\n# kept comment\nrequirement_refs: [FR-001]\nowned_files:\n- {owned}\nauthoritative_surface: {surface}/\nexecution_mode: code_change\n---\n\nWork.\n"
    )
}
