//! One change of a mission, carried out: the way every command writes.
//!
//! Order (contract section 7): settle what earlier commands left; prepare the rows in the queue; write
//! the files, append to the log and verify; commit; confirm. Until the commit everything can be
//! undone, and is when anything fails. The caller holds the mission's lock.
//!
//! Never decides what to write; [`crate::command`] does.

use crate::branch_check::branch_warnings;
use crate::clock::Clock;
use crate::decision::decision_files;
use crate::dialect::Dialect;
use crate::document::Writing;
use crate::dossier::{Appended, Overlay, read_dossier};
use crate::error::{MissionError, Result, chain};
use crate::git::branch_commit::{BranchFiles, Tip, create_branch};
use crate::git::{StartBranch, check_may_commit, check_quiet, commit_or_undo, switch_branch};
use crate::lane::Lane;
use crate::log::{self, LaneRow, Log, Row};
use crate::mission_log::{MissionLog, each_row, is_document_beside, read_elsewhere, read_mission_log};
use crate::outgoing::payload::{Background, Draft, HistoryEntry, draft_of_history, draft_of_row};
use crate::outgoing::{
    CaptureReport, CaptureState, CapturedCache, Documents, Origin, Outgoing, Stamp, draft_to_row,
    plan_dossier_rows,
};
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::snapshot::{self, Snapshot, reduce, render_status, status_document};
use contract::{Consent, ExitCode};
use identity::ProjectIdentity;
use queue::{Capacity, Capture, NewRow, Prepared, QueueError, RowOrigin, Settled, Witness, Writer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use system::Machine;
use system::lock::{FileLock, LockError};

/// Longest wait for a mission's lock (contract section 5).
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Rows and files that a command will write.
#[derive(Debug)]
pub(crate) struct Change {
    /// The mission, as it will be.
    pub(crate) mission: MissionDirectory,
    /// Its log, as it was read, and where it is.
    pub(crate) log: MissionLog,
    /// Rows to append; [`Change::append`] is the only way in.
    rows: Vec<Row>,
    /// Warnings about the log, for stderr and for the command's JSON document.
    pub(crate) notes: Vec<String>,
    /// Rows that the log holds already and that are to be captured.
    pub(crate) recorded: Vec<Row>,
    /// The same, of a whole log: they are read once more when they are captured.
    pub(crate) logged: LoggedRows,
    /// Whether the whole history is captured: then so are documents whose index event is missing, even if the cache has
    /// them.
    pub(crate) restores_index: bool,
    /// Whether documents stay out of the capture.
    pub(crate) rows_only: bool,
    /// Directories to create.
    pub(crate) directories: Vec<PathBuf>,
    /// Whether `status.json` is written.
    pub(crate) refreshes_status: bool,
    /// What the log will add up to.
    next: Option<Snapshot>,
    /// Files to write, whole.
    pub(crate) files: Overlay,
    /// Those among them that are made from the log or from a template, and that no command needs: they are not
    /// flushed.
    pub(crate) derived: BTreeSet<PathBuf>,
    /// Files beside lane rows that are on a branch which no worktree has checked out, by their path in the mission.
    on_branch: BranchFiles,
    /// A branch to check out before anything is written.
    pub(crate) start_branch: Option<StartBranch>,
    /// A branch to make.
    pub(crate) new_branch: Option<Tip>,
    /// History entries, each with the file that proves it.
    pub(crate) history: Vec<(HistoryEntry, PathBuf)>,
    /// Files to commit, and the message.
    pub(crate) commit: Option<(Vec<PathBuf>, String)>,
}

/// Rows of a mission's log to be captured: all that become events, but for the refused ones.
#[derive(Debug, Default)]
pub(crate) struct LoggedRows {
    /// Number of these rows.
    pub(crate) count: u64,
    /// The id of the first.
    pub(crate) first: Option<String>,
    /// The ids of rows that the published contract refuses.
    pub(crate) refused: HashSet<String>,
}

/// Result of a change that was carried out.
#[derive(Debug)]
pub struct Done {
    /// The commit that was made; none when there was nothing to commit.
    pub commit: Option<String>,
    /// The commit that was made on the coordination branch, when lane rows are kept there.
    pub coordination_commit: Option<String>,
    /// Captured facts.
    pub capture: CaptureReport,
    /// Warnings about the log and the branch.
    pub notes: Vec<String>,
    /// The board as the log shows it now; only when lane rows were appended.
    board: Option<Snapshot>,
}

impl Done {
    /// The lane in which the board shows a work package; `unmoved` when no lane row was written.
    pub(crate) fn lane(&self, wp_id: &str, unmoved: Lane) -> Lane {
        self.board.as_ref().map_or(unmoved, |board| board.lane(wp_id))
    }
}

/// Takes a mission's lock.
pub(crate) fn lock_mission(project: &Project, mission_slug: &str) -> Result<FileLock> {
    lock(&project.lock_path(mission_slug), "the mission")
}

/// Takes a lock in the repository.
pub(crate) fn lock(path: &Path, what: &'static str) -> Result<FileLock> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(MissionError::io("create", directory))?;
    }
    FileLock::acquire_in_repository(path, LOCK_PATIENCE, what).map_err(|error| match error {
        LockError::Busy { path, holder, .. } => MissionError::Busy { what, path, holder },
        LockError::Io { path, source } => MissionError::Io { action: "lock", path, source },
    })
}

