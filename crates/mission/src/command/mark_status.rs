//! `agent tasks mark-status`: ticks subtasks in `tasks.md`.
//!
//! Work packages are not ticked but moved, with `move-task`: a work package id is not found here.

use super::move_task::auto_commit;
use super::{Planned, Recorded};
use crate::clock::Clock;
use crate::error::{MissionError, Result};
use crate::git::check_may_commit;
use crate::log::read_log;
use crate::outgoing::CaptureReport;
use crate::outgoing::payload::HistoryEntry;
use crate::planning::read_planning;
use crate::project::Project;
use crate::remedies::ErrorCode;
use crate::tasks::{self, Marked, SubtaskState, mark_listed, mark_subtask, mark_table_row, owner_of_subtask};
use crate::transaction::{Change, Done};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--mission`.
    pub mission: Option<String>,
    /// Subtask ids: `T001`, `<mission>/T001` or `<mission>:T001`.
    pub ids: Vec<String>,
    /// `--status`: done or pending.
    pub status: String,
    /// `--auto-commit` or `--no-auto-commit`; what the project's config says without either.
    pub commit: Option<bool>,
}

/// Everything that will be written, validated.
pub type Plan = Planned<Request, Marking>;

/// What became of one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkOutcome {
    /// Its row changed.
    Updated,
    /// Its row said so already.
    AlreadySatisfied,
    /// It has no row.
    NotFound,
}

/// One id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarkResult {
    /// The subtask.
    pub id: String,
    /// What became of it.
    pub outcome: MarkOutcome,
    /// `checkbox`, `pipe_table` or `inline_subtasks`.
    pub format: Option<&'static str>,
    /// For people.
    pub message: String,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MarkSummary {
    /// Rows that changed.
    pub updated: usize,
    /// Rows that said so already.
    pub already_satisfied: usize,
    /// Ids without a row.
    pub not_found: usize,
}

/// The outcome. All ids unknown is an error; some unknown is not.
#[derive(Clone, Debug, Serialize)]
pub struct Marking {
    /// One for each id, in the order asked.
    pub results: Vec<MarkResult>,
    /// How many of each.
    pub summary: MarkSummary,
    /// The commit.
    pub commit_hash: Option<String>,
    /// What was captured.
    pub capture: CaptureReport,
}

impl Request {
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
pub fn plan(project: &Project, request: &Request, _clock: &Clock) -> Result<Plan> {
    request.check()?;
    let state = request.state()?;
    let commits = request.commit.map_or_else(|| auto_commit(project), Ok)?;
    if commits {
        check_may_commit(project)?;
    }
    let word = request.status.trim().to_lowercase();
    let mission = project.mission(request.mission.as_deref())?;
    let log = read_log(&mission.path)?;
    let path = mission.path.join(tasks::FILE);
    let before = read_planning(&mission.path, tasks::FILE)?.unwrap_or_default();
    let mut text = before.clone();
    let mut results = Vec::new();
    let mut done: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for id in &request.ids {
        let bare = id.rsplit(['/', ':']).next().unwrap_or(id);
        let (outcome, format) = mark(&mut text, bare, state);
        if outcome == MarkOutcome::Updated
            && let Some(wp_id) = owner_of_subtask(&before, bare)
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
    let outcome = Marking { results, summary, commit_hash: None, capture: CaptureReport::default() };
    if text == before {
        return Ok(Planned { request: request.clone(), change: None, outcome, plan });
    }
    let change = change(commits, request, Change::of(mission, log), (path, text), done, &outcome);
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

/// The change that writes the marked text, with a history entry for each work package.
fn change(
    commits: bool,
    request: &Request,
    mut change: Change,
    (path, text): (PathBuf, String),
    done: BTreeMap<String, Vec<String>>,
    outcome: &Marking,
) -> Change {
    let word = request.status.trim().to_lowercase();
    change.history.extend(done.into_iter().map(|(wp_id, ids)| {
        let entry = HistoryEntry {
            wp_id,
            entry_type: "note",
            entry_content: format!("{} marked as {word}", ids.join(", ")),
            author: "user".to_owned(),
        };
        (entry, path.clone())
    }));
    change.files.insert(path.clone(), text.into_bytes());
    if commits {
        let spec = change.mission.slug.split('-').next().unwrap_or_default();
        let updated = outcome.results.iter().filter(|result| result.outcome == MarkOutcome::Updated);
        let ids: Vec<_> = updated.map(|result| result.id.as_str()).collect();
        change.commit =
            Some((vec![path], format!("chore: Mark {} as {word} on spec {spec}", ids.join(", "))));
    }
    change
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
            format!("{id} is a work package, not a subtask: `move-task` changes its lane.")
        }
        MarkOutcome::NotFound => format!("tasks.md has no row for {id}."),
    }
}

impl Recorded for Marking {
    fn record(&mut self, done: Done) {
        self.commit_hash = done.commit;
        self.capture = done.capture;
    }
}
