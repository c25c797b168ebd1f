//! `agent status show`: the board of a mission, or an overview of all.

use crate::args::ShowArgs;
use crate::command::agent::tasks::list::warnings;
use crate::context::Context;
use crate::error::CliError;
use crate::mission_document::MissionDocument;
use crate::render;
use crate::report::Report;
use crate::status_board;
use contract::text::printable;
use mission::command::status::show;

/// Runs the verb. A mission that cannot be shown is a warning: it never hides the others.
pub(crate) fn run(context: &Context, args: &ShowArgs) -> Result<Report, CliError> {
    let boards = show(&context.project()?, args.mission.as_deref())?;
    let text = status_board::render(&boards, args.mission.is_some(), render::width());
    let unreadable = boards.unreadable.iter().map(|mission| {
        format!("warning: {}: {}", printable(&mission.mission_slug), printable(&mission.error))
    });
    let odd = boards.missions.iter().flat_map(|board| warnings(&board.warnings));
    let warnings: Vec<String> = unreadable.chain(odd).collect();
    let report = Report::of(&MissionDocument { value: boards, text });
    Ok(warnings.into_iter().fold(report, Report::note))
}
