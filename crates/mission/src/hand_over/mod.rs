//! Rows that another program wrote for this one: which they are, and capturing them.
//!
//! Before the program starts, the ids of every row in the repository are recorded in the queue. When it has ended, a row
//! is captured if it is not among them, is on no remote-tracking branch, and is dated within the run. Every other row
//! stays for `sync capture --history`.
//!
//! A lock in the repository shows that the program is running. One that was interrupted left its record without the
//! lock, and [`settle`] captures what it wrote.

mod sources;

use crate::clock::{Clock, Moment};
use crate::command::capture_history::{RefusedRow, judge_row};
use crate::document::read_bytes;
use crate::error::Result;
use crate::instant::Instant;
use crate::log::{self, Row};
use crate::meta::read_meta;
use crate::outgoing::{CaptureReport, CaptureState, Outgoing};
use crate::project::{MissionDirectory, Project};
use crate::transaction::{Change, checkout_of, lock, lock_mission, refused};
use queue::{Capacity, Captured, HandOver, KnownIds, Writer};
use sources::{BranchKind, each_branch_log, event_ids, worktree_logs};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use system::lock::FileLock;

/// A hand-over whose program is at work.
#[derive(Debug)]
pub struct Running {
    record: HandOver,
    _lock: FileLock,
}

/// Result of capturing a run.
#[derive(Debug, Default)]
pub struct RunCapture {
    /// The sum over all missions.
    pub report: CaptureReport,
    /// Rows that the published contract refuses, each with its mission.
    pub refused: Vec<(String, RefusedRow)>,
}

/// Records what is there, before the program starts.
///
/// # Errors
/// A log or a branch that cannot be read, or a queue that takes no row: the program is not to be started.
pub fn begin(project: &Project, outgoing: &Outgoing<'_>, clock: &Clock) -> Result<Running> {
    let known = known_ids(project)?;
    let record = HandOver {
        id: clock.ulid(),
        checkout: checkout_of(project),
        // After the logs were read: a row of another command that was written meanwhile is not of the run.
        started_at: clock.now().iso(),
        known,
    };
    let mut held = lock(&lock_path(project, &record.id), "the hand-over")?;
    held.unlink_on_release();
    open(outgoing)?.record_hand_over(&record).map_err(refused)?;
    Ok(Running { record, _lock: held })
}

/// The missions in which the run has written rows, for a message: they are not captured.
///
/// # Errors
/// A log or a branch that cannot be read.
pub fn written_missions(project: &Project, running: &Running, clock: &Clock) -> Result<Vec<String>> {
    Ok(new_rows(project, &running.record, clock.now())?.into_iter().map(|mission| mission.slug).collect())
}

/// Captures what the run wrote, and removes its record.
///
/// # Errors
/// A log or a branch that cannot be read, or a queue that takes no row; the record then stays for [`settle`].
pub fn finish(
    project: &Project,
    outgoing: &Outgoing<'_>,
    clock: &Clock,
    running: Running,
) -> Result<RunCapture> {
    capture(project, outgoing, clock, &running.record)
}

/// Removes the record of a run whose rows are not to be captured.
///
/// # Errors
/// The queue cannot be written.
pub fn abandon(outgoing: &Outgoing<'_>, running: Running) -> Result<()> {
    open(outgoing)?.remove_hand_over(&running.record.id).map_err(refused)
}

/// Captures what interrupted runs in this checkout wrote. Those at work are left alone.
///
/// # Errors
/// As [`finish`].
pub fn settle(project: &Project, outgoing: &Outgoing<'_>, clock: &Clock) -> Result<Vec<RunCapture>> {
    let mut settled = Vec::new();
    for record in open(outgoing)?.hand_overs(&checkout_of(project)).map_err(refused)? {
        let path = lock_path(project, &record.id);
        let Ok(mut held) = FileLock::acquire_in_repository(&path, std::time::Duration::ZERO, "the hand-over")
        else {
            continue;
        };
        held.unlink_on_release();
        settled.push(capture(project, outgoing, clock, &record)?);
    }
    Ok(settled)
}

fn open(outgoing: &Outgoing<'_>) -> Result<Writer> {
    Writer::open(outgoing.permit, Capacity(outgoing.config.max_queue_size)).map_err(refused)
}

fn lock_path(project: &Project, id: &str) -> PathBuf {
    project.git().common_dir.join("spec-kitty-locks").join(format!("hand-over-{id}.lock"))
}

