use super::super::{AdminArgs, AdminLine as _, failed};
use super::TeamView;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Add an account to a team, or change its role there
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server team add-member --team editors --email ada@example.com \
    --data /var/lib/spec-kitty")]
pub(crate) struct TeamAddMemberArgs {
    /// Id of the team
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    /// Make it an owner, who may delete projects of a private teamspace
    #[arg(long)]
    owner: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TeamAddMemberArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let team = self.admin.open()?.add_member(&self.team, &self.email, self.owner).map_err(failed)?;
        let view = TeamView::of(&team);
        let line = view.line();
        Ok(Report::of(&LineResult { result: "added", facts: json!({ "team": view }), line }))
    }
}
