use super::super::{AdminArgs, AdminLine as _, failed};
use super::{AccountView, SECRET_NOTE};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use contract::text::printable;
use serde_json::json;
use server::Admin;

/// Create an account; print its approval secret once
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server user add --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct UserAddArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    /// Display name [default: the e-mail address]
    #[arg(long)]
    name: Option<String>,
    /// Private teamspace to join or create [default: a new one]
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserAddArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let admin = Admin::open(self.admin.location()?).map_err(failed)?;
        let created =
            admin.create_account(&self.email, self.name.as_deref(), self.team.as_deref()).map_err(failed)?;
        let view = AccountView::of(&created.account);
        let secret = created.approval_secret.expose();
        let created_team = self.team.filter(|_| created.is_new_team);
        // A misspelt id creates a teamspace, too.
        let new_team = created_team
            .as_deref()
            .map_or_else(String::new, |team| format!("\ncreated the private teamspace {}", printable(team)));
        let line = format!("{}{new_team}\n{SECRET_NOTE}: {secret}", view.line());
        let facts = json!({ "account": view, "created_team": created_team, "approval_secret": secret });
        Ok(Report::of(&LineResult { result: "created", facts, line }))
    }
}
