//! Location of a mission's rows, for reading and for writing.
//!
//! Most missions keep everything in the checkout. A mission that names a coordination branch keeps its lane rows
//! and annotations, with `status.json`, on that branch; facts of its life (`event_type`) are in the checkout. The
//! branch is read without a worktree, or in the worktree that has it checked out, uncommitted rows included, and
//! united with the checkout by `event_id`. Rows are written where they were read.
//!
//! Every command gets its log here. Never parses a row: [`crate::log`] does.

use crate::clock::Moment;
use crate::document::{MAX_TEXT, Writing, check_directory, read_bytes, read_names};
use crate::dossier::index::{Overlay, list_files};
use crate::error::{MissionError, Result, chain};
use crate::git::branch_commit::{BranchFiles, Tip, commit_on_branch};
use crate::git::branches::{Branches, read_branches};
use crate::git::objects::{ObjectReader, TreeFile};
use crate::git::{check_may_commit, commit, commit_undoably, in_worktree};
use crate::log::repair::{self, Repaired};
use crate::log::{self, FILE, Log, MAX_BYTES, Row};
use crate::log_place::{LogPlace, Unclear, label};
use crate::project::{MISSIONS, MissionDirectory, Project};
use crate::snapshot::{self, Snapshot, reduce};
use std::collections::HashSet;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Depth of the directories of [`is_document_beside`].
const DEPTH_BESIDE: usize = 2;
/// Most rows with one id and two contents that a warning names.
const SHOWN: usize = 3;

/// The log of a mission: its rows from everywhere, and the place of new ones. Derefs to the united rows.
#[derive(Debug, Default)]
pub struct MissionLog {
    log: Log,
    place: LogPlace,
    /// The other files that were read, without their rows: the first is the checkout's when the lane rows are
    /// elsewhere.
    others: Vec<Log>,
    notes: Vec<String>,
    /// Rows that the branch holds and its worktree lacks.
    seed: Option<Vec<u8>>,
    /// What the rows add up to, once that was asked for.
    snapshot: OnceLock<Snapshot>,
}

/// Reads the logs of the missions of a project: however many, git is started at most twice by one thread.
#[derive(Debug)]
pub struct LogReader<'p> {
    project: &'p Project,
    branches: Arc<Mutex<Option<Arc<Branches>>>>,
    objects: Option<ObjectReader>,
}

/// Reads the log of a mission for a command that writes on top of it.
///
/// # Errors
/// When a line cannot be read, or the coordination branch is missing or unclear.
pub(crate) fn read_mission_log(project: &Project, mission: &MissionDirectory) -> Result<MissionLog> {
    LogReader::new(project).read_undamaged(mission)
}

/// Reads what can be read of the log of a mission for a command that writes beside it.
///
/// # Errors
/// When the coordination branch is missing or unclear.
pub(crate) fn open_mission_log(project: &Project, mission: &MissionDirectory) -> Result<MissionLog> {
    LogReader::new(project).open(mission)
}

/// Reads every row of a mission's log once, wherever it is; damaged lines are passed over.
///
/// # Errors
/// When a file or the coordination branch cannot be read.
pub fn each_row(project: &Project, mission: &MissionDirectory, mut each: impl FnMut(Row)) -> Result<()> {
    let mut reader = LogReader::new(project);
    let place = reader.find(mission)?;
    if matches!(place, LogPlace::Checkout) {
        return log::each_row(&mission.path, each);
    }
    let mut known = HashSet::new();
    let mut once = |row: Row| {
        if row.event_id().is_none_or(|id| known.insert(id.to_owned())) {
            each(row);
        }
    };
    for (_, bytes) in reader.elsewhere(&place)? {
        log::each_row_in(&bytes, &mut once);
    }
    log::each_row(&mission.path, once)
}

/// Reads what can be read of the log of a mission. [`MissionLog::warnings`] names the rest.
///
/// # Errors
/// When the checkout's log cannot be read.
pub(crate) fn view_mission_log(project: &Project, mission: &MissionDirectory) -> Result<MissionLog> {
    LogReader::new(project).view(mission)
}

