//! Missions with documents, committed with plain git.

use crate::world::World;
use std::path::PathBuf;

/// A specification without placeholders.
pub const SPEC: &str = "# Tea timer\n\n| ID | Title | Requirement |\n|---|---|---|\n\
    | FR-001 | Count | The timer counts down from the minutes it is given. |\n\
    | FR-002 | Ring | It rings once when the time is over. |\n";
/// A plan without placeholders.
pub const PLAN: &str =
    "# Plan\n\n## Technical Context\n\n**Language/Version**: POSIX shell\n**Storage**: none\n";
/// Two work packages; the second depends on the first.
pub const TASKS: &str = "# Tasks\n\n## WP01 - Count down\n\n- [ ] T001 read the minutes\n- [ ] T002 count\n\n\
    **Dependencies**: none\n\n## WP02 - Ring\n\n- [ ] T003 ring\n\n**Dependencies**: WP01\n";

/// A mission in the project of a world.
#[derive(Clone, Debug)]
pub struct Mission {
    /// The directory's name.
    pub slug: String,
    /// The directory.
    pub path: PathBuf,
}

impl Mission {
    /// Creates a mission; only the repository is changed.
    ///
    /// # Panics
    /// When the command fails.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn create(world: &World, name: &str) -> Self {
        let argv = ["agent", "mission", "create", name, "--local-only", "--json"];
        let slug = world.run(argv).exits(0).json()["mission_slug"].as_str().expect("a name").to_owned();
        Self { path: world.work().join("kitty-specs").join(&slug), slug }
    }

    /// Writes a document of the mission.
    ///
    /// # Panics
    /// When it cannot be written.
    #[allow(clippy::expect_used, reason = "a test that cannot build its world has to stop")]
    pub fn write(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.path.join(name), text).expect("a document");
        self
    }

    /// Reads a document of the mission.
    ///
    /// # Panics
    /// When it cannot be read.
    #[allow(clippy::expect_used, reason = "a test that cannot read its world has to stop")]
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path.join(name)).expect("a document")
    }

    /// Writes the specification and commits everything.
    ///
    /// # Panics
    /// When git fails.
    pub fn specified(&self, world: &World) -> &Self {
        self.write("spec.md", SPEC);
        for arguments in [&["add", "--all"][..], &["commit", "--quiet", "-m", "spec"]] {
            world.git(arguments);
        }
        self
    }

    /// Writes the plan.
    pub fn planned(&self) -> &Self {
        self.write("plan.md", PLAN)
    }

    /// Writes `tasks.md` and the files of its two work packages.
    pub fn with_tasks(&self) -> &Self {
        self.write("tasks.md", TASKS);
        self.write("tasks/WP01-count-down.md", &work_package("WP01", "Count down", "FR-001", "src/count.sh"));
        self.write("tasks/WP02-ring.md", &work_package("WP02", "Ring", "FR-002", "src/ring.sh"))
    }
}

/// The file of a work package.
pub fn work_package(id: &str, title: &str, requirement: &str, owned: &str) -> String {
    format!(
        "---\nwork_package_id: {id}\ntitle: {title}\nrequirement_refs: [{requirement}]\n\
         execution_mode: code_change\nowned_files: [{owned}]\nauthoritative_surface: {owned}\n---\n\n# {title}\n"
    )
}
