//! The project a command works in: its root, its repository, and the missions in it.
//!
//! Reads only.

use crate::clock::Moment;
use crate::dialect::Dialect;
use crate::document::{check_directory, read_names};
use crate::error::{MissionError, Result, chain};
use crate::instant::Instant;
use crate::log::{self, Log};
use crate::meta::{Meta, read_meta};
use crate::remedies::ErrorCode;
use crate::slug;
use crate::snapshot::Snapshot;
use identity::git::{GitFacts, Head, read_git_facts};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The directory of missions in a project.
pub const MISSIONS: &str = "kitty-specs";

/// The directories of a mission that commands read from and write to.
const DIRECTORIES: [&str; 6] =
    ["tasks", "decisions", "evidence", "evidence/test-transcripts", "checklists", "research"];

/// A project whose repository can be used.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    git: GitFacts,
    /// A log that was read already: see [`Project::keep_log`].
    read_log: Arc<Mutex<Option<KeptLog>>>,
}

/// A log, and what its rows add up to, once that was asked for.
type KeptLog = (Log, OnceLock<Snapshot>);

/// One mission's directory.
#[derive(Clone, Debug)]
pub struct MissionDirectory {
    /// Its name.
    pub slug: String,
    /// Its path.
    pub path: PathBuf,
    /// Its `meta.json`, when there is one.
    pub meta: Option<Meta>,
}

impl MissionDirectory {
    /// The mission's ULID, when it has one.
    pub fn mission_id(&self) -> Option<&str> {
        self.meta.as_ref().and_then(Meta::mission_id)
    }

    /// Aggregate id of events about the mission: its id, else its slug.
    pub fn aggregate_id(&self) -> &str {
        self.mission_id().unwrap_or(&self.slug)
    }

    /// Time of its creation: that of `meta.json`, else the one in its id, else the Unix epoch.
    pub(crate) fn created_at(&self) -> Moment {
        let written =
            self.meta.as_ref().and_then(|meta| Instant::parse(meta.created_at()?)?.iso()?.parse().ok());
        let in_id = || {
            let id = ulid::Ulid::from_string(self.mission_id()?).ok()?;
            jiff::Timestamp::from_millisecond(id.timestamp_ms().try_into().ok()?).ok()
        };
        Moment(written.or_else(in_id).unwrap_or(jiff::Timestamp::UNIX_EPOCH))
    }

    /// The branch its work lands on, for every command: that of `meta.json`, else the branch that is checked
    /// out.
    pub fn target_branch<'a>(&'a self, project: &'a Project) -> &'a str {
        self.meta.as_ref().and_then(Meta::target_branch).unwrap_or_else(|| project.branch_or_main())
    }

    /// Dialect in which rows are written into its log.
    pub fn dialect(&self, log: &Log) -> Dialect {
        Dialect::of(self.meta.as_ref(), log)
    }

    /// The branch its finished work is merged into: the one that `meta.json` names for that, else the one it lands
    /// on.
    pub fn merge_target_branch<'a>(&'a self, project: &'a Project) -> &'a str {
        let named = self.meta.as_ref().and_then(Meta::merge_target_branch);
        named.unwrap_or_else(|| self.target_branch(project))
    }

    /// Its type.
    pub fn mission_type(&self) -> &str {
        self.meta.as_ref().map_or(crate::meta::DEFAULT_TYPE, Meta::mission_type)
    }
}

impl Project {
    /// Reads the repository around a project root that was located before (contract section 12: the
    /// step "git").
    pub fn read(root: &Path) -> Result<Self> {
        let shown = contract::text::path(root);
        let git = read_git_facts(root)
            .map_err(|error| {
                let problem = format!("cannot read the repository of {shown}: {}", chain(&error));
                MissionError::rule(ErrorCode::GitUnreadable, problem)
            })?
            .ok_or_else(|| {
                MissionError::rule(
                    ErrorCode::NotAGitRepository,
                    format!("{shown} is not in a git repository"),
                )
            })?;
        Ok(Self { root: root.to_owned(), git, read_log: Arc::default() })
    }