/// What belongs at the path of a mission's file in the checkout and is kept beside its lane rows, in a branch or
/// another worktree. What cannot be read is left out.
pub fn read_elsewhere(file: &Path) -> Vec<Vec<u8>> {
    let read = || -> Option<Vec<Vec<u8>>> {
        let is_mission = |path: &&Path| path.parent().is_some_and(|parent| parent.ends_with(MISSIONS));
        let directory = file.ancestors().skip(1).find(is_mission)?;
        let project = Project::read(directory.parent()?.parent()?).ok()?;
        let mission = project.mission(directory.file_name()?.to_str()).ok()?;
        let mut reader = LogReader::new(&project);
        let place = reader.find(&mission).ok()?;
        let name = file.strip_prefix(directory).ok()?.to_str()?;
        if name == FILE {
            return Some(reader.elsewhere(&place).ok()?.into_iter().map(|(_, bytes)| bytes).collect());
        }
        Some(reader.file_beside(&place, name, MAX_TEXT).ok()?.into_iter().collect())
    };
    read().unwrap_or_default()
}

/// Repairs the log of a mission whose lane rows are kept outside the checkout, and commits there. Nothing when they
/// are in the checkout, or when their location is not certain. The caller holds the mission's lock.
///
/// # Errors
/// When the log cannot be read or written, or another program moves the branch.
pub(crate) fn repair_elsewhere(
    project: &Project,
    mission: &MissionDirectory,
    now: Moment,
) -> Result<Option<Repaired>> {
    const MESSAGE: &str = "chore(spec-kitty): status log repaired";
    let mut reader = LogReader::new(project);
    match reader.find(mission)? {
        LogPlace::Checkout | LogPlace::Unclear { .. } => Ok(None),
        LogPlace::Worktree { directory, project } => {
            let repaired = repair::repair(&directory, now)?;
            if let Some(aside) = &repaired.moved_to {
                commit(&project, &[directory.join(FILE), aside.clone()], MESSAGE)?;
            }
            Ok(Some(repaired))
        }
        place @ LogPlace::Branch { .. } => {
            let LogPlace::Branch { tip, path } = &place else { return Ok(None) };
            let bytes = reader.blob(&place.label(), &tip.commit, path)?;
            let (mut repaired, files) = repair::plan(&place.label(), &bytes)?;
            let Some(files) = files else { return Ok(Some(repaired)) };
            for name in repair::aside_names(now) {
                let aside = format!("{path}/{name}");
                if reader.objects()?.entry(&tip.commit, &aside)?.is_some() {
                    continue;
                }
                repaired.moved_to = Some(format!("{}:{aside}", tip.branch).into());
                let files = BranchFiles::from([(format!("{path}/{FILE}"), files.kept), (aside, files.aside)]);
                let mut writing = Writing::new();
                commit_on_branch(project, tip, &files, MESSAGE, &mut writing)?;
                writing.keep()?;
                break;
            }
            Ok(Some(repaired))
        }
    }
}

impl<'p> LogReader<'p> {
    /// Nothing read yet: git is started by the first mission that names a coordination branch.
    pub fn new(project: &'p Project) -> Self {
        Self { project, branches: Arc::default(), objects: None }
    }

    /// Another reader of the same project, for another thread: the branches are read once for all of them.
    pub(crate) fn beside(&self) -> Self {
        Self { project: self.project, branches: Arc::clone(&self.branches), objects: None }
    }

    fn branches(&self) -> Result<Arc<Branches>> {
        let mut known = self.branches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(branches) = &*known {
            return Ok(Arc::clone(branches));
        }
        let branches = Arc::new(read_branches(self.project)?);
        *known = Some(Arc::clone(&branches));
        Ok(branches)
    }

    /// Reads what can be read; a coordination branch that cannot be read is a warning.
    ///
    /// # Errors
    /// When the checkout's log cannot be read.
    pub fn view(&mut self, mission: &MissionDirectory) -> Result<MissionLog> {
        self.read(mission).or_else(|error| {
            let mut log = MissionLog::of_checkout(self.project.view_log(&mission.path)?.0);
            log.notes.push(format!("lane rows of {} may be missing: {}", mission.slug, chain(&error)));
            let problem = Unclear::Unread { problem: chain(&error) };
            log.place = LogPlace::Unclear { problem, commits: Vec::new(), path: String::new() };
            Ok(log)
        })
    }

    /// Like [`read_mission_log`].
    pub(crate) fn read_undamaged(&mut self, mission: &MissionDirectory) -> Result<MissionLog> {
        let log = self.open(mission)?;
        log.parts().try_for_each(|part| part.check_undamaged(&mission.slug))?;
        Ok(log)
    }

