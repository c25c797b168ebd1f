use super::opt_in::{ProjectDecision, counted_held, cure_permit, decide};
use super::project_choice::choose;
use super::scoped::is_absent;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use queue::{Cure, SentBlocks};

/// Keep rows of a project on this machine
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty sync opt-out --project tea-timer")]
pub(crate) struct OptOutArgs {
    /// The project: a known uuid, an unambiguous slug, or `none` for rows without a project
    /// [default: the project of this directory]
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
    /// Also delete the kept bytes of the project's delivered rows
    #[arg(long)]
    delete_private_data: bool,
}

impl Verb for OptOutArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let project = choose(context, self.project.as_deref())?;
        decide(context, |edit| edit.opt_out(project.uuid.as_deref()))?;
        let (held, notes) = counted_held(context, project.uuid.as_deref());
        let mut decision = ProjectDecision::new("opted_out", project, held);
        if self.delete_private_data {
            decision.deleted = Some(discard(context, decision.project())?);
        }
        let mut report = Report::of(&decision);
        report.notes = notes;
        Ok(report)
    }
}

/// Deletes the kept bytes of the project's delivered rows in this account's queue.
fn discard(context: &CommandContext, project: Option<&str>) -> Result<SentBlocks, CliError> {
    match cure_permit(context)?.filter(|permit| !is_absent(permit.queue_path())) {
        Some(permit) => Ok(Cure::open(&permit)?.discard_sent_of(project)?),
        None => Ok(SentBlocks::default()),
    }
}