/// Takes a mission's lock, if it can be had at once.
pub(crate) fn lock_mission_now(project: &Project, mission_slug: &str) -> Option<FileLock> {
    let path = project.lock_path(mission_slug);
    FileLock::acquire_in_repository(&path, Duration::ZERO, "the mission").ok()
}

impl Change {
    /// A change of `mission` that does nothing yet.
    pub(crate) fn of(mission: MissionDirectory, log: MissionLog) -> Self {
        let notes = log.notes().to_vec();
        Self {
            mission,
            log,
            rows: Vec::new(),
            notes,
            recorded: Vec::new(),
            logged: LoggedRows::default(),
            restores_index: false,
            rows_only: false,
            directories: Vec::new(),
            refreshes_status: false,
            next: None,
            files: Overlay::new(),
            derived: BTreeSet::new(),
            on_branch: BranchFiles::new(),
            start_branch: None,
            new_branch: None,
            history: Vec::new(),
            commit: None,
        }
    }

    /// A change of `mission` that writes nothing and so needs no row of its log.
    pub(crate) fn of_captured(mission: MissionDirectory) -> Self {
        let log = MissionLog::of_new_mission(&mission.path);
        Self::of(mission, log)
    }

    /// Whether git is in a state for what is to be committed. To be asked before the mission is locked: a lock
    /// leaves its file behind.
    pub(crate) fn check_git(&self, project: &Project) -> Result<()> {
        self.log.check_git()?;
        if self.commit.is_some() { check_may_commit(project) } else { Ok(()) }
    }

    /// Adds rows to append. Every row that a command writes is added here: each is dated after every row of its
    /// work package, so that the board shows the lane it names.
    pub(crate) fn append(&mut self, mut rows: Vec<Row>) -> Result<()> {
        self.notes.extend(log::place_after(&self.log, &self.rows, &mut rows)?);
        self.rows.extend(rows);
        Ok(())
    }

