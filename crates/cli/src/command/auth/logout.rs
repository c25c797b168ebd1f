use super::{http, token_note, with_elsewhere};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb, chain};
use contract::text::printable;
use delivery::auth::{LogoutReport, Revoked, log_out};

/// Log out: remove the session here in any case, and revoke it at its server
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth logout")]
pub(crate) struct LogoutArgs {
    /// Do not contact the server
    #[arg(long)]
    force: bool,
}

impl Verb for LogoutArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let LogoutReport { had_session, revoked } =
            log_out(&http(context)?, !self.force).map_err(|error| {
                CliError::new("LOGOUT_FAILED", error.exit(), chain(&error)).remedy_if(error.remedy())
            })?;
        let (server, note) = match revoked {
            Revoked::Yes => ("revoked", None),
            Revoked::NotAsked(why) => {
                ("not_asked", Some(format!("the session was not revoked at the server: {why}")))
            }
            Revoked::No(why) => {
                let note = "warning: the session is removed here; the server did not revoke it";
                ("failed", Some(format!("{note}: {why}")))
            }
        };
        let (result, line) =
            if had_session { ("logged_out", "logged out") } else { ("nothing_to_do", "not logged in") };
        let facts = serde_json::json!({ "server": server, "detail": note });
        let mut report = Report::of(&LineResult { result, facts, line: line.to_owned() });
        report.notes.extend(note.filter(|_| had_session).map(|note| printable(&note).into_owned()));
        report.notes.extend(token_note(context));
        Ok(with_elsewhere(context, report))
    }
}
