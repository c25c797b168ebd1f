//! `agent tasks list`: the work packages of a mission.

use crate::args::MissionArg;
use crate::mission_document::MissionDocument;
use crate::render;
use crate::status_board::FROM_FRONT_MATTER;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use crate::wrap::hanging;
use contract::text::printable;
use mission::Lane;
use mission::command::status::{LaneSource, TaskList, list};
use mission::transition::Refusal;

/// List the work packages of a mission; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent tasks list --mission tea-timer --lane planned")]
pub(crate) struct TaskListArgs {
    #[command(flatten)]
    mission: MissionArg,
    /// Only the work packages in this lane
    #[arg(long)]
    lane: Option<String>,
}

impl Verb for TaskListArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let lane = self.lane.as_deref().map(lane).transpose()?;
        let tasks = list(&context.project()?, self.mission.mission.as_deref(), lane)?;
        let text = describe(&tasks, render::width());
        let warnings = warnings(&tasks.warnings);
        let report = Report::of(&MissionDocument { value: tasks, text });
        Ok(warnings.into_iter().fold(report, Report::note))
    }
}

/// Warnings about the files, for stderr.
pub(crate) fn warnings(lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| format!("warning: {}", printable(line))).collect()
}

fn lane(typed: &str) -> Result<Lane, CliError> {
    let unknown = || Refusal::UnknownLane(printable(typed).into_owned());
    Ok(Lane::from_input(typed).ok_or_else(|| mission::MissionError::from(unknown()))?)
}

fn describe(tasks: &TaskList, width: usize) -> String {
    if tasks.tasks.is_empty() {
        return "no work packages\n".to_owned();
    }
    let mut out = match tasks.lane_source {
        LaneSource::Log => String::new(),
        LaneSource::FrontMatter => format!("{FROM_FRONT_MATTER}\n"),
    };
    for task in &tasks.tasks {
        let head = format!("{}  {:<11}  ", task.work_package_id, task.lane.name());
        out.push_str(&hanging(&head, &printable(&task.title), width));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mission::command::status::Task;

    #[test]
    fn long_title_wraps_below_itself() {
        let task = Task {
            work_package_id: "WP01".into(),
            title: "Count down from the minutes that were given, ".repeat(3),
            lane: Lane::Planned.into(),
            path: "x".into(),
        };
        let text = describe(
            &TaskList { tasks: vec![task], count: 1, lane_source: LaneSource::Log, warnings: Vec::new() },
            80,
        );
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