    /// Whether there are rows to append.
    pub(crate) fn appends(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Adds `status.json` as the log will reduce, unless it is equal already; it is made when the change is carried out.
    pub(crate) fn refresh_status(&mut self) -> Result<()> {
        self.refreshes_status = true;
        // Its content is validated with everything else.
        self.mission.meta.as_ref().map_or(Ok(()), |meta| meta.mission_number().map(drop))
    }

    /// Makes `status.json` as the log will reduce.
    pub(crate) fn make_status(&mut self) -> Result<Value> {
        let added = Log::of(self.log.path(), &self.rows);
        let snapshot = match self.rows.is_empty() {
            true => self.log.reduced(&self.mission),
            false => reduce(&[&self.log, &added], self.dialect(&added)),
        };
        let document = status_document(&snapshot, self.mission.meta.as_ref())?;
        self.next = Some(snapshot);
        if let Some(directory) = self.log.directory(&self.mission) {
            self.derived.insert(directory.join(snapshot::FILE));
        }
        self.put_beside(snapshot::FILE, render_status(&document).into_bytes());
        Ok(document)
    }

    /// Adds a file that is kept beside the lane rows, by its path in the mission.
    pub(crate) fn put_beside(&mut self, name: &str, bytes: Vec<u8>) {
        match self.log.directory(&self.mission) {
            Some(directory) => drop(self.files.insert(directory.join(name), bytes)),
            None => drop(self.on_branch.insert(name.to_owned(), bytes)),
        }
    }

    /// Log and `status.json`, when they are in the checkout: the coordination branch has commits of its own. With them
    /// the decisions, whose facts are in the checkout's log.
    pub(crate) fn state_files(&self) -> Result<Vec<PathBuf>> {
        let decisions = decision_files(&self.mission.path)?;
        let log = self.log_path();
        let state = match self.log.is_in_checkout() {
            true => vec![log, self.mission.path.join(snapshot::FILE)],
            false if !decisions.is_empty() && log.is_file() => vec![log],
            false => Vec::new(),
        };
        Ok(state.into_iter().chain(decisions).collect())
    }

    /// Carries the change out. `held` is the mission's lock.
    pub(crate) fn carry_out(
        mut self,
        _held: &FileLock,
        project: &Project,
        outgoing: Option<&Outgoing<'_>>,
        clock: &Clock,
    ) -> Result<Done> {
        if self.commit.is_some() {
            check_quiet(project)?;
        }
        if self.refreshes_status {
            self.make_status()?;
        }
        if !self.files.is_empty() || !self.rows.is_empty() {
            self.notes.extend(branch_warnings(project, &self.mission));
        }
        let mut writing = Writing::new();
        let captured = match outgoing {
            Some(outgoing) => self.prepare(project, outgoing, clock, &mut writing),
            None => Ok(PreparedCapture::nothing(CaptureState::Local)),
        };
        let captive = match captured {
            Ok(captive) => captive,
            Err(cause) => return Err(writing.undo(cause)),
        };
        let next = self.next.take();
        let board =
            self.write(project, &mut writing).and_then(|commit| Ok((commit, self.reached(project, next)?)));
        let written = match board {
            Ok((on_branch, board)) => self
                .commit(project, writing)
                .map(|(writing, commit, in_worktree)| (writing, commit, on_branch.or(in_worktree), board)),
            Err(cause) => Err(writing.undo(cause)),
        };
        let (writing, commit, coordination_commit, board) = match written {
            Ok(written) => written,
            Err(cause) => {
                // A row that could not be undone may be in the log: settling checks that.
                if !matches!(cause, MissionError::NotUndone { .. }) {
                    captive.withdraw();
                }
                return Err(cause);
            }
        };
        writing.keep()?;
        Ok(Done { commit, coordination_commit, capture: captive.confirm()?, notes: self.notes, board })
    }

    /// Dialect of the mission once the rows in `added` are there.
    fn dialect(&self, added: &Log) -> Dialect {
        if added.is_current() { Dialect::Current } else { self.mission.dialect(&self.log) }
    }

    /// The lane rows to append.
    fn added(&self) -> impl Iterator<Item = &LaneRow> {
        self.rows.iter().filter_map(|row| match row {
            Row::Lane(row) => Some(row),
            Row::Annotation(_) | Row::Fact(_) | Row::Other(_) => None,
        })
    }

    /// Reduces the log again after the append. A lane that the board does not show is an error.
    fn reached(&self, project: &Project, next: Option<Snapshot>) -> Result<Option<Snapshot>> {
        let wanted: BTreeMap<&str, Lane> =
            self.added().map(|row| (row.wp_id.as_str(), row.to_lane)).collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let added = Log::of(self.log.path(), &self.rows);
        let board = if self.log.is_in_checkout() && self.log.is_all_before(&self.rows) {
            // The append was read back, and no other program wrote: the log is what was read, and these rows.
            next.unwrap_or_else(|| reduce(&[&self.log, &added], self.dialect(&added)))
        } else {
            let log = read_mission_log(project, &self.mission)?;
            reduce(&[&log], self.mission.dialect(&log))
        };
        match wanted.into_iter().find(|(wp_id, lane)| board.lane(wp_id) != *lane) {
            None => Ok(Some(board)),
            Some((wp_id, lane)) => {
                let shown = board.lane(wp_id);
                Err(MissionError::invalid(
                    ErrorCode::LaneNotReached,
                    format!("{wp_id} did not reach {lane}: the board shows {shown}"),
                    &serde_json::json!({ "wp_id": wp_id, "to_lane": lane, "board_lane": shown }),
                ))
            }
        }
    }

    /// Commits what is to be committed, or undoes everything: first in the worktree of the coordination branch,
    /// whose commit can be taken back. Returns the commit of the checkout, and that of the worktree.
    fn commit(
        &self,
        project: &Project,
        mut writing: Writing,
    ) -> Result<(Writing, Option<String>, Option<String>)> {
        let in_worktree = match self.log.commit(&mut writing, &self.rows, self.files.keys()) {
            Ok(commit) => commit,
            Err(cause) => return Err(writing.undo(cause)),
        };
        let (writing, commit) = match &self.commit {
            Some((paths, message)) if !paths.is_empty() => commit_or_undo(project, writing, paths, message)?,
            _ => (writing, None),
        };
        Ok((writing, commit, in_worktree))
    }

    /// Writes everything. Returns the commit that this made on a branch without a worktree.
    fn write(&self, project: &Project, writing: &mut Writing) -> Result<Option<String>> {
        if let Some(start) = &self.start_branch {
            switch_branch(project, start, writing)?;
        }
        if let Some(tip) = &self.new_branch {
            create_branch(project, tip, writing)?;
        }
        for directory in &self.directories {
            writing.create_directory(directory)?;
        }
        for (path, bytes) in &self.files {
            match self.derived.contains(path) {
                true => writing.write_derived(path, bytes)?,
                false => writing.write(path, bytes)?,
            };
        }
        let commit = self.log.append(project, writing, &self.rows, &self.on_branch)?;
        // Before the rows are confirmed: a waiting row has its witness on the disk.
        writing.flush()?;
        Ok(commit)
    }

    /// What files of the checkout are about to hold, together with the documents that are kept beside the lane rows
    /// elsewhere, as if the checkout held them.
    pub(crate) fn documents(&self, project: &Project) -> Result<Cow<'_, Overlay>> {
        if self.log.is_in_checkout() {
            return Ok(Cow::Borrowed(&self.files));
        }
        let mut all = self.log.documents_beside(project, &self.mission)?;
        all.extend(self.files.iter().map(|(path, bytes)| (path.clone(), bytes.clone())));
        let in_worktree = self.log.directory(&self.mission).into_iter().flat_map(|directory| {
            self.files.iter().filter_map(move |(path, bytes)| {
                Some((path.strip_prefix(directory).ok()?.to_str()?.to_owned(), bytes))
            })
        });
        let on_branch = self.on_branch.iter().map(|(name, bytes)| (name.clone(), bytes));
        let beside = in_worktree.chain(on_branch).filter(|(name, _)| is_document_beside(name));
        all.extend(beside.map(|(name, bytes)| (self.mission.path.join(name), bytes.clone())));
        Ok(Cow::Owned(all))
    }

