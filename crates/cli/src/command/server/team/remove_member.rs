use super::super::{AdminArgs, AdminLine as _, failed};
use super::TeamView;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;
use server::EndedMembership;

/// Remove an account from a team; end its tokens and shares there
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server team remove-member --team editors --email ada@example.com \
    --data /var/lib/spec-kitty"
)]
pub(crate) struct TeamRemoveMemberArgs {
    /// Id of the team
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TeamRemoveMemberArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let EndedMembership { team, tokens, shares } =
            self.admin.open()?.remove_member(&self.team, &self.email).map_err(failed)?;
        let view = TeamView::of(&team);
        let line = format!(
            "{}\nended: {}, {}",
            view.line(),
            counted(tokens, "token", "tokens"),
            counted(shares, "share", "shares")
        );
        let facts = json!({ "team": view, "ended": { "tokens": tokens, "shares": shares } });
        Ok(Report::of(&LineResult { result: "removed", facts, line }))
    }
}
