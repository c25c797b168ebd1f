use super::close::CloseArgs;
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use mission::command::decision::Closing;

/// Drop a question for good
#[derive(Debug, Args)]
#[command(
    after_help = "Example: spec-kitty agent decision cancel 01KRX1A0000000000000000003 --mission tea-timer \
    --rationale \"out of scope\""
)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    close: CloseArgs,
}

impl Verb for CancelArgs {
    fn class(&self) -> Class {
        Class::Local
    }

    fn json(&self, asked: bool) -> Result<bool, &'static str> {
        Ok(self.close.ledger.decision.json(asked))
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        self.close.close(context, Closing::Cancel)
    }
}