    fn log_path(&self) -> PathBuf {
        self.mission.path.join(log::FILE)
    }

    /// Stores the rows of the change as prepared.
    fn prepare(
        &self,
        project: &Project,
        outgoing: &Outgoing<'_>,
        clock: &Clock,
        writing: &mut Writing,
    ) -> Result<PreparedCapture> {
        let Some(origin) = origin(project, outgoing, writing)? else {
            return Ok(PreparedCapture::nothing(CaptureState::OptedOut));
        };
        let mut writer =
            Writer::open(outgoing.permit, Capacity(outgoing.config.max_queue_size)).map_err(refused)?;
        let settled = writer
            .settle(&self.mission.slug, Some(&checkout_of(project)), read_elsewhere)
            .map_err(refused)?;
        let key = writer.capture_key().map_err(refused)?;
        let lost = match self.restores_index {
            true => writer.unindexed(&origin.project_uuid, &self.mission.slug).map_err(refused)?,
            false => Vec::new(),
        };
        let known = KnownDocuments { key: &key, lost: &lost };
        let mut preparing = Preparing {
            writer,
            capture: Capture {
                place: place(project, &origin),
                mission_slug: self.mission.slug.clone(),
                rows: Vec::new(),
            },
            prepared: None,
        };
        match self.prepare_rows(project, outgoing, clock, &origin, known, &mut preparing) {
            Ok(cache) => {
                let pending = preparing.into_pending();
                let cache = cache.filter(|cache| pending.is_some() || cache.became_complete());
                Ok(PreparedCapture { state: CaptureState::Captured, settled: Some(settled), pending, cache })
            }
            Err(cause) => {
                let pending = preparing.into_pending();
                PreparedCapture { pending, ..PreparedCapture::nothing(CaptureState::Captured) }.withdraw();
                Err(cause)
            }
        }
    }