    fn open(&mut self, mission: &MissionDirectory) -> Result<MissionLog> {
        let log = self.read(mission)?;
        match &log.place {
            LogPlace::Unclear { problem, .. } => Err(problem.error()),
            _ => Ok(log),
        }
    }

    fn read(&mut self, mission: &MissionDirectory) -> Result<MissionLog> {
        let (checkout, snapshot) = self.project.view_log(&mission.path)?;
        let place = self.find(mission)?;
        if matches!(place, LogPlace::Checkout) {
            return Ok(MissionLog { snapshot, ..MissionLog::of_checkout(checkout) });
        }
        let mut parts = self.elsewhere(&place)?.into_iter();
        let (path, bytes) = parts.next().unwrap_or_else(|| (place.label(), Vec::new()));
        let mut united = MissionLog::of_checkout(Log::parse(&path, &bytes));
        // Only a worktree that lacks the file has the rows from elsewhere.
        if matches!(&place, LogPlace::Worktree { directory, .. } if !directory.join(FILE).exists()) {
            united.seed = Some(bytes);
        }
        for mut part in std::iter::once(checkout).chain(parts.map(|(path, bytes)| Log::parse(&path, &bytes)))
        {
            let differing = united.log.unite(&mut part);
            if !differing.is_empty() {
                let shown: Vec<_> =
                    differing.iter().take(SHOWN).map(|id| contract::text::printable(id)).collect();
                united.notes.push(format!(
                    "{} and {} have {} rows of the same id that differ ({}): the first decides",
                    contract::text::path(united.log.path()),
                    contract::text::path(part.path()),
                    differing.len(),
                    shown.join(", ")
                ));
            }
            united.others.push(part);
        }
        united.notes.extend(place.problem());
        united.place = place;
        Ok(united)
    }

    /// Finds the lane rows of a mission.
    fn find(&mut self, mission: &MissionDirectory) -> Result<LogPlace> {
        let branch = mission.meta.as_ref().map(crate::meta::Meta::coordination_branch).transpose()?.flatten();
        let Some(branch) = branch.map(str::to_owned) else { return Ok(LogPlace::Checkout) };
        let project = self.project;
        let path = in_worktree(project, &mission.path)?;
        let branches = self.branches()?;
        if let Some(local) = branches.local(&branch) {
            if let Some(worktree) = &local.worktree {
                if is_same(worktree, &project.git().worktree) {
                    return Ok(LogPlace::Checkout);
                }
                // One that was deleted without git counts as none.
                if let Some(project) = worktree_project(project, worktree)? {
                    let directory = worktree.join(&path);
                    return Ok(LogPlace::Worktree { directory, project: Box::new(project) });
                }
            }
            let tip = Tip { branch, commit: local.commit.clone(), upstream: None };
            return Ok(LogPlace::Branch { tip, path });
        }
        let mut remote = branches.remote(&branch);
        let problem = match (remote.pop(), remote.is_empty()) {
            (Some(one), true) => {
                let tip = Tip { branch, commit: one.commit, upstream: Some(one.name) };
                return Ok(LogPlace::Branch { tip, path });
            }
            (None, _) => Unclear::Missing { branch, meta: mission.path.join(crate::meta::FILE) },
            (Some(last), false) => {
                remote.push(last);
                Unclear::Diverged { branch, names: remote.iter().map(|branch| branch.name.clone()).collect() }
            }
        };
        let commits = remote.into_iter().map(|branch| (branch.name, branch.commit)).collect();
        Ok(LogPlace::Unclear { problem, commits, path })
    }

