//! `agent tasks mark-status`: ticks subtasks in `tasks.md`, and in a current mission writes them into the log.
//!
//! Work packages are not ticked but moved, with `move-task`: a work package id is not found here.

use super::move_task::auto_commit;
use super::{Planned, Recorded};
use crate::clock::Clock;
use crate::dialect::Dialect;
use crate::document::{MAX_TEXT, read_text};
use crate::error::{MissionError, Result};
use crate::front_matter::WorkPackage;
use crate::git::check_may_commit;
use crate::log::{Annotation, Log, Row};
use crate::mission_log::read_mission_log;
use crate::outgoing::CaptureReport;
use crate::outgoing::payload::HistoryEntry;
use crate::planning::read_planning;
use crate::project::{MissionDirectory, Project};
use crate::remedies::ErrorCode;
use crate::snapshot::{self, Snapshot, reduce};
use crate::subtask_state;
use crate::tasks::{self, Marked, SubtaskState, mark_listed, mark_subtask, mark_table_row, owner_of_subtask};
use crate::transaction::{Change, Done};
use crate::work_package::{id_of_file, read_wp_files};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Actor of the rows that this command writes.
const ACTOR: &str = "user";

/// Arguments of `agent tasks mark-status`.
#[derive(Clone, Debug, Default)]
pub struct MarkStatusRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// Subtask ids: `T001`, `<mission>/T001` or `<mission>:T001`.
    pub ids: Vec<String>,
    /// `--status`: done or pending.
    pub status: String,
    /// `--auto-commit` or `--no-auto-commit`; without either the project's config decides.
    pub commit: Option<bool>,
}

/// Result for one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkOutcome {
    /// Its row changed.
    Updated,
    /// Its row had the state already.
    AlreadySatisfied,
    /// It has no row.
    NotFound,
}

/// One id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarkResult {
    /// The subtask.
    pub id: String,
    /// The result.
    pub outcome: MarkOutcome,
    /// `checkbox`, `pipe_table` or `inline_subtasks`; `roster` for one that only the front matter lists.
    pub format: Option<&'static str>,
    /// For people.
    pub message: String,
}

/// Number of ids with each result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarkSummary {
    /// Rows that changed.
    pub updated: usize,
    /// Rows that had the state already.
    pub already_satisfied: usize,
    /// Ids without a row.
    pub not_found: usize,
}

/// The outcome. All ids unknown is an error; some unknown is not.
#[derive(Clone, Debug, Serialize)]
pub struct Marking {
    /// One for each id, in the order asked.
    pub results: Vec<MarkResult>,
    /// Number of ids with each result.
    pub summary: MarkSummary,
    /// The commit.
    pub commit_hash: Option<String>,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

impl MarkStatusRequest {
    fn state(&self) -> Result<SubtaskState> {
        match self.status.trim().to_lowercase().as_str() {
            "done" => Ok(SubtaskState::Done),
            "pending" => Ok(SubtaskState::Pending),
            _ => Err(MissionError::Argument { name: "--status", problem: "must be done or pending".into() }),
        }
    }

    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        let named = self.ids.iter().all(|id| !id.trim().is_empty() && !id.contains(char::is_whitespace));
        if self.ids.is_empty() || !named {
            return Err(MissionError::Argument {
                name: "ID",
                problem: "name at least one subtask, like T001".into(),
            });
        }
        self.state().map(|_| ())
    }
}