    /// Prepares the rows. Returns what is remembered of the documents once they are confirmed.
    fn prepare_rows(
        &self,
        project: &Project,
        outgoing: &Outgoing<'_>,
        clock: &Clock,
        origin: &Origin,
        known: KnownDocuments<'_>,
        preparing: &mut Preparing,
    ) -> Result<Option<CapturedCache>> {
        let background = Background {
            aggregate_id: self.mission.aggregate_id(),
            meta: self.mission.meta.as_ref(),
            repo_slug: origin.repo_slug.as_deref(),
        };
        let facts = self.recorded.iter().chain(&self.rows);
        let drafts: Vec<_> = facts.filter_map(|row| draft_of_row(row, &background)).collect();
        let add_draft = |preparing: &mut Preparing, stamp: &mut Stamp, draft: Draft| {
            let witness = Witness::LogRow { log: self.log_path(), event_id: draft.event_id.clone() };
            preparing.add(draft_to_row(draft, &self.mission, origin, stamp, witness)?)
        };
        if self.rows_only {
            let mut stamp = stamp(outgoing, drafts.len() as u64)?;
            drafts.into_iter().try_for_each(|draft| add_draft(preparing, &mut stamp, draft))?;
            preparing.store()?;
            return Ok(None);
        }
        let first_draft = drafts.first().map(|draft| draft.event_id.clone());
        let anchor = self.logged.first.clone().or(first_draft);
        let (overlay, log) = (&*self.documents(project)?, self.log_path());
        let added = self.log.plan_append_to_checkout(&self.rows)?;
        let appended = Appended { path: &log, bytes: added.as_bytes() };
        let appended = (!added.is_empty()).then_some(appended);
        let dossier = read_dossier(&self.mission.path, self.mission.mission_type(), overlay, appended)?;
        let volatile = [self.log_path(), self.mission.path.join(snapshot::FILE)];
        let documents = Documents {
            mission: &self.mission,
            target_branch: self.mission.target_branch(project),
            overlay,
            dossier: &dossier,
            volatile: &volatile,
            anchor: anchor.as_deref(),
        };
        let namespace = documents.namespace(&origin.project_uuid).to_string();
        let mut cache =
            CapturedCache::read(project, &self.mission.slug, outgoing.permit.scope(), known.key, &namespace);
        cache.forget(known.lost);
        if self.restores_index {
            cache.complete();
        }
        let facts = self.logged.count + drafts.len() as u64 + self.history.len() as u64;
        let mut stamp = stamp(outgoing, facts + documents.event_count(&cache))?;
        if self.logged.count > 0 {
            let (mut left, mut done) = (self.logged.count, Ok(()));
            each_row(project, &self.mission, |row| {
                // A row that another program appended since they were counted has no value of the clock.
                if left == 0 || done.is_err() || self.logged.is_refused(&row) {
                    return;
                }
                if let Some(draft) = draft_of_row(&row, &background) {
                    left -= 1;
                    done = add_draft(preparing, &mut stamp, draft);
                }
            })?;
            done?;
        }
        for draft in drafts {
            add_draft(preparing, &mut stamp, draft)?;
        }
        for (entry, file) in &self.history {
            let bytes = overlay.get(file).map(Vec::as_slice).unwrap_or_default();
            let witness =
                Witness::File { path: file.clone(), sha256: crate::dossier::index::sha256_hex(bytes) };
            let draft = draft_of_history(entry, clock.ulid(), clock.now().iso());
            preparing.add(draft_to_row(draft, &self.mission, origin, &mut stamp, witness)?)?;
        }
        let is_known = |id: &str| preparing.writer.knows_event(id).map_err(refused);
        for row in plan_dossier_rows(&documents, origin, &mut stamp, known.lost, is_known, &mut cache)? {
            preparing.add(row)?;
        }
        preparing.store()?;
        Ok(Some(cache))
    }
}