    /// The project as it is once `branch`, at `commit`, is checked out in place of the branch that is.
    pub(crate) fn on_branch(&self, branch: &str, commit: Option<String>) -> Self {
        let mut project = self.clone();
        project.git.head = Head::Branch { name: branch.to_owned(), commit };
        project
    }

    /// Keeps a log of a checkout for the next one who reads it: a command plans twice, and a long log is most of that.
    pub(crate) fn keep_log(&self, log: Log, snapshot: OnceLock<Snapshot>) {
        *self.read_log.lock().unwrap_or_else(PoisonError::into_inner) = Some((log, snapshot));
    }

    /// The log of a mission directory as far as it can be read; the one that was kept, if the file has not changed.
    pub(crate) fn view_log(&self, mission_dir: &Path) -> Result<KeptLog> {
        let kept = self.read_log.lock().unwrap_or_else(PoisonError::into_inner).take();
        match kept.filter(|(log, _)| log.path() == mission_dir.join(log::FILE) && log.is_up_to_date()) {
            Some(kept) => Ok(kept),
            None => Ok((log::view_log(mission_dir)?, OnceLock::new())),
        }
    }

    /// The project root: the directory that holds `.kittify/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The repository.
    pub fn git(&self) -> &GitFacts {
        &self.git
    }

    /// The directory of missions.
    pub fn missions(&self) -> PathBuf {
        self.root.join(MISSIONS)
    }

    /// The branch that is checked out; an error on a detached head.
    pub fn branch(&self) -> Result<&str> {
        match &self.git.head {
            Head::Branch { name, .. } => Ok(name),
            Head::Detached { .. } => Err(MissionError::rule(
                ErrorCode::DetachedHead,
                format!("{} has no branch checked out (detached HEAD)", contract::text::path(&self.root)),
            )),
            Head::Unreadable(problem) => Err(MissionError::rule(
                ErrorCode::GitUnreadable,
                format!("HEAD of {} cannot be read: {problem}", contract::text::path(&self.root)),
            )),
        }
    }

    /// The branch that is checked out, `main` without one.
    pub(crate) fn branch_or_main(&self) -> &str {
        self.branch().unwrap_or("main")
    }

