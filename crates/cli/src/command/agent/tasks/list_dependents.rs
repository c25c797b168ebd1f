//! `agent tasks list-dependents`: what a work package depends on, and what depends on it.

use super::list::warnings;
use crate::args::MissionArg;
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::dependents::list_dependents;

/// List what a work package depends on and what depends on it; change nothing
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent tasks list-dependents WP01 --mission tea-timer")]
pub(crate) struct DependentsArgs {
    /// The work package, for example WP01
    #[arg(value_name = "WP")]
    wp_id: String,
    #[command(flatten)]
    mission: MissionArg,
}

impl Verb for DependentsArgs {
    fn class(&self) -> Class {
        Class::ReadOnly
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let found = list_dependents(&context.project()?, self.mission.mission.as_deref(), &self.wp_id)?;
        let named = |ids: &[String]| if ids.is_empty() { "nothing".to_owned() } else { ids.join(", ") };
        let text = format!(
            "{} depends on: {}\ndepends on {}: {}\n",
            found.wp_id,
            named(&found.depends_on),
            found.wp_id,
            named(&found.dependents)
        );
        let notes = warnings(&found.warnings);
        let report = Report::of(&MissionDocument { value: found, text });
        Ok(notes.into_iter().fold(report, Report::note))
    }
}