impl LoggedRows {
    fn is_refused(&self, row: &Row) -> bool {
        row.event_id().is_some_and(|id| self.refused.contains(id))
    }
}

/// Most rows that are prepared together: a long log is not in memory.
const PREPARED_TOGETHER: usize = 1000;

/// Rows of a command that are being prepared.
#[derive(Debug)]
struct Preparing {
    writer: Writer,
    /// The next rows.
    capture: Capture,
    /// Those before them.
    prepared: Option<Prepared>,
}

impl Preparing {
    fn add(&mut self, row: NewRow) -> Result<()> {
        self.capture.rows.push(row);
        if self.capture.rows.len() < PREPARED_TOGETHER { Ok(()) } else { self.store() }
    }

    /// Stores the rows that were added.
    fn store(&mut self) -> Result<()> {
        match &mut self.prepared {
            _ if self.capture.rows.is_empty() => {}
            Some(prepared) => self.writer.prepare_more(prepared, &self.capture).map_err(refused)?,
            None => self.prepared = Some(self.writer.prepare(&self.capture).map_err(refused)?),
        }
        self.capture.rows.clear();
        Ok(())
    }

    /// Rows to be confirmed or withdrawn, if any.
    fn into_pending(self) -> Option<Box<Pending>> {
        let Self { writer, prepared, .. } = self;
        Some(Box::new(Pending { writer, prepared: prepared? }))
    }
}

/// The queue's records of documents that were captured before.
#[derive(Clone, Copy)]
struct KnownDocuments<'a> {
    /// [`Writer::capture_key`].
    key: &'a str,
    /// Documents that are captured again.
    lost: &'a [String],
}

/// Rows that are prepared, until the local write is done.
#[derive(Debug)]
struct PreparedCapture {
    state: CaptureState,
    settled: Option<Settled>,
    pending: Option<Box<Pending>>,
    /// What is remembered once they are confirmed.
    cache: Option<CapturedCache>,
}

