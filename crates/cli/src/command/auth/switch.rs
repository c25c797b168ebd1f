use super::{http, with_elsewhere};
use crate::verb::{Args, Class, CliError, CommandContext, LineResult, Report, Verb, chain};
use contract::text::printable;
use delivery::auth::{Switched, switch_team};

/// Choose another private teamspace of this session
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty auth switch design-team")]
pub(crate) struct SwitchArgs {
    /// Id or name of the private teamspace
    team: String,
}

impl Verb for SwitchArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let http = http(context)?;
        let Switched { to, changed, previous_scope, scope, .. } =
            switch_team(&http, &self.team).map_err(|error| {
                CliError::new("SWITCH_FAILED", error.exit(), chain(&error)).remedy_if(error.remedy(&http))
            })?;
        let line = if changed {
            format!("now in teamspace {} ({})", printable(&to.name), printable(&to.id))
        } else {
            format!("already in teamspace {} ({})", printable(&to.name), printable(&to.id))
        };
        let facts = serde_json::json!({ "team": to.id, "changed": changed, "previous_scope": previous_scope, "scope": scope });
        let said = LineResult { result: if changed { "switched" } else { "nothing_to_do" }, facts, line };
        Ok(with_elsewhere(context, Report::of(&said)))
    }
}
