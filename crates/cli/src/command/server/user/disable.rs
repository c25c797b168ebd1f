use super::super::{AdminArgs, AdminLine as _, failed};
use super::{AccountView, ended_facts, ended_line};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Disable an account; end its sessions and tokens
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server user disable --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct UserDisableArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserDisableArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let (account, ended) = self.admin.open()?.disable_account(&self.email).map_err(failed)?;
        let view = AccountView::of(&account);
        let line = format!("{}\n{}", view.line(), ended_line(ended));
        let facts = json!({ "account": view, "ended": ended_facts(ended) });
        Ok(Report::of(&LineResult { result: "disabled", facts, line }))
    }
}