/// Plans the marks.
pub fn plan(
    project: &Project,
    request: &MarkStatusRequest,
    clock: &Clock,
) -> Result<Planned<MarkStatusRequest, Marking>> {
    request.check()?;
    let state = request.state()?;
    let commits = request.commit.map_or_else(|| auto_commit(project), Ok)?;
    if commits {
        check_may_commit(project)?;
    }
    let word = request.status.trim().to_lowercase();
    let mission = project.mission(request.mission.as_deref())?;
    let log = read_mission_log(project, &mission)?;
    let path = mission.path.join(tasks::FILE);
    let before = read_planning(&mission.path, tasks::FILE)?.unwrap_or_default();
    let mut text = before.clone();
    let mut results = Vec::new();
    let roster = Roster::read(&mission, &log)?;
    let mut done: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut logged: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for id in &request.ids {
        let bare = id.rsplit(['/', ':']).next().unwrap_or(id);
        let (mut outcome, mut format) = mark(&mut text, bare, state);
        let owner = roster.owner(bare).or_else(|| owner_of_subtask(&before, bare));
        if let Some((wp_id, is_news)) = owner.as_ref().and_then(|wp_id| roster.news(wp_id, bare, state)) {
            if outcome == MarkOutcome::NotFound {
                (outcome, format) = (MarkOutcome::AlreadySatisfied, Some("roster"));
            }
            if is_news {
                outcome = MarkOutcome::Updated;
                logged.entry(wp_id).or_default().insert(bare.to_owned(), slot_state(state).into());
            }
        }
        if outcome == MarkOutcome::Updated
            && let Some(wp_id) = owner
        {
            done.entry(wp_id).or_default().push(bare.to_owned());
        }
        results.push(MarkResult {
            id: bare.to_owned(),
            outcome,
            format,
            message: message(bare, outcome, &word),
        });
    }
    let count = |wanted| results.iter().filter(|result| result.outcome == wanted).count();
    let summary = MarkSummary {
        updated: count(MarkOutcome::Updated),
        already_satisfied: count(MarkOutcome::AlreadySatisfied),
        not_found: count(MarkOutcome::NotFound),
    };
    if summary.not_found == results.len() {
        let rowless = results.iter().any(|result| !crate::work_package::is_wp_id(&result.id));
        let said: Vec<&str> = results.iter().map(|result| result.message.trim_end_matches('.')).collect();
        return Err(MissionError::invalid(
            if rowless { ErrorCode::SubtaskNotFound } else { ErrorCode::NotASubtask },
            said.join("; "),
            &json!({ "results": results, "summary": summary }),
        ));
    }
    let outcome = Marking {
        results,
        summary,
        commit_hash: None,
        warnings: Vec::new(),
        capture: CaptureReport::default(),
    };
    if text == before && logged.is_empty() {
        return Ok(Planned { request: request.clone(), change: None, outcome, plan });
    }
    let mut written = Change::of(mission, log);
    if !logged.is_empty() {
        written.append(
            logged.into_iter().map(|(wp_id, subtasks)| annotation(wp_id, subtasks, clock)).collect(),
        )?;
        written.refresh_status()?;
    }
    let ticked = (text != before).then_some((path, text));
    let change = change(commits, request, written, ticked, done, &outcome)?;
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

/// The change that writes the marked text, with a history entry for each work package.
fn change(
    commits: bool,
    request: &MarkStatusRequest,
    mut change: Change,
    ticked: Option<(PathBuf, String)>,
    done: BTreeMap<String, Vec<String>>,
    outcome: &Marking,
) -> Result<Change> {
    let word = request.status.trim().to_lowercase();
    let state = change.log.directory(&change.mission).filter(|_| change.refreshes_status);
    let state = state.map(|directory| directory.join(snapshot::FILE));
    // The changed file is the witness of the entry.
    let log = change.appends().then(|| change.log.path().to_owned());
    let proof = ticked.as_ref().map(|(path, _)| path.clone()).or(state).or(log);
    let proof = proof.unwrap_or_default();
    change.history.extend(done.into_iter().map(|(wp_id, ids)| {
        let entry = HistoryEntry {
            wp_id,
            entry_type: "note",
            entry_content: format!("{} marked as {word}", ids.join(", ")),
            author: ACTOR.to_owned(),
        };
        (entry, proof.clone())
    }));
    // Files on the coordination branch have a commit of their own.
    let mut files = if change.appends() { change.state_files()? } else { Vec::new() };
    if let Some((path, text)) = ticked {
        files.push(path.clone());
        change.files.insert(path, text.into_bytes());
    }
    if commits {
        let spec = change.mission.slug.split('-').next().unwrap_or_default();
        let updated = outcome.results.iter().filter(|result| result.outcome == MarkOutcome::Updated);
        let ids: Vec<_> = updated.map(|result| result.id.as_str()).collect();
        change.commit = Some((files, format!("chore: Mark {} as {word} on spec {spec}", ids.join(", "))));
    }
    Ok(change)
}

/// The subtasks that the front matter of a current mission lists, and their state in the log. Empty for an
/// earlier mission, in which only the boxes count.
struct Roster {
    packages: Vec<(String, Vec<String>)>,
    snapshot: Snapshot,
}

impl Roster {
    fn read(mission: &MissionDirectory, log: &Log) -> Result<Self> {
        let snapshot = reduce(&[log], mission.dialect(log));
        let mut packages = Vec::new();
        if snapshot.dialect() == Dialect::Current {
            for path in read_wp_files(&mission.path)? {
                let named =
                    path.file_name().and_then(|name| name.to_str()).and_then(id_of_file).map(str::to_owned);
                let Some(text) = read_text(&path, MAX_TEXT)? else { continue };
                let wp = WorkPackage::parse_as(&path, text, named.as_deref())?;
                packages.push((wp.id.clone(), wp.subtasks().unwrap_or_default()));
            }
        }
        Ok(Self { packages, snapshot })
    }

    /// The work package that lists the subtask.
    fn owner(&self, id: &str) -> Option<String> {
        let lists = |subtasks: &[String]| subtasks.iter().any(|known| known == id);
        self.packages.iter().find(|(_, subtasks)| lists(subtasks)).map(|(wp_id, _)| wp_id.clone())
    }

    /// The work package, and whether the log lacks the row; nothing in an earlier mission.
    fn news(&self, wp_id: &str, id: &str, state: SubtaskState) -> Option<(String, bool)> {
        (self.snapshot.dialect() == Dialect::Current).then(|| {
            let is_done = subtask_state::is_done(&self.snapshot, wp_id, id);
            (wp_id.to_owned(), is_done != (state == SubtaskState::Done))
        })
    }
}

/// The state as the log has it.
const fn slot_state(state: SubtaskState) -> &'static str {
    match state {
        SubtaskState::Done => "done",
        SubtaskState::Pending => "planned",
    }
}