#[derive(Debug)]
struct Pending {
    writer: Writer,
    prepared: Prepared,
}

impl PreparedCapture {
    const fn nothing(state: CaptureState) -> Self {
        Self { state, settled: None, pending: None, cache: None }
    }

    /// Takes back the rows of a command that was undone. Should that fail, it is as after a crash.
    fn withdraw(self) {
        if let Some(pending) = self.pending {
            let Pending { mut writer, prepared } = *pending;
            if let Err(error) = writer.withdraw(prepared) {
                tracing::warn!(
                    "the next command on the mission settles what was prepared: {}",
                    chain(&error)
                );
            }
        }
    }

    fn confirm(self) -> Result<CaptureReport> {
        let Self { state, settled, pending, cache } = self;
        let captured = match pending {
            None => None,
            Some(pending) => {
                let Pending { mut writer, prepared } = *pending;
                let captured = writer
                    .confirm(prepared)
                    .map_err(|error| MissionError::CapturePending { problem: chain(&error) })?;
                Some(captured)
            }
        };
        cache.iter().for_each(CapturedCache::write);
        Ok(CaptureReport { state, captured, settled })
    }
}

/// The origin of the rows; none when the project is opted out. Completes the project's identity, which
/// may write `.kittify/config.yaml`.
fn origin(project: &Project, outgoing: &Outgoing<'_>, writing: &mut Writing) -> Result<Option<Origin>> {
    let unreadable = |error: identity::ProjectError| MissionError::Capture {
        problem: chain(&error),
        exit: ExitCode::Failed,
        remedy: None,
    };
    let config = project.root().join(".kittify").join("config.yaml");
    let recorded = ProjectIdentity::read(project.root()).map_err(unreadable)?;
    let git = project.git();
    let repo_slug = recorded.repo_slug.or_else(|| git.repo_slug.clone());
    let consent =
        outgoing.config.consent(recorded.uuid.as_deref(), repo_slug.as_deref(), Some(&checkout_of(project)));
    if consent == Consent::OptedOut {
        return Ok(None);
    }
    writing.watch(&config)?;
    let identity =
        ProjectIdentity::ensure(project.root(), Some(git), &Machine::observe(), outgoing.environment)
            .map_err(unreadable)?;
    Ok(Some(Origin {
        project_uuid: identity.uuid,
        project_slug: identity.slug,
        build_id: identity.build_id,
        repo_slug: identity.repo_slug,
        team_id: outgoing.permit.team_id().to_owned(),
        git_branch: git.branch().map(str::to_owned),
        head_commit_sha: git.commit().map(str::to_owned),
    }))
}

fn place(project: &Project, origin: &Origin) -> RowOrigin {
    RowOrigin {
        project_uuid: Some(origin.project_uuid.to_lowercase()),
        repo_slug: origin.repo_slug.clone(),
        checkout: Some(checkout_of(project)),
    }
}

/// The checkout as rows of the queue name it.
pub(crate) fn checkout_of(project: &Project) -> PathBuf {
    let root: &Path = project.root();
    std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned())
}

/// Draws as many clock values as there will be events.
fn stamp(outgoing: &Outgoing<'_>, count: u64) -> Result<Stamp> {
    let machine = Machine::observe();
    let node_id = identity::project::node_id(&machine, outgoing.environment);
    if count == 0 {
        return Ok(Stamp { node_id, lamport: 0 });
    }
    let reading = identity::lamport::draw(outgoing.home, count, 0, &node_id).map_err(|error| {
        MissionError::Capture { problem: chain(&error), exit: error.exit(), remedy: error.remedy() }
    })?;
    Ok(Stamp { node_id: reading.node_id, lamport: reading.value })
}

pub(crate) fn refused(error: QueueError) -> MissionError {
    MissionError::Capture { problem: chain(&error), exit: error.exit(), remedy: error.remedy() }
}