    /// The logs that are not in the checkout: what they are called, and their bytes.
    fn elsewhere(&mut self, place: &LogPlace) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        match place {
            LogPlace::Checkout => Ok(Vec::new()),
            LogPlace::Worktree { directory, project } => {
                let mut below = project.root().to_owned();
                for part in directory.strip_prefix(project.root()).unwrap_or(Path::new("")).components() {
                    below.push(part);
                    check_directory(&below)?;
                }
                let path = directory.join(FILE);
                let bytes = match read_bytes(&path, MAX_BYTES)? {
                    Some(bytes) => bytes,
                    None => {
                        let commit = project.git().commit().unwrap_or_default().to_owned();
                        self.blob(&path, &commit, &in_worktree(project, directory)?)?
                    }
                };
                Ok(vec![(path, bytes)])
            }
            LogPlace::Branch { tip, path } => {
                let label = place.label();
                let bytes = self.blob(&label, &tip.commit, path)?;
                Ok(vec![(label, bytes)])
            }
            LogPlace::Unclear { commits, path, .. } => commits
                .iter()
                .map(|(name, commit)| {
                    let label = label(name, path);
                    let bytes = self.blob(&label, commit, path)?;
                    Ok((label, bytes))
                })
                .collect(),
        }
    }

    /// A file of the mission that is kept beside its lane rows elsewhere, at most `limit` bytes of it.
    fn file_beside(&mut self, place: &LogPlace, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match place {
            LogPlace::Checkout | LogPlace::Unclear { .. } => Ok(None),
            LogPlace::Worktree { directory, .. } => read_bytes(&directory.join(name), limit),
            LogPlace::Branch { tip, path } => {
                let found = self.objects()?.file(&tip.commit, &format!("{path}/{name}"), limit)?;
                Ok(match found {
                    TreeFile::File(bytes) => Some(bytes),
                    TreeFile::Absent | TreeFile::NoFile(_) => None,
                })
            }
        }
    }

    fn objects(&mut self) -> Result<&mut ObjectReader> {
        Ok(match &mut self.objects {
            Some(objects) => objects,
            unstarted => unstarted.insert(ObjectReader::start(self.project)?),
        })
    }

    /// The log of a mission in a commit; empty without one.
    fn blob(&mut self, label: &Path, commit: &str, path: &str) -> Result<Vec<u8>> {
        if commit.is_empty() {
            return Ok(Vec::new());
        }
        let named = |error: MissionError| {
            let problem = format!("{}: {}", contract::text::path(label), chain(&error));
            MissionError::rule(error.code(), problem)
        };
        match self.objects()?.file(commit, &format!("{path}/{FILE}"), MAX_BYTES).map_err(named)? {
            TreeFile::File(bytes) => Ok(bytes),
            TreeFile::Absent => Ok(Vec::new()),
            TreeFile::NoFile(what) => {
                Err(MissionError::malformed(label, format!("is {what} there, and only a file is read")))
            }
        }
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    a == b || std::fs::canonicalize(a).ok().zip(std::fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b)
}

/// The project in another worktree; nothing when the worktree is gone.
fn worktree_project(project: &Project, worktree: &Path) -> Result<Option<Project>> {
    if !worktree.join(".git").exists() {
        return Ok(None);
    }
    let below = in_worktree(project, project.root())?;
    let root = below
        .split('/')
        .filter(|part| !part.is_empty())
        .fold(worktree.to_owned(), |path, part| path.join(part));
    Project::read(&root).map(Some)
}

/// Whether a document is one that releases since 3.2.3 keep beside the lane rows, by its path in the mission.
pub(crate) fn is_document_beside(name: &str) -> bool {
    let mut parts = name.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("acceptance-matrix.json" | "issue-matrix.json"), None, ..)
        | (Some("traces"), Some(_), None, _) => true,
        (Some("tasks"), Some(_), Some(file), None) => file.starts_with("review-cycle-"),
        _ => false,
    }
}

/// Whether a row is kept in the checkout even if lane rows are elsewhere.
fn is_of_checkout(row: &Row) -> bool {
    matches!(row, Row::Fact(_))
}

/// The message of a commit on the coordination branch, as earlier releases write it.
fn message(rows: &[&Row]) -> String {
    let moves = rows.iter().any(|row| matches!(row, Row::Lane(_)));
    let kind = match (moves, rows.is_empty()) {
        (true, _) => "status transition",
        (false, false) => "inner-state annotation",
        (false, true) => "status snapshot",
    };
    let mut packages: Vec<&str> = rows.iter().filter_map(|row| row.subject()).collect();
    packages.dedup();
    let packages: String = packages.join(", ");
    format!("chore(spec-kitty): {kind} {packages}").trim_end().to_owned()
}

impl Deref for MissionLog {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.log
    }
}

impl MissionLog {
    fn of_checkout(log: Log) -> Self {
        Self { log, ..Self::default() }
    }

    /// The log of a mission that is about to be created.
    pub(crate) fn of_new_mission(directory: &Path) -> Self {
        Self::of_checkout(Log::of(&directory.join(FILE), &[]))
    }

    /// The same without rows: for a command that reads them one by one.
    pub(crate) fn without_rows(self, mission: &MissionDirectory) -> Self {
        Self { place: self.place, notes: self.notes, ..Self::of_new_mission(&mission.path) }
    }

