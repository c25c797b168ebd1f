//! `init`: makes a directory a project, and repairs one: identity, merge drivers, ignored files.
//!
//! A local command that asks nothing and that a second run leaves without a change. What a person wrote into the
//! files stays: lines are only added.

use super::shown;
use crate::document::{MAX_TEXT, Writing, read_bytes};
use crate::error::{MissionError, Result, chain};
use crate::git;
use crate::merge::Driver;
use crate::project::Project;
use crate::remedies::ErrorCode;
use identity::git::GitFacts;
use identity::{Environment, ProjectIdentity};
use serde::Serialize;
use std::path::Path;
use system::Machine;

/// Files of one machine, below the project root. A killed process leaves its temporary file beside the one that it was
/// writing; damaged lines of a log are kept where it is.
const IGNORED: [&str; 12] = [
    ".spec-kitty-*.tmp",
    ".worktrees/",
    ".kittify/.dashboard",
    ".kittify/derived/",
    ".kittify/dossiers/",
    ".kittify/events/",
    ".kittify/logs/",
    ".kittify/merge-state.json",
    ".kittify/runtime/",
    ".kittify/sync-state.json",
    ".kittify/workspaces/",
    "kitty-specs/*/status.events.jsonl.aside-*",
];

/// Report of `init`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Initialized {
    /// `created`, `repaired` or `nothing_to_do`.
    pub result: &'static str,
    /// The project root.
    pub project_root: String,
    /// The project's UUID.
    pub project_uuid: String,
    /// Lines added to `.gitattributes`.
    pub attributes_added: Vec<String>,
    /// Lines added to `.gitignore`.
    pub ignores_added: Vec<String>,
    /// Merge drivers set in the configuration of the repository; null outside of a repository.
    pub drivers_set: Option<Vec<String>>,
}

/// Sets up what is missing in the project at `root`. Outside of a git repository the drivers wait for the next run.
///
/// # Errors
/// A file that cannot be read or written, or a git that refuses; the files are then as they were.
pub fn init(root: &Path, environment: &Environment) -> Result<Initialized> {
    let project = match Project::read(root) {
        Ok(project) => Some(project),
        Err(error) if error.code() == ErrorCode::NotAGitRepository => None,
        Err(error) => return Err(error),
    };
    let drivers = project.as_ref().map(missing_drivers).transpose()?;
    let attributes = Driver::all().flat_map(|driver| {
        driver.patterns().iter().map(move |pattern| format!("{pattern} merge=spec-kitty-{}", driver.name()))
    });
    let attributes = Addition::plan(&root.join(".gitattributes"), attributes.collect())?;
    let ignores = Addition::plan(&root.join(".gitignore"), IGNORED.map(str::to_owned).to_vec())?;
    let mut writing = Writing::new();
    let done =
        apply(root, project.as_ref().map(Project::git), environment, &mut writing, [&attributes, &ignores]);
    let (uuid, is_new) = match done {
        Ok(done) => done,
        Err(cause) => return Err(writing.undo(cause)),
    };
    for (name, value) in drivers.iter().flatten() {
        if let Some(Err(cause)) = project.as_ref().map(|project| git::write_setting(project, name, value)) {
            return Err(writing.undo(cause));
        }
    }
    writing.keep()?;
    let drivers_set = drivers.map(|settings| settings.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    let changed = is_new.identity
        || !attributes.lines.is_empty()
        || !ignores.lines.is_empty()
        || drivers_set.as_ref().is_some_and(|set| !set.is_empty());
    Ok(Initialized {
        result: match (is_new.project, changed) {
            (true, _) => "created",
            (false, true) => "repaired",
            (false, false) => "nothing_to_do",
        },
        project_root: shown(root),
        project_uuid: uuid,
        attributes_added: attributes.lines,
        ignores_added: ignores.lines,
        drivers_set,
    })
}

/// Parts that did not exist before.
struct IsNew {
    project: bool,
    identity: bool,
}

fn apply(
    root: &Path,
    git: Option<&GitFacts>,
    environment: &Environment,
    writing: &mut Writing,
    additions: [&Addition; 2],
) -> Result<(String, IsNew)> {
    let marker = root.join(".kittify");
    let project = !marker.is_dir();
    writing.create_directory(&marker)?;
    let config = identity::project::config_file(root);
    writing.watch(&config)?;
    let before = read_bytes(&config, MAX_TEXT)?;
    let identity = ProjectIdentity::ensure(root, git, &Machine::observe(), environment)
        .map_err(|error| MissionError::malformed(&config, chain(&error)))?;
    for addition in additions {
        if !addition.lines.is_empty() {
            writing.write(&addition.path, &addition.bytes)?;
        }
    }
    Ok((identity.uuid, IsNew { project, identity: read_bytes(&config, MAX_TEXT)? != before }))
}

/// Lines to add to a file.
struct Addition {
    path: std::path::PathBuf,
    lines: Vec<String>,
    /// The file with them.
    bytes: Vec<u8>,
}

impl Addition {
    /// Those of `lines` that the file at `path` lacks.
    fn plan(path: &Path, mut lines: Vec<String>) -> Result<Self> {
        let mut bytes = read_bytes(path, MAX_TEXT)?.unwrap_or_default();
        let present: Vec<Vec<&[u8]>> = bytes.split(|byte| *byte == b'\n').map(words).collect();
        // A line may carry more attributes than ours.
        lines.retain(|line| {
            let wanted = words(line.as_bytes());
            !present
                .iter()
                .any(|line| line.first() == wanted.first() && wanted.iter().all(|word| line.contains(word)))
        });
        if !lines.is_empty() {
            if bytes.last().is_some_and(|byte| *byte != b'\n') {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(b"# spec-kitty\n");
            bytes.extend(lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()));
        }
        Ok(Self { path: path.to_owned(), lines, bytes })
    }
}

fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect()
}

/// The settings that the repository lacks. A command that a person changed and that still runs the driver stays.
fn missing_drivers(project: &Project) -> Result<Vec<(String, String)>> {
    let present = git::read_settings(project, "merge.spec-kitty-")?;
    let mut missing = Vec::new();
    for driver in Driver::all() {
        let section = format!("merge.spec-kitty-{}", driver.name());
        let command = format!("merge-driver-{} %O %A %B", driver.name());
        let has = |key: &str, test: &dyn Fn(&str) -> bool| {
            present.iter().any(|(name, value)| *name == format!("{section}.{key}") && test(value))
        };
        if !has("driver", &|value| value.ends_with(&command)) {
            missing.push((format!("{section}.driver"), format!("spec-kitty {command}")));
        }
        if !has("name", &|_| true) {
            missing.push((format!("{section}.name"), format!("spec-kitty: {}", driver.name())));
        }
    }
    Ok(missing)
}
