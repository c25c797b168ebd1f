//! `doctor repair --mission`: moves the damaged lines of a mission's log aside and keeps every readable row.

use super::planned::until_won;
use super::shown;
use super::validate_log::drift;
use crate::clock::Clock;
use crate::error::{Result, chain};
use crate::log::Damage;
use crate::log::repair::{self, Repaired};
use crate::lost_rows::{RepairedParts, RowsInGit, find_rows_in_git};
use crate::mission_log::{repair_elsewhere, view_mission_log};
use crate::project::Project;
use crate::remedies::command_line;
use crate::transaction::lock_mission;
use serde::Serialize;

/// Report on the repair of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogRepair {
    /// `repaired`, `nothing_to_repair` or, when lines are left or there are problems, `nothing_repaired`.
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
    /// Reasons why other rows of the mission were not looked at, with their remedies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Rows that the log lacks and that a commit has, when lines were moved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_git: Vec<RowsInGit>,
    /// Command that comes next, when `status.json` differs from the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_step: Option<String>,
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
    let log = view_mission_log(project, &mission)?;
    repair.problems = log.place().problem().into_iter().collect();
    if !repair.problems.is_empty() && repair.moved.is_empty() {
        repair.result = NOTHING_REPAIRED;
    }
    let elsewhere = repair.coordination.as_ref().is_some_and(|log| log.moved_to.is_some());
    let repaired = RepairedParts { checkout: repair.moved_to.is_some(), elsewhere };
    if repaired.checkout || repaired.elsewhere {
        // The log is repaired: git that cannot be read keeps nothing of that back.
        match find_rows_in_git(project, &mission, &log, repaired) {
            Ok(rows) => repair.in_git = rows,
            Err(error) => {
                repair.problems.push(format!("git was not searched for the damaged rows: {}", chain(&error)));
            }
        }
    }
    let differs = log.line_count() > 0 && drift(project, &mission, &log).is_ok_and(|found| !found.is_empty());
    repair.next_step =
        (differs && !log.is_damaged()).then(|| command_line("agent status materialize", &[], &mission.slug));
    Ok(repair)
}

const NOTHING_REPAIRED: &str = "nothing_repaired";

fn outcome(mission_slug: &str, done: Repaired) -> LogRepair {
    LogRepair {
        result: match (&done.moved_to, done.left.is_empty()) {
            (Some(_), _) => "repaired",
            (None, true) => "nothing_to_repair",
            (None, false) => NOTHING_REPAIRED,
        },
        mission_slug: mission_slug.to_owned(),
        path: shown(&done.log),
        kept: done.kept,
        saved: done.saved,
        moved: done.moved,
        moved_to: done.moved_to.as_deref().map(shown),
        left: done.left,
        problems: Vec::new(),
        in_git: Vec::new(),
        next_step: None,
        coordination: None,
    }
}
