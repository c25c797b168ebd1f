use super::super::{AdminArgs, failed};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use contract::Remedy;
use contract::text::printable;
use serde_json::json;

/// Revoke a token
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty server token revoke 01KRX1A0000000000000000001 --data /var/lib/spec-kitty"
)]
pub(crate) struct TokenRevokeArgs {
    /// Id of the token
    id: String,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for TokenRevokeArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        if !self.admin.open()?.revoke_ci_token(&self.id).map_err(failed)? {
            let summary = format!("no token has the id `{}`", printable(&self.id));
            let list = Remedy::Advice("`spec-kitty server token list` shows the ids".to_owned());
            return Err(CliError::failed("UNKNOWN_TOKEN", summary).remedy(list));
        }
        let facts = json!({ "id": self.id });
        Ok(Report::of(&LineResult { result: "revoked", facts, line: format!("revoked {}", self.id) }))
    }
}
