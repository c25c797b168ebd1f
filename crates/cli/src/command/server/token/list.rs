use super::super::{AdminArgs, AdminList, failed};
use super::TokenView;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};

/// List the tokens, without their secrets
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty server token list --data /var/lib/spec-kitty")]
pub(crate) struct TokenListArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TokenListArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let tokens = self.admin.open()?.ci_tokens().map_err(failed)?;
        Ok(Report::of(&AdminList { results: tokens.iter().map(TokenView::of).collect() }))
    }
}