/// The row about the state of subtasks of a work package.
fn annotation(wp_id: String, subtasks: Map<String, Value>, clock: &Clock) -> Row {
    let delta = [(subtask_state::SLOT.to_owned(), Value::Object(subtasks))];
    Row::Annotation(Annotation {
        event_id: clock.ulid(),
        wp_id,
        at: clock.now().iso(),
        actor: ACTOR.to_owned(),
        delta: delta.into_iter().collect(),
    })
}

/// Marks one subtask in the first form in which it is there.
fn mark(text: &mut String, id: &str, state: SubtaskState) -> (MarkOutcome, Option<&'static str>) {
    type Form = (&'static str, fn(&str, &str, SubtaskState) -> Marked);
    let forms: [Form; 3] =
        [("checkbox", mark_subtask), ("pipe_table", mark_table_row), ("inline_subtasks", mark_listed)];
    for (name, form) in forms {
        match form(text, id, state) {
            Marked::NotFound => {}
            Marked::Already => return (MarkOutcome::AlreadySatisfied, Some(name)),
            Marked::Changed(new) => {
                *text = new;
                return (MarkOutcome::Updated, Some(name));
            }
        }
    }
    (MarkOutcome::NotFound, None)
}

fn message(id: &str, outcome: MarkOutcome, status: &str) -> String {
    match outcome {
        MarkOutcome::Updated => format!("{id} is {status} now."),
        MarkOutcome::AlreadySatisfied => format!("{id} was {status} already."),
        MarkOutcome::NotFound if crate::work_package::is_wp_id(id) => {
            format!(
                "{id} is a work package, not a subtask: `spec-kitty agent tasks move-task` changes its lane."
            )
        }
        MarkOutcome::NotFound => format!("tasks.md has no row for {id}."),
    }
}

impl Recorded for Marking {
    fn record(&mut self, done: Done) {
        self.commit_hash = done.commit;
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
