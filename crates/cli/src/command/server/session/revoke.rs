use super::super::{AdminArgs, failed};
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};
use clap::ArgGroup;
use contract::Remedy;
use contract::text::printable;
use serde_json::json;

/// End a session, or every session of an account
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("which_sessions").required(true).args(["id", "email"]),
    after_help = "Example: spec-kitty server session revoke --email ada@example.com --data /var/lib/spec-kitty"
)]
pub(crate) struct SessionRevokeArgs {
    /// Id of the session
    id: Option<String>,
    /// Every session of this account
    #[arg(long)]
    email: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

impl Verb for SessionRevokeArgs {
    fn class(&self) -> Class {
        Class::Tool
    }

    fn run(self: Box<Self>, _: &CommandContext) -> Result<Report, CliError> {
        let admin = self.admin.open()?;
        if let Some(email) = &self.email {
            let ended = admin.end_sessions_of(email).map_err(failed)?;
            let line = format!("revoked {}", counted(ended, "session", "sessions"));
            let facts = json!({ "email": email, "sessions": ended });
            return Ok(Report::of(&LineResult { result: "revoked", facts, line }));
        }
        let id = self.id.unwrap_or_default();
        if !admin.end_session(&id).map_err(failed)? {
            let summary = format!("no session that runs has the id `{}`", printable(&id));
            let remedy = Remedy::Advice("`spec-kitty server session list` shows the sessions".to_owned());
            return Err(CliError::failed("UNKNOWN_SESSION", summary).remedy(remedy));
        }
        let line = format!("revoked {}", printable(&id));
        Ok(Report::of(&LineResult { result: "revoked", facts: json!({ "id": id, "sessions": 1 }), line }))
    }
}
