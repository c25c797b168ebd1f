use super::super::{AdminArgs, AdminLine as _, failed};
use super::AccountView;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Enable a disabled account; its owner has to log in again
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server user enable --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct UserEnableArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserEnableArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let account = self.admin.open()?.enable_account(&self.email).map_err(failed)?;
        let view = AccountView::of(&account);
        let line = view.line();
        Ok(Report::of(&LineResult { result: "enabled", facts: json!({ "account": view }), line }))
    }
}