    /// `path` relative to the project root, with `/`; unchanged when it lies elsewhere.
    pub fn relative(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    /// The lock of one mission, shared with earlier releases.
    pub fn lock_path(&self, mission_slug: &str) -> PathBuf {
        self.git.common_dir.join("spec-kitty-locks").join(format!("{mission_slug}.status.lock"))
    }

    /// The names of all mission directories, sorted. A directory without `meta.json` and without a log does not count.
    pub(crate) fn mission_names(&self) -> Result<Vec<String>> {
        let missions = self.missions();
        let mut names = read_names(&missions)?;
        let has = |path: &Path, file: &str| path.join(file).symlink_metadata().is_ok();
        names.retain(|name| {
            let path = missions.join(name);
            !name.starts_with('.')
                && is_directory(&path)
                && [crate::meta::FILE, crate::log::FILE].into_iter().any(|file| has(&path, file))
        });
        Ok(names)
    }

    /// The mission that `handle` names: by its directory name with or without the number, by the number, by its ULID
    /// or the first eight characters of that, or by the name it was created with. Never guesses: without a handle the
    /// error lists what there is.
    pub fn mission(&self, handle: Option<&str>) -> Result<MissionDirectory> {
        let unknown = |problem: String| {
            let available = self.mission_names().unwrap_or_default();
            MissionError::UnknownMission {
                code: ErrorCode::FeatureContextUnresolved,
                handle: handle.map(str::to_owned),
                problem,
                available,
            }
        };
        let named = handle.map(str::trim).filter(|handle| !handle.is_empty()).map(|text| self.handle(text));
        let Some(handle) = named.as_deref() else {
            let count = self.mission_names()?.len();
            return Err(unknown(match count {
                0 => format!("no mission in {}", contract::text::path(&self.missions())),
                _ => format!(
                    "no mission named: pass --mission ({count} in {})",
                    contract::text::path(&self.missions())
                ),
            }));
        };
        if !slug::is_plain_component(handle) {
            return Err(unknown(format!("`{}` cannot be a mission", contract::text::printable(handle))));
        }
        if is_directory(&self.missions().join(handle)) {
            return self.open_mission(handle);
        }
        let mut found = self.matching(handle)?;
        match (found.pop(), found.is_empty()) {
            (Some(name), true) => self.open_mission(&name),
            (Some(name), false) => {
                found.push(name);
                Err(unknown(format!("mission `{handle}` is ambiguous: {}", found.join(", "))))
            }
            (None, _) => Err(unknown(format!(
                "no mission `{}` in {}{}",
                contract::text::printable(handle),
                contract::text::path(&self.missions()),
                self.unread()?
            ))),
        }
    }

    /// The mission for a command that only shows it: a `meta.json` that cannot be read is a warning.
    pub(crate) fn view_mission(&self, handle: Option<&str>) -> Result<(MissionDirectory, Option<String>)> {
        let error = match self.mission(handle) {
            Ok(mission) => return Ok((mission, None)),
            Err(error) => error,
        };
        let name = self.handle(handle.unwrap_or_default().trim());
        let path = self.missions().join(&*name);
        let is_meta = matches!(&error, MissionError::Malformed { path: file, .. } | MissionError::Io { path: file, .. }
            if *file == path.join(crate::meta::FILE));
        if is_meta && slug::is_plain_component(&name) && is_directory(&path) {
            return Ok((MissionDirectory { slug: name.into_owned(), path, meta: None }, Some(chain(&error))));
        }
        Err(error)
    }

    /// A path, absolute or below the project root, names the mission in that directory. A trailing slash, as a shell
    /// completes it, is ignored.
    fn handle<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let bare = text.trim_end_matches(std::path::is_separator);
        let path = self.root.join(bare);
        let is_mission = || {
            let parent = std::fs::canonicalize(path.parent()?).ok()?;
            (parent == std::fs::canonicalize(self.missions()).ok()?).then_some(())
        };
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if bare.contains(std::path::is_separator) && is_mission().is_some() => {
                Cow::Owned(name.to_owned())
            }
            _ => Cow::Borrowed(bare),
        }
    }

    /// The missions whose meta.json cannot be read: the one that is looked for may be among them.
    fn unread(&self) -> Result<String> {
        let names = self.mission_names()?;
        let errors = names.iter().filter_map(|name| read_meta(&self.missions().join(name)).err());
        Ok(errors.map(|error| format!("; not looked at: {}", chain(&error))).collect())
    }

    /// Opens the mission directory of exactly this name.
    fn open_mission(&self, name: &str) -> Result<MissionDirectory> {
        let path = self.missions().join(name);
        for directory in DIRECTORIES {
            check_directory(&path.join(directory))?;
        }
        Ok(MissionDirectory { slug: name.to_owned(), meta: read_meta(&path)?, path })
    }

    /// The missions with an identity that `handle` points at, by the first rule that finds any.
    fn matching(&self, handle: &str) -> Result<Vec<String>> {
        let names = self.mission_names()?;
        let with_id: Vec<(String, String)> = names
            .into_iter()
            .filter_map(|name| {
                // A neighbour's broken meta.json is its own command's business.
                let meta = read_meta(&self.missions().join(&name)).ok().flatten()?;
                Some((name, meta.mission_id()?.to_owned()))
            })
            .collect();
        type Rule<'a> = &'a dyn Fn(&str, &str) -> bool;
        let by_id: Rule<'_> = &|_, id| handle.len() == 26 && id.eq_ignore_ascii_case(handle);
        let by_mid8: Rule<'_> = &|_, id| handle.len() == 8 && slug::mid8(id) == handle;
        let by_name: Rule<'_> = &|name, _| name != handle && slug::without_number(name) == handle;
        let by_number: Rule<'_> = &|name, _| {
            handle.len() <= 3
                && handle.bytes().all(|b| b.is_ascii_digit())
                && slug::without_number(name) != name
                && name.get(..3) == Some(&format!("{handle:0>3}"))
        };
        let by_human: Rule<'_> = &|name, _| slug::human(name) == handle;
        for rule in [by_id, by_mid8, by_name, by_number, by_human] {
            let found: Vec<_> =
                with_id.iter().filter(|(name, id)| rule(name, id)).map(|(name, _)| name.clone()).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

/// A real directory: a symbolic link does not count.
fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|facts| facts.is_dir())
}
