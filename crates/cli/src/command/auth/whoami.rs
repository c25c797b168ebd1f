use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb};

/// Print the e-mail address of the login
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth whoami")]
pub(crate) struct WhoamiArgs;

impl Verb for WhoamiArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let login = context.login()?;
        if let Some(fault) = login.faults.first() {
            return Err(fault.clone().into());
        }
        let remedy = login.remedy();
        match login.principal {
            Some(principal) => {
                let facts =
                    serde_json::json!({ "principal": principal, "authenticated": login.authenticated });
                let line = contract::text::printable(&principal).into_owned();
                Ok(Report::of(&LineResult { result: "ok", facts, line }))
            }
            // A question, not a refusal: exit 1.
            None => Err(CliError::failed("LOGGED_OUT", "not logged in").remedy(remedy)),
        }
    }
}