    /// Gives the log of the checkout back, for the next plan of the same command.
    pub(crate) fn keep(self, project: &Project) {
        if self.is_in_checkout() {
            project.keep_log(self.log, self.snapshot);
        }
    }

    /// What the rows of `mission` add up to.
    pub(crate) fn reduced(&self, mission: &MissionDirectory) -> Snapshot {
        let dialect = mission.dialect(self);
        match self.snapshot.get_or_init(|| reduce(&[self], dialect)) {
            known if known.dialect() == dialect => known.clone(),
            _ => reduce(&[self], dialect),
        }
    }

    /// Whether all rows were read, so that a work package without a row is one that has not moved.
    pub(crate) fn is_complete(&self) -> bool {
        self.place.is_whole()
    }

    /// Location of the lane rows.
    pub(crate) fn place(&self) -> &LogPlace {
        &self.place
    }

    /// The files that were read.
    fn parts(&self) -> impl Iterator<Item = &Log> {
        std::iter::once(&self.log).chain(&self.others)
    }

    /// Whether a line could not be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.parts().any(|log| !log.damage().is_empty())
    }

    /// Whether a line is damaged in a way that a repair mends.
    pub(crate) fn is_repairable(&self) -> bool {
        self.parts().flat_map(Log::damage).any(|damage| damage.repairable)
    }

    /// One warning for each problem of the log, with its remedy.
    pub fn warnings(&self, mission_slug: &str) -> Vec<String> {
        self.parts().flat_map(|log| log.warnings(mission_slug)).chain(self.notes.iter().cloned()).collect()
    }

    /// Of [`MissionLog::warnings`] those about lines that could not be read.
    pub(crate) fn damage_lines(&self, mission_slug: &str) -> Vec<String> {
        self.parts().flat_map(|log| log.damage_lines(mission_slug)).collect()
    }

    /// The others of [`MissionLog::warnings`].
    pub(crate) fn other_warning_lines(&self) -> impl Iterator<Item = String> {
        self.parts().filter_map(Log::unknown_row_line).chain(self.notes.iter().cloned())
    }

    /// The bytes of a file beside the lane rows of the mission, at most `limit` of them. Nothing without a file, or
    /// when the location of the lane rows is not certain.
    pub(crate) fn file_beside(
        &self,
        project: &Project,
        mission: &MissionDirectory,
        name: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>> {
        match &self.place {
            LogPlace::Checkout => read_bytes(&mission.path.join(name), limit),
            place => LogReader::new(project).file_beside(place, name, limit),
        }
    }

    /// The documents that are kept beside the lane rows elsewhere and that the checkout lacks, by the path that they
    /// would have there.
    pub(crate) fn documents_beside(&self, project: &Project, mission: &MissionDirectory) -> Result<Overlay> {
        let mut reader = LogReader::new(project);
        let names: Vec<String> = match &self.place {
            LogPlace::Checkout | LogPlace::Unclear { .. } => Vec::new(),
            LogPlace::Worktree { directory, .. } => list_files(directory)?.into_keys().collect(),
            LogPlace::Branch { tip, path } => {
                reader.objects()?.files_below(&tip.commit, path, DEPTH_BESIDE)?
            }
        };
        let mut found = Overlay::new();
        for name in names.iter().filter(|name| is_document_beside(name)) {
            let path = mission.path.join(name);
            if path.symlink_metadata().is_ok() {
                continue;
            }
            match reader.file_beside(&self.place, name, MAX_TEXT) {
                Ok(bytes) => found.extend(bytes.map(|bytes| (path, bytes))),
                // One that is too large for this is too large to be sent.
                Err(error) => tracing::warn!("{name} of {} is left out: {}", mission.slug, chain(&error)),
            }
        }
        Ok(found)
    }

    /// The names in a directory of the mission that is kept beside its lane rows; none without one.
    pub(crate) fn names_beside(
        &self,
        project: &Project,
        mission: &MissionDirectory,
        name: &str,
    ) -> Result<Vec<String>> {
        match &self.place {
            LogPlace::Checkout => read_names(&mission.path.join(name)),
            LogPlace::Worktree { directory, .. } => read_names(&directory.join(name)),
            LogPlace::Branch { tip, path } => {
                let mut reader = LogReader::new(project);
                let objects = reader.objects()?;
                let entry = objects.entry(&tip.commit, &format!("{path}/{name}"))?;
                let Some(tree) = entry.filter(|entry| entry.is_tree()) else { return Ok(Vec::new()) };
                let names = objects.tree(&tree.object)?.unwrap_or_default().into_iter();
                Ok(names.filter_map(|entry| String::from_utf8(entry.name).ok()).collect())
            }
            LogPlace::Unclear { .. } => Ok(Vec::new()),
        }
    }

    /// Warnings about the location of the rows.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The directory of the log and of `status.json`; nothing when they are on a branch without a worktree.
    pub(crate) fn directory<'a>(&'a self, mission: &'a MissionDirectory) -> Option<&'a Path> {
        match &self.place {
            LogPlace::Checkout => Some(&mission.path),
            LogPlace::Worktree { directory, .. } => Some(directory),
            LogPlace::Branch { .. } | LogPlace::Unclear { .. } => None,
        }
    }

    /// Whether the lane rows are in the checkout, so that the checkout's commits hold them.
    pub(crate) fn is_in_checkout(&self) -> bool {
        matches!(self.place, LogPlace::Checkout)
    }

    /// Whether git is in a state for a commit in the place of the rows.
    pub(crate) fn check_git(&self) -> Result<()> {
        match &self.place {
            LogPlace::Worktree { project, .. } => check_may_commit(project),
            _ => Ok(()),
        }
    }

    /// The bytes that appending `rows` adds to the checkout's log.
    pub(crate) fn plan_append_to_checkout(&self, rows: &[Row]) -> Result<String> {
        match self.others.first() {
            None => self.log.plan_append(rows),
            Some(checkout) => checkout.plan_append(&split(rows).0),
        }
    }

    /// Appends `rows` where they belong. On a branch without a worktree this makes the commit, with the files of
    /// `beside`; otherwise [`MissionLog::commit`] does.
    pub(crate) fn append(
        &self,
        project: &Project,
        writing: &mut Writing,
        rows: &[Row],
        beside: &BranchFiles,
    ) -> Result<Option<String>> {
        let Some(checkout) = self.others.first() else {
            self.log.append(writing, rows)?;
            return Ok(None);
        };
        let (facts, state) = split(rows);
        // The id of a fact must be new in every file.
        self.log.plan_append(&facts)?;
        checkout.append(writing, &facts)?;
        match &self.place {
            LogPlace::Checkout => Ok(None),
            LogPlace::Unclear { problem, .. } => Err(problem.error()),
            LogPlace::Worktree { directory, .. } => {
                if let Some(seed) = self.seed.as_deref().filter(|seed| !seed.is_empty() && !state.is_empty())
                {
                    writing.write(&directory.join(FILE), seed)?;
                }
                if !state.is_empty() {
                    writing.create_directory(directory)?;
                }
                self.log.append(writing, &state)?;
                Ok(None)
            }
            LogPlace::Branch { tip, path } => {
                let mut files = BranchFiles::new();
                if !state.is_empty() {
                    let mut bytes = LogReader::new(project).blob(self.log.path(), &tip.commit, path)?;
                    bytes.extend_from_slice(self.log.plan_append(&state)?.as_bytes());
                    files.insert(format!("{path}/{FILE}"), bytes);
                }
                files.extend(beside.iter().map(|(name, bytes)| (format!("{path}/{name}"), bytes.clone())));
                if files.is_empty() {
                    return Ok(None);
                }
                let rows: Vec<&Row> = state.iter().collect();
                commit_on_branch(project, tip, &files, &message(&rows), writing)
            }
        }
    }

    /// Commits in the worktree of the coordination branch what was appended there, and those of `written` that are
    /// beside it.
    pub(crate) fn commit<'a>(
        &self,
        writing: &mut Writing,
        rows: &[Row],
        written: impl Iterator<Item = &'a PathBuf>,
    ) -> Result<Option<String>> {
        let LogPlace::Worktree { directory, project } = &self.place else { return Ok(None) };
        let rows: Vec<&Row> = rows.iter().filter(|row| !is_of_checkout(row)).collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let mut paths = [FILE, snapshot::FILE].map(|name| directory.join(name)).to_vec();
        paths.extend(written.filter(|path| path.starts_with(directory)).cloned());
        paths.sort();
        paths.dedup();
        paths.retain(|path| path.is_file());
        commit_undoably(project, writing, &paths, &message(&rows))
    }
}

/// The rows of the checkout, and those of the coordination branch.
fn split(rows: &[Row]) -> (Vec<Row>, Vec<Row>) {
    rows.iter().cloned().partition(is_of_checkout)
}
