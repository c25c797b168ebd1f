//! `doctor repair --mission`: moves the damaged lines of a mission's log aside and keeps every readable row.

use super::planned::until_won;
use super::shown;
use crate::clock::Clock;
use crate::error::Result;
use crate::log::Damage;
use crate::log::repair::{self, Repaired};
use crate::mission_log::{repair_elsewhere, view_mission_log};
use crate::project::Project;
use crate::transaction::lock_mission;
use serde::Serialize;

/// Report on the repair of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogRepair {
    /// `repaired`, `nothing_to_repair` or, when lines are left, `nothing_repaired`.
    pub result: &'static str,
    /// Directory name.
    pub mission_slug: String,
    /// The log.
    pub path: String,
    /// Rows in the log now.
    pub kept: usize,
    /// Those of them that were saved from damaged lines.
    pub saved: usize,
    /// Lines that moved, by their number before the repair.
    pub moved: Vec<Damage>,
    /// File that they were moved to.
    pub moved_to: Option<String>,
    /// Lines that are whole and that this release does not know: they stay.
    pub left: Vec<Damage>,
    /// The same for the log on the coordination branch, when lane rows are kept there and a line is damaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Box<LogRepair>>,
}

/// Repairs the log of a mission, also on its coordination branch. Nothing is written when no line is damaged.
pub fn repair_log(project: &Project, mission: Option<&str>, clock: &Clock) -> Result<LogRepair> {
    let (mission, _) = project.view_mission(mission)?;
    let damaged = view_mission_log(project, &mission)?.is_repairable();
    let _lock = damaged.then(|| lock_mission(project, &mission.slug)).transpose()?;
    let done = repair::repair(&mission.path, clock.now())?;
    let elsewhere =
        if damaged { until_won(|| repair_elsewhere(project, &mission, clock.now()))? } else { None };
    let mut repair = outcome(&mission.slug, done);
    repair.coordination = elsewhere.map(|done| Box::new(outcome(&mission.slug, done)));
    Ok(repair)
}

fn outcome(mission_slug: &str, done: Repaired) -> LogRepair {
    LogRepair {
        result: match (&done.moved_to, done.left.is_empty()) {
            (Some(_), _) => "repaired",
            (None, true) => "nothing_to_repair",
            (None, false) => "nothing_repaired",
        },
        mission_slug: mission_slug.to_owned(),
        path: shown(&done.log),
        kept: done.kept,
        saved: done.saved,
        moved: done.moved,
        moved_to: done.moved_to.as_deref().map(shown),
        left: done.left,
        coordination: None,
    }
}
