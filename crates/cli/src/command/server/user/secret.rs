use super::super::{AdminArgs, failed};
use super::SECRET_NOTE;
use crate::report::counted;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Said, Verb};
use serde_json::json;
use server::ReplacedSecret;

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
        let (secret, ReplacedSecret { sessions, tokens, .. }) =
            (replaced.approval_secret.expose(), &replaced);
        let facts = json!({
            "email": self.email,
            "approval_secret": secret,
            "ended": { "sessions": sessions, "tokens": tokens },
        });
        let line = format!(
            "{SECRET_NOTE}: {secret}\nended: {}, {}",
            counted(*sessions, "session", "sessions"),
            counted(*tokens, "token", "tokens")
        );
        Ok(Report::of(&Said { result: "replaced", facts, line }))
    }
}
