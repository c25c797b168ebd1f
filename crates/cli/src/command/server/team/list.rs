use super::super::{AdminArgs, AdminList, failed};
use super::TeamView;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};

/// List the teams with their members
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server team list --data /var/lib/spec-kitty")]
pub(crate) struct TeamListArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TeamListArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let teams = self.admin.open()?.teams().map_err(failed)?;
        Ok(Report::of(&AdminList { results: teams.iter().map(TeamView::of).collect() }))
    }
}
