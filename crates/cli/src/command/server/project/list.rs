use super::super::{AdminArgs, AdminList, failed};
use super::ProjectView;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};

/// List the projects of the teams
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server project list --team editors --data /var/lib/spec-kitty")]
pub(crate) struct ProjectListArgs {
    /// Only projects of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for ProjectListArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let projects = self.admin.open()?.projects(self.team.as_deref()).map_err(failed)?;
        Ok(Report::of(&AdminList { results: projects.iter().map(ProjectView::of).collect() }))
    }
}
