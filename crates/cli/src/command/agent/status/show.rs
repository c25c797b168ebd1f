//! `agent status show`: the board of a mission, or an overview of all.

use crate::command::agent::tasks::list::warnings;
use crate::mission_document::MissionDocument;
use crate::render;
use crate::status_board;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::command::status::show;

/// Show the board of one mission or of all missions; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent status show --mission tea-timer")]
pub(crate) struct StatusShowArgs {
    /// The mission: the name it was created with, its directory, its id, or the first eight
    /// characters of that [default: an overview of all]
    #[arg(long, value_name = "HANDLE")]
    mission: Option<String>,
}

impl Verb for StatusShowArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    /// A mission that cannot be shown is a warning: it never hides the others.
    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let boards = show(&context.project()?, self.mission.as_deref())?;
        let text = status_board::render(&boards, self.mission.is_some(), render::width());
        let unreadable = boards.unreadable.iter().map(|mission| {
            format!("warning: {}: {}", printable(&mission.mission_slug), printable(&mission.error))
        });
        let odd = boards.missions.iter().flat_map(|board| warnings(&board.warnings));
        let warnings: Vec<String> = unreadable.chain(odd).collect();
        let report = Report::of(&MissionDocument { value: boards, text });
        Ok(warnings.into_iter().fold(report, Report::note))
    }
}
