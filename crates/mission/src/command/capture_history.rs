//! `sync capture --history`: facts that a mission's log holds and this machine did not prepare.
//!
//! Some rows are never captured automatically (contract section 7): rows pulled from a teammate, rows older than the
//! queue, and rows made with hosted sync off, opted out or `--local-only`. This takes all of a mission's at once,
//! after a preview. Each event keeps the id of its row, so a known fact is not captured again, and a second run
//! captures nothing. Rows that the published contract refuses stay, and are named.

use super::{Planned, Recorded};
use crate::clock::Clock;
use crate::dossier::{BodyVerdict, Overlay, read_body_verdict, read_dossier};
use crate::error::{MissionError, Result};
use crate::log::{FILE, Row};
use crate::mission_log::{each_row, view_mission_log};
use crate::outgoing::payload::{Background, draft_of_row};
use crate::outgoing::{CaptureReport, Origin, Stamp, draft_to_row};
use crate::project::{MissionDirectory, Project};
use crate::transaction::{Change, Done, LoggedRows};
use queue::Witness;
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `sync capture --history`.
#[derive(Clone, Debug, Default)]
pub struct HistoryRequest {
    /// `--history`.
    pub mission: String,
}

/// Content of a mission's history, and the result of capturing it.
#[derive(Clone, Debug, Serialize)]
pub struct History {
    /// `captured`, or the caller's text for a preview.
    pub result: &'static str,
    /// The mission's directory name.
    pub mission_slug: String,
    /// Facts of the log that are sent, by event type.
    pub events: BTreeMap<String, u64>,
    /// Rows of the log that are not sent: decisions, and rows of other producers.
    pub stays: u64,
    /// The same by the kind of the row.
    pub stays_by_kind: BTreeMap<String, u64>,
    /// Rows that would be sent, and that the published contract refuses.
    pub refused: Vec<RefusedRow>,
    /// Documents whose text is sent. Those that were captured from this checkout as they are now are
    /// known, and are not captured again.
    pub documents: u64,
    /// Events about the documents: one for each, text or not, and one for all of them together.
    pub index_events: u64,
    /// Lines of the log that cannot be read: their content is not sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Ids of the events, in the order of the log.
    #[serde(skip)]
    pub ids: Vec<String>,
    /// Captured facts.
    pub capture: CaptureReport,
}

/// A row that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedRow {
    /// Its id.
    pub event_id: String,
    /// The contract's rejection.
    pub problem: String,
}

/// Plans the capture.
pub fn plan(
    project: &Project,
    request: &HistoryRequest,
    _: &Clock,
) -> Result<Planned<HistoryRequest, History>> {
    if request.mission.trim().is_empty() {
        let problem = "name a mission: its id, the first eight characters of it, or its directory name";
        return Err(MissionError::Argument { name: "--history", problem: problem.to_owned() });
    }
    let mission = project.mission(Some(&request.mission))?;
    let log = view_mission_log(project, &mission)?;
    let mut history = History {
        result: "captured",
        mission_slug: mission.slug.clone(),
        events: BTreeMap::new(),
        stays: 0,
        stays_by_kind: BTreeMap::new(),
        refused: Vec::new(),
        documents: 0,
        index_events: 0,
        warnings: log.warnings(&mission.slug),
        ids: Vec::new(),
        capture: CaptureReport::default(),
    };
    // Nothing is written, so the rows of the log are not kept: they are read again one by one.
    let log = log.without_rows(&mission);
    let mut change = Change::of(mission, log);
    change.restores_index = true;
    (history.documents, history.index_events) =
        count_documents(&change.mission, &*change.documents(project)?)?;
    judge_rows(project, &change, &mut history)?;
    change.logged = LoggedRows {
        count: history.events.values().sum(),
        first: history.ids.first().cloned(),
        refused: history.refused.iter().map(|row| row.event_id.clone()).collect(),
    };
    Ok(Planned { request: request.clone(), change: Some(change), outcome: history, plan })
}

/// Counts the rows that can be captured, and those that cannot.
fn judge_rows(project: &Project, change: &Change, history: &mut History) -> Result<()> {
    each_row(project, &change.mission, |row| match judge_row(project, change, &row) {
        None => {
            history.stays += 1;
            *history.stays_by_kind.entry(row.kind_name().to_owned()).or_default() += 1;
        }
        Some(Ok(event_type)) => {
            *history.events.entry(event_type.to_owned()).or_default() += 1;
            history.ids.extend(row.event_id().map(str::to_owned));
        }
        Some(Err(refused)) => history.refused.push(refused),
    })
}

/// The event type of a row that can be captured; none for a row that is not sent. It is judged as it will be
/// captured, except for the actor.
pub(crate) fn judge_row(
    project: &Project,
    change: &Change,
    row: &Row,
) -> Option<Result<&'static str, RefusedRow>> {
    let git = project.git();
    let background = Background {
        aggregate_id: change.mission.aggregate_id(),
        meta: change.mission.meta.as_ref(),
        repo_slug: git.repo_slug.as_deref(),
    };
    let draft = draft_of_row(row, &background)?;
    let (event_id, event_type) = (draft.event_id.clone(), draft.event_type);
    let witness = Witness::LogRow { log: change.mission.path.join(FILE), event_id: event_id.clone() };
    let judged = draft_to_row(draft, &change.mission, &Origin::trial(), &mut Stamp::trial(), witness);
    Some(judged.map(|_| event_type).map_err(|refused| RefusedRow { event_id, problem: refused.to_string() }))
}

/// Documents whose text is sent, and events about documents.
fn count_documents(mission: &MissionDirectory, overlay: &Overlay) -> Result<(u64, u64)> {
    let dossier = read_dossier(&mission.path, mission.mission_type(), overlay, None)?;
    let is_sent = |verdict: &BodyVerdict| matches!(verdict, BodyVerdict::Sent(_));
    let bodies = dossier.present().map(|artifact| read_body_verdict(&mission.path, artifact, overlay));
    let present = dossier.present().count() as u64;
    Ok((bodies.filter(is_sent).count() as u64, present + u64::from(present > 0)))
}

impl Recorded for History {
    fn record(&mut self, done: Done) {
        self.capture = done.capture;
    }

    fn warnings(&mut self) -> &mut Vec<String> {
        &mut self.warnings
    }
}
