use super::close::CloseArgs;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::decision::Closing;

/// Put a question off; it can be answered later
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent decision defer 01KRX1A0000000000000000002 --mission tea-timer \
    --rationale \"ask the users\""
)]
pub(crate) struct DeferArgs {
    #[command(flatten)]
    close: CloseArgs,
}

impl Verb for DeferArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        Ok(self.close.ledger.decision.json(asked))
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        self.close.close(context, Closing::Defer)
    }
}
