use super::super::{AdminArgs, AdminList, failed};
use super::SessionView;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};

/// List the sessions that run
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server session list --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct SessionListArgs {
    /// Only sessions of this account
    #[arg(long)]
    email: Option<String>,
    /// Also sessions that have ended
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for SessionListArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let sessions = self.admin.open()?.sessions(self.email.as_deref(), self.all).map_err(failed)?;
        Ok(Report::of(&AdminList { results: sessions.iter().map(SessionView::of).collect() }))
    }
}
