//! `agent tasks status`: the board of one mission, with the keys that agents of the Python CLI read.

use super::list::warnings;
use crate::args::MissionArg;
use crate::mission_document::MissionDocument;
use crate::render;
use crate::status_board::kanban;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::Clock;
use mission::command::task_board::{STALE_AFTER, TaskBoard, look};
use std::fmt::Write as _;

/// Show the board of one mission, with stale and stalled work; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent tasks status --mission tea-timer --json")]
pub(crate) struct TaskStatusArgs {
    #[command(flatten)]
    mission: MissionArg,
    /// Minutes without a commit after which work in progress counts as stale
    #[arg(long, value_name = "MINUTES", default_value_t = STALE_AFTER)]
    stale_threshold: u64,
}

impl Verb for TaskStatusArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let project = context.project()?;
        let board = look(&project, self.mission.mission.as_deref(), self.stale_threshold, &Clock::system())?;
        let text = describe(&board, render::width());
        let notes = warnings(&board.warnings);
        let report = Report::of(&MissionDocument { value: board, text });
        Ok(notes.into_iter().fold(report, Report::note))
    }
}

fn describe(found: &TaskBoard, width: usize) -> String {
    let mut out = kanban(&found.board, width);
    let _ = writeln!(out, "weighted progress: {:.1} %", found.weighted_percentage);
    for task in found.work_packages.iter().filter(|task| task.is_stale()) {
        let minutes = task.activity.as_ref().and_then(|activity| activity.minutes_since_commit);
        let agent = match task.agent.as_str() {
            "" => String::new(),
            agent => format!(" ({})", printable(agent)),
        };
        let _ = writeln!(
            out,
            "{} is stale: no commit for {} minutes{agent}",
            task.id,
            minutes.unwrap_or_default()
        );
    }
    for review in &found.stalled_wps {
        let _ = writeln!(out, "{}: review stalled, no move for {} minutes", review.wp_id, review.age_minutes);
    }
    for verdict in &found.stale_verdicts {
        let place = verdict.artifact.as_deref().map(printable).unwrap_or_default();
        let _ = writeln!(out, "{}: its last review rejects it, {place}", verdict.wp_id);
    }
    out
}
