//! `agent tasks list`: the work packages of a mission.

use super::mission_document::MissionDocument;
use crate::args::ListArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::report::Report;
use contract::text::printable;
use mission::Lane;
use mission::command::status::{TaskList, list};
use mission::transition::Refusal;
use std::fmt::Write as _;

/// Runs the verb.
pub(crate) fn run(context: &Context, args: &ListArgs) -> Result<Report, CliError> {
    let lane = args.lane.as_deref().map(lane).transpose()?;
    let tasks = list(&context.project()?, args.mission.as_deref(), lane)?;
    let text = describe(&tasks);
    Ok(Report::of(&MissionDocument { value: tasks, text }))
}

fn lane(typed: &str) -> Result<Lane, CliError> {
    let unknown = || Refusal::UnknownLane(printable(typed).into_owned());
    Ok(Lane::typed(typed).ok_or_else(|| mission::MissionError::from(unknown()))?)
}

fn describe(tasks: &TaskList) -> String {
    if tasks.tasks.is_empty() {
        return "no work packages\n".to_owned();
    }
    let mut out = String::new();
    for task in &tasks.tasks {
        let _ =
            writeln!(out, "{}  {:<11}  {}", task.work_package_id, task.lane.name(), printable(&task.title));
    }
    out
}
