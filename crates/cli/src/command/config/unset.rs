use super::{change, keys};
use crate::verb::{Args, Class, CliError, CommandContext, Report, Verb};
use identity::config::ConfigKey;

/// Remove one setting, so that its default applies
#[derive(Debug, Args)]
#[command(after_help = "Example: spec-kitty config unset sync.token_host")]
pub(crate) struct ConfigUnsetArgs {
    /// The setting
    #[arg(value_parser = keys())]
    key: ConfigKey,
}

impl Verb for ConfigUnsetArgs {
    fn class(&self) -> Class {
        Class::Curing
    }

    fn run(self: Box<Self>, context: &CommandContext) -> Result<Report, CliError> {
        change(context, self.key, None, |edit| {
            edit.unset(self.key);
        })
    }
}
