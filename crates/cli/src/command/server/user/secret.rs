use super::super::{AdminArgs, failed};
use super::{SECRET_NOTE, ended_facts, ended_line};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Give an account a new approval secret, printed once; end its sessions and tokens
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server user secret --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct UserSecretArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for UserSecretArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let replaced = self.admin.open()?.replace_secret(&self.email).map_err(failed)?;
        let secret = replaced.approval_secret.expose();
        let facts = json!({
            "email": self.email,
            "approval_secret": secret,
            "ended": ended_facts(replaced.ended),
        });
        let line = format!("{SECRET_NOTE}: {secret}\n{}", ended_line(replaced.ended));
        Ok(Report::of(&LineResult { result: "replaced", facts, line }))
    }
}
