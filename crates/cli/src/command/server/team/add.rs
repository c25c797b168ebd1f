use super::super::{AdminArgs, AdminLine as _, failed};
use super::TeamView;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Create a team without members
#[derive(Debug, Args)]
#[command(
    after_help = "Projects are shared with a team; events are sent to private teamspaces alone.\n\nExample: \
    spec-kitty server team add --team editors --name Editors --data /var/lib/spec-kitty"
)]
pub(crate) struct TeamAddArgs {
    /// Id of the team; it stays
    #[arg(long, value_name = "TEAM")]
    team: String,
    /// Display name [default: the id]
    #[arg(long)]
    name: Option<String>,
    /// Create a private teamspace, which takes events
    #[arg(long)]
    private: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TeamAddArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let admin = self.admin.open()?;
        let team = admin.add_team(&self.team, self.name.as_deref(), self.private).map_err(failed)?;
        let view = TeamView::of(&team);
        let line = view.line();
        Ok(Report::of(&LineResult { result: "created", facts: json!({ "team": view }), line }))
    }
}
