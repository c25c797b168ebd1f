use super::super::{AdminArgs, AdminLine as _, failed};
use super::TokenView;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use serde_json::json;

/// Issue a token; print it once
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server token add --email ada@example.com --label ci --data \
    /var/lib/spec-kitty")]
pub(crate) struct TokenAddArgs {
    /// E-mail address of the account
    #[arg(long)]
    email: String,
    /// Private teamspace of the token [default: the first of the account]
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Purpose of the token
    #[arg(long)]
    label: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TokenAddArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let issued = self
            .admin
            .open()?
            .issue_ci_token(&self.email, self.team.as_deref(), &self.label)
            .map_err(failed)?;
        let view = TokenView::of(&issued.record);
        let facts = json!({ "token_record": view, "token": issued.token.expose() });
        let line = format!("{}\ntoken, shown this once: {}", view.line(), issued.token.expose());
        Ok(Report::of(&LineResult { result: "issued", facts, line }))
    }
}
