use super::super::{AdminArgs, AdminLine as _, failed};
use super::TeamView;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Change the display name of a team; its id stays
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server team rename --team editors --name Writers --data /var/lib/spec-kitty"
)]
pub(crate) struct TeamRenameArgs {
    /// Id of the team
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// New display name
    #[arg(long)]
    name: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TeamRenameArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let team = self.admin.open()?.rename_team(&self.team, &self.name).map_err(failed)?;
        let view = TeamView::of(&team);
        let line = view.line();
        Ok(Report::of(&LineResult { result: "renamed", facts: json!({ "team": view }), line }))
    }
}
