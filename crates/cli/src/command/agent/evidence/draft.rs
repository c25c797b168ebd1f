//! `agent evidence draft`: issue comments, the PR body and the definition of done. Posts nothing.

use crate::args::MissionArg;
use crate::command::agent::tasks::list::warnings;
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::command::evidence::{EvidenceRequest, draft};

/// Write issue comments, the PR body and the definition of done from valid evidence
///
/// Posts nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty agent evidence draft --mission tea-timer")]
pub(crate) struct EvidenceDraftArgs {
    #[command(flatten)]
    mission: MissionArg,
}

impl Verb for EvidenceDraftArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let drafted = draft(
            &context.project()?,
            &EvidenceRequest { mission: self.mission.mission, ..EvidenceRequest::default() },
        )?;
        let files: String = drafted.files.iter().map(|file| format!("  {}\n", printable(file))).collect();
        let text = format!("{}: drafted; read them, then post them yourself\n{files}", drafted.mission_slug);
        let notes = warnings(&drafted.warnings);
        let report = Report::of(&MissionDocument { value: drafted, text });
        Ok(notes.into_iter().fold(report, Report::note))
    }
}
