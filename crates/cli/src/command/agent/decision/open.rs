//! `agent decision open`: a question that came up while planning.

use super::LedgerArgs;
use crate::command::agent::decision::error::with_details;
use crate::command::agent::tasks::list::warnings;
use crate::mission_document::MissionDocument;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use contract::text::printable;
use mission::Clock;
use mission::command::decision::{OpenRequest, Opened, open};

/// Open a question
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent decision open --mission tea-timer --flow plan --slot-key plan.repeat \
    --input-key repeat --question \"Does it repeat?\""
)]
pub(crate) struct DecisionOpenArgs {
    /// Activity that raised it: charter, specify or plan; in a current mission also tasks, implement or review
    #[arg(long)]
    flow: String,
    /// Name of the requested input
    #[arg(long, value_name = "KEY")]
    input_key: String,
    /// The question
    #[arg(long, value_name = "TEXT")]
    question: String,
    /// Step that raised it; this or --slot-key is required
    #[arg(long, value_name = "ID")]
    step_id: Option<String>,
    /// Slot that raised it
    #[arg(long, value_name = "KEY")]
    slot_key: Option<String>,
    /// Possible answers, as a JSON array of strings
    #[arg(long, value_name = "JSON")]
    options: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl Verb for DecisionOpenArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        Ok(self.ledger.decision.json(asked))
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = OpenRequest {
            mission: self.ledger.decision.mission.mission,
            flow: self.flow,
            step_id: self.step_id,
            slot_key: self.slot_key,
            input_key: self.input_key,
            question: self.question,
            options: self.options,
            actor: self.ledger.actor,
            dry_run: self.ledger.dry_run,
        };
        request.check().map_err(with_details)?;
        let opened = open(&context.project()?, &request, &Clock::system()).map_err(with_details)?;
        let text = describe(&opened, request.dry_run);
        let notes = warnings(&opened.warnings);
        let report = Report::of(&MissionDocument { value: opened, text });
        Ok(notes.into_iter().fold(report, Report::note))
    }
}

fn describe(opened: &Opened, dry_run: bool) -> String {
    let id = &opened.decision_id;
    match (opened.idempotent, dry_run) {
        (true, _) => format!("decision {id} is open already\n  {}\n", printable(&opened.artifact_path)),
        (false, true) => "the decision can be opened; nothing was written\n".to_owned(),
        (false, false) => format!("opened decision {id}\n  {}\n", printable(&opened.artifact_path)),
    }
}
