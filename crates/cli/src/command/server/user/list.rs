use super::super::{AdminArgs, AdminList, failed};
use super::AccountView;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};

/// List the accounts
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server user list --data /var/lib/spec-kitty")]
pub(crate) struct UserListArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserListArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let accounts = self.admin.open()?.accounts().map_err(failed)?;
        Ok(Report::of(&AdminList { results: accounts.iter().map(AccountView::of).collect() }))
    }
}