/// The ids of every row of this checkout, its worktrees, and its local and remote-tracking branches.
fn known_ids(project: &Project) -> Result<KnownIds> {
    let mut ids: HashSet<String> = HashSet::new();
    for directory in worktree_logs(project)? {
        let bytes = read_bytes(&directory.join(log::FILE), log::MAX_BYTES)?.unwrap_or_default();
        ids.extend(event_ids(&bytes).map(Cow::into_owned));
    }
    for which in [BranchKind::Local, BranchKind::RemoteTracking] {
        each_branch_log(project, which, |_, bytes| ids.extend(event_ids(bytes).map(Cow::into_owned)))?;
    }
    Ok(ids.into_iter().collect())
}

/// Rows of one mission.
struct MissionRows {
    slug: String,
    /// A directory that holds the mission, for its `meta.json`.
    directory: PathBuf,
    rows: Vec<Row>,
}

/// The rows that a run has written, by mission.
fn new_rows(project: &Project, record: &HandOver, ended: Moment) -> Result<Vec<MissionRows>> {
    let bounds = Instant::parse(&record.started_at).zip(Instant::parse(&ended.iso()));
    let Some((started, ended)) = bounds else { return Ok(Vec::new()) };
    let mut pushed: HashSet<String> = HashSet::new();
    each_branch_log(project, BranchKind::RemoteTracking, |_, bytes| {
        pushed.extend(event_ids(bytes).filter(|id| !record.known.contains(id)).map(Cow::into_owned));
    })?;
    let mut taken: HashSet<String> = HashSet::new();
    let mut missions: BTreeMap<String, MissionRows> = BTreeMap::new();
    let mut take = |slug: &str, directory: PathBuf, bytes: &[u8]| {
        if event_ids(bytes).all(|id| record.known.contains(&id)) {
            return;
        }
        log::each_row_in(bytes, |row| {
            let Some(id) = row.event_id() else { return };
            let within = Instant::parse(row.at()).is_some_and(|at| started <= at && at <= ended);
            if !within || record.known.contains(id) || pushed.contains(id) || !taken.insert(id.to_owned()) {
                return;
            }
            let mission = missions.entry(slug.to_owned()).or_insert_with(|| MissionRows {
                slug: slug.to_owned(),
                directory: directory.clone(),
                rows: Vec::new(),
            });
            mission.rows.push(row);
        });
    };
    for directory in worktree_logs(project)? {
        let bytes = read_bytes(&directory.join(log::FILE), log::MAX_BYTES)?.unwrap_or_default();
        let slug = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        take(&slug, directory, &bytes);
    }
    each_branch_log(project, BranchKind::Local, |slug, bytes| {
        take(slug, project.missions().join(slug), bytes)
    })?;
    Ok(missions.into_values().collect())
}

fn capture(
    project: &Project,
    outgoing: &Outgoing<'_>,
    clock: &Clock,
    record: &HandOver,
) -> Result<RunCapture> {
    let mut run = RunCapture::default();
    let mut sum = Captured::default();
    run.report.state = CaptureState::Captured;
    for MissionRows { slug, directory, rows } in new_rows(project, record, clock.now())? {
        let held = lock_mission(project, &slug)?;
        let mission = mission_of(project, slug, directory)?;
        let mut change = Change::of_captured(mission);
        change.rows_only = true;
        for row in rows {
            match judge_row(project, &change, &row) {
                Some(Ok(_)) => change.recorded.push(row),
                Some(Err(refused)) => run.refused.push((change.mission.slug.clone(), refused)),
                None => {}
            }
        }
        let done = change.carry_out(&held, project, Some(outgoing), clock)?;
        run.report.state = done.capture.state;
        if let Some(captured) = done.capture.captured {
            sum.events += captured.events;
            sum.already += captured.already;
            sum.waiting = captured.waiting;
        }
    }
    if sum != Captured::default() {
        run.report.captured = Some(sum);
    }
    open(outgoing)?.remove_hand_over(&record.id).map_err(refused)?;
    Ok(run)
}

/// The mission in the checkout, where its rows are looked for in every place; else in the directory that holds its log.
fn mission_of(project: &Project, slug: String, found: PathBuf) -> Result<MissionDirectory> {
    let here = project.missions().join(&slug);
    let path = if here.is_dir() { here } else { found };
    Ok(MissionDirectory { meta: read_meta(&path)?, slug, path })
}
