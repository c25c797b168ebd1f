//! `agent tasks add-history`: a note in a work package's activity log.

use super::move_task::find_package;
use super::{Planned, Recorded};
use crate::activity::{ActivityEntry, with_entry};
use crate::clock::Clock;
use crate::error::{MissionError, Result};
use crate::mission_log::read_mission_log;
use crate::outgoing::CaptureReport;
use crate::outgoing::payload::HistoryEntry;
use crate::project::Project;
use crate::transaction::{Change, Done};
use crate::work_package::is_wp_id;
use serde::Serialize;

/// Arguments of `agent tasks add-history`.
#[derive(Clone, Debug, Default)]
pub struct NoteRequest {
    /// `--mission`.
    pub mission: Option<String>,
    /// `WPnn`.
    pub wp_id: String,
    /// `--note`.
    pub note: String,
    /// `--agent`: who writes; the work package's agent without it.
    pub agent: Option<String>,
    /// `--shell-pid`.
    pub shell_pid: Option<u32>,
}

/// The note that was added.
#[derive(Clone, Debug, Serialize)]
pub struct Noted {
    /// `success`.
    pub result: &'static str,
    /// `WPnn`.
    pub task_id: String,
    /// The note.
    pub note: String,
    /// Warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

impl NoteRequest {
    /// Judges the arguments by themselves.
    pub fn check(&self) -> Result<()> {
        let wrong = |name, problem: &str| Err(MissionError::Argument { name, problem: problem.to_owned() });
        if !is_wp_id(&self.wp_id) {
            return wrong("WP", "is not a work package id: WP and two digits, like WP01");
        }
        if self.note.trim().is_empty() {
            return wrong("--note", "must not be blank");
        }
        match &self.agent {
            Some(agent) if agent.trim().is_empty() || agent.contains(char::is_control) => {
                wrong("--agent", "must be one line that is not blank")
            }
            _ => Ok(()),
        }
    }
}

/// Plans the note.
pub fn plan(project: &Project, request: &NoteRequest, clock: &Clock) -> Result<Planned<NoteRequest, Noted>> {
    request.check()?;
    let mission = project.mission(request.mission.as_deref())?;
    let wp = find_package(&mission, &request.wp_id)?;
    let log = read_mission_log(project, &mission)?;
    let actor = request.agent.clone().or_else(|| wp.agent.clone().filter(|agent| !agent.trim().is_empty()));
    let actor = actor.unwrap_or_else(|| "user".to_owned());
    let at = clock.now().seconds_z();
    let entry = ActivityEntry { at: &at, actor: &actor, shell_pid: request.shell_pid, note: &request.note };
    let text = with_entry(wp.text(), &entry);
    let outcome = Noted {
        result: "success",
        task_id: request.wp_id.clone(),
        note: request.note.clone(),
        warnings: Vec::new(),
        capture: CaptureReport::default(),
    };
    let mut change = Change::of(mission, log);
    let history = HistoryEntry {
        wp_id: wp.id.clone(),
        entry_type: "note",
        entry_content: request.note.clone(),
        author: actor.clone(),
    };
    change.history.push((history, wp.path.clone()));
    change.files.insert(wp.path.clone(), text.into_bytes());
    Ok(Planned { request: request.clone(), change: Some(change), outcome, plan })
}

impl Recorded for Noted {
    fn record(&mut self, done: Done) {
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
