use super::{LedgerArgs, close};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::decision::{CloseRequest, Closing};

/// Answer a question; the answer is final
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent decision resolve 01KRX1A0000000000000000001 --mission tea-timer \
    --final-answer gong"
)]
pub(crate) struct ResolveArgs {
    /// Id of the question
    #[arg(value_name = "DECISION_ID")]
    id: String,
    /// The answer
    #[arg(long, value_name = "TEXT")]
    final_answer: String,
    /// The answer is none of the options
    #[arg(long)]
    other_answer: bool,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    rationale: Option<String>,
    /// Name of the person who decided
    #[arg(long, value_name = "NAME")]
    resolved_by: Option<String>,
    #[command(flatten)]
    ledger: LedgerArgs,
}

impl Verb for ResolveArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        Ok(self.ledger.decision.json(asked))
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        let request = CloseRequest {
            mission: self.ledger.decision.mission.mission,
            decision_id: self.id,
            closing: Closing::Resolve { final_answer: self.final_answer, other_answer: self.other_answer },
            rationale: self.rationale,
            resolved_by: self.resolved_by,
            actor: self.ledger.actor,
            dry_run: self.ledger.dry_run,
        };
        close::run(context, &request)
    }
}
